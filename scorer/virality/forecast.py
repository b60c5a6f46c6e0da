"""From a cascade to what a brand is told: probability, size, crossing time, level and the reason in words. Pure.

Any model that keeps the `Forecaster` protocol can be used; `ClosedForm` is the one that needs no training. A level is given
only with a minimum of evidence, and it is left only below `KEEP` times its threshold (hysteresis).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from scorer.virality import hawkes
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.excitation import Excitation
from services.contracts.signal import Level, Line

WATCH_AT: Final = 0.42
LIKELY_AT: Final = 0.57
IMMINENT_AT: Final = 0.81
"""The probabilities from which a story is watched, likely to cross, and about to cross.

They were chosen on validation folds of Twitter15/16 (line 500, horizon 72 h) by `scorer.training.virality`. Of the stories
that reach them for the first time, 50 %, 70 % and 93 % cross the line there, and 40 %, 62 % and 90 % on Weibo: probabilities
are corrected for each network before they are compared (`scorer.recalibration_state`). `IMMINENT_AT` could be 0.78 for a
precision of 90 % on Twitter; alerts would come three minutes earlier, with 50 % more false ones at a line of 100."""
IMMINENT_WITHIN_SECONDS: Final = 3_600.0
"""A story is about to cross if it is expected to do so within this time."""
KEEP: Final = 0.6
"""A level that was given is kept down to this share of its threshold."""
MIN_ENGAGEMENTS: Final = 5
MIN_VOICE: Final = 100_000
"""The evidence for a level is so many engagements, or one by an account with so many followers."""
LOOK_GROWTH: Final = 1.02
"""A story is forecast again when it has grown by this factor since the last forecast."""
LOOK_UNLIKELY: Final = 0.2
LOOK_UNLIKELY_GROWTH: Final = 1.12
"""The factor for a story whose probability was below `LOOK_UNLIKELY`, far from any level."""
LOOK_REACH: Final = 1.25
"""It is also forecast again when its reach has grown by this factor, ..."""
LOOK_SECONDS: Final = 60.0
LOOK_AGE: Final = 0.05
"""... or when this share of its age has passed, but at least `LOOK_SECONDS`: a slow story changes slowly."""
QUIET_SECONDS: Final = 1_800.0
QUIET_RATE: Final = 0.02
"""A story is quiet when it had no engagement for `QUIET_SECONDS`, or when, being older than that, it grows at less than this
share of its peak rate."""
RECHECK_SECONDS: Final = 300.0
"""A story of which somebody was told is looked at again after so long without an event, so that it can ease."""
TELL_AGAIN_SECONDS: Final = 600.0
TELL_PROBABILITY: Final = 0.1
TELL_GROWTH: Final = 1.25
"""On the same level a brand is told again at most every `TELL_AGAIN_SECONDS`, when the probability has moved by
`TELL_PROBABILITY` or the expected size has grown by this factor."""
FRESH_SECONDS: Final = 60.0
FRESH_GROWTH: Final = 1.1
FRESH_REACH: Final = 1.25
"""The numbers of a story that was told are told again when its engagements or reach have grown by these factors, at most
every `FRESH_SECONDS`: people see a number that is a minute or a tenth old, whichever is more. A story that grows from 40 to
10,000 engagements costs 58 forecasts at most."""
Z80: Final = 1.2815515655446004
"""Half the width of an 80 % interval of the normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a forecaster expects. `low`, `median` and `high` are the final size in engagements within the horizon, as an 80 %
    interval with its median; `probability` is that of crossing the line, `without_automation` the same without accounts that
    look automated; `soon` is True if the line is expected to be crossed within `IMMINENT_WITHIN_SECONDS`."""

    low: float
    median: float
    high: float
    probability: float
    without_automation: float
    soon: bool


class Crossing(NamedTuple):
    """Seconds from now until the line is crossed, as an 80 % interval with its median; `None` if that is not expected within
    the horizon."""

    earliest: float | None
    expected: float | None
    latest: float | None

    def until(self, left: float) -> Crossing:
        """The same without what lies more than `left` seconds ahead, which is beyond the horizon."""
        return Crossing(*(None if at is None or at > left else at for at in self))


class Forecaster(Protocol):
    """A model of how far a cascade will go. `now` is in epoch seconds, `horizon` in seconds from the beginning of the cascade.
    None of the methods raises, whatever events were folded."""

    @property
    def name(self) -> str:
        """Name and version, as every forecast states them."""

    def probability(self, cascade: Cascade, line: Line, now: float, horizon: float) -> float:
        """The probability that the cascade crosses the line within the horizon. Called often: most stories are so unlikely to
        cross that nothing else is asked of them."""

    def predict(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Prediction:
        """The whole forecast, for a story that may be announced."""

    def crossing(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Crossing:
        """When the line will be crossed, for a forecast that is announced. Called seldom."""


class ClosedForm:
    """SEISMIC's estimate with a prior and a log-normal spread (`hawkes`): needs no training. Its forecasts carry its name."""

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
        crossing = Crossing(
            *(hawkes.seconds_until(more, hawkes.quantile(ahead, z), ahead.weights) for z in (Z80, 0.0, -Z80))
        )
        return crossing.until(cascade.begins + horizon - now)


def ahead_of(cascade: Cascade, sums: Excitation, now: float, horizon: float) -> hawkes.Outlook:
    """What is still to come within the horizon by the closed form; `sums` are those of the cascade, or of its people."""
    return hawkes.outlook(sums, max(0.0, now - cascade.newest), max(0.0, cascade.begins + horizon - now))


def more_until(line: Line, sums: Excitation, seen: float) -> float:
    """The engagements still missing until the line, where `seen` were counted; infinite if the line asks for nothing.

    An audience is turned into engagements by the followers that one of them brings on average.
    """
    missing = []
    if line.engagements is not None:
        missing.append(line.engagements - seen)
    if line.audience is not None:
        brings = max(1.0, sums.reach / (sums.events + 1.0))
        missing.append((line.audience - sums.reach) / brings)
    return max(0.0, min(missing, default=math.inf))


def has_crossed(cascade: Cascade, line: Line) -> bool:
    """Returns True if the cascade has reached the engagements or the audience of the line."""
    return (line.engagements is not None and cascade.engagements >= line.engagements) or (
        line.audience is not None and cascade.everyone.reach >= line.audience
    )


def is_quiet(cascade: Cascade, now: float) -> bool:
    """Returns True if hardly anything follows any more (`QUIET_SECONDS`, `QUIET_RATE`)."""
    return now - cascade.newest >= QUIET_SECONDS or (
        now - cascade.begins >= QUIET_SECONDS and cascade.rate(1, now) < QUIET_RATE * cascade.peak_rate
    )


def has_evidence(cascade: Cascade) -> bool:
    """Returns True if there is enough to say anything: a few engagements, or one by a very large account."""
    return cascade.engagements >= MIN_ENGAGEMENTS or any((card.followers or 0) >= MIN_VOICE for card in cascade.loudest)


def moved_enough(cascade: Cascade, now: float) -> bool:
    """Returns True if a forecast could differ from the last one: the cascade grew, reaches more people, or time has passed."""
    engagements, reach, at, probability = cascade.looked
    growth = LOOK_UNLIKELY_GROWTH if probability < LOOK_UNLIKELY else LOOK_GROWTH
    return (
        cascade.engagements > engagements * growth
        or cascade.everyone.reach > reach * LOOK_REACH
        or now - at >= max(LOOK_SECONDS, LOOK_AGE * (now - cascade.begins))
    )


def has_news(cascade: Cascade, line: Line, last: LastAnnounced | None, now: float) -> bool:
    """Returns True if people must hear of the story whatever its last forecast was: it has crossed the line and they do not
    know, or what they know is out of date."""
    crossed_unsaid = (last is None or last.crossed_at is None) and has_crossed(cascade, line)
    return crossed_unsaid or (last is not None and now >= last.at + FRESH_SECONDS and is_outdated(cascade, last, now))


def is_outdated(cascade: Cascade, last: LastAnnounced, now: float) -> bool:
    """Returns True if the numbers of the last announced forecast are no longer those of the story, or if it said that the
    line may be crossed from a time that has long passed."""
    return (
        cascade.engagements > last.engagements * FRESH_GROWTH
        or cascade.everyone.reach > last.reach * FRESH_REACH
        or (last.crossed_at is None and last.earliest is not None and last.earliest < now - RECHECK_SECONDS)
    )


def worth_a_forecast(probability: float, last: LastAnnounced | None) -> bool:
    """Returns True if the whole forecast is needed: the brand was told of the story before, or may have to be."""
    return last is not None or probability >= WATCH_AT


def level_of(
    cascade: Cascade, line: Line, prediction: Prediction, last: LastAnnounced | None, now: float
) -> Level | None:
    """The level of the story now, after the `last` one that was announced; `None` if it is not worth watching.

    A level falls only with hysteresis. A story that was announced eases when it is quiet, and is watched until then.
    """
    before = Level(last.level) if last is not None else None
    crossed = has_crossed(cascade, line)
    if crossed and last is not None and last.crossed_at is None and before is not Level.CROSSED:
        return Level.CROSSED  # however slowly it got there: nobody may read that it eased and never crossed
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


def worth_telling(level: Level | None, prediction: Prediction, last: LastAnnounced | None, now: float) -> bool:
    """Returns True if this forecast says something that the last announced one did not: another level, or on the same level a
    clearly different probability or size after some time."""
    if level is None:
        return False
    if last is None or level != last.level:
        return True
    if level is Level.EASING or now - last.at < TELL_AGAIN_SECONDS:
        return False
    return (
        abs(prediction.probability - last.probability) >= TELL_PROBABILITY
        or prediction.median >= last.size * TELL_GROWTH
    )


def reason_in_words(
    cascade: Cascade, line: Line, level: Level, prediction: Prediction, crossing: Crossing, now: float
) -> str:
    """Why this level, in one sentence that a person at night understands."""
    goal = f"{line.engagements} engagements" if line.engagements is not None else f"an audience of {line.audience}"
    counts = f"{cascade.engagements} engagements in {_span(now - cascade.begins)}"
    if cascade.late:
        counts += f" ({cascade.late:,} of them heard late)"
    if cascade.root is not None and cascade.root.own:
        counts += " under the brand's own post"
    if (driver := cascade.driver) is not None:
        counts += f", {driver.engagements} of them with one reply"
    if resurfaced := _resurfaced(cascade):
        counts = f"{resurfaced}: {counts}"
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


def _resurfaced(cascade: Cascade) -> str | None:
    """In words, that the post is older than its story; `None` if they began together."""
    if cascade.written:
        return f"a post of {(cascade.begins - cascade.written) / 86_400:.0f} days before resurfaced"
    if not cascade.knows_root:
        return "resurfaced, the post itself is older than what we know"
    return None


def _span(seconds: float) -> str:
    minutes = max(0.0, seconds) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
