"""How far a partition was read, said in such a way that it can be told whether it is said of the log that is there.

The position is kept in one place and the records in another: either may be restored from a backup, or the log be another
one. Then the position lies beyond the log's end, or the record before it is not the one that was dealt with last. Waiting for
the log to grow up to it, or going on where the offset means something else, would be silence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.eventlog.base import Batch, Record

BEYOND_SECONDS: Final = 3.0
"""After a change of leader, brokers may report a lower end for a short while."""


class Readable(Protocol):
    """A log, or what a log reads with."""

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch: ...

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]: ...


class Position(NamedTuple):
    """The next offset to deal with; the offset of the record that was dealt with last, and when the log got it, if known."""

    next: int
    last_offset: int | None = None
    last_ms: int | None = None

    def after(self, records: Sequence[Record], following: int) -> Position:
        """The position once these records are dealt with."""
        return (
            Position(following, records[-1].offset, records[-1].appended_ms)
            if records
            else self._replace(next=following)
        )


async def healed_in_time(
    log: Readable, topic: str, partition: int, position: Position, again: int | None = None
) -> Position | None:
    """Returns what `healed` does, once that has been so for `BEYOND_SECONDS`."""
    until = time.monotonic() + BEYOND_SECONDS
    while True:
        found = await healed(log, topic, partition, position, again)
        if found is None or time.monotonic() >= until:
            return found
        await asyncio.sleep(BEYOND_SECONDS / 10)


async def healed(
    log: Readable, topic: str, partition: int, position: Position, again: int | None = None
) -> Position | None:
    """Returns where to go on if the position is not one of this log, or `None` if it is, as far as can be told.

    What the log got after the last record that was dealt with was never dealt with, whatever its offset. Where that time is not
    known, `again` records are read again, or all there are: whoever reads must know them by their ids.
    """
    start, end = (await log.bounds(topic))[partition]
    if position.next <= end and await _holds_last(log, topic, partition, position, start):
        return None
    if position.last_ms is None:
        return Position(start if again is None else max(start, min(end, position.next) - again))
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        record = await _first_from(log, topic, partition, middle)
        if record is None or record.appended_ms > position.last_ms:
            high = middle
        else:
            low = record.offset + 1
    return Position(low)


async def _holds_last(log: Readable, topic: str, partition: int, position: Position, start: int) -> bool:
    """Returns False if another record stands where the one stood that was dealt with last."""
    if position.last_offset is None or position.last_offset < start:
        return True  # it is not known, or was deleted in its time
    record = await _first_from(log, topic, partition, position.last_offset)
    return record is not None and record.offset == position.last_offset and record.appended_ms == position.last_ms


async def _first_from(log: Readable, topic: str, partition: int, offset: int) -> Record | None:
    records = (await log.read(topic, partition, offset, 1)).records
    return records[0] if records else None
