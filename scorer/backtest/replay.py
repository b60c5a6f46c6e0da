"""One recorded cascade through the code that runs in production, event by event: every forecast it would have made.

The same fold, the same decision whether to look again, the same levels with their hysteresis as in `scorer.pipeline`. Beside
them, at the same moments, what the rules on the market would have seen. Besides the looks that events cause there are those of
the timers that production sets once a story was told, so that silence eases it; and one at each of `CHECK_SECONDS`, which only
measures: it changes nothing that is said later.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from scorer.backtest.hindsight import Hindsight
from scorer.backtest.recorded import BRAND, EPOCH, Recorded, kind_of, opened
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.forecast import (
    RECHECK_SECONDS,
    ClosedForm,
    Forecaster,
    has_crossed,
    has_evidence,
    level_of,
    moved_enough,
    worth_a_forecast,
    worth_telling,
)
from scorer.virality.recalibration import Recalibration
from services.contracts.signal import Level, Line

CHECK_SECONDS: Final = (600.0, 1_800.0, 3_600.0, 14_400.0)
HOUR: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Look:
    """One forecast. `seconds` after the root; `check` says that time, not an event, was the cause."""

    seconds: float
    observed: int
    probability: float
    predicted: float
    low: float
    high: float
    crossing_seconds: float | None
    """When the line is expected to be crossed, in seconds after the root."""
    level: Level | None
    check: bool
    evidence: bool
    rivals: tuple[float, ...]


RIVALS: Final = ("count", "velocity (1 h)", "Meltwater-style spike", "plain SEISMIC")


@dataclass(slots=True)
class Market:
    """What the rules on the market look at (`market rules` of the model card): the engagements of the last 13 hours."""

    seismic: ClosedForm = field(default_factory=ClosedForm)
    last_hour: deque[float] = field(default_factory=deque)
    before: deque[float] = field(default_factory=deque)

    def add(self, seconds: float) -> None:
        self.last_hour.append(seconds)

    def scores(self, cascade: Cascade, line: Line, now: float, horizon: float, seconds: float) -> tuple[float, ...]:
        """Count; engagements in the last hour; those against the hourly mean of the twelve hours before, which a young
        cascade does not have, so that it is taken to have had one an hour; P(crosses) by the closed form."""
        while self.last_hour and self.last_hour[0] <= seconds - HOUR:
            self.before.append(self.last_hour.popleft())
        while self.before and self.before[0] <= seconds - 13 * HOUR:
            self.before.popleft()
        velocity = float(len(self.last_hour))
        usual = max(1.0, len(self.before) / 12)
        return (
            float(cascade.engagements),
            velocity,
            velocity / usual,
            self.seismic.probability(cascade, line, now, horizon),
        )


class Stage:
    """Recorded cascades through the forecaster, one after the other, in the order of their root times."""

    def __init__(self, forecaster: Forecaster, line: Line, horizon: float, *, learning: bool = True) -> None:
        self._forecaster = forecaster
        self._line = line
        self._horizon = horizon
        self._learning = learning
        self._hindsight = Hindsight(horizon)
        self._known = self._hindsight.known

    def learned(self) -> dict[str, Recalibration]:
        """By network, how what is said is set right in the end."""
        return self._known.learned()

    def follow(self, recorded: Recorded) -> Iterator[Look]:
        """Every forecast until the horizon, in order."""
        begin = EPOCH if recorded.root_time is None else recorded.root_time
        self._hindsight.begin(begin)
        cascade = opened(recorded, begin)
        yield from self._looks(recorded, cascade, begin)
        if self._learning:
            assert self._line.engagements is not None, "recorded cascades are judged by a line of engagements"
            crossed = recorded.crossing(self._line.engagements, self._horizon) is not None
            self._hindsight.end(recorded.root_time, cascade.network, cascade.claims.get(BRAND, []), crossed=crossed)

    def _looks(self, recorded: Recorded, cascade: Cascade, begin: float) -> Iterator[Look]:
        """A forecast is told, and so changes the level, as in production."""
        market = Market()
        told: LastAnnounced | None = None
        recheck = math.inf
        checks = deque(at for at in CHECK_SECONDS if at <= self._horizon)

        def look(seconds: float, *, check: bool) -> Look:
            nonlocal told
            now = begin + seconds
            evidence = has_evidence(cascade)
            prediction = self._forecaster.predict(cascade, self._line, now, self._horizon)
            if not check:
                self._known.follow(cascade, BRAND, self._line, prediction.probability)
            prediction = self._known.prediction(cascade, self._line, prediction)
            level = level_of(cascade, self._line, prediction, told, now) if evidence else None
            if not check and level is not None and worth_telling(level, prediction, told, now):
                told = LastAnnounced(
                    told.number + 1 if told else 1, level.value, prediction.probability, prediction.median, now, None
                )
            crossing = None
            if worth_a_forecast(prediction.probability, told) and not has_crossed(cascade, self._line):
                expected = self._forecaster.crossing(cascade, self._line, now, self._horizon).expected
                crossing = None if expected is None else seconds + expected
            return Look(
                seconds=seconds,
                observed=cascade.engagements,
                probability=prediction.probability,
                predicted=prediction.median,
                low=prediction.low,
                high=prediction.high,
                crossing_seconds=crossing,
                level=level,
                check=check,
                evidence=evidence,
                rivals=market.scores(cascade, self._line, now, self._horizon, seconds),
            )

        def due(seconds: float) -> Look | None:
            """What production would say at this moment, be it an event or a timer; afterwards the timer is set anew."""
            nonlocal recheck
            found = None
            if has_evidence(cascade) and moved_enough(cascade, begin + seconds):
                found = look(seconds, check=False)
                cascade.looked = (cascade.engagements, cascade.everyone.reach, begin + seconds, found.probability)
            open_ = told is not None and told.level != Level.EASING
            recheck = seconds + RECHECK_SECONDS if open_ else math.inf
            return found

        def silence(until: float) -> Iterator[Look]:
            while (at := min(checks[0] if checks else math.inf, recheck)) < until:
                if at == recheck:
                    found = due(at)
                    if found is not None:
                        yield found
                else:
                    yield look(checks.popleft(), check=True)

        for event in recorded.events[1:]:
            if event.delay > self._horizon:
                break
            yield from silence(event.delay)
            at = begin + event.delay
            cascade.add_engagement(kind_of(event.kind), at, event.followers, human=True, velocity=True)
            market.add(event.delay)
            found = due(event.delay)
            if found is not None:
                yield found
        yield from silence(math.nextafter(self._horizon, math.inf))
