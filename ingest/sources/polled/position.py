"""How the places of several lists stand in one cursor, within its bound. Pure.

The times always fit. What is left of the space goes to digests of the posts that were met last, the same number for each list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from ingest.sources.polled.lists import ListPlace
from services.base.clock import epoch, moment

MAX_CHARS: Final = 7_900
DIGEST_CHARS: Final = 6
PAIR_CHARS: Final = 2 * DIGEST_CHARS
"""One digest of the id, one of the version."""
MOST_PAIRS: Final = 150


class _SavedPlace(msgspec.Struct, array_like=True):
    begun: float
    at: float
    asked: float
    known: str = ""


class Position(msgspec.Struct):
    """The places by the names of their lists, and the units spent on `day`."""

    lists: dict[str, _SavedPlace]
    day: str = ""
    units: float = 0

    def places(self) -> dict[str, ListPlace]:
        """Raises `ValueError` if a time is none."""
        found = {}
        for name, saved in self.lists.items():
            try:
                place = ListPlace(moment(saved.begun), moment(saved.at), moment(saved.asked))
            except (OverflowError, OSError) as error:
                raise ValueError("a time that is none") from error
            whole = len(saved.known) - len(saved.known) % PAIR_CHARS
            for begin in range(0, whole, PAIR_CHARS):
                pair = saved.known[begin : begin + PAIR_CHARS]
                place.known[pair[:DIGEST_CHARS]] = pair[DIGEST_CHARS:]
            found[name] = place
        return found


def written(places: Mapping[str, ListPlace], day: str, units: float) -> str:
    """At most `MAX_CHARS` characters."""
    bare = Position({name: _saved(place, 0) for name, place in places.items()}, day, units)
    room = MAX_CHARS - len(msgspec.json.encode(bare))
    each = min(MOST_PAIRS, max(0, room // (PAIR_CHARS * max(1, len(places)))))
    full = Position({name: _saved(place, each) for name, place in places.items()}, day, units)
    return msgspec.json.encode(full).decode()


def read(position: str) -> Position | None:
    """What `written` wrote; `None` if it is something else."""
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        return msgspec.json.decode(position, type=Position)
    return None


def _saved(place: ListPlace, pairs: int) -> _SavedPlace:
    newest = list(place.known.items())[-pairs:] if pairs else []
    known = "".join(id_digest + version for id_digest, version in newest)
    return _SavedPlace(_seconds(place.begun), _seconds(place.at), _seconds(place.asked), known)


def _seconds(time: datetime) -> float:
    return round(epoch(time), 3)
