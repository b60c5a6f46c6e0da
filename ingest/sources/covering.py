"""What is said of a source's coverage, as events for the log: heartbeats while it really hears, and one gap for each outage,
which keeps its begin from its first report to its last. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ingest.sources.base import Missed
from ingest.sources.state import OpenGap
from services.contracts.base import BrandId, event_id
from services.contracts.codec import encode
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.topics import POSTS
from services.eventlog.base import Message

BEAT_SECONDS: Final = 60.0
"""How often a source that hears says so."""
PROMISE_SECONDS: Final = 150.0
"""Within so long the next heartbeat comes: one may be late, and a move to another process is no silence."""
REASON_CHARS: Final = 200


def healthy(
    network: str, name: str, brands: Sequence[str], now: datetime, promise: float | None, reason: str | None = None
) -> Message:
    """A heartbeat; without a `promise` none need follow."""
    return _message(
        SourceCoverage(
            network=network,
            connector=name,
            state=CoverageState.HEALTHY,
            begins=now,
            ends=now,
            every_seconds=promise,
            brands=_brands(brands),
            reason=_short(reason),
            observed_at=now,
        )
    )


def gap(
    network: str, name: str, brands: Sequence[str], now: datetime, what: OpenGap, ends: datetime | None = None
) -> Message:
    """A gap that is open, or ends."""
    return _message(
        SourceCoverage(
            network=network,
            connector=name,
            state=CoverageState.GAP,
            begins=what.begins,
            ends=None if ends is None else max(ends, what.begins),
            brands=_brands(brands),
            missed=what.missed,
            reason=_short(what.reason),
            observed_at=now,
        )
    )


def merged(gap_open: OpenGap | None, missed: Missed) -> OpenGap:
    """The open gap, with what is now known to be missed for good in it."""
    if gap_open is None:
        return OpenGap(missed.begins, missed.reason, missed.count)
    counts = [count for count in (gap_open.missed, missed.count) if count is not None]
    return OpenGap(gap_open.begins, missed.reason, sum(counts) if counts else None)


def _message(event: SourceCoverage) -> Message:
    said = (event.network, event.connector, event.state, event.begins, event.ends, event.missed, event.reason)
    id_ = event_id("coverage", *said, event.every_seconds, *event.brands)
    return Message(POSTS.name, f"{event.network}:{event.connector}", encode(event, id_))


def _brands(brands: Sequence[str]) -> tuple[BrandId, ...]:
    return tuple(sorted(map(BrandId, set(brands))))


def _short(reason: str | None) -> str | None:
    if reason is None:
        return None
    return "".join(c if c.isprintable() else " " for c in reason[:REASON_CHARS])
