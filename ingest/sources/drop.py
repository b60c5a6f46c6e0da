"""A folder in which files of NDJSON or CSV appear and grow (kind `drop`): how companies that have a vendor feed us already.

Files are read in the order in which they changed, each from where it was left. What has no end yet is waited for, and taken as
it is when it has not grown for a while. A file that became shorter is read anew. Nothing is moved or deleted; without a cursor
everything that lies there is read, because whoever puts files there before the first start means them.
"""

from __future__ import annotations

import asyncio
import csv
import fnmatch
import io
import json
import os
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import structlog

from ingest.parsing import MAX_ITEM_BYTES
from ingest.sources.base import Away, Cursor, Heard, Probe, SourceContext
from ingest.sources.mapping import items_of
from services.base.clock import moment
from services.config.connectors.drop import DropSection

logger = structlog.get_logger()

READ_BYTES: Final = 1_048_576
MOST_FILES: Final = 250
"""Whose offsets the cursor holds; of older ones it holds only that they are done."""
LATE: Final = timedelta(hours=1)
"""A file that changed so long ago is history."""
UNREADABLE: Final[Mapping[str, Any]] = {"post_id": ""}
"""Stands for a line that is none: it is rejected and counted like any bad item."""


@dataclass(slots=True)
class Place:
    """Where the folder was left: an offset in each file of late, and since when files are new."""

    done_ns: int = 0
    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)
    """File -> its offset, and when it had changed as it was read."""

    def write(self) -> str:
        while len(self.offsets) > MOST_FILES:
            oldest = min(self.offsets, key=lambda key: self.offsets[key][1])
            self.done_ns = max(self.done_ns, self.offsets.pop(oldest)[1])
        return json.dumps([self.done_ns, {key: offset for key, (offset, _) in self.offsets.items()}])


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A file as it is now. `key` is short, and another one for another file of the same name."""

    path: Path
    key: str
    size: int
    changed_ns: int


class Drop:
    """One folder (protocol `ingest.sources.base.Source`)."""

    silence_seconds: float | None = None

    def __init__(self, context: SourceContext) -> None:
        self._section = cast("DropSection", context.options)
        self._network = context.network
        self._clock = context.clock
        self._folder = Path(self._section.folder)
        self._grown: dict[str, tuple[int, datetime]] = {}
        """File -> its size, and since when it has that."""

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        place = self._place(cursor)
        while True:
            for found in await self._look(place):
                while (some := await asyncio.to_thread(self._read, found, place)) is not None:
                    yield Heard(some, self._cursor(place))
            yield Heard((), self._cursor(place))
            await self._clock.sleep(self._section.every_seconds)

    async def probe(self) -> Probe:
        found = await self._look(Place())
        return Probe(note=f"{len(found)} files in {self._folder}")

    async def close(self) -> None:
        """There is nothing to give back."""

    @property
    def _origin(self) -> str:
        return f"folder:{self._folder}"

    def _place(self, cursor: Cursor | None) -> Place:
        if cursor is None:
            return Place()
        if cursor.origin != self._origin:
            return Place(int((cursor.at - timedelta(minutes=1)).timestamp() * 1e9))
        done, offsets = json.loads(cursor.position)
        return Place(done, {key: (offset, 0) for key, offset in offsets.items()})

    def _cursor(self, place: Place) -> Cursor:
        return Cursor(self._origin, place.write(), self._clock.now())

    async def _look(self, place: Place) -> Sequence[DroppedFile]:
        """The files in which there may be something new, those that changed first before the others. Raises `Away`."""
        try:
            found = await asyncio.to_thread(self._files)
        except OSError as error:
            raise Away(f"the folder cannot be read: {error.strerror}") from error
        here = {one.key for one in found}
        # Of a file that was read to its end before a restart it is known again when that was.
        ends = {one.key: (one.size, one.changed_ns) for one in found}
        place.offsets = {
            key: ends[key] if left[0] == ends[key][0] else left for key, left in place.offsets.items() if key in here
        }
        now = self._clock.now()
        self._grown = {
            one.key: seen if (seen := self._grown.get(one.key)) and seen[0] == one.size else (one.size, now)
            for one in found
        }
        fresh = [one for one in found if one.key in place.offsets or one.changed_ns > place.done_ns]
        return [one for one in fresh if one.size != place.offsets.get(one.key, (-1, 0))[0]]

    def _files(self) -> list[DroppedFile]:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if (
                    entry.name.startswith(".")
                    or not fnmatch.fnmatch(entry.name, self._section.files)
                    or not entry.is_file()
                ):
                    continue
                stat = entry.stat()
                key = f"{stat.st_ino:x}.{zlib.crc32(os.fsencode(entry.name)):x}"
                # Not when it was written: who copies a file may keep that time, but nobody can set this one back.
                found.append(DroppedFile(Path(entry.path), key, stat.st_size, stat.st_ctime_ns))
        return sorted(found, key=lambda one: (one.changed_ns, one.path.name))

    def _read(self, found: DroppedFile, place: Place) -> list[Mapping[str, Any]] | None:
        """The next items of a file, and the place behind them; `None` if there are none for now. Raises `Away`."""
        offset = place.offsets.get(found.key, (0, 0))[0]
        if offset > found.size:
            offset = 0
        try:
            with found.path.open("rb") as file:
                head = file.readline(READ_BYTES) if self._section.format == "csv" else b""
                if offset == 0 and head:
                    if not head.endswith(b"\n"):
                        return None
                    offset = len(head)
                file.seek(offset)
                block = file.read(READ_BYTES)
        except OSError as error:
            raise Away(f"the file {found.path.name} cannot be read: {error.strerror}") from error
        records, used = self._records(block, last=offset + len(block) >= found.size and self._is_settled(found))
        if not used:
            if len(block) < READ_BYTES:
                place.offsets[found.key] = (offset, found.changed_ns)
                return None
            records, used = [], len(block)  # no end within all that fits an item
            logger.warning("source_line_too_long", file=found.path.name, offset=offset)
        place.offsets[found.key] = (offset + used, found.changed_ns)
        late = self._clock.now() - moment(found.changed_ns / 1e9) > LATE
        return [item for record in records for item in self._items(record, head, late)]

    def _is_settled(self, found: DroppedFile) -> bool:
        size, since = self._grown.get(found.key, (-1, self._clock.now()))
        return size == found.size and (self._clock.now() - since).total_seconds() >= self._section.settled_seconds

    def _records(self, block: bytes, last: bool) -> tuple[list[bytes], int]:
        """The whole records of a block, and how many bytes they take. In CSV a line within quotes does not end."""
        records: list[bytes] = []
        begin = used = quotes = 0
        for line in io.BytesIO(block):
            used += len(line)
            quotes += line.count(b'"') if self._section.format == "csv" else 0
            if line.endswith(b"\n") and quotes % 2 == 0:
                records.append(block[begin:used])
                begin = used
        if last and begin < len(block):
            records.append(block[begin:])
            begin = len(block)
        return records, begin

    def _items(self, record: bytes, head: bytes, late: bool) -> Sequence[Mapping[str, Any]]:
        if not record.strip():
            return ()
        if len(record) > MAX_ITEM_BYTES:
            return (UNREADABLE,)
        try:
            document = self._row(head, record) if head else json.loads(record.decode("utf-8-sig"))
            items = items_of(document, self._section.mapping, self._network)
        except (ValueError, RecursionError, csv.Error):
            return (UNREADABLE,)
        return [{**item, "backfill": True} for item in items] if late else items

    def _row(self, head: bytes, record: bytes) -> dict[str, str]:
        delimiter = self._section.delimiter
        names, values = (
            next(csv.reader(io.StringIO(part.decode("utf-8-sig"), newline=""), delimiter=delimiter))
            for part in (head, record)
        )
        return {name.strip(): value for name, value in zip(names, values, strict=False) if value != ""}


def build(context: SourceContext) -> Drop:
    return Drop(context)
