"""Which rule of the configuration a signal fires, and how severe it is. Pure; every decision comes with its reason in words.

Severity runs from 1 (worst) to 4. It starts at the level (or the complaint, or the surge) and is moved by what makes the
story worse: certainty, the audience's mood, the predicted size against the line, the complaint itself. A low reach never
lowers it: forty followers and one famous quote is the case this product exists for. Automated amplification lowers it by
one and is named; it never silences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.rules.conditions import LEVEL_RANK, Facts, Opening, Topics, checks, percent
from alerter.rules.grouping import Group, group_of
from services.config.rule import TOPICS, Rule
from services.contracts.signal import BrandSurge, CascadeForecast, Level, Line, PostNegative

__all__ = [
    "LEVEL_RANK",
    "Considered",
    "Decision",
    "Grade",
    "Opening",
    "consider",
    "decide",
    "grade",
    "percent",
    "raised",
]

WORST, MILDEST = 1, 4

_OF_LEVEL: Final = {Level.EASING: 4, Level.WATCH: 4, Level.LIKELY: 3, Level.IMMINENT: 2, Level.CROSSED: 2}
_OF_COMPLAINT: Final = {0: 4, 1: 4, 2: 4, 3: 3, 4: 2}
_OF_SURGE: Final = ((10.0, 1), (5.0, 2), (0.0, 3))

CERTAIN_PROBABILITY: Final = 0.9
FAR_OVER_LINE: Final = 3.0
"""A median this many times the line is worse than just crossing it."""
SOUR_SHARE: Final = 0.6
SOUR_MARGIN: Final = 0.2
SOUR_SCORED: Final = 10
"""An audience is sour when most of it is negative, clearly more than usual, and enough of it was scored to tell."""
NEGATIVE_ROOT: Final = 0.5
USUAL_SHARE: Final = 0.3
"""A surge whose negative posts are no larger a share than on any day is one of posts, not of anger."""
SEVERE_COMPLAINT: Final = 3
AUTOMATED_RATIO: Final = 0.5
AUTOMATED_MARGIN: Final = 0.2
"""Automation matters when without it the probability is half or less, and the difference is no rounding."""
STALE_AFTER: Final = timedelta(hours=24)
"""A post that was fetched late and is older than this opens nothing by itself: a catch-up after a gap is no storm."""


@dataclass(frozen=True, slots=True)
class Grade:
    """`floor`: at least this severe from now on, whatever follows. `volume`: the mood is known and fine, there is nothing in it
    but many posts."""

    severity: int
    words: str
    floor: int | None = None
    volume: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """This rule opens an incident of this severity, for this reason; or joins one of the same group."""

    rule: Rule
    grade: Grade
    reason: str
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule and one signal: whether it fires; every reason for it, or the first one against it."""

    rule: Rule
    fires: bool
    because: str


def decide(
    signal: Opening,
    rules: Sequence[Rule],
    line: Line,
    complaint: int | None,
    now: datetime,
    topics: Topics = TOPICS,
) -> Decision | None:
    """The first rule, in the file's order, of which every given condition holds; `None` when there is none.

    `complaint` is the worst complaint seen in the story so far. A condition about what is not known does not hold.
    """
    if stale(signal, now):
        return None
    graded: Grade | None = None
    for rule in rules:
        if rule.brands and signal.brand not in rule.brands:
            continue
        graded = graded or grade(signal, line, complaint)
        considered = consider(rule, signal, graded, complaint, topics)
        if considered.fires:
            return _decision(rule, signal, graded, considered, topics)
    return None


def _decision(rule: Rule, signal: Opening, graded: Grade, considered: Considered, topics: Topics) -> Decision:
    if rule.raises_to is not None:
        words = graded.words
        if rule.raises_to < graded.severity:
            words = f"{words}, raised from {graded.severity} by rule {rule.id}"
        graded = replace(graded, severity=min(graded.severity, rule.raises_to), words=words, floor=rule.raises_to)
    # What was seen first, then why that matters here: it is read at night, on a small screen.
    seen = "" if isinstance(signal, PostNegative) else f"{signal.reason.rstrip('.')}. "
    fired = f"rule {rule.id}: {considered.because}. Severity {graded.severity}: {graded.words}."
    return Decision(rule, graded, seen + fired, group_of(rule, signal, topics))


def consider(rule: Rule, signal: Opening, graded: Grade, complaint: int | None, topics: Topics = TOPICS) -> Considered:
    """Whether a rule fires at a signal, and why or why not."""
    found = []
    for answer in checks(rule, Facts(signal, complaint, graded.severity, topics)):
        if not answer.holds:
            return Considered(rule, False, answer.words)
        found.append(answer.words)
    # Which brand it is about stands above already.
    return Considered(rule, True, "; ".join(found[bool(rule.brands) :]))


def stale(signal: Opening, now: datetime) -> bool:
    """Fetched late, and too old to open anything by itself."""
    return isinstance(signal, PostNegative) and signal.backfill and now - signal.post.at > STALE_AFTER


def raised(
    signal: Opening, rules: Sequence[Rule], graded: Grade, complaint: int | None, topics: Topics = TOPICS
) -> Grade:
    """The grade of a signal that joins an incident, raised by the rules that say so: a rule about safety counts for a story
    that another rule found first."""
    floor, because = graded.floor, ""
    for rule in rules:
        if rule.raises_to is None or (floor is not None and rule.raises_to >= floor):
            continue
        if rule.brands and signal.brand not in rule.brands:
            continue
        considered = consider(rule, signal, graded, complaint, topics)
        if considered.fires:
            floor, because = rule.raises_to, f"raised to {rule.raises_to} by rule {rule.id}: {considered.because}"
    if not because or floor is None:
        return graded
    return replace(graded, severity=min(graded.severity, floor), words=f"{graded.words}, {because}", floor=floor)


def grade(signal: Opening, line: Line, complaint: int | None) -> Grade:
    """How severe this signal makes its story, and why."""
    if isinstance(signal, CascadeForecast):
        return _grade_forecast(signal, complaint)
    if isinstance(signal, PostNegative):
        return _grade_post(signal, line)
    return _grade_surge(signal)


def _grade_forecast(forecast: CascadeForecast, complaint: int | None) -> Grade:
    severity = _OF_LEVEL[forecast.level]
    words = [f"the story is {forecast.level.value}"]
    for worse in (_certain(forecast), _sour(forecast), _far_over(forecast), _severe(complaint)):
        if worse:
            severity -= 1
            words.append(worse)
    severity = max(WORST, severity)
    automated = _automated(forecast)
    if automated:
        severity = min(MILDEST, severity + 1)
        words.append(automated)
    return Grade(severity, ", ".join(words), volume=_of_volume(forecast, complaint))


def _of_volume(forecast: CascadeForecast, complaint: int | None) -> bool:
    """No complaint, a root that is known not to be negative, and an audience that has not turned."""
    root, mood = forecast.root, forecast.mood
    if complaint or root is None or root.negative is None or root.negative >= NEGATIVE_ROOT:
        return False
    return mood is None or mood.negative_share < mood.usual_share + SOUR_MARGIN


def _certain(forecast: CascadeForecast) -> str | None:
    if forecast.level in (Level.LIKELY, Level.IMMINENT) and forecast.probability >= CERTAIN_PROBABILITY:
        return f"it crosses the line with {percent(forecast.probability)}"
    return None


def _sour(forecast: CascadeForecast) -> str | None:
    mood = forecast.mood
    if mood is None or mood.scored < SOUR_SCORED:
        return None
    if mood.negative_share >= SOUR_SHARE and mood.negative_share >= mood.usual_share + SOUR_MARGIN:
        return f"{percent(mood.negative_share)} of the answers are negative (usually {percent(mood.usual_share)})"
    return None


def _far_over(forecast: CascadeForecast) -> str | None:
    line = forecast.line
    if line.engagements and forecast.final_size.median >= FAR_OVER_LINE * line.engagements:
        return f"it is going to {forecast.final_size.median:,.0f} engagements, the line is {line.engagements:,}"
    if line.audience and forecast.evidence.reach >= FAR_OVER_LINE * line.audience:
        return f"it has reached {forecast.evidence.reach:,} followers, the line is {line.audience:,}"
    return None


def _severe(complaint: int | None) -> str | None:
    if complaint is not None and complaint >= SEVERE_COMPLAINT:
        return f"a complaint of severity {complaint} of 4 is in it"
    return None


def _automated(forecast: CascadeForecast) -> str | None:
    without = forecast.probability_without_automation
    if without is None:
        return None
    if without <= AUTOMATED_RATIO * forecast.probability and forecast.probability - without >= AUTOMATED_MARGIN:
        return (
            f"lowered by one because accounts that look automated carry it: {percent(without)} without them, "
            f"{percent(forecast.probability)} with"
        )
    return None


def _grade_post(signal: PostNegative, line: Line) -> Grade:
    severity = _OF_COMPLAINT[signal.severity or 0]
    words = [f"a complaint of severity {signal.severity or 0} of 4"]
    if line.audience and (signal.post.followers or 0) >= line.audience:
        severity = max(WORST, severity - 1)
        words.append(f"its author alone reaches {signal.post.followers:,} followers, the line is {line.audience:,}")
    return Grade(severity, ", ".join(words))


def _grade_surge(surge: BrandSurge) -> Grade:
    severity = next(severity for factor, severity in _OF_SURGE if surge.factor >= factor)
    volume = surge.share is not None and surge.share <= USUAL_SHARE
    return Grade(severity, f"{surge.observed:,} negative posts where {surge.expected:,.1f} are usual", volume=volume)
