"""From a cascade to what a brand is told: probability, size, crossing time, level and the reason in words.

A model is anything that keeps the `Forecaster` protocol; the closed form of `hawkes` is the one that needs no training.
Levels have hysteresis (a level is left below `KEEP` of its threshold) and need a minimum of evidence. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from scorer.virality import hawkes
from scorer.virality.cascade import Cascade, Excitation, LastAnnounced
from services.contracts.signal import Level, Line

WATCH_AT: Final = 0.42
LIKELY_AT: Final = 0.57
IMMINENT_AT: Final = 0.81
"""Frozen on validation folds of Twitter15/16 (line 500, 72 h, every event): a story that reaches them for the first time goes
on to cross with precision 0.5, 0.7 and 0.93 (`scorer.training.virality`), and with 0.4, 0.62 and 0.9 on Weibo, because what is
said is set right for each network first (`scorer.recalibration_state`). 0.78 would do for 0.9, at three minutes more of lead
and half as many false alarms again at a line of 100."""
IMMINENT_WITHIN_SECONDS: Final = 3_600.0
KEEP: Final = 0.6
MIN_ENGAGEMENTS: Final = 5
MIN_VOICE: Final = 100_000
"""One engagement by an account this large is evidence too."""
LOOK_GROWTH: Final = 1.02
LOOK_UNLIKELY_GROWTH: Final = 1.12
LOOK_UNLIKELY: Final = 0.2
"""A story of which nobody would be told by far needs to grow by an eighth before it is looked at again."""
LOOK_REACH: Final = 1.25
LOOK_SECONDS: Final = 60.0
LOOK_AGE: Final = 0.05
"""Looked at again when a twentieth of its age has passed, and never sooner than `LOOK_SECONDS` for time alone: a slow story
changes slowly."""
QUIET_SECONDS: Final = 1_800.0
"""A story eases when it crossed or was told, and then grew by less than `QUIET_RATE` of its peak for so long."""
QUIET_RATE: Final = 0.02
RECHECK_SECONDS: Final = 300.0
"""A story that was told is looked at again after so long without an event: it must be able to ease."""
TELL_AGAIN_SECONDS: Final = 600.0
TELL_PROBABILITY: Final = 0.1
TELL_GROWTH: Final = 1.25
Z80: Final = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Prediction:
    """Sizes are engagements within the horizon, an 80 % interval with its median; `soon` says whether the line is expected
    to be crossed within `IMMINENT_WITHIN_SECONDS`."""

    low: float
    median: float
    high: float
    probability: float
    without_automation: float
    soon: bool


class Crossing(NamedTuple):
    """Seconds from now until the line is crossed, an 80 % interval with its median; `None`: not within the horizon."""

    earliest: float | None
    expected: float | None
    latest: float | None


class Forecaster(Protocol):
    @property
    def name(self) -> str: ...

    def probability(self, cascade: Cascade, line: Line, now: float, horizon: float) -> float:
        """P(crosses the line within `horizon` seconds from the beginning of the cascade). Called often: a story of which
        nobody was told and whose probability is low needs no more than this."""

    def predict(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Prediction:
        """The whole forecast; never raises, whatever was folded."""

    def crossing(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Crossing:
        """When, for a forecast that is told. Called seldom."""


class ClosedForm:
    """SEISMIC's estimate with a prior and a log-normal spread (`hawkes`). Announced as what it is in every forecast."""

    name = "seismic-closed-form-1"

    def probability(self, cascade: Cascade, line: Line, now: float, horizon: float) -> float:
        more = more_until(line, cascade.everyone, float(cascade.engagements))
        return hawkes.probability_of(more, ahead_of(cascade, cascade.everyone, now, horizon))

    def predict(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Prediction:
        ahead = ahead_of(cascade, cascade.everyone, now, horizon)
        seen = float(cascade.engagements)
        more = more_until(line, cascade.everyone, seen)
        without = probability = hawkes.probability_of(more, ahead)
        if cascade.automated:
            people = ahead_of(cascade, cascade.humans, now, horizon)
            without = hawkes.probability_of(more_until(line, cascade.humans, cascade.humans.events), people)
        return Prediction(
            low=seen + hawkes.quantile(ahead, -Z80),
            median=seen + ahead.remaining,
            high=seen + hawkes.quantile(ahead, Z80),
            probability=probability,
            without_automation=without,
            soon=ahead.remaining * hawkes.share_within(IMMINENT_WITHIN_SECONDS, ahead.weights) >= more,
        )

    def crossing(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Crossing:
        ahead = ahead_of(cascade, cascade.everyone, now, horizon)
        more = more_until(line, cascade.everyone, float(cascade.engagements))
        return Crossing(
            *(hawkes.seconds_until(more, hawkes.quantile(ahead, z), ahead.weights) for z in (Z80, 0.0, -Z80))
        )


def ahead_of(cascade: Cascade, sums: Excitation, now: float, horizon: float) -> hawkes.Outlook:
    return hawkes.outlook(sums, max(0.0, now - cascade.newest), max(0.0, cascade.begins + horizon - now))


def more_until(line: Line, sums: Excitation, seen: float) -> float:
    """Engagements still missing until the line; an audience is turned into engagements by what one brings on average."""
    missing = []
    if line.engagements is not None:
        missing.append(line.engagements - seen)
    if line.audience is not None:
        brings = max(1.0, sums.reach / (sums.events + 1.0))
        missing.append((line.audience - sums.reach) / brings)
    return max(0.0, min(missing, default=math.inf))


def has_crossed(cascade: Cascade, line: Line) -> bool:
    return (line.engagements is not None and cascade.engagements >= line.engagements) or (
        line.audience is not None and cascade.everyone.reach >= line.audience
    )


def is_quiet(cascade: Cascade, now: float) -> bool:
    """Whether nothing worth speaking of comes any more."""
    return now - cascade.newest >= QUIET_SECONDS or (
        now - cascade.begins >= QUIET_SECONDS and cascade.rate(1, now) < QUIET_RATE * cascade.peak_rate
    )


def has_evidence(cascade: Cascade) -> bool:
    """Whether there is enough to say anything: a few engagements, or one loud voice."""
    return cascade.engagements >= MIN_ENGAGEMENTS or any((card.followers or 0) >= MIN_VOICE for card in cascade.loudest)


def moved_enough(cascade: Cascade, now: float) -> bool:
    """Whether a forecast could differ from the last one: it grew, reaches a quarter more, or time has passed."""
    engagements, reach, at, probability = cascade.looked
    growth = LOOK_UNLIKELY_GROWTH if probability < LOOK_UNLIKELY else LOOK_GROWTH
    return (
        cascade.engagements > engagements * growth
        or cascade.everyone.reach > reach * LOOK_REACH
        or now - at >= max(LOOK_SECONDS, LOOK_AGE * (now - cascade.begins))
    )


def worth_a_forecast(probability: float, told: LastAnnounced | None) -> bool:
    """Whether more than the probability is wanted: somebody was told already, or may have to be."""
    return told is not None or probability >= WATCH_AT


def level_of(
    cascade: Cascade, line: Line, prediction: Prediction, told: LastAnnounced | None, now: float
) -> Level | None:
    """The level now; `None` is below watching. Falls only with hysteresis, and to `EASING` once it was told."""
    before = Level(told.level) if told is not None else None
    crossed = has_crossed(cascade, line)
    if before is not None and is_quiet(cascade, now):
        return Level.EASING
    if crossed:
        return Level.CROSSED
    if not has_evidence(cascade):
        return before
    p = prediction.probability

    def holds(level: Level, threshold: float) -> bool:
        kept = before in _AT_LEAST[level]
        return p >= threshold * (KEEP if kept else 1.0)

    if prediction.soon and holds(Level.IMMINENT, IMMINENT_AT):
        return Level.IMMINENT
    if holds(Level.LIKELY, LIKELY_AT):
        return Level.LIKELY
    if holds(Level.WATCH, WATCH_AT):
        return Level.WATCH
    # A forecast that fell is watched on: only silence ends a story that was told.
    return Level.WATCH if before not in {None, Level.EASING} else before


_AT_LEAST: Final = {
    Level.WATCH: {Level.WATCH, Level.LIKELY, Level.IMMINENT},
    Level.LIKELY: {Level.LIKELY, Level.IMMINENT},
    Level.IMMINENT: {Level.IMMINENT},
}


def worth_telling(level: Level | None, prediction: Prediction, told: LastAnnounced | None, now: float) -> bool:
    """Whether this forecast says something that the last one did not. Nothing is told below watching."""
    if level is None:
        return False
    if told is None or level != told.level:
        return True
    if level is Level.EASING or now - told.at < TELL_AGAIN_SECONDS:
        return False
    return (
        abs(prediction.probability - told.probability) >= TELL_PROBABILITY
        or prediction.median >= told.size * TELL_GROWTH
    )


def reason_in_words(
    cascade: Cascade, line: Line, level: Level, prediction: Prediction, crossing: Crossing, now: float
) -> str:
    """Why this level, in one sentence that a person at night understands."""
    goal = f"{line.engagements} engagements" if line.engagements is not None else f"an audience of {line.audience}"
    counts = f"{cascade.engagements} engagements in {_span(now - cascade.begins)}"
    if cascade.loudest and (voice := cascade.loudest[0]).followers:
        counts += f", the loudest voice with {voice.followers:,} followers"
    if level is Level.CROSSED:
        return f"{counts}: over the line of {goal}, heading for about {prediction.median:,.0f}"
    if level is Level.EASING:
        return f"{counts}: hardly anything follows any more"
    text = f"{counts}, {cascade.rate(0, now) * 60:.1f} a minute now: {prediction.probability:.0%} sure to pass {goal}"
    if crossing.expected is not None and level is not Level.WATCH:
        text += f", expected in {_span(crossing.expected)}"
    if prediction.without_automation < prediction.probability - 0.2:
        text += f"; only {prediction.without_automation:.0%} without accounts that look automated"
    return text


def _span(seconds: float) -> str:
    minutes = max(0.0, seconds) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
