"""Plays recorded cascades through the code that runs in production, event by event, and yields every forecast it would make.

Events are folded, forecasts made again and levels kept as `scorer.pipeline` does it. At the same moments the scores of the
rules on the market are taken. Forecasts are made after events; by the timers that production sets once a brand was told of a
story, so that silence eases it; and at each of `CHECK_SECONDS`, where they are only measured and change nothing later.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from scorer.backtest.hindsight import Hindsight
from scorer.backtest.recorded import BRAND, EPOCH, Recorded, kind_of, opened
from scorer.recalibration_state import RecalibrationState
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.forecast import (
    RECHECK_SECONDS,
    ClosedForm,
    Forecaster,
    has_crossed,
    has_evidence,
    has_news,
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
    """One forecast, `seconds` after the root. `check` is True if it was made only to be measured; `evidence` is False if there
    was too little to give a level; `rivals` are the scores of the market's rules (`RIVALS`)."""

    seconds: float
    observed: int
    probability: float
    predicted: float
    low: float
    high: float
    crossing_seconds: float | None
    """When the line is expected to be crossed, in seconds after the root; `None` if that is not expected, or not asked."""
    level: Level | None
    check: bool
    evidence: bool
    rivals: tuple[float, ...]


RIVALS: Final = ("count", "velocity (1 h)", "Meltwater-style spike", "plain SEISMIC")


@dataclass(slots=True)
class Market:
    """The rules on the market (see the model card), which look at the engagements of the last 13 hours."""

    seismic: ClosedForm = field(default_factory=ClosedForm)
    last_hour: deque[float] = field(default_factory=deque)
    before: deque[float] = field(default_factory=deque)

    def add(self, seconds: float) -> None:
        """Take an engagement, `seconds` after the root."""
        self.last_hour.append(seconds)

    def scores(self, cascade: Cascade, line: Line, now: float, horizon: float, seconds: float) -> tuple[float, ...]:
        """The scores in the order of `RIVALS`: all engagements; those of the last hour; their ratio to the hourly mean of the
        twelve hours before, which is taken to be at least one; the probability to cross by the closed form."""
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


class Replay:
    """Plays recorded cascades one after the other, in the order of their root times."""

    def __init__(self, forecaster: Forecaster, line: Line, horizon: float, *, learning: bool = True) -> None:
        self._forecaster = forecaster
        self._line = line
        self._horizon = horizon
        self._learning = learning
        self._hindsight = Hindsight(horizon)
        self._known = self._hindsight.known

    def learned(self) -> dict[str, Recalibration]:
        """The correction of each network, as it is in the end."""
        return self._known.learned()

    def follow(self, recorded: Recorded) -> Iterator[Look]:
        """Yields every forecast of the cascade until the horizon, in order."""
        begin = EPOCH if recorded.root_time is None else recorded.root_time
        self._hindsight.begin(begin)
        cascade = opened(recorded, begin)
        yield from _Playback(self._forecaster, self._known, self._line, self._horizon, cascade, begin).play(recorded)
        if self._learning:
            assert self._line.engagements is not None, "recorded cascades are judged by a line of engagements"
            crossed = recorded.crossing(self._line.engagements, self._horizon) is not None
            self._hindsight.end(recorded.root_time, cascade.network, cascade.claims.get(BRAND, []), crossed=crossed)


class _Playback:
    """One cascade while it is played. A forecast that is worth telling is announced, and so changes the next level."""

    def __init__(
        self,
        forecaster: Forecaster,
        known: RecalibrationState,
        line: Line,
        horizon: float,
        cascade: Cascade,
        begin: float,
    ) -> None:
        self._forecaster = forecaster
        self._known = known
        self._line = line
        self._horizon = horizon
        self._cascade = cascade
        self._begin = begin
        self._market = Market()
        self._last: LastAnnounced | None = None
        self._recheck = math.inf
        self._checks = deque(at for at in CHECK_SECONDS if at <= horizon)

    def play(self, recorded: Recorded) -> Iterator[Look]:
        """Fold all events until the horizon; yields the forecasts in order."""
        for event in recorded.events[1:]:
            if event.delay > self._horizon:
                break
            yield from self._silence(event.delay)
            at = self._begin + event.delay
            self._cascade.add_engagement(kind_of(event.kind), at, event.followers, human=True, velocity=True)
            self._market.add(event.delay)
            found = self._due(event.delay)
            if found is not None:
                yield found
        yield from self._silence(math.nextafter(self._horizon, math.inf))

    def _silence(self, until: float) -> Iterator[Look]:
        """Yields the forecasts of timers and checks that are due before `until`."""
        while (at := min(self._checks[0] if self._checks else math.inf, self._recheck)) < until:
            if at == self._recheck:
                found = self._due(at)
                if found is not None:
                    yield found
            else:
                yield self._look(self._checks.popleft(), check=True)

    def _due(self, seconds: float) -> Look | None:
        """The forecast that production would make after an event or timer at this moment, if any. Sets the next timer."""
        cascade, now, found = self._cascade, self._begin + seconds, None
        news = has_news(cascade, self._line, self._last, now)
        if has_evidence(cascade) and (news or moved_enough(cascade, now)):
            found = self._look(seconds, check=False)
            cascade.looked = (cascade.engagements, cascade.everyone.reach, now, found.probability)
        is_open = self._last is not None and self._last.level != Level.EASING
        self._recheck = seconds + RECHECK_SECONDS if is_open else math.inf
        return found

    def _look(self, seconds: float, *, check: bool) -> Look:
        """The forecast at this moment."""
        cascade, line, now, last = self._cascade, self._line, self._begin + seconds, self._last
        evidence = has_evidence(cascade)
        prediction = self._forecaster.predict(cascade, line, now, self._horizon)
        if not check:
            self._known.follow(cascade, BRAND, line, prediction.probability)
        prediction = self._known.prediction(cascade, line, prediction)
        level = level_of(cascade, line, prediction, last, now) if evidence else None
        news = has_news(cascade, line, last, now)
        if not check and level is not None and (news or worth_telling(level, prediction, last, now)):
            number = last.number + 1 if last else 1
            crossed_at = last.crossed_at if last else None
            if crossed_at is None and has_crossed(cascade, line):
                crossed_at = now
            last = LastAnnounced(
                number, level.value, prediction.probability, prediction.median, now, crossed_at,
                cascade.engagements, cascade.everyone.reach,
            )  # fmt: skip
            self._last = last
        crossing = None
        if worth_a_forecast(prediction.probability, last) and not has_crossed(cascade, line):
            expected = self._forecaster.crossing(cascade, line, now, self._horizon).expected
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
            rivals=self._market.scores(cascade, line, now, self._horizon, seconds),
        )
