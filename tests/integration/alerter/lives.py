"""Lives of an alerter in processes of their own, for tests that end them.

A life makes its endpoints, puts its signals on the log if none are there, and ends by itself when everything is done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, func, select

from alerter.notify import endpoints
from alerter.notify.endpoints import Draft, Purpose
from alerter.service import Alerter
from alerter.states import PageState, StepState
from alerter.store.tables import pages, rings, steps
from services.base.clock import Clock, ManualClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig
from services.config.model import Config
from services.contracts.base import Event, event_id
from services.contracts.codec import encode
from services.contracts.topics import SIGNALS
from services.eventlog.base import EventLog, Message, Unavailable
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.forked import Forked, fork
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

TICK: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Plot:
    """What happens in a life."""

    signal: Event
    steps: Sequence[Mapping[str, Any]]
    endpoints: Sequence[str]
    failed_pages: int = 0
    rung: int = 0
    """How many rings are sent."""
    responders: Sequence[Mapping[str, Any]] = field(default=())

    def config(self) -> Config:
        return make.config(
            policies=[{"id": "default", "steps": self.steps, "insist_minutes": "never"}], responders=self.responders
        )

    def is_done(self, connection: Connection) -> bool:
        done = connection.scalar(select(func.count()).select_from(steps).where(steps.c.state == StepState.DONE))
        failed = connection.scalar(select(func.count()).select_from(pages).where(pages.c.state == PageState.FAILED))
        rung = connection.scalar(select(func.count()).select_from(rings).where(rings.c.state == StepState.DONE))
        return (done, failed, rung) == (len(self.steps), self.failed_pages, self.rung)


RULES: Final = [
    {"method": "dana-push"},
    {"after_minutes": 2, "method": "dana-sms"},
    {"after_minutes": 6, "method": "dana-call"},
]
PLOTS: Final = {
    "two steps": Plot(
        make.forecast(), [{"endpoints": ["desk"]}, {"after_minutes": 5, "endpoints": ["desk"]}], ["desk"]
    ),
    # Dana's push service is gone (410), so her text message is tried; then Lee is told; nobody acknowledges.
    "a page fails": Plot(
        make.forecast(crossing=None),
        [
            {"targets": ["responder:dana"]},
            {"after_minutes": 5, "targets": ["responder:lee"]},
            {"after_minutes": 5, "targets": ["desk"]},
        ],
        ["dana-push", "dana-sms", "lee-push", "desk"],
        failed_pages=1,
        responders=[{"id": "dana", "methods": ["dana-push", "dana-sms"]}, {"id": "lee", "methods": ["lee-push"]}],
    ),
    # Dana sleeps: she is told by a push message, then by text, then by a call; between the two Lee is paged.
    "a person sleeps": Plot(
        make.forecast(crossing=None),
        [{"targets": ["responder:dana"]}, {"after_minutes": 4, "targets": ["responder:lee"]}],
        ["dana-push", "dana-sms", "dana-call", "lee-push"],
        rung=2,
        responders=[
            {
                "id": "dana",
                "methods": ["dana-push", "dana-sms", "dana-call"],
                "notify": dict.fromkeys(("urgent", "calm"), RULES),
            },
            {"id": "lee", "methods": ["lee-push"]},
        ],
    ),
}


async def live(
    context: ServiceContext,
    urls: Mapping[str, str],
    secret: str,
    signals: Callable[[], Iterable[Sequence[Message]]],
    is_over: Callable[[Alerter], Awaitable[bool]],
    **more: Any,
) -> None:
    """One life, until `is_over`, which is asked again and again; `signals` are appended in these batches by the first."""
    await _opened(context.log)
    alerter = Alerter(context, **more)
    await alerter.database.start()
    for name, url in urls.items():
        draft = Draft(name, url, secrets={Purpose.SIGNING: secret})
        await alerter.database.write(lambda c, d=draft: endpoints.add(c, d, context.clock.now()))  # type: ignore[misc]
    if all(end == 0 for _, end in (await context.log.bounds(SIGNALS.name)).values()):
        for batch in signals():
            await context.log.append(batch)
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await alerter.start(tasks)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_over(alerter):
                await asyncio.sleep(0.02)
        tasks.stopping()
        await alerter.stop(asyncio.get_running_loop().time() + 5)
        await context.log.close()


async def _opened(log: EventLog) -> None:
    """As `services.runtime.process` does: two processes that make one file at once are in each other's way."""
    while True:
        try:
            return await log.start()
        except Unavailable:
            await asyncio.sleep(0.05)


def context_of(settings: Settings, config: Config, clock: Clock, log: SqliteLog) -> ServiceContext:
    registry = CollectorRegistry()
    return ServiceContext(settings, CurrentConfig.of(config), log, clock, registry, FloorMetrics(registry))


def main() -> None:
    """`sys.argv`: the name of a plot, a folder, the address of the receivers, their secret, and a database or nothing."""
    plot, folder, base, secret, *database = sys.argv[1:]
    asyncio.run(_play(PLOTS[plot], Path(folder), base, secret, *database))


async def _play(plot: Plot, folder: Path, base: str, secret: str, database: str | None = None) -> None:
    settings = Settings(data=folder, partitions=1, egress_allow="127.0.0.0/8", stop_seconds=5, database=database)
    # The lease of the dead ends soon; it is long enough for a living process that waits for a busy processor.
    log = SqliteLog(folder / "log.db", 1, lease_seconds=2.0, beat_seconds=0.2, retention=False)
    signal = Message(SIGNALS.name, "acme", encode(plot.signal, event_id("life", 1)))
    clock = LastingClock(folder / "clock")

    async def is_over(alerter: Alerter) -> bool:
        if not await alerter.idle():
            return False
        if await alerter.database.read(plot.is_done):
            return True
        clock.tick()
        return False

    urls = {name: f"{base}/{name}" for name in plot.endpoints}
    await live(context_of(settings, plot.config(), clock, log), urls, secret, lambda: [[signal]], is_over)


class LastingClock(ManualClock):
    """Goes on where the life before left it. It is moved when nothing is left to do, so that what happens has one order on
    every machine: no step is due before the page before it has failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ticks = int(path.read_text()) if path.exists() else 0
        super().__init__(make.NOW + self._ticks * TICK)

    def tick(self) -> None:
        self._ticks += 1
        # Written first, and in one piece: a life must not begin before the time at which another ended.
        part = self._path.with_suffix(".part")
        part.write_text(str(self._ticks))
        part.rename(self._path)
        self.advance(TICK.total_seconds())


async def begin(main: Callable[[], None], words: Sequence[str], said: Path, **environment: str) -> Forked:
    """A life in a process of its own: `main` is this module's, or another's that calls `live`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIREBREAK_")}
    return await fork(main, [main.__module__, *words], {**clean, **environment}, said)
