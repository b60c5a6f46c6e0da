"""Reads `firebreak.signals` and applies it: one lane a partition, one transaction a batch, progress kept in our database.

The transaction moves the position by compare-and-set from the value the lane read: no row means that another replica was
here, so everything is rolled back and loaded again. What follows from a batch (incidents, deliveries, publications, dead
letters) commits with it or not at all. A signal that cannot be read or applied is a dead letter, never a crash; a flood of
them stops the service.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from alerter.incidents.desk import Desk, Present, Verdict
from alerter.incidents.store import Origin, mark_seen, seen_among
from alerter.metrics import STAGE, AlerterMetrics
from alerter.notify import outbox
from alerter.store.database import Database, DatabaseAway, Overtaken, insert_missing
from alerter.store.tables import positions
from services.contracts.base import BrandId, StoryId
from services.contracts.codec import Unreadable, decode
from services.contracts.envelope import Envelope
from services.contracts.incident import Change
from services.contracts.topics import SIGNALS
from services.crashpoints import seam
from services.errors import FirebreakError
from services.eventlog.base import (
    Closed,
    EventLog,
    Fenced,
    Group,
    Membership,
    Message,
    NotAssigned,
    Owner,
    Record,
    Unavailable,
    Uncertain,
)
from services.metrics import FloorMetrics
from services.stream.deadletter import DeadLetters
from services.tasks import Tasks

log = structlog.get_logger()

GROUP: Final = "firebreak-alerter"
READ_SECONDS: Final = 0.2
"""A lane looks for its stop at least this often."""
STUCK_SECONDS: Final = 60.0
"""A lane that has not turned for so long makes no progress."""


@dataclass(slots=True)
class Applied:
    """What a batch came to, for the metrics, once it is committed."""

    signals: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    told: list[tuple[Change, int]] = field(default_factory=list)
    opened_ms: list[int] = field(default_factory=list)


class Cursed(Exception):
    """One signal that we cannot cope with. Nothing of its batch took effect; without it the others can be applied."""

    def __init__(self, record: Record, envelope: Envelope, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__} at signal {envelope.id}")
        self.record = record
        self.kind = type(cause).__name__


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch after decoding: what can be read, and what cannot and why."""

    signals: Sequence[tuple[Record, Envelope]]
    unreadable: Sequence[tuple[Record, str, str]]

    def without(self, cursed: Cursed) -> Sorted:
        """The batch with one signal set aside."""
        rest = [pair for pair in self.signals if pair[0].offset != cursed.record.offset]
        return Sorted(rest, [*self.unreadable, (cursed.record, "processor_error", cursed.kind)])


def sort_out(records: Sequence[Record]) -> Sorted:
    signals, unreadable = [], []
    for record in records:
        try:
            signals.append((record, decode(record.value)))
        except Unreadable as error:
            unreadable.append((record, error.reason, error.detail))
    return Sorted(signals, unreadable)


def apply(
    connection: Connection,
    partition: int,
    base: int,
    position: int,
    batch: Sorted,
    present: Present,
    dead: Sequence[Message],
) -> Applied:
    """The one durable step: from `base` to `position`, with everything in between and the letters for what is set aside.

    Raises `Overtaken`, or `Cursed` for one signal that we cannot cope with.
    """
    moved = connection.execute(
        update(positions).where(positions.c.partition == partition, positions.c.next == base).values(next=position)
    )
    if not moved.rowcount:
        raise Overtaken(f"the position of partition {partition} is not {base} any more")
    seam("alerter.begun")
    applied = Applied()
    desk = Desk(connection, present)
    stories = {place for _, e in batch.signals if (place := _story_of(e)) is not None}
    if stories:
        desk.store.prefetch(stories)
    repeated = seen_among(connection, {e.id for _, e in batch.signals}) if batch.signals else set()
    effective: list[Origin] = []
    for record, envelope in batch.signals:
        if envelope.id in repeated:
            applied.signals[envelope.event.TYPE, Verdict.REPEATED] += 1
            continue
        origin = Origin(envelope.id, partition, record.offset)
        try:
            verdict = desk.apply(envelope.event, origin)
        except (FirebreakError, SQLAlchemyError):
            raise
        except Exception as error:
            # A root of work: one signal that we cannot cope with must not stop the brand's others.
            log.exception("signal_not_applied", signal=envelope.id, partition=partition, offset=record.offset)
            raise Cursed(record, envelope, error) from error
        applied.signals[envelope.event.TYPE, verdict] += 1
        if verdict is not Verdict.IGNORED:
            repeated.add(envelope.id)
            effective.append(origin)
        if verdict is Verdict.OPENED:
            applied.opened_ms.append(record.appended_ms)
    mark_seen(connection, effective, partition, position)
    outbox.publish(connection, dead, present.now)
    applied.told = desk.told
    return applied


def _story_of(envelope: Envelope) -> tuple[BrandId, StoryId] | None:
    brand, story = getattr(envelope.event, "brand", None), getattr(envelope.event, "story", None)
    return (brand, story) if brand is not None and story is not None else None


def stored_position(connection: Connection, partition: int, otherwise: int) -> int:
    """Where reading goes on. The first time a partition is seen it begins at the log's start, and that is written down."""
    insert_missing(connection, positions, [{"partition": partition, "next": otherwise}])
    stored = connection.scalar(select(positions.c.next).where(positions.c.partition == partition))
    assert stored is not None
    return int(stored)


class Lane:
    """One partition's life, from assignment to revocation."""

    def __init__(self, consumer: Consumer, partition: int, predecessor: asyncio.Task[None] | None) -> None:
        self._consumer = consumer
        self.partition = partition
        self._predecessor = predecessor
        self.task: asyncio.Task[None] | None = None
        self.serving = False
        self.turned_at = time.monotonic()
        self._busy = False
        self._owner: Owner | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        if self._predecessor is not None:
            await asyncio.wait([self._predecessor])
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            owner: Owner | None = None
            try:
                owner = await self._consumer.membership.acquire(self.partition)
                await self._serve(owner)
            except (NotAssigned, Closed):
                return
            except (Fenced, Uncertain, Unavailable, Overtaken, DatabaseAway) as error:
                await self._pause(error)
            finally:
                self.serving = self._busy = False
                self._owner = None
                if owner is not None:
                    await owner.close()

    async def _pause(self, error: Exception) -> None:
        self._consumer.floor.lane_restarts.labels(STAGE).inc()
        log.warning("lane_restarts", stage=STAGE, partition=self.partition, kind=type(error).__name__, why=str(error))
        try:
            await asyncio.wait_for(self._stopping.wait(), random.uniform(0.2, 1.2))  # noqa: S311 - jitter
        except TimeoutError:
            return

    async def _serve(self, owner: Owner) -> None:
        consumer = self._consumer
        bounds = await consumer.log.bounds(SIGNALS.name)
        start = bounds[self.partition][0]
        base = await consumer.database.write(lambda c: stored_position(c, self.partition, start))
        gap = await owner.seek(base)
        if gap is not None:
            consumer.floor.lane_gap_records.labels(STAGE).inc(gap.start - gap.position)
            log.error("signals_lost_to_retention", partition=self.partition, records=gap.start - gap.position)
        seam("lane.acquired")
        self._owner, self.serving = owner, True
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            batch = await owner.read(consumer.batch_records, READ_SECONDS)
            if not batch.records:
                continue
            self._busy = True
            await consumer.commit(self.partition, base, batch.next, batch.records)
            base = batch.next
            owner.report(base)
            self._busy = False

    async def at_end(self) -> bool:
        """Whether everything that was appended has been applied."""
        if not self.serving or self._busy or self._owner is None:
            return False
        return await self._owner.behind() == 0 and not self._busy


class Consumer:
    """This process's part of the group."""

    membership: Membership

    def __init__(
        self,
        log_: EventLog,
        database: Database,
        present: Callable[[], Present],
        committed: Callable[[], None],
        metrics: AlerterMetrics,
        floor: FloorMetrics,
        letters: DeadLetters,
        batch_records: int,
        instance: str | None,
    ) -> None:
        self.log = log_
        self.database = database
        self._present = present
        self._committed = committed
        self._metrics = metrics
        self.floor = floor
        self._letters = letters
        self.batch_records = batch_records
        self._group = Group(GROUP, SIGNALS.name, instance=instance)
        self._tasks: Tasks | None = None
        self._lanes: dict[int, Lane] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._joined = False

    async def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.membership = await self.log.join(self._group, self)
        self._joined = True
        for lane in self._lanes.values():
            self._spawn(lane)

    def assigned(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            # The lane of an earlier assignment may still have its last batch in hand: never two at once.
            lane = self._lanes[partition] = Lane(self, partition, self._ending.pop(partition, None))
            if self._joined:
                self._spawn(lane)

    def _spawn(self, lane: Lane) -> None:
        if lane.task is None and self._tasks is not None:
            lane.task = self._tasks.spawn(f"{STAGE}-{lane.partition}", lane.run, ends=lambda: True)

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        """Await the batch in hand. What commits after the deadline is harmless: compare-and-set decides who was first."""
        lanes = [lane for p in partitions if (lane := self._lanes.pop(p, None)) is not None]
        for lane in lanes:
            lane.stop()
            if lane.task is not None:
                self._ending[lane.partition] = lane.task
        running = [lane.task for lane in lanes if lane.task is not None]
        if running:
            await asyncio.wait(running, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))

    async def commit(self, partition: int, base: int, position: int, records: Sequence[Record]) -> None:
        began = time.monotonic()
        batch = await self.database.aside(lambda: sort_out(records))
        dead = [self._letters.letter(*bad) for bad in batch.unreadable]
        while True:
            try:
                applied = await self.database.write(
                    lambda c, b=batch: apply(c, partition, base, position, b, self._present(), dead)  # type: ignore[misc]
                )
                break
            except Cursed as cursed:
                batch = batch.without(cursed)
                dead.append(self._letters.letter(*batch.unreadable[-1]))
        seam("alerter.committed")
        self._committed()
        self.floor.lane_commit_seconds.labels(STAGE).observe(time.monotonic() - began)
        self.floor.lane_commits.labels(STAGE).inc()
        self.floor.lane_records.labels(STAGE).inc(len(records))
        for (kind, verdict), count in applied.signals.items():
            self._metrics.signals.labels(kind, verdict).inc(count)
        for change, severity in applied.told:
            self._metrics.changes.labels(change, str(severity)).inc()
        for appended_ms in applied.opened_ms:
            self._metrics.signal_to_incident_seconds.observe(max(0.0, time.time() - appended_ms / 1000))

    @property
    def waiting(self) -> list[int]:
        """Partitions that are ours and not served yet (or not any more)."""
        return sorted(p for p, lane in self._lanes.items() if not lane.serving)

    @property
    def stuck(self) -> list[int]:
        before = time.monotonic() - STUCK_SECONDS
        return sorted(p for p, lane in self._lanes.items() if lane.turned_at < before)

    @property
    def partitions(self) -> list[int]:
        return sorted(self._lanes)

    @property
    def joined(self) -> bool:
        return self._joined

    async def idle(self) -> bool:
        """Whether all partitions are ours, and each is at its end."""
        if not self._joined or set(self._lanes) != set(await self.log.bounds(SIGNALS.name)):
            return False
        return all([await lane.at_end() for lane in list(self._lanes.values())])

    async def stop(self, deadline: float) -> None:
        if self._joined:
            await self.membership.leave(deadline)
