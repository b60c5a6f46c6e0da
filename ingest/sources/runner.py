"""Runs every source of the configuration in exactly one of the processes that run ingest.

The log shares the partitions of `firebreak.sources` among them, and a source belongs to the partition that its name hashes to.
Its holder moves the cursor in the transaction that stores the posts, so a process that lost the partition stores nothing. A
reload starts, stops and restarts what has changed, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog
from httpx2 import AsyncClient

from ingest.sources.attendant import Attendant
from ingest.sources.building import Wanted, build_source, wanted
from ingest.sources.covering import gap, healthy
from ingest.sources.intake import Intake
from ingest.sources.ledger import Ledger
from ingest.sources.metrics import SourceMetrics
from ingest.sources.watching import Watching
from services.base.clock import Clock
from services.base.egress import GuardedBackend, allowed_networks
from services.base.guarded_client import guarded_client
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Health, Tasks
from services.config.current import CurrentConfig, Reload
from services.contracts.source_status import Phase, SourceStatus, encode_status
from services.contracts.topics import CURSORS, SOURCES
from services.eventlog.base import EventLog, Group, Message, Owner
from services.stream.lanes import READ_SECONDS, Lane, Lanes

logger = structlog.get_logger()

GROUP: Final = "firebreak-sources"
STAGE: Final = "sources"


class SourceRunner:
    """The sources of one process. Until the configuration names the first one, it joins no group and costs nothing."""

    def __init__(
        self,
        settings: Settings,
        current: CurrentConfig,
        log: EventLog,
        clock: Clock,
        intake: Intake,
        metrics: SourceMetrics,
        floor: FloorMetrics,
    ) -> None:
        self._settings = settings
        self._current = current
        self._log = log
        self._clock = clock
        self._intake = intake
        self._metrics = metrics
        self._wanted = current.derive(wanted)
        group = Group(GROUP, SOURCES.name, CURSORS.name, settings.instance)
        self._lanes = Lanes(STAGE, group, self._serve, log, floor)
        self._attended: dict[str, Attendant] = {}
        self._holder = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        self._partitions = 0
        self._tasks: Tasks | None = None
        self._joined = False
        self._stopped = False
        self._http: AsyncClient | None = None
        current.after.append(self._reloaded)

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """The sources of the configuration in force."""
        return self._wanted.now

    @property
    def holder(self) -> str:
        """The name of this process, as others see it."""
        return self._holder

    @property
    def http(self) -> AsyncClient:
        """What sources fetch with: every connection is checked, and none is to where the operator allowed none."""
        if self._http is None:
            self._http = guarded_client(GuardedBackend(allowed_networks(self._settings.egress_allow)))
        return self._http

    @property
    def phases(self) -> dict[str, str]:
        """What each source that this process holds is doing. A refused one is no reason for the process to be unready."""
        return {name: one.phase.value for name, one in sorted(self._attended.items())}

    def live(self) -> Health:
        """A partition whose commits hang, while the log answers, is stuck."""
        return self._lanes.live() if self._joined else Health(True)

    async def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        await self._join()

    async def stop(self, deadline: float) -> None:
        self._stopped = True
        if self._joined:
            await self._lanes.stop(deadline)
        if self._http is not None:
            await self._http.aclose()

    def partition_of(self, name: str) -> int:
        """Where a source belongs. It never moves: the number of partitions does not change."""
        return zlib.crc32(name.encode()) % self._partitions

    async def _join(self) -> None:
        if self._joined or self._stopped or self._tasks is None or not self.wanted:
            return
        self._joined = True
        self._partitions = len(await self._log.bounds(SOURCES.name))
        await self._lanes.start(self._tasks)

    def _reloaded(self, outcome: Reload) -> None:
        if outcome is Reload.REFUSED or self._tasks is None:
            return
        self._metrics.expect(self.wanted.keys())
        for attendant in self._attended.values():
            attendant.poke()
        if not self._joined and self.wanted:
            self._tasks.spawn("sources-join", self._join, ends=lambda: True)

    async def _serve(self, lane: Lane, owner: Owner) -> None:
        """Hold the sources of one partition until the lane stops. Raises what the log raises."""
        ledger = Ledger(owner)
        lane.begin()
        tasks: dict[str, tuple[Wanted, asyncio.Task[None]]] = {}
        try:
            while not lane.stopping:
                await self._reconcile(lane.partition, ledger, tasks)
                for _, task in tasks.values():
                    if task.done():
                        task.result()  # raises: nothing else ends an attendant
                await ledger.read_along()
                lane.rest()
                await lane.stops_within(READ_SECONDS)
        finally:
            for name in list(tasks):
                await self._end(name, tasks)

    async def _reconcile(
        self, partition: int, ledger: Ledger, tasks: dict[str, tuple[Wanted, asyncio.Task[None]]]
    ) -> None:
        ours = {name: one for name, one in self.wanted.items() if self.partition_of(name) == partition}
        for name, (before, _) in list(tasks.items()):
            if ours.get(name) != before:
                await self._end(name, tasks)
        for name, one in ours.items():
            if name not in tasks:
                tasks[name] = (one, self._attend(one, ledger))
        for name, state in list(ledger.states.items()):
            if name not in self.wanted and not state.gone:
                await self._bid_farewell(name, ledger)

    def _attend(self, one: Wanted, ledger: Ledger) -> asyncio.Task[None]:
        logger.info("source_begins", source=one.name, kind=one.kind, network=one.network)
        build: Callable[[Any], Any] = lambda purse: build_source(one, self.wanted, self._clock, self.http, purse)  # noqa: E731
        watching = Watching(one, self._log, self._clock, self._metrics)
        attendant = Attendant(one, build, ledger, self._intake, self._clock, self._metrics, self._holder, watching)
        self._attended[one.name] = attendant
        return asyncio.create_task(attendant.run(), name=f"source-{one.name}")

    async def _end(self, name: str, tasks: dict[str, tuple[Wanted, asyncio.Task[None]]]) -> None:
        _, task = tasks.pop(name)
        self._attended.pop(name, None)
        self._metrics.released(name)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("source_ended_with", source=name, why=repr(error))

    async def _bid_farewell(self, name: str, ledger: Ledger) -> None:
        """The configuration does not name it any more: take its promise back, and end its gap."""
        now, state = self._clock.now(), ledger.state(name)
        messages = [healthy(state.network, name, (), now, None, "no source of the configuration any more")]
        if state.gap is not None:
            messages.insert(0, gap(state.network, name, (), now, state.gap, ends=now))
        status = SourceStatus(name, state.network, "", Phase.GONE, self._holder, now, last_post_at=state.last_post_at)
        messages.append(Message(SOURCES.name, name, encode_status(status)))
        await ledger.commit(name, replace(state, gap=None, gone=True), messages)
