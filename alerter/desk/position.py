"""How far a partition of the signals is applied, and whether that is said of the log that is there.

The position stands in our database, and the signals in the log: either may be restored from a backup, or the log be another
one. Then the position lies beyond the log's end, or the record before it is not the one that was applied last. Waiting for the
log to grow up to it would be silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from alerter.incidents.store import SEEN_OFFSETS
from alerter.store.database import Overtaken, insert_missing
from alerter.store.tables import positions
from services.contracts.topics import SIGNALS
from services.eventlog.base import EventLog, Record

_MOVE: Final = update(positions).where(
    positions.c.partition == bindparam("of_partition"), positions.c.next == bindparam("base")
)


class Position(NamedTuple):
    """The next offset to apply; the offset of the record that was applied last, and when the log got it, if that is known."""

    next: int
    last_offset: int | None = None
    last_ms: int | None = None

    def after(self, records: Sequence[Record], following: int) -> Position:
        """The position once these records are applied."""
        return (
            Position(following, records[-1].offset, records[-1].appended_ms)
            if records
            else self._replace(next=following)
        )


def stored(connection: Connection, partition: int, otherwise: int) -> Position:
    """Returns the partition's position. A new partition starts at `otherwise`, the start of the log."""
    insert_missing(connection, positions, [{"partition": partition, "next": otherwise}])
    columns = (positions.c.next, positions.c.last_offset, positions.c.last_ms)
    return Position(*connection.execute(select(*columns).where(positions.c.partition == partition)).one())


def move(connection: Connection, partition: int, base: Position, to: Position) -> None:
    """Move the position by compare-and-set. Raises `Overtaken` if it is not `base` any more."""
    values = {"of_partition": partition, "base": base.next, **to._asdict()}
    if not connection.execute(_MOVE, values).rowcount:
        raise Overtaken(f"the position of partition {partition} is no longer {base.next}")


async def healed(log: EventLog, partition: int, position: Position) -> Position | None:
    """Returns where to go on if the position is not one of this log, or `None` if it is, as far as can be told.

    What the log got after the last record that was applied was never applied, whatever its offset. Where that time is not
    known, all is read again of which it is remembered what had an effect. Nothing is told twice: signals are known by id.
    """
    start, end = (await log.bounds(SIGNALS.name))[partition]
    if position.next <= end and await _holds_last(log, partition, position, start):
        return None
    if position.last_ms is None:
        return Position(max(start, min(end, position.next) - SEEN_OFFSETS))
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        record = await _first_from(log, partition, middle)
        if record is None or record.appended_ms > position.last_ms:
            high = middle
        else:
            low = record.offset + 1
    return Position(low)


async def _holds_last(log: EventLog, partition: int, position: Position, start: int) -> bool:
    """Returns False if another record stands where the one stood that was applied last."""
    if position.last_offset is None or position.last_offset < start:
        return True  # it is not known, or was deleted in its time
    record = await _first_from(log, partition, position.last_offset)
    return record is not None and record.offset == position.last_offset and record.appended_ms == position.last_ms


async def _first_from(log: EventLog, partition: int, offset: int) -> Record | None:
    records = (await log.read(SIGNALS.name, partition, offset, 1)).records
    return records[0] if records else None
