"""Reads `firebreak.signals` and applies it: one lane a partition, one transaction a batch, positions in our database.

The transaction moves the position by compare-and-set, from the value that the lane read. If no row matches, another
replica took the partition over: everything is rolled back and loaded again. All that follows from a batch (incidents,
deliveries, publications, dead letters) commits with the position or not at all. A signal that cannot be read or applied
becomes a dead letter, never a crash; a flood of them stops the service.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from alerter.desk.context import Context
from alerter.desk.position import move, stored
from alerter.desk.service import IncidentService
from alerter.desk.signals import SignalResult
from alerter.incidents.store import SEEN_OFFSETS, Origin, mark_seen, seen_among
from alerter.metrics import STAGE, AlerterMetrics
from alerter.notify import outbox
from alerter.states import TellReason
from alerter.store.database import Database, DatabaseAway, Overtaken
from services.base.crashpoints import seam
from services.base.errors import FirebreakError
from services.contracts.base import BrandId, StoryId
from services.contracts.codec import Unreadable, decode
from services.contracts.envelope import Envelope
from services.contracts.incident import Change
from services.contracts.topics import SIGNALS
from services.eventlog.base import Group, Message, Owner, Record
from services.eventlog.position import Position, healed_in_time
from services.runtime.lifecycle import ServiceContext
from services.stream.deadletter import DeadLetters
from services.stream.lanes import READ_SECONDS, Lane, Lanes

logger = structlog.get_logger()

GROUP: Final = "firebreak-alerter"


@dataclass(slots=True)
class BatchResult:
    """What a batch led to, for the metrics, which count it after the commit."""

    signals: Counter[tuple[str, SignalResult]] = field(default_factory=Counter)
    published: list[tuple[Change, int]] = field(default_factory=list)
    decisions: Counter[TellReason] = field(default_factory=Counter)
    opened_ms: list[int] = field(default_factory=list)


class PoisonSignal(Exception):
    """A signal that cannot be applied. Nothing of its batch took effect; without it the others can be applied."""

    def __init__(self, record: Record, envelope: Envelope, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__} at signal {envelope.id}")
        self.record = record
        self.kind = type(cause).__name__


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch after decoding: the signals, and the records that cannot be read, each with reason and detail."""

    signals: Sequence[tuple[Record, Envelope]]
    unreadable: Sequence[tuple[Record, str, str]]

    def without(self, poison: PoisonSignal) -> DecodedBatch:
        """Returns the batch with this signal set aside."""
        rest = [pair for pair in self.signals if pair[0].offset != poison.record.offset]
        return DecodedBatch(rest, [*self.unreadable, (poison.record, "processor_error", poison.kind)])


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
    base: Position,
    position: Position,
    batch: DecodedBatch,
    context: Context,
    dead: Sequence[Message],
) -> BatchResult:
    """Apply a batch, publish the dead letters, and move the partition's position from `base` to `position`.

    Raises `Overtaken` if the position is no longer `base`, and `PoisonSignal` for a signal that cannot be applied.
    """
    move(connection, partition, base, position)
    seam("alerter.begun")
    applied = BatchResult()
    desk = IncidentService(connection, context)
    stories = {place for _, e in batch.signals if (place := _story_of(e)) is not None}
    if stories:
        desk.store.prefetch(stories)
    desk.signals.redactions.prefetch(e.event for _, e in batch.signals)
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
            # A root of work: one signal that cannot be applied must not stop the brand's others.
            logger.exception("signal_not_applied", signal=envelope.id, partition=partition, offset=record.offset)
            raise PoisonSignal(record, envelope, error) from error
        applied.signals[envelope.event.TYPE, result] += 1
        if result is not SignalResult.IGNORED:
            repeated.add(envelope.id)
            effective.append(origin)
        if result is SignalResult.OPENED:
            applied.opened_ms.append(record.appended_ms)
    mark_seen(connection, effective, partition, position.next)
    outbox.publish(connection, dead, context.now)
    applied.published, applied.decisions = desk.published, desk.decisions
    return applied


def _story_of(envelope: Envelope) -> tuple[BrandId, StoryId] | None:
    brand, story = getattr(envelope.event, "brand", None), getattr(envelope.event, "story", None)
    return (brand, story) if brand is not None and story is not None else None


class Consumer:
    """This process's member of the consumer group: `services.stream.lanes`, with positions in our database."""

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
        self._dead_letters = DeadLetters(
            STAGE, settings.dead_letters_per_minute, process.clock, process.metrics.dead_letters
        )
        self._batch_records = settings.batch_records

    async def _serve(self, lane: Lane, owner: Owner) -> None:
        start = (await self._log.bounds(SIGNALS.name))[lane.partition][0]
        base, moved = await self._resumed(lane.partition, start)
        lane.begin(await owner.seek(base.next), moved=moved)
        while not lane.stopping:
            batch = await owner.read(self._batch_records, READ_SECONDS)
            if batch.records:
                lane.busy = True
                base = await self._commit(lane, base, base.after(batch.records, batch.next), batch.records)
                owner.report(base.next)
            lane.rest()

    async def _resumed(self, partition: int, start: int) -> tuple[Position, tuple[int, int] | None]:
        """The position of the partition; and if that was said of another log and is healed, where it was and is.

        Where it is not known when the last signal was applied, all is read again of which it is remembered what had an effect.
        Nothing is told twice: signals are known by id.
        """
        position = await self._database.write(lambda c: stored(c, partition, start))
        healthy = await healed_in_time(self._log, SIGNALS.name, partition, position, SEEN_OFFSETS)
        if healthy is None:
            return position, None
        await self._database.write(lambda c: move(c, partition, position, healthy))
        return healthy, (position.next, healthy.next)

    async def _commit(self, lane: Lane, base: Position, position: Position, records: Sequence[Record]) -> Position:
        """Apply a batch. Returns the position after it."""
        began = time.monotonic()
        batch = await self._database.aside(lambda: sort_out(records))
        dead = [self._dead_letters.letter(*bad) for bad in batch.unreadable]
        while True:
            try:
                applied = await self._database.write(
                    lambda c, b=batch: apply(c, lane.partition, base, position, b, self._context(), dead)  # type: ignore[misc]
                )
                break
            except PoisonSignal as poison:
                batch = batch.without(poison)
                dead.append(self._dead_letters.letter(*batch.unreadable[-1]))
        seam("alerter.committed")
        self._committed()
        lane.committed(records, time.monotonic() - began)
        for (kind, result), count in applied.signals.items():
            self._metrics.signals.labels(kind, result).inc(count)
        self._metrics.count_announced(applied.published, applied.decisions)
        for appended_ms in applied.opened_ms:
            self._metrics.signal_to_incident_seconds.observe(max(0.0, time.time() - appended_ms / 1000))
        return position
