"""The data folder of an earlier version, in the middle of its work: the present one starts over it and goes on.

`tests/fixtures/installation/written-by-0.1.0.tar.gz` was made with `make.py` beside it, run in a checkout of that version:
embedded log and SQLite database of one process. It holds an incident that is about to cross its line (with the scorer's
state of that cascade), one that somebody has, one that a silence holds back, one whose second step waits, and a message
that its endpoint did not take yet.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from alerter.store.migrate import HEAD
from services.base.clock import RealClock
from services.tools.drills.installation import Installation
from services.tools.drills.player import serving
from services.tools.sink import Sink, Webhooked
from tests.fixtures.installation.scene import CONFIG, KEYS, LINE, complaint, repost
from tests.patience import PATIENCE_SECONDS

ARCHIVES: Final = sorted((Path(__file__).parents[1] / "fixtures" / "installation").glob("written-by-*.tar.gz"))


@dataclass
class Life:
    """One life of the present version over the old folder."""

    url: str
    client: httpx2.AsyncClient
    sink: Sink

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        key = KEYS.post if path == "/v1/posts" else KEYS.admin
        headers = {"authorization": f"Bearer {key}"}
        answer = await self.client.request(method, self.url + path, json=body, headers=headers)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def incidents(self) -> dict[str, dict[str, Any]]:
        """By brand: each has one."""
        return {one["brand"]: one for one in (await self.call("GET", "/v1/incidents"))["items"]}

    async def told(self, wanted: Callable[[Webhooked], bool]) -> Webhooked:
        """The first verified message of this kind, once it came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := [one for one in self.sink.received if wanted(one)]):
                await asyncio.sleep(0.02)
        return found[0]


@asynccontextmanager
async def living(folder: Path, manifest: dict[str, Any], minutes_later: float) -> AsyncIterator[Life]:
    """On a clock that begins so long after the folder was written: it may lie there for years."""
    now = time.time()
    environment = {
        **KEYS.environment(),
        "FIREBREAK_CLOCK_BEGIN": repr(datetime.fromisoformat(manifest["stopped_at"]).timestamp() + 60 * minutes_later),
        "FIREBREAK_CLOCK_ORIGIN": repr(now),
        "FIREBREAK_RETENTION": "false",
    }
    sink = Sink(RealClock())
    sink.secrets |= manifest["secrets"]
    async with serving(sink) as sink_url, httpx2.AsyncClient(timeout=20) as client:
        with closing(sqlite3.connect(folder / "alerter.db")) as database, database:
            # The receivers are where this run has them; an endpoint's address cannot be changed otherwise.
            database.execute("UPDATE endpoints SET url = ? || '/hooks/' || name", (sink_url,))
        installation = Installation(folder, CONFIG, environment)
        try:
            await installation.start()
            yield Life(installation.url("alerter"), client, sink)
        finally:
            assert await installation.stop() == [0]
    assert sink.refused == 0


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_the_present_version_goes_on_where_an_earlier_one_stopped(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    manifest: dict[str, Any] = json.loads((tmp_path / "manifest.json").read_text())
    before = manifest["incidents"]

    async with living(tmp_path, manifest, minutes_later=1) as life:
        found = await life.incidents()
        for brand, old in before.items():
            same = ("id", "story", "state", "severity", "opened_at", "acknowledged_by", "acknowledged_until", "held")
            assert {name: found[brand][name] for name in same} == {name: old[name] for name in same}
        assert found["bolt"]["acknowledged_by"] == "dana"
        assert found["quill"]["held"]["by"] == "silence"
        assert [one["comment"] for one in (await life.call("GET", "/v1/silences"))["items"]] == ["a campaign"]

        # What the endpoint did not take then arrives now, under its old id and signed with its old secret.
        (left,) = manifest["pending"]
        acknowledged = await life.told(lambda one: one.id == left)
        assert (acknowledged.endpoint, acknowledged.body["type"]) == ("desk", "incident.acknowledged")

        # Only with the twenty reposts that the old version counted does the story cross its line.
        fresh = LINE - 20 + 5
        await life.call("POST", "/v1/posts", [repost("p1", 20 + number) for number in range(fresh)])
        crossed = await life.told(lambda one: one.body["data"].get("state") == "active")
        assert crossed.body["data"]["id"] == before["acme"]["id"]
        assert crossed.body["data"]["sequence"] > before["acme"]["sequence"]
        assert (await life.incidents())["acme"]["outlook"]["observed"] >= LINE

        # A new story opens an incident of its own; one that was posted before does not.
        await life.call("POST", "/v1/posts", [complaint("p4", "dawn"), complaint("p5", "dawn")])
        opened = await life.told(lambda one: one.body["type"] == "incident.opened")
        assert opened.body["data"]["story"] == "x:p5"
        assert not {one.id for one in life.sink.received} & set(manifest["received"])

    with closing(sqlite3.connect(tmp_path / "alerter.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]

    # The second step of the incident that nobody took was due twenty minutes after it opened.
    async with living(tmp_path, manifest, minutes_later=21) as life:
        page = await life.told(lambda one: one.endpoint == "phone" and one.body["data"]["id"] == before["dawn"]["id"])
        assert page.body["type"] == "incident.escalated"
        assert [one.endpoint for one in life.sink.received if one.body["data"]["id"] == before["quill"]["id"]] == []
