"""Grades how severe a signal makes its story, and says why. Pure.

Severity runs from 1 (the worst) to 4. It starts from the level (or the complaint, or the surge) and gets worse by one
for each of these: a high probability, an audience that has turned, a predicted size far over the line, a severe
complaint. A low reach never makes it milder: forty followers and one famous quote is the case this product exists for.
Automated amplification makes it milder by one and is named in the reason; it never silences the alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alerter.rules.conditions import Opening, level_words, percent
from services.contracts.signal import BrandSurge, CascadeForecast, Level, Line, PostNegative

WORST, MILDEST = 1, 4

_OF_LEVEL: Final = {Level.EASING: 4, Level.WATCH: 4, Level.LIKELY: 3, Level.IMMINENT: 2, Level.CROSSED: 2}
_OF_COMPLAINT: Final = {0: 4, 1: 4, 2: 4, 3: 3, 4: 2}
_OF_SURGE: Final = ((10.0, 1), (5.0, 2), (0.0, 3))

CERTAIN_PROBABILITY: Final = 0.9
FAR_OVER_LINE: Final = 3.0
"""A median forecast of this many times the line is worse than just crossing it."""
SOUR_SHARE: Final = 0.6
SOUR_MARGIN: Final = 0.2
SOUR_SCORED: Final = 10
"""An audience has turned when most replies and quotes are negative, clearly more than usual, and enough were scored."""
NEGATIVE_ROOT: Final = 0.5
USUAL_SHARE: Final = 0.3
"""A surge in which no more than this share of the posts is negative is a surge of posts, not of anger."""
SEVERE_COMPLAINT: Final = 3
AUTOMATED_RATIO: Final = 0.5
AUTOMATED_MARGIN: Final = 0.2
"""Automation counts when the probability without it is half or less, and lower by more than a rounding error."""


@dataclass(frozen=True, slots=True)
class Grade:
    """A severity and the words for it.

    `floor` is the mildest severity that the incident may have from now on, because a rule says so. `volume` is True if
    there is nothing to see but many posts: the mood is known, and fine.
    """

    severity: int
    words: str
    floor: int | None = None
    volume: bool = False


def grade(signal: Opening, line: Line, complaint: int | None) -> Grade:
    """Grade the story by this signal. `complaint` is the severity of the worst complaint in the story so far."""
    if isinstance(signal, CascadeForecast):
        return _grade_forecast(signal, complaint)
    if isinstance(signal, PostNegative):
        return _grade_post(signal, line)
    return _grade_surge(signal)


def _grade_forecast(forecast: CascadeForecast, complaint: int | None) -> Grade:
    severity = _OF_LEVEL[forecast.level]
    words = [f"the story {level_words(forecast.level)}"]
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
    """Returns True if there is no complaint, the root and the reply that drives it are known not to be negative, and the
    audience has not turned."""
    root, mood, driver = forecast.root, forecast.mood, forecast.driver
    if driver is not None and (driver.negative is None or driver.negative >= NEGATIVE_ROOT):
        return False
    if complaint or root is None or root.negative is None or root.negative >= NEGATIVE_ROOT:
        return False
    return mood is None or mood.negative_share < mood.usual_share + SOUR_MARGIN


def _certain(forecast: CascadeForecast) -> str | None:
    if forecast.level in (Level.LIKELY, Level.IMMINENT) and forecast.probability >= CERTAIN_PROBABILITY:
        return f"the probability is {percent(forecast.probability)}"
    return None


def _sour(forecast: CascadeForecast) -> str | None:
    mood = forecast.mood
    if mood is None or mood.scored < SOUR_SCORED:
        return None
    if mood.negative_share >= SOUR_SHARE and mood.negative_share >= mood.usual_share + SOUR_MARGIN:
        return (
            f"{percent(mood.negative_share)} of replies and quotes are negative (usually {percent(mood.usual_share)})"
        )
    return None


def _far_over(forecast: CascadeForecast) -> str | None:
    line = forecast.line
    if line.engagements and forecast.final_size.median >= FAR_OVER_LINE * line.engagements:
        return f"it is heading for {forecast.final_size.median:,.0f} engagements (the line is {line.engagements:,})"
    if line.audience and forecast.evidence.reach >= FAR_OVER_LINE * line.audience:
        return f"it has reached {forecast.evidence.reach:,} followers (the line is {line.audience:,})"
    return None


def _severe(complaint: int | None) -> str | None:
    if complaint is not None and complaint >= SEVERE_COMPLAINT:
        return f"it includes a complaint of severity {complaint} of 4"
    return None


def _automated(forecast: CascadeForecast) -> str | None:
    without = forecast.probability_without_automation
    if without is None:
        return None
    if without <= AUTOMATED_RATIO * forecast.probability and forecast.probability - without >= AUTOMATED_MARGIN:
        return (
            f"lowered by one because accounts that look automated are spreading it: {percent(without)} likely to cross "
            f"without them, {percent(forecast.probability)} with them"
        )
    return None


def _grade_post(signal: PostNegative, line: Line) -> Grade:
    severity = _OF_COMPLAINT[signal.severity or 0]
    words = [f"a complaint of severity {signal.severity or 0} of 4"]
    if line.audience and (signal.post.followers or 0) >= line.audience:
        severity = max(WORST, severity - 1)
        words.append(f"its author alone reaches {signal.post.followers:,} followers (the line is {line.audience:,})")
    return Grade(severity, ", ".join(words))


def _grade_surge(surge: BrandSurge) -> Grade:
    severity = next(severity for factor, severity in _OF_SURGE if surge.factor >= factor)
    volume = surge.share is not None and surge.share <= USUAL_SHARE
    return Grade(severity, f"{surge.observed:,} negative posts where {surge.expected:,.1f} are usual", volume=volume)
