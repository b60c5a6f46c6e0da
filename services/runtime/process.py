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
from typing import Any, Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector

from services.base import private
from services.base.clock import Clock, RealClock, ScaledClock, moment, set_within
from services.base.metrics import FloorMetrics
from services.base.retry import backoff
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig, Reload
from services.config.model import Config
from services.eventlog.base import EventLog, Unavailable
from services.runtime.connections import BODY_MARGIN, CloseReason, Limits
from services.runtime.exposition import Exposition
from services.runtime.folder_lock import FolderLock
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


def limits_of(settings: Settings, metrics: FloorMetrics) -> Limits:
    """Returns the bounds of every connection."""
    for reason in CloseReason:
        metrics.http_closed.labels(reason.value)  # from zero, so that the first one shows as an increase
    return Limits(
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds * BODY_MARGIN,
        places=settings.max_connections,
        count=lambda why: metrics.http_closed.labels(why.value).inc(),
    )


class Process:
    """Runs the services in `names`, any of `ingest`, `scorer`, `alerter` in any order."""

    def __init__(
        self, settings: Settings, config: Config | CurrentConfig, names: Sequence[str], clock: Clock | None = None
    ) -> None:
        """A bare `Config` stays in force for as long as the process runs."""
        self.settings = settings
        self.config = config if isinstance(config, CurrentConfig) else CurrentConfig.of(config)
        self.registry = CollectorRegistry()
        self.metrics = FloorMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        self.log = open_log(settings)
        self.clock = clock or clock_of(settings)
        context = ServiceContext(settings, self.config, self.log, self.clock, self.registry, self.metrics)
        self.services: list[Service] = [build(name, context) for name in SERVICES if name in names]
        self._waiting: str | None = "start"
        self.folder = FolderLock(settings, [service.name for service in self.services])
        self.config.after.append(self._count_reload)
        for outcome in Reload:
            self.metrics.config_reloads.labels(outcome)
        self._show_config()
        app = application(self.services, self.metrics, lambda: self._waiting, self._shown)
        exposition = Exposition(settings, self.registry, self._refresh)
        self.metrics_server: Server | None = None
        limits = limits_of(settings, self.metrics)
        if settings.metrics_port is None:
            exposition.mount(app)
        else:
            own = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
            exposition.mount(own)
            self.metrics_server = Server(own, settings.host, settings.metrics_port, limits)
        self.server = Server(app, settings.host, settings.port, limits)

    async def run(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set. Raises an `ExceptionGroup` with the reason when a long task fails or ends unasked."""
        self.folder.take()
        private.close_to_others(private.open_to_others(self.settings.data))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = Tasks(group)
                http = tasks.spawn("http", self.server.run_until_stopped)
                if self.metrics_server is not None:
                    tasks.spawn("metrics-http", self.metrics_server.run_until_stopped)
                group.create_task(self._stop_when_asked(stop, tasks, http), name="stop")
                tasks.spawn("loop-lag", self._measure_loop_lag)
                tasks.spawn("config", self.config.watch)
                await self._start(stop, tasks)
                if not stop.is_set():
                    metrics = self.metrics_server or self.server
                    names = [s.name for s in self.services]
                    logger.info("started", services=names, url=self.server.url, metrics=f"{metrics.url}/metrics")
                    started()
        except BaseExceptionGroup as group:
            for reason in reasons(group):
                logger.error("stopped_unasked", kind=type(reason).__name__, why=str(reason))
            raise
        finally:
            await self.log.close()
            self.folder.release()

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
        self.server.drain()
        for service in self.services:
            await service.stop(deadline)
        await self.log.close()
        self.server.stop()
        if self.metrics_server is not None:
            self.metrics_server.stop()
        await asyncio.wait([http], timeout=DRAIN_SECONDS + 1)
        tasks.cancel_rest()

    def _refresh(self) -> None:
        for service in self.services:
            self.metrics.live.labels(service.name).set(service.live().ok)
            self.metrics.ready.labels(service.name).set(self._waiting is None and service.ready().ok)

    def _shown(self) -> dict[str, Any]:
        """What `/readyz` says besides: which configuration is in force, and whether somebody else uses the data folder.

        Anybody may read it. What is wrong with another configuration names brands: that is for the log and the console.
        """
        config: dict[str, Any] = {"version": self.config.version}
        refused = self.config.refused
        if refused is not None:
            why = f"the file has mistakes ({len(refused.mistakes)}; the log has them): the last good one is in force"
            config |= {"refused": refused.version, "since": refused.since.isoformat(), "why": why}
        others = self.folder.others()
        return {"config": config} | ({"data_folder": {"also_used_by": others}} if others else {})

    def _count_reload(self, outcome: Reload) -> None:
        self.metrics.config_reloads.labels(outcome).inc()
        self._show_config()

    def _show_config(self) -> None:
        self.metrics.config_info.clear()
        self.metrics.config_info.labels(self.config.version).set(1)
        self.metrics.config_refused.set(self.config.refused is not None)

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
    """Run on uvloop until SIGTERM or SIGINT; SIGHUP reads the configuration file again.

    A second signal to stop ends the process at once. So does the deadline of the stop, also of one that nobody asked for,
    which is safe: what was in hand is either committed, or done again by the successor."""
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

        def read_again() -> None:
            running.config.ask()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked, number)
        loop.add_signal_handler(signal.SIGHUP, read_again)
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
