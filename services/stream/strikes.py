"""Finds the record at which processes die.

A lane that fails in Python sets the record aside itself (`runner`). A process that is killed by one, for its memory or by a
fault in native code, starts again at the same record and dies again, for ever.

So a process notes where it begins before it thinks about its first batch, and each of the records that it takes alone. Three
processes that came no further than that batch, and it is taken record by record; three more that came no further than one
record, and that is set aside. An orderly stop in between costs nothing but a few small steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

KEY: Final = "~strikes"
"""Under this key the note stands in the state of a lane."""
MOST_DEATHS: Final = 3


class Note(msgspec.Struct, array_like=True, frozen=True):
    """What the next process must know: `lives` processes in a row began at `position`, `life` being the last of them, with the
    records before `until`, or `alone` with the first of those."""

    position: int
    lives: int
    until: int
    alone: bool
    life: str


class Judgement(NamedTuple):
    aside: bool
    """The record is not to be thought about any more."""
    note: bytes | None = None
    """To be kept durably before the records are thought about, if anything."""


class Strikes:
    """What is known of one partition's deaths. `life` names this process: a lane that starts anew within it is no death."""

    def __init__(self, entry: bytes | None, life: str, position: int) -> None:
        self._life = life
        self._found = found = _decoded(entry)
        self._noted = False
        self.alone_until = 0
        """Up to this position records are taken one by one."""
        if found is not None and position < found.until:
            died_of_batch = not found.alone and self._deaths_at(position, alone=False) >= MOST_DEATHS
            if found.alone or died_of_batch:
                self.alone_until = found.until

    def judge(self, position: int, after: int) -> Judgement:
        """Judge the records from `position` to before `after`, which are about to be thought about."""
        alone = position < self.alone_until
        if self._noted and not alone:
            return Judgement(aside=False)
        self._noted = True
        deaths = self._deaths_at(position, alone)
        if alone and deaths >= MOST_DEATHS:
            return Judgement(aside=True)
        self._found = Note(position, deaths + 1, self.alone_until if alone else after, alone, self._life)
        return Judgement(aside=False, note=msgspec.msgpack.encode(self._found))

    def _deaths_at(self, position: int, alone: bool) -> int:
        """Processes that began here and came no further."""
        found = self._found
        if found is None or (found.position, found.alone) != (position, alone):
            return 0
        return found.lives - 1 if found.life == self._life else found.lives


def without(entries: Mapping[str, bytes]) -> tuple[Mapping[str, bytes], bytes | None]:
    """Returns the entries of the stage, and the note."""
    if KEY not in entries:
        return entries, None
    return {key: value for key, value in entries.items() if key != KEY}, entries[KEY]


def _decoded(entry: bytes | None) -> Note | None:
    if entry is None:
        return None
    try:
        return msgspec.msgpack.decode(entry, type=Note)
    except msgspec.DecodeError:
        return None  # of another release: to count anew is all that it costs
