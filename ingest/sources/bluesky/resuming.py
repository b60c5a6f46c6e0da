"""Where a Jetstream is asked to go on, and whether it did. Pure.

Each server counts the events that it hears itself, so a sequence means something at its own server only, and there only as long
as its archive lives. A server that does not know the place says nothing, or little: version 2 starts at its newest event when a
sequence is beyond it (some tell `FutureCursor`), version 1 begins with its oldest event when a time is before it. What was
heard last proves the place: it has to come again.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """The position of a cursor: the event from which on everything is to come again, the authors that are gone, and the latest
    event that was heard. Version 1 has no sequences (0). At a place that was only `opened` no event was heard yet."""

    sequence: int
    microseconds: int
    gone: tuple[str, ...] = ()
    latest: int = 0
    opened: bool = False

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
    # Where nothing was heard, the time is ours and not the server's, and nothing has to come again.
    back = _BACK if same and not by_time and not place.opened else rewind
    slack = timedelta(0) if same else rewind
    return Resume(microseconds(place.at - back), heard=None if place.opened else cursor.at + slack)


def opening(origin: str, now: datetime) -> Cursor:
    """The cursor of a stream that begins now: what is said from now on is fetched, though the stream ends before it comes."""
    return Cursor(origin, msgspec.json.encode(StreamPlace(0, microseconds(now), opened=True)).decode(), now)


def heard_before(cursor: Cursor | None, origin: str, asked: Resume, now: datetime) -> Callable[[SkyFrame], bool]:
    """Which events that come again were heard and stored. By their sequence where it holds; a server's clock may be set back,
    so without sequences nothing that is from after `now`, when the stream was opened, counts as heard."""
    place = None if cursor is None or cursor.origin != origin else read_place(cursor)
    if cursor is None or place is None or place.opened:
        return lambda _: False
    if asked.sequence:
        return lambda frame: frame.sequence <= place.latest
    until = min(cursor.at, now)
    return lambda frame: frame.at <= until


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
    by as long as early engagements are held, because a crash loses those. A server's clock that is set back begins it anew."""

    def __init__(self, begins: StreamPlace | None = None) -> None:
        self._steps = [] if begins is None else [_Step(begins.sequence, begins.at)]
        self.latest: datetime | None = None
        self._sequence = 0 if begins is None else begins.latest

    def passed(self, frame: SkyFrame) -> None:
        self._sequence = max(self._sequence, frame.sequence)
        if self._steps and frame.at < self._steps[-1].at - HELD:
            self._steps, self.latest = [], None
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
        place = StreamPlace(first.sequence, microseconds(first.at), gone, self._sequence)
        return Cursor(origin, msgspec.json.encode(place).decode(), self.latest)
