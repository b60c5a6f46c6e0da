"""Plays a night through the real thing, over HTTP alone: posts go to ingest, signed webhooks come back to a sink.

On the manual clock everything runs in this process, and story time moves when nothing is left to do. On a scaled or the real
clock the night is played against running processes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx2
from pydantic import SecretStr

from services.base.clock import Clock, ManualClock
from services.base.errors import FirebreakError
from services.base.settings import Settings
from services.config.model import Config
from services.config.rota import OWNER
from services.runtime.http import Server
from services.runtime.process import Process
from services.tools.drills.crowd import Action, Night
from services.tools.drills.judge import Received, Report, judge
from services.tools.drills.script import Script
from services.tools.sink import Sink, Webhooked

STORY_BEGINS: Final = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
"""On the manual clock; a Monday evening."""
STEP_SECONDS: Final = 30.0
"""Story time moves by this much at most while something happens, and by `CALM_SECONDS` otherwise."""
CALM_SECONDS: Final = 60.0
BATCH: Final = 500
RETRIES: Final = 60
PATIENCE_SECONDS: Final = 60.0
LOOPBACK: Final = "127.0.0.0/8"


class Refused(FirebreakError):
    """The installation would not take what the drill sent."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a player needs to post and to subscribe."""

    post: str
    admin: str

    @staticmethod
    def fresh() -> Keys:
        return Keys(secrets.token_urlsafe(24), secrets.token_urlsafe(24))

    def environment(self) -> dict[str, str]:
        return {
            "FIREBREAK_API_KEYS": f"drill:{self.post}",
            "FIREBREAK_ADMIN_KEY": self.admin,
            "FIREBREAK_EGRESS_ALLOW": LOOPBACK,
        }


class Player:
    """One night against one installation."""

    def __init__(self, night: Night, clock: Clock, ingest: str, alerter: str, keys: Keys, sink: Sink) -> None:
        self.night = night
        self.clock = clock
        self.sink = sink
        self.begin = clock.now()
        self.sent = 0
        self._ingest = ingest
        self._alerter = alerter
        self._keys = keys
        self._client = httpx2.AsyncClient(timeout=30)
        self._endpoints: list[str] = []
        deeds = {"acknowledge": night.script.acknowledgements, "resolve": night.script.resolutions}
        self._deeds = sorted(
            ((deed.at, verb, deed) for verb, some in deeds.items() for deed in some), key=lambda d: d[0]
        )

        self._reports = list(reports(night.script, self.begin))

    async def subscribe(self, sink_url: str) -> None:
        """Create an endpoint for each name in the drill's policies and responders."""
        self.sink.is_down = self._is_down
        for name in sorted(endpoint_names(self.night.script.config)) or ["front-desk"]:
            answer = await self._client.post(
                f"{self._alerter}/v1/endpoints",
                json={"name": name, "url": f"{sink_url}/hooks/{name}", "description": "drill"},
                headers={"authorization": f"Bearer {self._keys.admin}"},
            )
            if answer.status_code != 201:
                raise Refused(f"the endpoint {name!r} was refused: {answer.status_code} {answer.text[:300]}")
            self._endpoints.append(name)
            self.sink.secrets[name] = answer.json()["secret"]

    async def silence(self) -> None:
        """Create the silences of the script, each with the time at which it begins."""
        for silence in self.night.script.silences:
            begins = self.begin + timedelta(seconds=silence.at)
            body = {
                "covers": silence.covers,
                "matchers": [{"field": "brand", "values": [silence.brand]}],
                "starts_at": begins.isoformat(),
                "ends_at": (begins + timedelta(seconds=silence.lasts)).isoformat(),
                "by": silence.by,
                "comment": silence.comment,
            }
            headers = {"authorization": f"Bearer {self._keys.admin}"}
            answer = await self._client.post(f"{self._alerter}/v1/silences", json=body, headers=headers)
            if answer.status_code != 201:
                raise Refused(f"the silence of {silence.brand!r} was refused: {answer.status_code} {answer.text[:300]}")

    def _is_down(self, endpoint: str) -> bool:
        now = (self.clock.now() - self.begin).total_seconds()
        return any(
            outage.endpoint == endpoint and outage.begins <= now < outage.begins + outage.lasts
            for outage in self.night.script.outages
        )

    async def respond(self) -> None:
        """Do what the people of the drill have done by now: acknowledge or resolve the incidents that are open."""
        now = (self.clock.now() - self.begin).total_seconds()
        headers = {"authorization": f"Bearer {self._keys.admin}"}
        while self._deeds and self._deeds[0][0] <= now:
            _, verb, deed = self._deeds.pop(0)
            found = await self._client.get(
                f"{self._alerter}/v1/incidents", params={"brand": deed.brand}, headers=headers
            )
            for incident in found.raise_for_status().json()["items"]:
                if incident["state"] in {"prior", "active", "easing"}:
                    path = f"{self._alerter}/v1/incidents/{incident['id']}/{verb}"
                    (await self._client.post(path, json={"by": deed.by}, headers=headers)).raise_for_status()

    async def cover(self) -> None:
        """Report what the connectors of the drill have reported by now."""
        now = (self.clock.now() - self.begin).total_seconds()
        due = [report for at, report in self._reports if at <= now]
        self._reports = [(at, report) for at, report in self._reports if at > now]
        if due:
            headers = {"authorization": f"Bearer {self._keys.post}"}
            answer = await self._client.post(f"{self._ingest}/v1/coverage", json=due, headers=headers)
            if answer.status_code != 202:
                raise Refused(f"the reports of connectors were refused: {answer.status_code} {answer.text[:300]}")

    async def send(self, actions: Sequence[Action]) -> None:
        """Send the posts until ingest has answered 202 for all of them. After a 429 or 503 wait as long as it asks for."""
        for start in range(0, len(actions), BATCH):
            chunk = actions[start : start + BATCH]
            body = "\n".join(json.dumps(action.stamped(self.begin)) for action in chunk)
            await self._post(body)
            self.sent += len(chunk)

    async def _post(self, body: str) -> None:
        headers = {"authorization": f"Bearer {self._keys.post}", "content-type": "application/x-ndjson"}
        for _ in range(RETRIES):
            try:
                answer = await self._client.post(f"{self._ingest}/v1/posts", content=body.encode(), headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code == 202:
                rejected = [r for r in answer.json()["results"] if r["status"] != "accepted"]
                if rejected:
                    raise Refused(f"{len(rejected)} posts were rejected, the first: {rejected[0]}")
                return
            if answer.status_code not in {429, 503}:
                raise Refused(f"ingest answered {answer.status_code}: {answer.text[:300]}")
            await asyncio.sleep(min(5.0, float(answer.headers.get("retry-after", "1"))))
        raise Refused(f"ingest did not take the posts in {RETRIES} attempts")

    def report(self) -> Report:
        return judge(self.night, [self.received(message) for message in self.sink.received])

    def received(self, message: Webhooked) -> Received:
        return Received((message.at - self.begin).total_seconds(), message.endpoint, message.id, message.body)

    async def close(self) -> None:
        for name in self._endpoints:
            try:
                await self._client.delete(
                    f"{self._alerter}/v1/endpoints/{name}", headers={"authorization": f"Bearer {self._keys.admin}"}
                )
            except httpx2.TransportError:
                break
        await self._client.aclose()


def reports(script: Script, begin: datetime) -> Iterator[tuple[float, dict[str, object]]]:
    """Yields what the drill's connectors report, each with its time in seconds of the story."""

    def moment(seconds: float) -> str:
        return (begin + timedelta(seconds=seconds)).isoformat()

    for beats in script.heartbeats:
        alive = {"network": script.network, "connector": beats.connector, "state": "healthy"}
        at = beats.begins
        while at <= beats.ends:
            yield at, {**alive, "every_seconds": beats.every, "begins": moment(at)}
            at += beats.every
    for gap in script.gaps:
        said = {"network": script.network, "connector": gap.connector, "state": "gap", "begins": moment(gap.begins)}
        yield gap.begins, dict(said)
        if gap.ends is not None:
            yield gap.ends, {**said, "ends": moment(gap.ends)}


def endpoint_names(config: Config) -> set[str]:
    """Returns the endpoints that policies name, and the methods of responders."""
    targets = {target for policy in config.policies for step in policy.steps for target in step.targets}
    targets |= {target for policy in config.policies for target in policy.fallback}
    plain = {target for target in targets if ":" not in target} - {"all", OWNER}
    return plain | {name for one in config.responders for name in (*one.methods, one.digest) if name is not None}


@asynccontextmanager
async def serving(sink: Sink, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve the sink on a free port, and yield its URL."""
    server = Server(sink.app(), host, 0)
    running = asyncio.create_task(server.run_until_stopped(), name="sink")
    try:
        yield server.url
    finally:
        server.stop()
        await running


def moments(night: Night) -> Iterator[tuple[float, list[Action]]]:
    """Yields (story seconds, what happens until then), in steps that are small where something happens."""
    waiting = list(reversed(night.actions))
    now = 0.0
    while now < night.script.lasts:
        following = waiting[-1].at if waiting else night.script.lasts
        step = (
            STEP_SECONDS if following <= now + STEP_SECONDS else min(CALM_SECONDS, max(STEP_SECONDS, following - now))
        )
        now = min(night.script.lasts, now + step)
        due = []
        while waiting and waiting[-1].at <= now:
            due.append(waiting.pop())
        yield now, due


@asynccontextmanager
async def on_manual_clock(config: Config) -> AsyncIterator[tuple[Process, ManualClock, Keys]]:
    """Run all services in this process, on a clock that moves when it is told to."""
    clock = ManualClock(STORY_BEGINS)
    keys = Keys.fresh()
    with tempfile.TemporaryDirectory(prefix="firebreak-drill-") as directory:
        settings = Settings(
            data=Path(directory),
            port=0,
            partitions=2,
            api_keys=SecretStr(f"drill:{keys.post}"),
            admin_key=SecretStr(keys.admin),
            egress_allow=LOOPBACK,
        )
        process = Process(settings, config, ("ingest", "scorer", "alerter"), clock)
        stop, started = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(process.run(stop, started.set), name="firebreak")
        try:
            await _first(started, running)
            yield process, clock, keys
        finally:
            stop.set()
            await running


async def play_manual(script: Script, seed: int | None = None) -> tuple[Report, Player]:
    """Play the whole night in this process, on a clock that moves when nothing is left to do: seconds instead of hours."""
    async with on_manual_clock(script.config) as (process, clock, keys):
        sink = Sink(clock)
        async with serving(sink) as sink_url:
            night = Night(script, script.seed if seed is None else seed, "drill")
            player = Player(night, clock, process.server.url, process.server.url, keys, sink)
            await player.subscribe(sink_url)
            await player.silence()
            await idle(process)
            for now, actions in moments(night):
                clock.advance((player.begin + timedelta(seconds=now) - clock.now()).total_seconds())
                await player.cover()
                await player.send(actions)
                await idle(process)
                await player.respond()
                await idle(process)
            report = player.report()
            await player.close()
    return report, player


async def _first(started: asyncio.Event, running: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()


async def idle(process: Process) -> None:
    """Wait until no service has anything left to do at the present time of its clock, twice in a row: one may just have handed
    something to another that was asked before it."""
    calm = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while calm < 2:
            states = [await service.idle() for service in process.services]
            calm = calm + 1 if all(states) else 0
            await asyncio.sleep(0 if calm else 0.002)


async def play_live(player: Player, moved: Callable[[float], None] = lambda _: None) -> None:
    """Play the night at the pace of the player's clock. `moved` is called with the story time in seconds as it passes."""
    waiting = list(reversed(player.night.actions))
    while True:
        now = (player.clock.now() - player.begin).total_seconds()
        due = []
        while waiting and waiting[-1].at <= now:
            due.append(waiting.pop())
        await player.cover()
        await player.send(due)
        await player.respond()
        moved(min(now, player.night.script.lasts))
        if now >= player.night.script.lasts:
            return
        following = min(waiting[-1].at if waiting else player.night.script.lasts, now + STEP_SECONDS)
        await player.clock.sleep(max(0.5, following - now))
