"""Runs a stage: one lane per owned partition, each reading, thinking and committing on its own.

A lane's step is read -> process -> commit; nothing takes effect before the commit, and thinking is over when it begins.
Whatever goes wrong after that has an unknown outcome, so the lane throws its memory away and acquires again: what was
committed comes back, what was not is done again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from services.clock import Clock
from services.crashpoints import seam
from services.errors import FirebreakError
from services.eventlog.base import (
    Closed,
    EventLog,
    Fenced,
    Group,
    Membership,
    NotAssigned,
    Owner,
    Record,
    TooLarge,
    Transaction,
    Unavailable,
    Uncertain,
)
from services.metrics import FloorMetrics
from services.stream.deadletter import DeadLetters
from services.stream.processor import Outcome, Processor
from services.tasks import Health, Tasks

log = structlog.get_logger()

READ_SECONDS: Final = 0.2
"""A lane looks for its stop at least this often."""
STUCK_SECONDS: Final = 60.0
"""Input waits, the log answers, and nothing moved for so long: not live."""
CHECK_SECONDS: Final = 5.0
FENCINGS_PER_MINUTE: Final = 3
"""A live owner may be fenced now and then; three times in a minute somebody fights us for the partition."""


REASSIGNMENTS_PER_MINUTE: Final = 10
"""A stable name means few rebalances. One that is given the same partitions again and again is being thrown out in between
by another process under its name: both work on, slowly, and no lag tool hears of them."""


class FencedTooOften(FirebreakError):
    """Two processes probably run under one instance name."""


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    group: Group
    make: Callable[[int, DeadLetters], Processor]
    """A new processor for one partition, and where it sets aside what it cannot read."""
    batch_records: int


class _Isolate(Exception):
    """This batch holds a record that cannot be processed: go through it one by one."""

    def __init__(self, until: int) -> None:
        self.until = until


class Lane:
    """One partition's life, from assignment to revocation."""

    def __init__(self, runner: Runner, partition: int, predecessor: asyncio.Task[None] | None) -> None:
        self._runner = runner
        self.partition = partition
        self._predecessor = predecessor
        self.task: asyncio.Task[None] | None = None
        self.serving = False
        self.last_advance = time.monotonic()
        self._stopping = asyncio.Event()
        self._busy = False
        self._owner: Owner | None = None
        self._processor: Processor | None = None
        self._one_by_one_until = -1
        self._fencings: deque[float] = deque(maxlen=FENCINGS_PER_MINUTE)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        if self._predecessor is not None:
            await asyncio.gather(self._predecessor, return_exceptions=True)
        while not self._stopping.is_set():
            seam("lane.assigned")
            try:
                owner = await self._runner.membership.acquire(self.partition)
            except (NotAssigned, Closed):
                return
            except (Fenced, Uncertain, Unavailable) as error:
                await self._pause("lane_not_acquired", error)
                continue
            try:
                await self._serve(owner)
            except (NotAssigned, Closed):
                return
            except _Isolate as found:
                self._one_by_one_until = found.until
            except (Fenced, Uncertain, Unavailable) as error:
                self._count_fencing(error)
                await self._pause("lane_restarts", error)
            finally:
                self.serving = self._busy = False
                self._owner = self._processor = None
                await owner.close()

    async def _pause(self, what: str, error: Exception) -> None:
        stage = self._runner.stage.name
        self._runner.metrics.lane_restarts.labels(stage).inc()
        log.warning(what, stage=stage, partition=self.partition, kind=type(error).__name__, why=str(error))
        try:
            await asyncio.wait_for(self._stopping.wait(), random.uniform(0.2, 1.2))  # noqa: S311 - jitter
        except TimeoutError:
            return

    def _count_fencing(self, error: Exception) -> None:
        if not isinstance(error, Fenced):
            return
        self._fencings.append(time.monotonic())
        if len(self._fencings) == FENCINGS_PER_MINUTE and self._fencings[-1] - self._fencings[0] < 60:
            raise FencedTooOften(
                f"{self._runner.stage.name}/{self.partition} was fenced {FENCINGS_PER_MINUTE} times in a minute: {error};"
                " look for a second process with the same instance name"
            )

    async def _serve(self, owner: Owner) -> None:
        runner, stage = self._runner, self._runner.stage
        processor = stage.make(self.partition, runner.dead_letters)
        restored = owner.restored
        processor.restore(restored.entries)
        seam("lane.acquired")
        if restored.gap is not None:
            lost = restored.gap.start - restored.gap.position
            runner.metrics.lane_gap_records.labels(stage.name).inc(lost)
            log.error("records_lost_to_retention", stage=stage.name, partition=self.partition, records=lost)
        self._owner, self._processor = owner, processor
        self.serving, self.last_advance = True, time.monotonic()
        after = restored.next
        while not self._stopping.is_set():
            size = 1 if after < self._one_by_one_until else stage.batch_records
            batch = await owner.read(size, self._patience(processor))
            due = processor.due()
            if not batch.records and (due is None or due > runner.clock.now()):
                self.last_advance = time.monotonic()
                continue
            self._busy = True
            after = batch.next if batch.records else after
            await self._step(owner, processor, batch.records, after)
            self._busy = False
            self.last_advance = time.monotonic()

    def _patience(self, processor: Processor) -> float:
        due = processor.due()
        if due is None:
            return READ_SECONDS
        clock = self._runner.clock
        return min(READ_SECONDS, clock.real_seconds((due - clock.now()).total_seconds()))

    async def _step(self, owner: Owner, processor: Processor, records: Sequence[Record], after: int) -> None:
        runner, stage = self._runner, self._runner.stage
        outcome = await self._think(owner, processor, records, after)
        seam("lane.processed")
        began = time.monotonic()
        try:
            await owner.commit(Transaction(after, outcome.appends, outcome.changes))
        except TooLarge as error:
            await self._set_aside(owner, records, after, "too_large_output", str(error))
        runner.metrics.lane_commit_seconds.labels(stage.name).observe(time.monotonic() - began)
        runner.metrics.lane_commits.labels(stage.name).inc()
        runner.metrics.lane_records.labels(stage.name).inc(len(records))

    async def _think(self, owner: Owner, processor: Processor, records: Sequence[Record], after: int) -> Outcome:
        now = self._runner.clock.now()
        outcome = Outcome()
        if records:
            try:
                outcome = await processor.process(records, now)
            except FirebreakError:
                raise
            except Exception as error:
                log.exception("record_not_processed", stage=self._runner.stage.name, partition=self.partition)
                await self._set_aside(owner, records, after, "processor_error", type(error).__name__)
        due = processor.due()
        if due is not None and due <= now:
            fired = await processor.fire(now)
            outcome.appends += fired.appends
            outcome.changes |= fired.changes
        return outcome

    async def _set_aside(self, owner: Owner, records: Sequence[Record], after: int, reason: str, detail: str) -> None:
        """The memory has seen a step that will not be committed: leave it behind in every case. Alone, the record goes to
        the dead letter; in company, the batch is gone through one by one to find it."""
        if not records:
            raise FirebreakError(f"a timer of {self._runner.stage.name}/{self.partition} cannot be committed: {detail}")
        if len(records) == 1:
            letter = self._runner.dead_letters.letter(records[0], reason, detail)
            await owner.commit(Transaction(after, [letter]))
        raise _Isolate(after)

    async def behind(self) -> int:
        return 0 if self._owner is None else await self._owner.behind()

    async def idle(self) -> bool:
        if not self.serving or self._busy or self._owner is None or self._processor is None:
            return False
        due = self._processor.due()
        return (due is None or due > self._runner.clock.now()) and await self._owner.behind() == 0 and not self._busy


class Runner:
    """One stage in this process: joins the group, gives each partition a lane, knows whether they get on."""

    membership: Membership

    def __init__(
        self, stage: Stage, log_: EventLog, clock: Clock, metrics: FloorMetrics, dead_letters_per_minute: int
    ) -> None:
        self.stage = stage
        self.clock = clock
        self.metrics = metrics
        self.dead_letters = DeadLetters(stage.name, dead_letters_per_minute, clock, metrics.dead_letters)
        self._log = log_
        self._tasks: Tasks | None = None
        self._lanes: dict[int, Lane] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._joined = False
        self._stuck: list[int] = []
        self._last_assigned: frozenset[int] = frozenset()
        self._reassignments: deque[float] = deque(maxlen=REASSIGNMENTS_PER_MINUTE)

    async def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.membership = await self._log.join(self.stage.group, self)
        self._joined = True
        for lane in self._lanes.values():
            self._spawn(lane)
        tasks.spawn(f"{self.stage.name}-progress", self._watch)

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
            lane.task = self._tasks.spawn(f"{self.stage.name}-{lane.partition}", lane.run, ends=lambda: True)

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        lanes = [lane for p in partitions if (lane := self._lanes.pop(p, None)) is not None]
        for lane in lanes:
            lane.stop()
            if lane.task is not None:
                self._ending[lane.partition] = lane.task  # a successor waits for it, should it outlive the deadline
        running = [lane.task for lane in lanes if lane.task is not None]
        if running:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait(running, timeout=left)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._check_name()
            stuck = []
            for partition, lane in list(self._lanes.items()):
                try:
                    behind = await lane.behind()
                except (Unavailable, NotAssigned, Closed):
                    continue
                self.metrics.lane_behind.labels(self.stage.name, str(partition)).set(behind)
                if behind and time.monotonic() - lane.last_advance > STUCK_SECONDS:
                    stuck.append(partition)
            self._stuck = stuck

    def _check_name(self) -> None:
        times = self._reassignments
        if self.stage.group.instance and len(times) == REASSIGNMENTS_PER_MINUTE and times[-1] - times[0] < 60:
            raise FencedTooOften(
                f"{self.stage.name} was given the same partitions {REASSIGNMENTS_PER_MINUTE} times in a minute:"
                f" look for a second process with the instance name {self.stage.group.instance!r}"
            )

    def ready(self) -> Health:
        waiting = sorted(p for p, lane in self._lanes.items() if not lane.serving)
        return Health(self._joined and not waiting, {"partitions": sorted(self._lanes), "restoring": waiting})

    def live(self) -> Health:
        return Health(not self._stuck, {"stuck": self._stuck})

    async def idle(self) -> bool:
        return self._joined and all([await lane.idle() for lane in list(self._lanes.values())])

    async def stop(self, deadline: float) -> None:
        if self._joined:
            await self.membership.leave(deadline)
