"""One step of a lane on its way through the stages of `scorer.pipeline`: what came in, what was concluded, what goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from scorer.metrics import ScorerMetrics
from scorer.sentiment.model import Reading
from scorer.signals import Signals
from scorer.watched import Watched
from services.base.clock import epoch
from services.contracts.base import Event, EventId
from services.contracts.post import PostKind
from services.eventlog.base import Record
from services.stream.processor import StepResult

SPEAKING: Final = frozenset({PostKind.ORIGINAL, PostKind.REPLY, PostKind.QUOTE})
"""The kinds of posts whose author says something in words of their own."""


class Arrival(msgspec.Struct):
    """One event that could be read. The score stage adds `reading` where the event is a post whose text was scored."""

    record: Record
    id: EventId
    event: Event
    reading: Reading | None = None


@dataclass(slots=True)
class Step:
    """One batch of records, or one set of timers, in one lane. Each stage takes what the stages before it left here."""

    now: float
    """Epoch seconds."""
    signals: Signals
    out: StepResult
    watched: Watched
    """One configuration from the first stage to the last, even if another takes its place meanwhile."""
    records: Sequence[Record] = ()
    arrivals: list[Arrival] = field(default_factory=list)
    moved: dict[str, None] = field(default_factory=dict)
    """The conversations whose forecast may have changed, in the order in which they moved."""
    taken: int = 0
    """Events that were not known yet."""
    forgotten: int = 0
    """Older events of their conversations that were forgotten for these."""

    @classmethod
    def of(cls, now: datetime, metrics: ScorerMetrics, watched: Watched, records: Sequence[Record] = ()) -> Step:
        """A step at `now` that has been through no stage yet."""
        out = StepResult()
        return cls(epoch(now), Signals(out, metrics), out, watched, records)
