"""Reads the committed state of one input partition from its changelog: all of it, or it raises.

Call it only when the partition's transactional writer is open: opening ended whatever an older owner had begun, so the
last stable offset asked for afterwards is behind everything that will ever have been committed before us.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.base.errors import Damaged
from services.eventlog.base import Gap, Restored, Unavailable
from services.eventlog.kafka.offsets import POLL_MS, Offsets
from services.eventlog.kafka.wire import KAFKA_ERRORS, REQUEST_MS, Wire, brief
from services.eventlog.position import BEYOND_SECONDS, Position, healed_in_time

PROGRESS_KEY: Final = "\x00next"
"""No state key begins with NUL. Its value is a `Position` as JSON; older releases wrote {"next": n}."""
_YIELD_EVERY: Final = 500
# A restore may take long when there is much to read, but never so long without a single new offset.
_STALL_SECONDS: Final = 2 * REQUEST_MS / 1000


async def restore(
    wire: Wire, offsets: Offsets, topic: str, changelog: str, partition: int
) -> tuple[Restored, Position]:
    """Returns the state, and the position with the record that was dealt with last. A position that was said of another log is
    healed. Raises `Unavailable`, or `Damaged` if what is stored cannot be right."""
    begin, end = (await offsets.bounds(changelog, [partition]))[partition]
    entries = await _entries(wire, changelog, partition, begin, end) if begin < end else {}
    raw = entries.pop(PROGRESS_KEY, None)
    where = f"{wire.name(changelog)}[{partition}]"
    if raw is None and entries:
        raise Damaged(f"{where} holds {len(entries)} entries and no progress record")
    position = _progress(raw, where) if raw is not None else Position(0)
    moved_from = None
    healthy = await healed_in_time(offsets, topic, partition, position)
    if healthy is not None:
        moved_from, position = position.next, healthy
    gap = await found_gap(offsets, topic, partition, position.next)
    if gap is not None:
        position = Position(gap.start)
    return Restored(entries, position.next, gap, moved_from), position


async def found_gap(offsets: Offsets, topic: str, partition: int, position: int) -> Gap | None:
    """Returns what was deleted before it was read, if anything. Raises `Damaged` for a position beyond the log's end: it
    belongs to another log."""
    loop = asyncio.get_running_loop()
    until = loop.time() + BEYOND_SECONDS
    while True:
        start, end = (await offsets.bounds(topic, [partition]))[partition]
        if position <= end:
            return Gap(position, start) if position < start else None
        if loop.time() > until:
            raise Damaged(
                f"{topic}[{partition}] ends at {end}, but progress says {position}: the topic was created anew or lost "
                "records; its state does not belong to it"
            )
        await asyncio.sleep(BEYOND_SECONDS / 10)


def progress(position: Position) -> bytes:
    return json.dumps({key: value for key, value in position._asdict().items() if value is not None}).encode()


def _progress(raw: bytes, where: str) -> Position:
    try:
        found = json.loads(raw)
        position = Position(found["next"], found.get("last_offset"), found.get("last_ms"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"the progress record of {where} cannot be read: {raw[:80]!r}") from error
    if not isinstance(position.next, int) or position.next < 0:
        raise Damaged(f"the progress record of {where} is no offset: {raw[:80]!r}")
    return position


async def _entries(wire: Wire, changelog: str, partition: int, begin: int, end: int) -> dict[str, bytes]:
    """Read with a consumer of its own, thrown away afterwards: nothing that happens to it can harm the group's."""
    reader = await wire.opened(wire.reader())
    tp = TopicPartition(wire.name(changelog), partition)
    try:
        reader.assign([tp])
        reader.seek(tp, begin)
        return await _read_to(reader, tp, begin, end)
    except KAFKA_ERRORS as error:
        raise Unavailable(f"restoring from {tp.topic}[{partition}] failed: {brief(error)}") from error
    finally:
        wire.discard(reader)


async def _read_to(reader: AIOKafkaConsumer, tp: TopicPartition, begin: int, end: int) -> dict[str, bytes]:
    loop = asyncio.get_running_loop()
    entries: dict[str, bytes] = {}
    seen, moved, position = 0, loop.time(), begin
    # By position and not by the last record: the last offset is a control record, and compaction leaves holes.
    while position < end:
        for raw in (await reader.getmany(tp, timeout_ms=POLL_MS)).get(tp, ()):
            if raw.offset >= end:
                break
            key = _key(raw.key, tp, raw.offset)
            if raw.value is None:
                entries.pop(key, None)
            else:
                entries[key] = raw.value  # as bytes: decoding is put off to the first touch
            seen += 1
            if seen % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        before, position = position, await reader.position(tp)
        if position > before:
            moved = loop.time()
        elif loop.time() - moved > _STALL_SECONDS:
            raise Unavailable(f"restoring {tp.topic}[{tp.partition}] stands still at {position} of {end}")
    return entries


def _key(raw: bytes | None, tp: TopicPartition, offset: int) -> str:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError as error:
        raise Damaged(f"{tp.topic}[{tp.partition}] holds a key at {offset} that is no text: {raw!r}") from error
