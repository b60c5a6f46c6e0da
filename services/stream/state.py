"""A lane's state: values by key, each with at most one timer that is restored with it. Values are kept as bytes and decoded
when they are first asked for.

On the wire an entry is one byte of version, eight bytes of due time (epoch seconds, NaN without a timer), then MessagePack.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from services.base.errors import Damaged

T = TypeVar("T", bound=msgspec.Struct)
_HEAD: Final = struct.Struct(">Bd")


class KeyedState(Generic[T]):
    """The entries whose keys begin with `prefix`. It writes nothing: `changes` returns what the next commit must hold.

    Entries of the `older` versions are read as they are: what they lack must have a default in `kind`.
    """

    def __init__(self, prefix: str, kind: type[T], version: int, older: Collection[int] = ()) -> None:
        self._prefix = prefix
        self._readable = frozenset({version, *older})
        self._kind = kind
        self._version = version
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._encoder = msgspec.msgpack.Encoder()
        self._entries: dict[str, bytes] = {}
        self._touched: dict[str, T] = {}
        self._dirty: dict[str, float] = {}
        self._deleted: set[str] = set()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Raises `Damaged` for an entry of another version: it was written by another release."""
        for key, value in entries.items():
            if not key.startswith(self._prefix):
                continue
            if len(value) < _HEAD.size or value[0] not in self._readable:
                found = value[0] if value else "none"
                raise Damaged(f"state {key!r} is of version {found}, this release reads version {self._version}")
            self._entries[key] = value
            due = _HEAD.unpack_from(value)[1]
            if not math.isnan(due):
                self._due[key] = due
        self._heap = [(due, key) for key, due in self._due.items()]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._entries.keys() | self._dirty.keys()) if self._dirty else len(self._entries)

    def get(self, key: str) -> T | None:
        """Returns the value under `key` (without the prefix). Call `put` after changing it."""
        full = self._prefix + key
        value = self._touched.get(full)
        if value is None and full not in self._deleted and (entry := self._entries.get(full)) is not None:
            value = self._touched[full] = self._decode(full, entry)
        return value

    def put(self, key: str, value: T, due: float | None) -> None:
        """Keep `value`. Its timer fires at `due` (epoch seconds), or never if that is `None`."""
        full = self._prefix + key
        self._touched[full] = value
        self._deleted.discard(full)
        self._dirty[full] = math.nan if due is None else due
        if due is None:
            self._due.pop(full, None)
        elif self._due.get(full) != due:
            self._due[full] = due
            heapq.heappush(self._heap, (due, full))

    def delete(self, key: str) -> None:
        full = self._prefix + key
        self._touched.pop(full, None)
        self._dirty.pop(full, None)
        self._due.pop(full, None)
        self._deleted.add(full)

    def next_due(self) -> float | None:
        """Returns when the earliest timer wants to fire, in epoch seconds."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[str]:
        """Yields the keys (without the prefix) whose timers are due. The caller must `put` or `delete` each of them."""
        while (due := self.next_due()) is not None and due <= now:
            _, full = heapq.heappop(self._heap)
            del self._due[full]
            yield full[len(self._prefix) :]

    def holding(self, words: bytes) -> list[str]:
        """The keys (without the prefix) of values in whose bytes these words occur, and of all that changed since the last
        commit. Nothing is decoded: it takes a fraction of a microsecond for each."""
        found = [full for full, entry in self._entries.items() if full not in self._dirty and words in entry]
        return [full[len(self._prefix) :] for full in (*found, *self._dirty) if full not in self._deleted]

    def keys(self) -> Iterator[str]:
        """All keys, without the prefix."""
        for full in self._entries.keys() | self._dirty.keys():
            if full not in self._deleted:
                yield full[len(self._prefix) :]

    def changes(self) -> dict[str, bytes | None]:
        """Returns what was put and deleted since the last call, in the form in which it is committed."""
        out: dict[str, bytes | None] = {}
        encode = self._encoder.encode
        for full, due in self._dirty.items():
            entry = _HEAD.pack(self._version, due) + encode(self._touched[full])
            self._entries[full] = out[full] = entry
        for full in self._deleted:
            if self._entries.pop(full, None) is not None:
                out[full] = None
        self._touched.clear()
        self._dirty.clear()
        self._deleted.clear()
        return out

    def _decode(self, full: str, entry: bytes) -> T:
        try:
            return self._decoder.decode(memoryview(entry)[_HEAD.size :])
        except msgspec.DecodeError as error:
            raise Damaged(
                f"state {full!r} cannot be read: {error}; `firebreak doctor --quarantine PARTITION:KEY` sets it aside"
            ) from error
