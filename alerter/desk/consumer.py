"""Reads `firebreak.signals` and applies it: one lane a partition, one transaction a batch, progress kept in our database.

The transaction moves the position by compare-and-set from the value the lane read: no row means that another replica was
here, so everything is rolled back and loaded again. What follows from a batch (incidents, deliveries, publications, dead
letters) commits with it or not at all. A signal that cannot be read or applied is a dead letter, never a crash; a flood of
them stops the service.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from alerter.desk.context import Context
from alerter.desk.service import IncidentService
from alerter.desk.signals import SignalResult
from alerter.incidents.store import Origin, mark_seen, seen_among
from alerter.metrics import STAGE, AlerterMetrics
from alerter.notify import outbox
from alerter.states import TellReason
from alerter.store.database import Database, DatabaseAway, Overtaken, insert_missing
from alerter.store.tables import positions
from services.base.crashpoints import seam
from services.base.errors import FirebreakError
from services.contracts.base import BrandId, StoryId
from services.contracts.codec import Unreadable, decode
from services.contracts.envelope import Envelope
from services.contracts.incident import Change
from services.contracts.topics import SIGNALS
from services.eventlog.base import Group, Message, Owner, Record
from services.runtime.lifecycle import ServiceContext
from services.stream.deadletter import DeadLetters
from services.stream.lanes import READ_SECONDS, Lane, Lanes

logger = structlog.get_logger()

GROUP: Final = "firebreak-alerter"


@dataclass(slots=True)
class BatchResult:
    """What a batch came to, for the metrics, once it is committed."""

    signals: Counter[tuple[str, SignalResult]] = field(default_factory=Counter)
    told: list[tuple[Change, int]] = field(default_factory=list)
    decisions: Counter[TellReason] = field(default_factory=Counter)
    opened_ms: list[int] = field(default_factory=list)


class PoisonSignal(Exception):
    """One signal that we cannot cope with. Nothing of its batch took effect; without it the others can be applied."""

    def __init__(self, record: Record, envelope: Envelope, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__} at signal {envelope.id}")
        self.record = record
        self.kind = type(cause).__name__


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch after decoding: what can be read, and what cannot and why."""

    signals: Sequence[tuple[Record, Envelope]]
    unreadable: Sequence[tuple[Record, str, str]]

    def without(self, cursed: PoisonSignal) -> DecodedBatch:
        """The batch with one signal set aside."""
        rest = [pair for pair in self.signals if pair[0].offset != cursed.record.offset]
        return DecodedBatch(rest, [*self.unreadable, (cursed.record, "processor_error", cursed.kind)])


def sort_out(records: Sequence[Record]) -> DecodedBatch:
    signals, unreadable = [], []
    for record in records:
        try:
            signals.append((record, decode(record.value)))
        except Unreadable as error:
            unreadable.append((record, error.reason, error.detail))
    return DecodedBatch(signals, unreadable)


def apply(
    connection: Connection,
    partition: int,
    base: int,
    position: int,
    batch: DecodedBatch,
    context: Context,
    dead: Sequence[Message],
) -> BatchResult:
    """The one durable step: from `base` to `position`, with everything in between and the letters for what is set aside.

    Raises `Overtaken`, or `Cursed` for one signal that we cannot cope with.
    """
    moved = connection.execute(
        update(positions).where(positions.c.partition == partition, positions.c.next == base).values(next=position)
    )
    if not moved.rowcount:
        raise Overtaken(f"the position of partition {partition} is not {base} any more")
    seam("alerter.begun")
    applied = BatchResult()
    desk = IncidentService(connection, context)
    stories = {place for _, e in batch.signals if (place := _story_of(e)) is not None}
    if stories:
        desk.store.prefetch(stories)
    repeated = seen_among(connection, {e.id for _, e in batch.signals}) if batch.signals else set()
    effective: list[Origin] = []
    for record, envelope in batch.signals:
        if envelope.id in repeated:
            applied.signals[envelope.event.TYPE, SignalResult.REPEATED] += 1
            continue
        origin = Origin(envelope.id, partition, record.offset, record.appended_ms)
        try:
            result = desk.signals.apply(envelope.event, origin)
        except (FirebreakError, SQLAlchemyError):
            raise
        except Exception as error:
            # A root of work: one signal that we cannot cope with must not stop the brand's others.
            logger.exception("signal_not_applied", signal=envelope.id, partition=partition, offset=record.offset)
            raise PoisonSignal(record, envelope, error) from error
        applied.signals[envelope.event.TYPE, result] += 1
        if result is not SignalResult.IGNORED:
            repeated.add(envelope.id)
            effective.append(origin)
        if result is SignalResult.OPENED:
            applied.opened_ms.append(record.appended_ms)
    mark_seen(connection, effective, partition, position)
    outbox.publish(connection, dead, context.now)
    applied.told, applied.decisions = desk.told, desk.decisions
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


class Consumer:
    """This process's part of the group: `services.stream.lanes` over our database."""

    def __init__(
        self,
        process: ServiceContext,
        database: Database,
        context: Callable[[], Context],
        committed: Callable[[], None],
        metrics: AlerterMetrics,
    ) -> None:
        """`committed` is called after each transaction."""
        settings = process.settings
        group = Group(GROUP, SIGNALS.name, instance=settings.instance)
        transient = (Overtaken, DatabaseAway)
        self.lanes = Lanes(STAGE, group, self._serve, process.log, process.metrics, transient=transient)
        self._log = process.log
        self._database = database
        self._context = context
        self._committed = committed
        self._metrics = metrics
        letters = process.metrics.dead_letters
        self._letters = DeadLetters(STAGE, settings.dead_letters_per_minute, process.clock, letters)
        self._batch_records = settings.batch_records

    async def _serve(self, lane: Lane, owner: Owner) -> None:
        start = (await self._log.bounds(SIGNALS.name))[lane.partition][0]
        base = await self._database.write(lambda c: stored_position(c, lane.partition, start))
        lane.begin(await owner.seek(base))
        while not lane.stopping:
            batch = await owner.read(self._batch_records, READ_SECONDS)
            if batch.records:
                lane.busy = True
                await self._commit(lane, base, batch.next, batch.records)
                base = batch.next
                owner.report(base)
            lane.rest()

    async def _commit(self, lane: Lane, base: int, position: int, records: Sequence[Record]) -> None:
        began = time.monotonic()
        batch = await self._database.aside(lambda: sort_out(records))
        dead = [self._letters.letter(*bad) for bad in batch.unreadable]
        while True:
            try:
                applied = await self._database.write(
                    lambda c, b=batch: apply(c, lane.partition, base, position, b, self._context(), dead)  # type: ignore[misc]
                )
                break
            except PoisonSignal as cursed:
                batch = batch.without(cursed)
                dead.append(self._letters.letter(*batch.unreadable[-1]))
        seam("alerter.committed")
        self._committed()
        lane.committed(records, time.monotonic() - began)
        for (kind, result), count in applied.signals.items():
            self._metrics.signals.labels(kind, result).inc(count)
        self._metrics.count_announced(applied.told, applied.decisions)
        for appended_ms in applied.opened_ms:
            self._metrics.signal_to_incident_seconds.observe(max(0.0, time.time() - appended_ms / 1000))
