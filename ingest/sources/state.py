"""What is kept of a source between two lives: its cursor, the gap that is open, and what it has spent. It stands in the
changelog of `firebreak.sources`, and changes in the transaction that stores what was heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from ingest.sources.base import Cursor
from services.base.errors import Damaged

VERSION: Final = 1
MAX_POSITION_CHARS: Final = 8_000


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that goes on. It keeps its begin, by which its end is recognised."""

    begins: datetime
    reason: str
    missed: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars of one UTC day (`2026-05-01`) and of its month."""

    day: str = ""
    today: float = 0.0
    this_month: float = 0.0

    def at(self, now: datetime) -> Spent:
        """The same as of `now`: a new day and a new month begin at zero."""
        day = now.strftime("%Y-%m-%d")
        if day == self.day:
            return self
        return Spent(day, 0.0, self.this_month if day[:7] == self.day[:7] else 0.0)

    def plus(self, dollars: float) -> Spent:
        return replace(self, today=self.today + dollars, this_month=self.this_month + dollars)


@dataclass(frozen=True, slots=True)
class SourceState:
    """`heard_at` is when the source last heard its network, as our clock says; `alive_at` when we last said that it hears;
    `last_post_at` when it last brought a post; `gone` that the configuration does not name it any more."""

    network: str = ""
    cursor: Cursor | None = None
    heard_at: datetime | None = None
    alive_at: datetime | None = None
    last_post_at: datetime | None = None
    gap: OpenGap | None = None
    spent: Spent = Spent()
    gone: bool = False
    version: int = VERSION


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(SourceState)


def encode_state(state: SourceState) -> bytes:
    return _ENCODER.encode(state)


def decode_state(name: str, value: bytes) -> SourceState:
    """Raises `Damaged`: to begin anew silently would lose what was written since."""
    try:
        state = _DECODER.decode(value)
    except ValueError as error:
        raise Damaged(f"the state of the source {name!r} cannot be read: {error}") from error
    if state.version != VERSION:
        raise Damaged(f"the state of the source {name!r} is of version {state.version}; this release knows {VERSION}")
    return state
