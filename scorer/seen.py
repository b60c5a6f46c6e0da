"""Which events of a conversation were counted: a page of events that is read again counts nothing twice.

The newest ids of a conversation stand in its cascade, which is written with every batch that moves it. Each time these are
full they are sealed into a chunk under a key of its own. So a batch of the hottest story rewrites its newest chunk, of at
most 8 kB, and a story with a handful of events has no chunk at all.

An id is eight bytes of a hash. In one of 33 million stories with `MOST_IDS` events, and in one of 370 billion with 10,000,
an event is taken for a repetition by chance.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from scorer.virality.cascade import Cascade
from services.contracts.base import EventId
from services.stream.state import KeyedState

STATE_VERSION: Final = 1
ID_BYTES: Final = 8
RECENT_IDS: Final = 64
"""Ids that stand in the cascade itself. Most conversations never have more."""
_FULL_BYTES: Final = RECENT_IDS * ID_BYTES
CHUNK_IDS: Final = 1_024
MOST_IDS: Final = 1 << 20
"""Ids remembered for each conversation: 8 MB for a story with a million events. Beyond that the oldest are forgotten."""
FORGET_IDS: Final = MOST_IDS // 8
"""So many are forgotten at once, because the index of so large a story takes a tenth of a second to build."""
INDEXED_IDS: Final = 1 << 20
"""Sealed ids of one lane that are kept in an index, those of the conversations that moved last."""
LEAST_FRESH: Final = 256
FRESH_SHARE: Final = 8
"""New ids are merged into the sorted ones when they are so many, and an eighth of them: linear in the number of events."""


class Chunk(msgspec.Struct, array_like=True):
    """Sealed ids of one conversation, in the order in which they came."""

    ids: bytes = b""


class _Index:
    """The sealed ids of one conversation in memory: about 17 bytes each."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._sorted = array("Q", sorted(ids))
        self._fresh: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._fresh)

    def __contains__(self, number: int) -> bool:
        if number in self._fresh:
            return True
        known = self._sorted
        place = bisect_left(known, number)
        return place < len(known) and known[place] == number

    def add(self, numbers: Iterable[int]) -> None:
        self._fresh.update(numbers)
        if len(self._fresh) > max(LEAST_FRESH, len(self._sorted) // FRESH_SHARE):
            # Two sorted runs: sorting them is one merge.
            self._sorted = array("Q", sorted([*self._sorted, *sorted(self._fresh)]))
            self._fresh.clear()


class SeenEvents:
    """The events that the conversations of one lane have counted."""

    def __init__(self) -> None:
        self._chunks = KeyedState("d:", Chunk, STATE_VERSION)
        self._indexes: dict[str, _Index] = {}
        self._indexed = 0

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state."""
        self._chunks.restore(entries)

    def remember(self, conversation: str, cascade: Cascade, digest: bytes) -> int | None:
        """Remember an event by `ID_BYTES` of its id. The caller puts the cascade, which changes, into the state.

        Returns how many older events were forgotten for it, or `None` if it is known already.
        """
        recent = cascade.recent
        if digest in recent or (cascade.ids and digest[-5:] in cascade.ids):
            return None
        if cascade.sealed:
            index = self._indexes.get(conversation)
            if index is None:
                index = self._load(conversation, cascade)
            if int.from_bytes(digest, "big") in index:
                return None
        cascade.recent = recent = recent + digest
        return self._seal(conversation, cascade) if len(recent) >= _FULL_BYTES else 0

    def forget(self, conversation: str, cascade: Cascade) -> None:
        """The conversation is over: forget its events."""
        self._drop_index(conversation)
        self._delete(conversation, cascade, cascade.sealed)

    def changes(self) -> dict[str, bytes | None]:
        """What was put and deleted since the last call, as it is to be committed."""
        return self._chunks.changes()

    def _seal(self, conversation: str, cascade: Cascade) -> int:
        """Move the ids of the cascade to its newest chunk. Returns how many of the oldest were forgotten."""
        index = self._indexes.pop(conversation, None)
        if index is None:
            index = self._load(conversation, cascade)
        self._indexes[conversation] = index  # the last in order is the one that moved last
        key = _key(conversation, cascade.sealed // CHUNK_IDS)
        chunk = self._chunks.get(key) or Chunk()
        chunk.ids += cascade.recent
        self._chunks.put(key, chunk, None)
        index.add(_numbers(cascade.recent))
        self._indexed += RECENT_IDS
        self._make_room()
        cascade.sealed += RECENT_IDS
        cascade.recent = b""
        if cascade.sealed - cascade.unsealed <= MOST_IDS:
            return 0
        self._drop_index(conversation)
        self._delete(conversation, cascade, cascade.unsealed + FORGET_IDS)
        return FORGET_IDS

    def _delete(self, conversation: str, cascade: Cascade, end: int) -> None:
        """Delete the chunks of the ids before the `end`-th that was sealed."""
        for start in range(cascade.unsealed, end, CHUNK_IDS):
            self._chunks.delete(_key(conversation, start // CHUNK_IDS))
        cascade.unsealed = end

    # -- the index -----------------------------------------------------------------------------------------------------

    def _load(self, conversation: str, cascade: Cascade) -> _Index:
        """Build the index of the conversation from its chunks."""
        numbers: list[int] = []
        for start in range(cascade.unsealed, cascade.sealed, CHUNK_IDS):
            chunk = self._chunks.get(_key(conversation, start // CHUNK_IDS))
            if chunk is not None:  # it is missing only if it was damaged and set aside
                numbers += _numbers(chunk.ids)
        index = self._indexes[conversation] = _Index(numbers)
        self._indexed += len(index)
        self._make_room()
        return index

    def _make_room(self) -> None:
        """Drop the indexes of the conversations that grew least lately; the newest one stays, whatever its size."""
        while self._indexed > INDEXED_IDS and len(self._indexes) > 1:
            self._drop_index(next(iter(self._indexes)))

    def _drop_index(self, conversation: str) -> None:
        index = self._indexes.pop(conversation, None)
        if index is not None:
            self._indexed -= len(index)


def id_digest(event: EventId) -> bytes:
    """What is remembered of the id of an event."""
    return bytes.fromhex(event[: 2 * ID_BYTES])


def _key(conversation: str, number: int) -> str:
    return f"{conversation}:{number}"


def _numbers(ids: bytes) -> Iterable[int]:
    numbers = array("Q", ids)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
