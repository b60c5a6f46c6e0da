"""The heart: follows each conversation of one lane, post by post, and says what it means for the brand it is about.

A batch of records goes through five stages, in this order (`CascadeProcessor._stages`):
  read      bytes to events; what cannot be read goes to the dead letter
  score     the texts that say something about a brand, all at once, on the inference thread (`scoring`)
  fold      every event into its conversation, in order; each may give signals (`folding`)
  forecast  once for every conversation that moved (`forecasting`)
  account   what changed in the lane's state, and how much was read
Timers that are due go through four: those of conversations, then forecasts, those of open minutes, and the account.
Nothing here does input or output: the outcome is committed by the lane, with the offsets it stands for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from scorer.concluding import Concluding
from scorer.editing import Editing
from scorer.folding import Folding
from scorer.forecasting import Forecasting
from scorer.forwarding import Forwarding
from scorer.lane_state import LaneState
from scorer.metrics import ScorerMetrics
from scorer.scoring import Score, Scoring
from scorer.step import Arrival, Step
from scorer.virality.forecast import Forecaster
from scorer.watched import Watching
from services.base.clock import moment
from services.contracts.codec import Unreadable, decode
from services.contracts.post import (
    AuthorChanged,
    PostDeleted,
    PostObserved,
    PostPlaced,
    PostVisibility,
    SourceCoverage,
    StoryLinked,
)
from services.eventlog.base import Record
from services.stream.deadletter import DeadLetters
from services.stream.off_loop import off_loop
from services.stream.processor import StepResult

# Compared by type, not by isinstance: models answer that with a method of their own, which costs more than folding a counter.
_KNOWN: Final = frozenset(
    {PostObserved, PostPlaced, PostDeleted, PostVisibility, AuthorChanged, StoryLinked, SourceCoverage}
)


class CascadeProcessor:
    """One lane over `firebreak.posts` (protocol `services.stream.processor.Processor`)."""

    def __init__(
        self,
        partition: int,
        letters: DeadLetters,
        *,
        score: Score,
        model: str,
        forecaster: Forecaster,
        watching: Watching,
        horizon_seconds: float,
        expire_seconds: float,
        metrics: ScorerMetrics,
    ) -> None:
        """`model` is the name of the sentiment model behind `score`; `watching` is asked once for each step."""
        self._partition = partition
        self._letters = letters
        self._metrics = metrics
        self._watching = watching
        self._state = state = LaneState()
        scoring = Scoring(state, score)
        forwarding = Forwarding(state, metrics)
        concluding = Concluding(partition, state, metrics, model=model)
        editing = Editing(partition, state, forwarding, concluding)
        folding = Folding(state, metrics, forwarding, concluding, editing)
        forecasting = Forecasting(
            state, forecaster, forwarding, horizon_seconds=horizon_seconds, expire_seconds=expire_seconds
        )
        self._score = scoring.score
        self._conclude = (folding.fold, forecasting.forecast, self._account)
        self._timers = (forecasting.expire, forecasting.forecast, self._tell_minutes, self._account)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._state.restore(entries)

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        step = Step.of(now, self._metrics, self._watching(), records)
        await off_loop(lambda: self._read(step))
        await self._score(step)
        await off_loop(lambda: _each(self._conclude, step))
        return step.out

    def due(self) -> datetime | None:
        at = self._state.next_due()
        return None if at is None else moment(at)

    async def fire(self, now: datetime) -> StepResult:
        step = Step.of(now, self._metrics, self._watching())
        await off_loop(lambda: _each(self._timers, step))
        return step.out

    def _read(self, step: Step) -> None:
        """The records that hold an event of this topic become arrivals, all others dead letters."""
        for record in step.records:
            try:
                envelope = decode(record.value)
            except Unreadable as error:
                step.out.appends.append(self._letters.letter(record, error.reason, error.detail))
                continue
            if type(envelope.event) in _KNOWN:
                step.arrivals.append(Arrival(record, envelope.id, envelope.event))
            else:
                step.out.appends.append(self._letters.letter(record, "misplaced", envelope.event.TYPE))

    def _tell_minutes(self, step: Step) -> None:
        """Say how many posts each brand had in the minutes that are over."""
        for brand, minute in self._state.volumes.pop_over(step.now):
            step.signals.volume(brand, self._partition, minute)

    def _account(self, step: Step) -> None:
        """Put what changed in the lane's state into the outcome, and count what was read."""
        step.out.changes |= self._state.changes()
        kinds = Counter([arrival.event.kind for arrival in step.arrivals if type(arrival.event) is PostObserved])
        for kind, count in kinds.items():
            self._metrics.posts.labels(kind).inc(count)
        self._metrics.dedup_misses.inc(step.taken)
        self._metrics.dedup_forgotten.inc(step.forgotten)
        self._metrics.cascades.labels(str(self._partition)).set(len(self._state.cascades))


def _each(stages: Sequence[Callable[[Step], None]], step: Step) -> None:
    for stage in stages:
        stage(step)
