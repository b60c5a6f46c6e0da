"""Every query of every dashboard is run against a real Prometheus that scraped a real run with faults injected: every panel
moves, and the alerts that need no patience fire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import yaml
from fastapi import FastAPI, Response

from services.base.clock import ScaledClock, moment
from services.base.settings import Settings
from services.config.model import Config
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.topics import POSTS, SIGNALS
from services.eventlog.base import Message
from services.runtime.http import Server
from services.runtime.process import open_log
from services.tools.drills.crowd import Night
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys, Player, play_live
from services.tools.drills.script import Script, load
from services.tools.sink import Sink
from tests.deploy.measured import boards, queries
from tests.deploy.tools import DEPLOY, find
from tests.patience import PATIENCE_SECONDS

SPEED: Final = 120.0
"""Story seconds a second: the two hours of the drill take one minute."""
STEP: Final = 1.0
DEAD_SECONDS: Final = 8.0
VARIABLES: Final = {"$job": ".+", "$brand": ".+", "$__rate_interval": "5s"}


class Prometheus:
    """Debian's binary on a free port, with our rules, scraping once a second."""

    def __init__(self, folder: Path, targets: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        shipped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DEPLOY / "prometheus" / Path(file).name) for file in shipped["rule_files"]],
            "scrape_configs": [{"job_name": "firebreak", "static_configs": [{"targets": list(targets.values())}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._command = [
            find("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        self._log = folder / "prometheus.log"
        self.began = 0.0

    def __enter__(self) -> Prometheus:
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=out)
        for _ in range(300):
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/-/ready").status_code == 200:
                    self.began = time.time()
                    return self
            time.sleep(0.1)
        self.__exit__()
        raise AssertionError(self._log.read_text()[-2000:])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    async def knows(self, targets: int) -> None:
        """Until every target was scraped twice: what happened before the first scrape has no beginning to grow from."""
        async with asyncio.timeout(PATIENCE_SECONDS), httpx2.AsyncClient() as client:
            while True:
                asked = {"query": "count(sum_over_time(up[1m]) >= 2)"}
                found = (await client.post(f"{self.url}/api/v1/query", data=asked)).json()["data"]["result"]
                if found and int(found[0]["value"][1]) == targets:
                    return
                await asyncio.sleep(0.2)

    def over_the_run(self, expression: str, ended: float) -> list[Any]:
        asked = {"query": expression, "start": self.began, "end": ended, "step": STEP}
        answer = httpx2.post(f"{self.url}/api/v1/query_range", data=asked, timeout=30).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[Any] = answer["data"]["result"]
        return found


class Receivers:
    """Endpoints as they are: one that breaks for a while, one that is gone for good."""

    def __init__(self) -> None:
        self.broken = True
        self.app = FastAPI()
        self.app.add_api_route("/broken", lambda: Response(status_code=500 if self.broken else 204), methods=["POST"])
        self.app.add_api_route("/gone", lambda: Response(status_code=410), methods=["POST"])


def the_night(begin: float) -> Script:
    """The first drill, told to everybody, by people who promise answers within five minutes and are on call only after a
    while, in an installation that also listens to a network that says nothing."""
    script = load(DEPLOY / "drills" / "1-quoted-by-the-loud.yaml")
    raw = script.config.model_dump(mode="json", exclude_defaults=True)
    for brand in raw["brands"]:
        brand.setdefault("accounts", []).append({"network": "reddit", "handle": brand["id"], "owner": "care"})
        brand["promise"] = {"minutes": 5}
    raw["policies"][0]["steps"][0] = {"endpoints": ["all"]}
    raw["responders"] = [{"id": "dana", "methods": ["front-desk"]}]
    starts = datetime.fromtimestamp(begin + 2400, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    layer = {"id": "first", "rotation": "daily", "begins": starts, "responders": ["dana"]}
    raw["schedules"] = [{"id": "care", "zone": "UTC", "layers": [layer]}]
    return script.model_copy(update={"config": Config.model_validate(raw)})


class Run:
    """The drill with everything that goes wrong in it. After `play` nothing runs but Prometheus."""

    def __init__(self, folder: Path) -> None:
        begin = time.time()
        self.keys = Keys.fresh()
        self.folder = folder
        self.clock = ScaledClock(moment(begin), SPEED, begin)
        self.script = the_night(begin)
        environment = {
            **self.keys.environment(),
            "FIREBREAK_LOG": "sqlite",
            "FIREBREAK_PARTITIONS": "2",
            "FIREBREAK_INSTANCE": "measured",
            "FIREBREAK_SHED_ABOVE_LAG": "20",
            "FIREBREAK_CLOCK_BEGIN": repr(begin),
            "FIREBREAK_CLOCK_ORIGIN": repr(begin),
            "FIREBREAK_CLOCK_SPEED": repr(SPEED),
            "FIREBREAK_LOG_FORMAT": "json",
        }
        layout = [("ingest",), ("scorer",), ("alerter",)]
        self.installation = Installation(folder, self.script.config, environment, layout)
        self.targets = {m.services[0]: m.url.removeprefix("http://") for m in self.installation.members}
        self.ended = 0.0

    async def play(self, prometheus: Prometheus) -> None:
        await self.installation.start()
        await prometheus.knows(len(self.targets))
        sink, receivers = Sink(self.clock), Receivers()
        server = Server(receivers.app, "127.0.0.1", 0)
        sink_server = Server(sink.app(), "127.0.0.1", 0)
        serving = [asyncio.create_task(one.run_until_stopped()) for one in (server, sink_server)]
        ingest, alerter = self.installation.url("ingest"), self.installation.url("alerter")
        player = Player(Night(self.script, self.script.seed, "m"), self.clock, ingest, alerter, self.keys, sink)
        try:
            await player.subscribe(sink_server.url)
            await self._subscribe(alerter, {"broken": f"{server.url}/broken", "gone": f"{server.url}/gone"})
            playing = asyncio.create_task(play_live(player))
            await self._odd_requests(ingest)
            await self._odd_records()
            await asyncio.sleep(20)
            await self._kill_the_scorer()
            await self._lock_the_database()
            receivers.broken = False
            await playing
            await self._mark(alerter)
            await asyncio.sleep(6)
            assert sink.received
            assert not sink.refused
        finally:
            await player.close()
            for one in (server, sink_server):
                one.stop()
            await asyncio.gather(*serving)
            self.ended = time.time()
            await self.installation.stop()

    async def _subscribe(self, alerter: str, urls: dict[str, str]) -> None:
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {self.keys.admin}"}) as client:
            for name, url in urls.items():
                answer = await client.post(f"{alerter}/v1/endpoints", json={"name": name, "url": url})
                assert answer.status_code == 201, answer.text
            await client.post(f"{alerter}/v1/endpoints/gone/test")

    async def _mark(self, alerter: str) -> None:
        """Somebody says what the alarms were worth."""
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {self.keys.admin}"}) as client:
            for incident in (await client.get(f"{alerter}/v1/incidents")).json()["items"]:
                mark = {"by": "dana", "outcome": "useful"}
                answer = await client.post(f"{alerter}/v1/incidents/{incident['id']}/outcome", json=mark)
                assert answer.status_code == 200, answer.text

    async def _odd_requests(self, ingest: str) -> None:
        """A stranger, a body that is none, one bad post among good ones, a post twice, another language, a long one."""
        one = {"network": "x", "post_id": "odd", "kind": "original", "author": {"id": "1"}, "text": "@acmeair terrible"}
        japanese = {
            **one,
            "post_id": "ja",
            "text": "@acmeair スーツケースがなくなったのに、誰も答えてくれません。本当にひどい会社です",
        }
        long = {**one, "post_id": "long", "text": "@acmeair this is a disgrace and nobody answers me. " * 60}
        async with httpx2.AsyncClient() as client:
            stranger = await client.post(f"{ingest}/v1/posts", json=one, headers={"authorization": "Bearer nobody"})
            assert stranger.status_code == 401
            mine = {"authorization": f"Bearer {self.keys.post}"}
            assert (await client.post(f"{ingest}/v1/posts", content=b"{", headers=mine)).status_code == 400
            for body in ([one, {"network": "x"}], one, japanese, long):
                answer = await client.post(f"{ingest}/v1/posts", json=body, headers=mine)
                assert answer.status_code == 202, answer.text

    async def _odd_records(self) -> None:
        """What is no event of ours, for both readers, and a connector's word that it missed something."""
        now = datetime.now(UTC)
        gap = SourceCoverage(
            network="reddit", connector="stream", state=CoverageState.GAP, begins=now, ends=now, observed_at=now
        )
        log = open_log(Settings(_env_file=None, data=self.folder, partitions=2))
        await log.start()
        try:
            garbage = [Message(topic.name, "k", b"no event") for topic in (POSTS, SIGNALS) for _ in range(3)]
            await log.append([*garbage, Message(POSTS.name, "k", encode(gap, event_id("gap", now)))])
        finally:
            await log.close()

    async def _kill_the_scorer(self) -> None:
        (scorer,) = self.installation.of("scorer")
        scorer.send(signal.SIGKILL)
        await scorer.ended()
        await asyncio.sleep(DEAD_SECONDS)
        await scorer.start()
        await scorer.ready()

    async def _lock_the_database(self) -> None:
        """Longer than the alerter waits for a lock: a database that is away."""
        connection = sqlite3.connect(self.folder / "alerter.db", isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(7)
            connection.execute("ROLLBACK")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Prometheus]]:
    find("prometheus")
    played = Run(tmp_path_factory.mktemp("measured"))
    with Prometheus(played.folder, played.targets) as prometheus:
        asyncio.run(played.play(prometheus))
        yield played, prometheus


def filled_in(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def moves(series: list[Any], steps: int) -> bool:
    """Whether one of them has two values, or is there for a part of the time only."""
    return any(len({value for _, value in one["values"]}) > 1 or len(one["values"]) < steps - 5 for one in series)


PANELS = sorted({(board, panel) for board, panel, _ in queries()})


@pytest.mark.slow
@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_every_panel_moves(run: tuple[Run, Prometheus], board: str, panel: str) -> None:
    played, prometheus = run
    steps = int((played.ended - prometheus.began) / STEP)
    found: dict[str, list[Any]] = {}
    for of_board, of_panel, expression in queries():
        if (of_board, of_panel) == (board, panel):
            found[expression] = prometheus.over_the_run(filled_in(expression), played.ended)
    for expression, series in found.items():
        assert series, f"nothing at all from {expression}"
    assert any(moves(series, steps) for series in found.values()), found


@pytest.mark.slow
def test_variables_and_annotations_find_something(run: tuple[Run, Prometheus]) -> None:
    played, prometheus = run
    for board in boards().values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
                assert asked is not None
                series = prometheus.over_the_run(asked[1], played.ended)
                assert {one["metric"].get(asked[2]) for one in series} - {None}
        for annotation in board["annotations"]["list"]:
            if "expr" in annotation:
                assert prometheus.over_the_run(annotation["expr"], played.ended)


@pytest.mark.slow
def test_faults_are_felt_by_the_alerts(run: tuple[Run, Prometheus]) -> None:
    played, prometheus = run
    felt: dict[str, set[str]] = {}
    for one in prometheus.over_the_run("ALERTS", played.ended):
        felt.setdefault(one["metric"]["alertname"], set()).add(one["metric"]["alertstate"])
    for name in ("FirebreakWatchdog", "FirebreakDeadLetters", "FirebreakCoverageGap", "FirebreakEndpointDisabled"):
        assert "firing" in felt.get(name, set()), f"{name}: {json.dumps({k: sorted(v) for k, v in felt.items()})}"
    # These wait for some minutes before they call anybody.
    for name in ("FirebreakDown", "FirebreakServiceMissing", "FirebreakEndpointFailing", "FirebreakShedding"):
        assert felt.get(name), f"{name}: {json.dumps({k: sorted(v) for k, v in felt.items()})}"
