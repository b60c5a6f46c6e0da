"""Real processes on a log of their own, to be broken: started with a seam armed, watched as they die, started again.

Every wait is bounded and for a condition. A fault that was ordered and not felt is `Vacuous`: the test that ordered it fails.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx2
import yaml

from scorer.service import GROUP
from services.base.settings import Settings
from services.contracts.topics import POSTS
from services.eventlog.base import EventLog, Message, Unavailable
from services.runtime.process import open_log
from services.tools.drills.installation import Member
from tests.forked import fork
from tests.oracle import launch
from tests.oracle.compare import Sight, differences, look, reference_of
from tests.oracle.simulator import BRANDS, CONFIG, NOW
from tests.patience import PATIENCE_SECONDS

GLANCE_SECONDS: Final = 0.05
STORY_SPEED: Final = 60
KEY: Final = "posting-key-of-the-oracle"
ADMIN_KEY: Final = "admin-key-of-the-oracle"


class Vacuous(AssertionError):
    """The fault was not felt: the test would have proved nothing."""


class Actor(Member):
    """One process. `faults` are variables of `tests.oracle.launch`."""

    def __init__(self, services: Sequence[str], environment: dict[str, str], log: Path) -> None:
        super().__init__(services, environment, log)
        self.environment = environment

    async def start(self, crash: str | None = None, **faults: str) -> None:
        environment = {**os.environ, **self.environment, "FIREBREAK_PORT": str(self.port), **faults}
        environment.pop("FIREBREAK_CRASH_AT", None)
        if crash is not None:
            environment["FIREBREAK_CRASH_AT"] = crash
        forked = await fork(launch.main, ["firebreak", "run", *self.services], environment, self.log)
        self._process = cast("asyncio.subprocess.Process", forked)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def dies(self) -> None:
        """Raises `Vacuous` unless it is killed by its seam."""
        try:
            code = await asyncio.wait_for(self.ended(), PATIENCE_SECONDS)
        except TimeoutError:
            raise Vacuous(f"the seam was never passed; see {self.log}") from None
        if code != -signal.SIGKILL:
            raise Vacuous(f"it ended with {code}, not by the fault:\n{self.said()[-2000:]}")

    async def stands_still(self) -> None:
        """Raises `Vacuous` unless its seam stops it."""
        await until(lambda: _state_of(self.pid) in "Tt" or not self.runs, "to stand still")
        if not self.runs:
            raise Vacuous(f"it ended instead of standing still:\n{self.said()[-2000:]}")

    def go_on(self) -> None:
        self.send(signal.SIGCONT)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def end(self) -> None:
        """Whatever happened, it is gone afterwards."""
        if self.runs:
            self.send(signal.SIGKILL)
            await self.ended()

    async def metric(self, name: str) -> float:
        """The sum over its labels; zero while it does not answer."""
        async with httpx2.AsyncClient(timeout=2) as client:
            try:
                text = (await client.get(f"{self.url}/metrics")).text
            except httpx2.TransportError:
                return 0.0
        lines = [line for line in text.splitlines() if line.startswith(name) and "_created" not in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def health(self) -> dict[str, Any]:
        """What it says at `/readyz`; empty while it says nothing."""
        async with httpx2.AsyncClient(timeout=2) as client:
            try:
                found: dict[str, Any] = (await client.get(f"{self.url}/readyz")).json()
            except (httpx2.TransportError, ValueError):
                return {}
        return found


class Stage:
    """One installation on one log."""

    def __init__(self, directory: Path, **environment: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        config = directory / "firebreak.yaml"
        config.write_text(yaml.safe_dump(CONFIG.model_dump(mode="json", exclude_defaults=True)))
        self.environment = {
            "FIREBREAK_CONFIG": str(config),
            "FIREBREAK_DATA": str(directory),
            "FIREBREAK_PARTITIONS": "3",
            "FIREBREAK_SENTIMENT": "lexicon",
            "FIREBREAK_BATCH_RECORDS": "25",
            "FIREBREAK_CLOCK_BEGIN": str(NOW.timestamp()),
            "FIREBREAK_CLOCK_ORIGIN": str(time.time()),
            "FIREBREAK_CLOCK_SPEED": str(STORY_SPEED),
            "FIREBREAK_API_KEYS": f"oracle:{KEY}",
            "FIREBREAK_ADMIN_KEY": ADMIN_KEY,
            "FIREBREAK_EGRESS_ALLOW": "127.0.0.0/8",
            "FIREBREAK_RETENTION": "false",
            "FIREBREAK_STOP_SECONDS": "120",
            "FIREBREAK_LOG_FORMAT": "json",
            **environment,
        }
        self._actors: list[Actor] = []

    def actor(self, *services: str, **environment: str) -> Actor:
        name = f"{len(self._actors)}-{'-'.join(services)}.log"
        actor = Actor(services, {**self.environment, **environment}, self.directory / name)
        self._actors.append(actor)
        return actor

    @property
    def settings(self) -> Settings:
        given = {name.removeprefix("FIREBREAK_").lower(): value for name, value in self.environment.items()}
        return Settings.model_validate(given)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[EventLog]:
        log = open_log(self.settings)

        async def is_there() -> bool:
            try:
                await log.start()
            except Unavailable:
                return False
            return True

        await until(is_there, "the log to be there", every=0.2)
        try:
            yield log
        finally:
            await log.close()

    async def append(self, messages: Sequence[Message]) -> None:
        async with self.log() as log:
            for start in range(0, len(messages), 500):
                await log.append(messages[start : start + 500])

    async def scored(self) -> None:
        """Until the scorer has nothing left to read, and has not for a moment: what it links it reads again itself."""
        async with self.log() as log:
            calm = 0

            async def nothing_left() -> bool:
                nonlocal calm
                try:
                    lag = await log.lag(GROUP, POSTS.name)
                except Unavailable:
                    lag = 1
                calm = calm + 1 if lag == 0 else 0
                return calm >= 3

            await until(nothing_left, "the scorer to come to the end", every=0.25)

    async def finish(self, *scorers: Actor) -> Sight:
        """Let the scorers come to the end, stop them in order, and look at what they left behind."""
        await self.scored()
        for scorer in scorers:
            assert await scorer.stop() == 0, scorer.said()[-2000:]
        return await self.look()

    async def look(self) -> Sight:
        async with self.log() as log:
            return await look(log)

    async def end(self) -> None:
        for actor in self._actors:
            await actor.end()


@asynccontextmanager
async def stage_at(directory: Path, **environment: str) -> AsyncIterator[Stage]:
    """A stage whose processes are gone afterwards."""
    stage = Stage(directory, **environment)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.end)
        yield stage


def stage_on_kafka(
    bootstrap: str, directory: Path, instance: str | None = "one", **environment: str
) -> AbstractAsyncContextManager[Stage]:
    """Of its own on a shared broker: nothing is seen of others. A stable `instance` name spares the session's timeout at
    every restart; with two members of one group there must be none."""
    named = {
        "FIREBREAK_LOG": "kafka",
        "FIREBREAK_KAFKA_BOOTSTRAP": bootstrap,
        "FIREBREAK_KAFKA_PREFIX": f"o{uuid.uuid4().hex[:10]}.",
    }
    if instance is not None:
        named["FIREBREAK_INSTANCE"] = instance
    return stage_at(directory, **{**named, **environment})


def assert_exact(sight: Sight) -> None:
    """Nothing lost, nothing doubled, in state and log."""
    wrong = differences(sight, reference_of(sight, BRANDS))
    assert not wrong, "\n".join(wrong)


async def until(
    condition: Callable[[], bool | Awaitable[bool]],
    what: str,
    every: float = GLANCE_SECONDS,
    within: float = PATIENCE_SECONDS,
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if loop.time() > deadline:
            raise AssertionError(f"waited {within:g} s for {what}")
        await asyncio.sleep(every)


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
