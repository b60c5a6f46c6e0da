"""One process: opens the log, builds the services it was asked for, serves HTTP, and stops in order within a deadline.

All-in-one and one-service processes run through here alike: there is no second code path.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from services.base import private
from services.base.clock import Clock, RealClock, ScaledClock, moment, set_within
from services.base.metrics import FloorMetrics
from services.base.retry import backoff
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.model import Config
from services.eventlog.base import EventLog, Unavailable
from services.runtime.http import DRAIN_SECONDS, Server, application
from services.runtime.lifecycle import Service, ServiceContext
from services.runtime.registry import SERVICES, build

logger = structlog.get_logger()

LOOP_LAG_SECONDS: Final = 0.5
"""How often the event loop's lateness is measured."""
YOUNG_OBJECTS: Final = 50_000
"""How many objects are allocated before the garbage collector looks: two batches. With Python's 700 it went over the records
of a batch again and again while they were read. That took a fifth of the scorer's time and never found a cycle."""
EXIT_STUCK: Final = 70
"""Exit code when the deadline of a stop passed: a successor recovers what was left open."""


def open_log(settings: Settings) -> EventLog:
    """Returns the event log that the settings name. It is not started yet."""
    if settings.log == "kafka":
        from services.eventlog.kafka import KafkaLog

        return KafkaLog.from_settings(settings)
    from services.eventlog.sqlite import SqliteLog

    return SqliteLog(
        settings.data / "log.db",
        settings.partitions,
        retention=settings.retention,
        keep_texts_hours=settings.keep_texts_hours,
    )


def clock_of(settings: Settings) -> Clock:
    """Returns the real clock, or the scaled one of a drill. Processes with the same settings agree on the time."""
    if settings.clock_begin is None:
        return RealClock()
    return ScaledClock(moment(settings.clock_begin), settings.clock_speed, settings.clock_origin)


class Process:
    """Runs the services in `names`, any of `ingest`, `scorer`, `alerter` in any order."""

    def __init__(self, settings: Settings, config: Config, names: Sequence[str], clock: Clock | None = None) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self.metrics = FloorMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        self.log = open_log(settings)
        self.clock = clock or clock_of(settings)
        context = ServiceContext(settings, config, self.log, self.clock, self.registry, self.metrics)
        self.services: list[Service] = [build(name, context) for name in SERVICES if name in names]
        self._waiting: str | None = "start"
        app = application(self.services, self.registry, self.metrics, lambda: self._waiting)
        self.server = Server(app, settings.host, settings.port)

    async def run(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set. Raises an `ExceptionGroup` with the reason when a long task fails or ends unasked."""
        private.close_to_others(private.open_to_others(self.settings.data))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = Tasks(group)
                http = tasks.spawn("http", self.server.run_until_stopped)
                group.create_task(self._stop_when_asked(stop, tasks, http), name="stop")
                tasks.spawn("loop-lag", self._measure_loop_lag)
                await self._start(stop, tasks)
                if not stop.is_set():
                    logger.info("started", services=[s.name for s in self.services], url=self.server.url)
                    started()
        except BaseExceptionGroup as group:
            for reason in reasons(group):
                logger.error("stopped_unasked", kind=type(reason).__name__, why=str(reason))
            raise
        finally:
            await self.log.close()

    async def _start(self, stop: asyncio.Event, tasks: Tasks) -> None:
        waits = backoff(0.5, 10)
        while not stop.is_set():
            try:
                self._waiting = "the event log"
                await self.log.start(tasks.spawn)
                break
            except Unavailable as error:
                logger.warning("log_unavailable", why=str(error))
                await set_within(stop, next(waits))
        for service in reversed(self.services):
            if not stop.is_set():
                self._waiting = service.name
                await service.start(tasks)
        self._waiting = None

    async def _stop_when_asked(self, stop: asyncio.Event, tasks: Tasks, http: asyncio.Task[None]) -> None:
        await stop.wait()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.stop_seconds
        logger.info("stopping", seconds=self.settings.stop_seconds)
        tasks.stopping()
        for service in self.services:
            await service.stop(deadline)
        await self.log.close()
        self.server.stop()
        await asyncio.wait([http], timeout=DRAIN_SECONDS + 1)
        tasks.cancel_rest()

    async def _measure_loop_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LOOP_LAG_SECONDS)
            self.metrics.loop_lag_seconds.set(max(0.0, loop.time() - before - LOOP_LAG_SECONDS))


def reasons(error: BaseException) -> Iterator[BaseException]:
    """Returns the errors in a group and in the groups in it, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from reasons(one)
    else:
        yield error


def collect_rarely() -> None:
    """Make the garbage collector look rarely. Call it once in a process, when everything is built: what is there then
    stays, and what comes later is rarely cyclic."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def run_until_signalled(process: Callable[[], Process], started: Callable[[Process], None] = lambda _: None) -> None:
    """Run on uvloop until SIGTERM or SIGINT. A second signal ends the process at once. So does the deadline of the stop,
    also of one that nobody asked for, which is safe: what was in hand is either committed, or done again by the successor."""
    import uvloop

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        running = process()

        def end_in_time() -> None:
            threading.Thread(target=_end_hard, args=(running.settings.stop_seconds + 2,), daemon=True).start()

        def asked(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()
            end_in_time()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked, number)
        collect_rarely()
        try:
            await running.run(stop, lambda: started(running))
        except BaseException:
            end_in_time()  # a thread that hangs would keep the process, which serves nothing any more
            raise

    uvloop.run(main())


def _end_hard(after_seconds: float) -> None:
    time.sleep(after_seconds)
    logger.error("stop_took_too_long", seconds=after_seconds)
    os._exit(EXIT_STUCK)
