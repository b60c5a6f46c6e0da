"""Reads `firebreak.signals` and applies it: one lane a partition, short transactions, positions in our database.

A batch is applied in parts, each one transaction of about `PART_SECONDS`, so that a storm does not hold back what is due
to people meanwhile. The transaction moves the position by compare-and-set, from the value that the lane read. If no row
matches, another replica took the partition over: everything is rolled back and loaded again. All that follows from a part
(incidents, deliveries, publications, dead letters) commits with the position or not at all. A signal that cannot be read
or applied becomes a dead letter, never a crash; a flood of them stops the service.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from alerter.desk.context import Context
from alerter.desk.position import move, stored
from alerter.desk.service import IncidentService
from alerter.desk.signals import SignalResult
from alerter.incidents.store import SEEN_OFFSETS, Origin, mark_seen, seen_among
from alerter.metrics import STAGE, AlerterMetrics
from alerter.notify import operators, outbox
from alerter.states import TellReason
from alerter.store import installation, later
from alerter.store.database import Database, DatabaseAway, Overtaken
from services.base.crashpoints import seam
from services.base.errors import FirebreakError
from services.contracts.codec import Unreadable, decode
from services.contracts.envelope import Envelope
from services.contracts.incident import Change
from services.contracts.stage import Moved
from services.contracts.topics import SIGNALS
from services.eventlog.base import Batch, Gap, Group, Message, Owner, Record
from services.eventlog.position import Position, healed_in_time
from services.runtime.lifecycle import ServiceContext
from services.stream.deadletter import DeadLetters
from services.stream.lanes import READ_SECONDS, Lane, Lanes
from services.stream.moves import moves_of, news_of
from services.stream.strikes import DIED, Strikes

logger = structlog.get_logger()

GROUP: Final = "firebreak-alerter"


PART_SECONDS: Final = 0.1
"""After so long a transaction applies no further signal. It has applied one at least, so that every one gets its turn."""
READ_AHEAD: Final = 64
"""Signals for which the database is asked together what it knows of them."""


@dataclass(slots=True)
class PartResult:
    """What the part of a batch led to. The metrics count it after the commit."""

    batch: DecodedBatch
    """The part itself."""
    position: Position
    """Where the partition stands after it."""
    left: DecodedBatch | None = None
    """What there was no time for, or `None` if that was all."""
    signals: Counter[tuple[str, SignalResult]] = field(default_factory=Counter)
    published: list[tuple[Change, int]] = field(default_factory=list)
    decisions: Counter[TellReason] = field(default_factory=Counter)
    opened_ms: list[int] = field(default_factory=list)


class PoisonSignal(Exception):
    """A signal that cannot be applied. Nothing of its part took effect; without it the others can be applied."""

    def __init__(self, record: Record, envelope: Envelope, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__} at signal {envelope.id}")
        self.record = record
        self.kind = type(cause).__name__


class PoisonAmong(Exception):
    """A signal cannot be applied, but it is not known which, because rows are written together. Nothing took effect."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """Records of a partition after decoding. `signals` are those that can be read, with the record of each, and `unreadable`
    says of the others why they cannot."""

    records: Sequence[Record]
    next: int
    """The offset after them."""
    signals: Sequence[tuple[Record, Envelope]]
    unreadable: Sequence[tuple[Record, str, str]]

    def without(self, poison: PoisonSignal) -> DecodedBatch:
        """Returns the batch with this signal set aside."""
        rest = [pair for pair in self.signals if pair[0].offset != poison.record.offset]
        return replace(
            self, signals=rest, unreadable=[*self.unreadable, (poison.record, "processor_error", poison.kind)]
        )

    def before(self, offset: int) -> DecodedBatch:
        return self._those(offset, lambda record: record.offset < offset)

    def since(self, offset: int) -> DecodedBatch:
        return self._those(self.next, lambda record: record.offset >= offset)

    def _those(self, following: int, chosen: Callable[[Record], bool]) -> DecodedBatch:
        return DecodedBatch(
            [record for record in self.records if chosen(record)],
            following,
            [pair for pair in self.signals if chosen(pair[0])],
            [bad for bad in self.unreadable if chosen(bad[0])],
        )


def sort_out(records: Sequence[Record], following: int) -> DecodedBatch:
    signals, unreadable = [], []
    for record in records:
        try:
            signals.append((record, decode(record.value)))
        except Unreadable as error:
            unreadable.append((record, error.reason, error.detail))
    return DecodedBatch(records, following, signals, unreadable)


def apply(
    connection: Connection,
    partition: int,
    base: Position,
    batch: DecodedBatch,
    context: Context,
    dead: Mapping[int, Message],
    *,
    clock: Callable[[], float] = time.monotonic,
    one_by_one: bool = False,
) -> PartResult:
    """Apply as much of a batch as there is time for, and move the partition's position from `base` to behind that.

    `dead` has the dead letters by the offsets of their records; those of the part are published.

    Raises:
        Overtaken: the position is no longer `base`.
        PoisonAmong: a signal cannot be applied. Apply the batch `one_by_one` to find out which.
        PoisonSignal: this one cannot be applied.
    """
    until = clock() + PART_SECONDS
    whole = base.after(batch.records, batch.next)
    move(connection, partition, base, whole)
    seam("alerter.begun")
    desk = IncidentService(connection, context)
    part = PartResult(batch, whole)
    effective: list[Origin] = []
    repeated: set[str] = set()
    ahead = 1 if one_by_one else READ_AHEAD
    for place, (record, envelope) in enumerate(batch.signals):
        if place and clock() >= until:
            part.batch, part.left = batch.before(record.offset), batch.since(record.offset)
            part.position = base.after(part.batch.records, record.offset)
            move(connection, partition, whole, part.position)
            break
        origin = Origin(envelope.id, partition, record.offset, record.appended_ms)
        try:
            if place % ahead == 0:
                repeated |= _read_ahead(connection, desk, [e for _, e in batch.signals[place : place + ahead]])
            if envelope.id in repeated:
                part.signals[envelope.event.TYPE, SignalResult.REPEATED] += 1
                continue
            result = desk.signals.apply(envelope.event, origin)
            if one_by_one:
                later.flush(connection)
        except Exception as error:
            if not _is_poison(error):
                raise
            if not one_by_one:
                raise PoisonAmong from error
            # A root of work: one signal that cannot be applied must not stop the brand's others.
            logger.exception("signal_not_applied", signal=envelope.id, partition=partition, offset=record.offset)
            raise PoisonSignal(record, envelope, error) from error
        part.signals[envelope.event.TYPE, result] += 1
        if result is not SignalResult.IGNORED:
            repeated.add(envelope.id)
            effective.append(origin)
        if result is SignalResult.OPENED:
            part.opened_ms.append(record.appended_ms)
    try:
        later.flush(connection)
    except Exception as error:
        if one_by_one or not _is_poison(error):
            raise
        raise PoisonAmong from error
    mark_seen(connection, effective, partition, base.next, part.position.next)
    outbox.publish(connection, [dead[bad.offset] for bad, *_ in part.batch.unreadable], context.now)
    part.published, part.decisions = desk.published, desk.decisions
    return part


def _read_ahead(connection: Connection, desk: IncidentService, envelopes: Sequence[Envelope]) -> set[str]:
    """Read what these signals need to know. Returns the ids of those that were applied before."""
    desk.signals.prefetch([envelope.event for envelope in envelopes])
    return seen_among(connection, {envelope.id for envelope in envelopes})


def _is_poison(error: Exception) -> bool:
    """Returns True if the signal is at fault, also if the database refuses a value of it, and not the database itself."""
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, DataError) or not isinstance(error, DBAPIError)
    return not isinstance(error, FirebreakError)


class Consumer:
    """This process's member of the consumer group: `services.stream.lanes`, with positions in our database."""

    def __init__(
        self,
        process: ServiceContext,
        database: Database,
        context: Callable[[], Context],
        committed: Callable[[], None],
        metrics: AlerterMetrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`committed` is called after each transaction. `monotonic` is the clock that bounds each."""
        settings = process.settings
        group = Group(GROUP, SIGNALS.name, instance=settings.instance)
        transient = (Overtaken, DatabaseAway)
        self.lanes = Lanes(STAGE, group, self._serve, process.log, process.metrics, transient=transient)
        self._log = process.log
        self._database = database
        self._context = context
        self._committed = committed
        self._metrics = metrics
        self._monotonic = monotonic
        self._dead_letters = DeadLetters(
            STAGE, settings.dead_letters_per_minute, process.clock, process.metrics.dead_letters
        )
        self._batch_records = settings.batch_records
        self._life = uuid.uuid4().hex

    async def _serve(self, lane: Lane, owner: Owner) -> None:
        start = (await self._log.bounds(SIGNALS.name))[lane.partition][0]
        base, healed = await self._resumed(lane.partition, start)
        gap = await owner.seek(base.next)
        if gap is not None:
            base = await self._behind(lane.partition, base, gap)
        lane.begin(moves_of(STAGE, lane.partition, gap, healed))
        strikes = await self._strikes(lane.partition, base.next)
        while not lane.stopping:
            alone = base.next < strikes.alone_until
            batch = await owner.read(1 if alone else self._batch_records, READ_SECONDS)
            if batch.records:
                lane.busy = True
                fatal = await self._judge(lane.partition, strikes, base.next, batch.next)
                base = await self._apply(lane, base, batch, fatal)
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
        healed = (position.next, healthy.next)
        await self._move(partition, position, healthy, moves_of(STAGE, partition, None, healed))
        return healthy, healed

    async def _behind(self, partition: int, base: Position, gap: Gap) -> Position:
        """The position behind signals that the log dropped before they were read."""
        after = Position(gap.start)
        await self._move(partition, base, after, moves_of(STAGE, partition, gap, None))
        return after

    async def _move(self, partition: int, base: Position, after: Position, moves: Sequence[Moved]) -> None:
        def transact(connection: Connection) -> None:
            at = self._context()
            move(connection, partition, base, after)
            for moved in news_of(moves):
                operators.tell_of_log(connection, at.config.operators, moved, at.now, at.wall)

        await self._database.write(transact)
        self._committed()

    async def _strikes(self, partition: int, position: int) -> Strikes:
        note = await self._database.read(lambda c: installation.noted(c, f"strikes-{partition}"))
        return Strikes(note, self._life, position)

    async def _judge(self, partition: int, strikes: Strikes, position: int, after: int) -> bool:
        """Note what is about to be applied. Returns True if it is one signal, and processes died of it."""
        aside, note = strikes.judge(position, after)
        if note is not None:
            await self._database.write(lambda c: installation.note(c, f"strikes-{partition}", note))
        return aside

    async def _apply(self, lane: Lane, base: Position, read: Batch, fatal: bool) -> Position:
        """Apply a batch part by part, until all of it is applied or the lane is to stop. Returns the position after it. What is
        `fatal` is set aside unread."""
        if fatal:
            left = DecodedBatch(read.records, read.next, (), [(record, "fatal", DIED) for record in read.records])
        else:
            left = await self._database.aside(lambda: sort_out(read.records, read.next))
        dead: dict[int, Message] = {}
        one_by_one = False
        while True:
            for bad in left.unreadable:
                if bad[0].offset not in dead:
                    dead[bad[0].offset] = self._dead_letters.letter(*bad)
            try:
                part = await self._commit(lane, base, left, dead, one_by_one)
            except PoisonAmong:
                one_by_one = True
            except PoisonSignal as poison:
                left, one_by_one = left.without(poison), False
            else:
                base = part.position
                if part.left is None or lane.stopping:
                    return base
                left = part.left

    async def _commit(
        self, lane: Lane, base: Position, batch: DecodedBatch, dead: Mapping[int, Message], one_by_one: bool
    ) -> PartResult:
        """Apply the first part of a batch in a transaction, and count what it led to."""
        began = time.monotonic()

        def transact(connection: Connection) -> PartResult:
            return apply(
                connection,
                lane.partition,
                base,
                batch,
                self._context(),
                dead,
                clock=self._monotonic,
                one_by_one=one_by_one,
            )

        part = await self._database.write(transact, bulk=True)
        seam("alerter.committed")
        self._committed()
        lane.committed(part.batch.records, time.monotonic() - began)
        for (kind, result), count in part.signals.items():
            self._metrics.signals.labels(kind, result).inc(count)
        self._metrics.count_announced(part.published, part.decisions)
        for appended_ms in part.opened_ms:
            self._metrics.signal_to_incident_seconds.observe(max(0.0, time.time() - appended_ms / 1000))
        return part
