"""How a source fares, as its holder last said in `firebreak.sources`: what `firebreak sources` and people see. No post."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class Phase(StrEnum):
    """What a source is doing."""

    LISTENING = "listening"
    WAITING = "waiting"
    """For its next try."""
    REFUSED = "refused"
    """Only people can mend it."""
    CALLED = "called"
    """It is called by its network, on any replica."""
    GONE = "gone"
    """The configuration does not name it any more."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The last word about one source. `holder` is the process that has it; times are in UTC."""

    name: str
    network: str
    kind: str
    phase: Phase
    holder: str
    at: datetime
    heard_at: datetime | None = None
    last_post_at: datetime | None = None
    lag_seconds: float | None = None
    gap_since: datetime | None = None
    why: str | None = None
    next_try_at: datetime | None = None
    spent_today: float = 0.0
    spent_this_month: float = 0.0
    share: float = 1.0


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(SourceStatus)


def encode_status(status: SourceStatus) -> bytes:
    return _ENCODER.encode(status)


def decode_status(value: bytes) -> SourceStatus:
    """Raises `ValueError` for what is none. Fields that a newer release added are read over."""
    return _DECODER.decode(value)
