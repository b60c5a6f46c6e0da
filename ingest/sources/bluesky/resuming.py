"""Where a Jetstream is asked to go on, and whether it did. Pure.

Each server counts the events that it hears itself, so a sequence means something at its own server only, and there only as long
as its archive lives. A server that does not know the place says nothing, or little: version 2 starts at its newest event when a
sequence is beyond it (some tell `FutureCursor`), version 1 begins with its oldest event when a time is before it. What was
heard last proves the place: it has to come again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ingest.sources.base import Cursor
from ingest.sources.bluesky.memory import HELD
from ingest.sources.bluesky.shapes import SkyFrame, from_microseconds, microseconds

MOST_GONE: Final = 100
"""So many erased authors travel in a cursor, so that their return is recognised after a restart."""
_STEP: Final = timedelta(seconds=1)
_BACK: Final = timedelta(seconds=2)
"""How far a server is asked to go back by its own time: events of one moment come in any order."""


class Dialect(StrEnum):
    """The two protocols of Jetstream."""

    NEW = "v2"
    OLD = "v1"


class StreamPlace(msgspec.Struct, frozen=True):
    """The position of a cursor: the event from which on everything is to come again, and the authors that are gone. Version 1
    has no sequences (0)."""

    sequence: int
    microseconds: int
    gone: tuple[str, ...] = ()

    @property
    def at(self) -> datetime:
        return from_microseconds(self.microseconds)


def read_place(cursor: Cursor) -> StreamPlace:
    """The place in a cursor; one that cannot be read is its time alone."""
    try:
        return msgspec.json.decode(cursor.position, type=StreamPlace)
    except msgspec.MsgspecError:
        return StreamPlace(0, microseconds(cursor.at.astimezone(UTC) - HELD))


@dataclass(frozen=True, slots=True)
class Resume:
    """What a server is asked for. Without `value` it begins with its newest event. `sequence` has to come first, with `begins`
    as its time; by time, something until `heard` has to come, which is when the latest event was heard."""

    value: int | None = None
    sequence: int = 0
    begins: datetime | None = None
    heard: datetime | None = None


def resume(cursor: Cursor | None, origin: str, dialect: Dialect, rewind: timedelta, *, by_time: bool = False) -> Resume:
    """How to go on at `origin`: by its own sequence, or by time from `rewind` earlier. `by_time` forbids the sequence."""
    if cursor is None:
        return Resume()
    place = read_place(cursor)
    same = cursor.origin == origin
    if same and place.sequence and dialect is Dialect.NEW and not by_time:
        return Resume(place.sequence, place.sequence, place.at, cursor.at)
    back, slack = (_BACK, timedelta(0)) if same and not by_time else (rewind, rewind)
    return Resume(microseconds(place.at - back), heard=cursor.at + slack)


class Begun(StrEnum):
    """What the first event says about the place at which a server went on."""

    IN_PLACE = "in place"
    RENUMBERED = "renumbered"
    LATER = "later"


def judge(asked: Resume, first: SkyFrame) -> Begun:
    """Whether the server went on where it was asked to."""
    if asked.sequence and asked.begins is not None:
        same_event = first.sequence == asked.sequence and first.at == asked.begins
        later_event = first.sequence > asked.sequence and first.at >= asked.begins
        return Begun.IN_PLACE if same_event or later_event else Begun.RENUMBERED
    if asked.heard is not None and first.at > asked.heard:
        return Begun.LATER
    return Begun.IN_PLACE


class _Step(NamedTuple):
    sequence: int
    at: datetime


class Trail:
    """The way that a stream has come, to find the event from which on to hear everything again. It lies behind the latest one
    by as long as early engagements are held, because a crash loses those."""

    def __init__(self, begins: StreamPlace | None = None) -> None:
        self._steps = [] if begins is None else [_Step(begins.sequence, begins.at)]
        self.latest: datetime | None = None

    def passed(self, frame: SkyFrame) -> None:
        self.latest = frame.at if self.latest is None else max(self.latest, frame.at)
        if not self._steps or frame.at - self._steps[-1].at >= _STEP:
            self._steps.append(_Step(frame.sequence, frame.at))
            while len(self._steps) > 1 and frame.at - self._steps[1].at >= HELD:
                del self._steps[0]

    def cursor(self, origin: str, gone: tuple[str, ...]) -> Cursor | None:
        """Where to go on, with the authors that are gone; None as long as nothing has come."""
        if self.latest is None:
            return None
        first = self._steps[0]
        place = StreamPlace(first.sequence, microseconds(first.at), gone)
        return Cursor(origin, msgspec.json.encode(place).decode(), self.latest)
