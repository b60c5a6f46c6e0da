"""One lane for each owned partition: it begins when the partition is assigned, drains when it is revoked, and starts anew
after any trouble.

`serve` decides what is done with the partition: the scorer's stages commit to the log (`runner`), the alerter commits to its
database. When something goes wrong, nobody knows whether the last commit took effect. So the lane drops everything that it
has in memory and acquires the partition again: what was committed comes back, and what was not is done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from services.base.clock import set_within
from services.base.crashpoints import seam
from services.base.errors import FirebreakError, Transient
from services.base.metrics import FloorMetrics
from services.base.tasks import Health, Tasks
from services.contracts.stage import Misplacement, Moved
from services.eventlog.base import (
    Closed,
    EventLog,
    Fenced,
    Group,
    Membership,
    NotAssigned,
    Owner,
    Record,
    Unavailable,
    Uncertain,
)

logger = structlog.get_logger()

READ_SECONDS: Final = 0.2
"""The longest that a lane waits for records before it looks whether it must stop."""
STUCK_SECONDS: Final = 60.0
"""A lane is not live when it has input to read, the log answers, and it has not moved for so long."""
CHECK_SECONDS: Final = 5.0
FENCINGS_PER_MINUTE: Final = 3
"""A live owner may be fenced now and then. Three times in a minute mean that another process fights for the partition."""
REASSIGNMENTS_PER_MINUTE: Final = 10
"""A member with a stable name sees few rebalances. When it is given the same partitions again and again, another process
under its name throws it out in between. Both go on working, slowly, and no lag tool shows it."""


class FencedTooOften(FirebreakError):
    """Another process takes a partition from this one again and again. Two of them probably run under one instance name."""


class ReassignedTooOften(FirebreakError):
    """This member is thrown out of its group and let in again, over and over, without being fenced. Two processes probably
    run under one instance name."""


class Again(Exception):
    """Raised inside `serve` to drop the lane's memory and acquire the partition again at once."""


class Lane:
    """One partition's life, from assignment to revocation."""

    def __init__(self, lanes: Lanes, partition: int, predecessor: asyncio.Task[None] | None) -> None:
        self.partition = partition
        self.task: asyncio.Task[None] | None = None
        self.serving = False
        self.busy = False
        self.last_advance = time.monotonic()
        self.due: Callable[[], datetime | None] = lambda: None
        self._lanes = lanes
        self._predecessor = predecessor
        self._owner: Owner | None = None
        self._stopping = asyncio.Event()
        self._fencings: deque[float] = deque(maxlen=FENCINGS_PER_MINUTE)

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()

    async def stops_within(self, seconds: float) -> bool:
        """Wait until the lane is to stop, `seconds` of real time at most. Returns True if it is."""
        return await set_within(self._stopping, seconds)

    def begin(self, moves: Sequence[Moved] = (), due: Callable[[], datetime | None] = lambda: None) -> None:
        """The state is restored, and reading begins. `moves` says where it was and goes on instead; `due()` returns when the
        earliest timer wants to fire."""
        seam("lane.acquired")
        for moved in moves:
            self._note(moved)
        self.due = due
        self.serving, self.last_advance = True, time.monotonic()

    def _note(self, moved: Moved) -> None:
        name = self._lanes.name
        if moved.why is Misplacement.RETENTION:
            self._lanes.metrics.lane_gap_records.labels(name).inc(moved.lost)
            logger.error("records_lost_to_retention", stage=name, partition=self.partition, records=moved.lost)
            return
        self._lanes.moved[self.partition] = moved
        self._lanes.metrics.lane_positions_healed.labels(name).inc()
        logger.error(
            "position_of_another_log",
            stage=name,
            partition=self.partition,
            position=moved.position,
            goes_on_at=moved.goes_on_at,
            do="if a backup was restored, this is expected: deploy/runbook.md#firebreakpositionshealed",
        )

    def committed(self, records: Sequence[Record], seconds: float) -> None:
        """Count a step that took effect."""
        self.last_advance = time.monotonic()
        metrics, name = self._lanes.metrics, self._lanes.name
        metrics.lane_commit_seconds.labels(name).observe(seconds)
        metrics.lane_commits.labels(name).inc()
        metrics.lane_records.labels(name).inc(len(records))
        if records:
            metrics.lane_age_seconds.labels(name).observe(max(0.0, time.time() - records[0].appended_ms / 1000))

    def rest(self) -> None:
        """No step is in hand now."""
        self.busy, self.last_advance = False, time.monotonic()

    async def run(self) -> None:
        if self._predecessor is not None:
            await asyncio.wait([self._predecessor])  # never two lanes of one partition at once
        while not self.stopping:
            seam("lane.assigned")
            try:
                self._owner = await self._lanes.membership.acquire(self.partition)
                await self._lanes.serve(self, self._owner)
            except (NotAssigned, Closed):
                return
            except Again:
                continue
            except self._lanes.transient as error:
                if self.serving and isinstance(error, Fenced):
                    self._count_fencing(error)
                await self._pause(error)
            finally:
                owner, self._owner = self._owner, None
                self.serving = self.busy = False
                if owner is not None:
                    await owner.close()

    async def _pause(self, error: Exception) -> None:
        name = self._lanes.name
        if isinstance(error, Transient) and not error.restart_helps:
            self.last_advance = time.monotonic()  # it waits for what a new process would wait for
        self._lanes.metrics.lane_restarts.labels(name).inc()
        logger.warning("lane_restarts", stage=name, partition=self.partition, kind=type(error).__name__, why=str(error))
        await set_within(self._stopping, random.uniform(0.2, 1.2))  # noqa: S311 - jitter

    def _count_fencing(self, error: Fenced) -> None:
        self._fencings.append(time.monotonic())
        if len(self._fencings) == FENCINGS_PER_MINUTE and self._fencings[-1] - self._fencings[0] < 60:
            raise FencedTooOften(
                f"{self._lanes.name}/{self.partition} was fenced {FENCINGS_PER_MINUTE} times in a minute: {error};"
                " look for a second process with the same instance name"
            )

    async def behind(self) -> int:
        return 0 if self._owner is None else await self._owner.behind()

    async def idle(self, now: datetime) -> bool:
        """Returns True if everything that was appended has been dealt with, and no timer is due."""
        if not self.serving or self.busy or self._owner is None:
            return False
        due = self.due()
        return (due is None or due > now) and await self._owner.behind() == 0 and not self.busy


class Lanes:
    """The lanes of one group in this process. They hear of assignments as its `Listener`, and say whether they get on."""

    membership: Membership

    def __init__(
        self,
        name: str,
        group: Group,
        serve: Callable[[Lane, Owner], Awaitable[None]],
        log: EventLog,
        metrics: FloorMetrics,
        transient: tuple[type[Exception], ...] = (),
    ) -> None:
        """`serve(lane, owner)` works on a partition until the lane stops. When it raises an error of the log, or one of
        the kinds in `transient`, the partition is acquired and served again."""
        self.name = name
        self.group = group
        self.serve = serve
        self.metrics = metrics
        self.transient: tuple[type[Exception], ...] = (Fenced, Uncertain, Unavailable, *transient)
        self.moved: dict[int, Moved] = {}
        """Partition -> how this process went on where a position was said of another log."""
        self._log = log
        self._tasks: Tasks | None = None
        self._lanes: dict[int, Lane] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._joined = False
        self._stopped = asyncio.Event()
        self._stuck: list[int] = []
        self._last_assigned: frozenset[int] = frozenset()
        self._reassignments: deque[float] = deque(maxlen=REASSIGNMENTS_PER_MINUTE)
        # Zero from the start: a rate over a series that appears with its first fault never sees that fault.
        for counter in (
            metrics.lane_records,
            metrics.lane_commits,
            metrics.lane_restarts,
            metrics.lane_gap_records,
            metrics.lane_positions_healed,
        ):
            counter.labels(name)

    async def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.membership = await self._log.join(self.group, self)
        self._joined = True
        for lane in self._lanes.values():
            self._spawn(lane)
        tasks.spawn(f"{self.name}-progress", self._watch, ends=self._stopped.is_set)

    def assigned(self, partitions: frozenset[int]) -> None:
        if partitions != self._last_assigned:
            self._reassignments.clear()
        self._last_assigned = partitions
        self._reassignments.append(time.monotonic())
        for partition in partitions:
            lane = self._lanes[partition] = Lane(self, partition, self._ending.pop(partition, None))
            if self._joined:
                self._spawn(lane)

    def _spawn(self, lane: Lane) -> None:
        if lane.task is None and self._tasks is not None:
            lane.task = self._tasks.spawn(f"{self.name}-{lane.partition}", lane.run, ends=lambda: True)

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        """Wait for the steps in hand, until the deadline at most. What they commit later is refused by the log, or by the
        database."""
        lanes = [lane for p in partitions if (lane := self._lanes.pop(p, None)) is not None]
        for lane in lanes:
            lane.stop()
            # The next owner says how far behind it is; our last value would stay for ever.
            with contextlib.suppress(KeyError):
                self.metrics.lane_behind.remove(self.name, str(lane.partition))
            if lane.task is not None:
                self._ending[lane.partition] = lane.task
        running = [lane.task for lane in lanes if lane.task is not None]
        if running:
            await asyncio.wait(running, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))

    async def _watch(self) -> None:
        while not self._stopped.is_set():
            await set_within(self._stopped, CHECK_SECONDS)
            self._check_name()
            stuck = []
            for partition, lane in list(self._lanes.items()):
                try:
                    behind = await lane.behind()
                except (Unavailable, NotAssigned, Closed):
                    continue
                if self._lanes.get(partition) is not lane:
                    continue  # given away while we asked
                self.metrics.lane_behind.labels(self.name, str(partition)).set(behind)
                if behind and time.monotonic() - lane.last_advance > STUCK_SECONDS:
                    stuck.append(partition)
            self._stuck = stuck

    def _check_name(self) -> None:
        times = self._reassignments
        if self.group.instance and len(times) == REASSIGNMENTS_PER_MINUTE and times[-1] - times[0] < 60:
            raise ReassignedTooOften(
                f"{self.name} was given the same partitions {REASSIGNMENTS_PER_MINUTE} times in a minute:"
                f" look for a second process with the instance name {self.group.instance!r}"
            )

    def ready(self) -> Health:
        waiting = sorted(p for p, lane in self._lanes.items() if not lane.serving)
        detail: dict[str, object] = {"partitions": sorted(self._lanes), "restoring": waiting}
        if self.moved:
            detail["positions_of_another_log"] = {
                str(p): {"was": moved.position, "is": moved.goes_on_at} for p, moved in self.moved.items()
            }
        return Health(self._joined and not waiting, detail)

    def live(self) -> Health:
        return Health(not self._stuck, {"stuck": self._stuck})

    async def idle(self, now: datetime) -> bool:
        """Returns True if some partitions are ours and each of them is idle."""
        return bool(self._joined and self._lanes) and all([await lane.idle(now) for lane in list(self._lanes.values())])

    async def stop(self, deadline: float) -> None:
        self._stopped.set()
        if self._joined:
            await self.membership.leave(deadline)
