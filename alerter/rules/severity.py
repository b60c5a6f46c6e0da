"""Grades how severe a signal makes its story, and says why. Pure.

Severity runs from 1 (the worst) to 4. It starts from the level (or the complaint, or the surge) and gets worse by one
for each of these: a high probability, an audience that has turned, a predicted size far over the line, a severe
complaint. A low reach never makes it milder: forty followers and one famous quote is the case this product exists for.
A story that nobody is angry about, under the brand's own post or one in its praise, is never worse than 3.
Automated amplification makes it milder by one and is named in the reason; it never silences the alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alerter.rules.conditions import Opening, level_words, percent
from services.contracts.scales import a_complaint
from services.contracts.signal import (
    OVERWHELMING_FACTOR,
    BrandSurge,
    CascadeForecast,
    CopyWave,
    Level,
    Line,
    PostAsked,
    PostCard,
    PostFlagged,
    PostNegative,
    PostUnread,
)

WORST, MILDEST = 1, 4
PRESSING: Final = 2
"""The mildest severity for which a policy that is used up goes on."""

_OF_LEVEL: Final = {Level.EASING: 4, Level.WATCH: 4, Level.LIKELY: 3, Level.IMMINENT: 2, Level.CROSSED: 2}
_OF_COMPLAINT: Final = {0: 4, 1: 4, 2: 4, 3: 3, 4: 2}
_OF_TOPIC: Final = {"self_harm": 3, "safety": 3, "recall": 3, "breach": 3, "legal": 3}
"""Of a post that is known by its words alone. Words may mean something else, so a rule says with `raises_to` what they are
worth to it; a topic of somebody's own is the mildest until then."""
_OF_SURGE: Final = ((10.0, 1), (5.0, 2), (0.0, 3))
UNKNOWN_SURGE, PROVEN_SURGE = 3, 2
"""The worst a surge can be as long as the brand's baseline is not known, and if its own numbers prove it all the same."""

CERTAIN_PROBABILITY: Final = 0.9
FAR_OVER_LINE: Final = 3.0
"""A median forecast of this many times the line is worse than just crossing it."""
SOUR_SHARE: Final = 0.6
SOUR_MARGIN: Final = 0.2
SOUR_SCORED: Final = 10
"""An audience has turned when most replies and quotes are negative, clearly more than usual, and enough were scored."""
COMPLAINING: Final = 0.5
WAVE_REACH: Final = 1_000_000
WAVE_HEARD: Final = 3
"""Copies of a complaint are this severe if they have reached the audience of the line, or so many followers without one."""
NEGATIVE_ROOT: Final = 0.5
POSITIVE_ROOT: Final = 0.5
VOLUME: Final = 3
"""Many posts alone, about something that nobody is angry about, are never worse than this."""
USUAL_SHARE: Final = 0.3
"""A surge in which no more than this share of the posts is negative is a surge of posts, not of anger."""
UNREAD_SURGE: Final = 3
"""What nobody could read may be praise: a surge of it is never worse than this by itself."""
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
    if isinstance(signal, PostFlagged):
        return _grade_flagged(signal, line)
    if isinstance(signal, PostAsked):
        return _by_reach(signal.post, line, MILDEST, ["a question"])
    if isinstance(signal, PostUnread):
        return _by_reach(signal.post, line, MILDEST, [f"a post that was not read ({signal.reason})"])
    return _grade_surge(signal) if signal.wave is None else _grade_wave(signal.wave, line)


def _grade_forecast(forecast: CascadeForecast, complaint: int | None) -> Grade:
    severity = _OF_LEVEL[forecast.level]
    words = [f"the story {level_words(forecast.level)}"]
    for worse in (_certain(forecast), _sour(forecast), _far_over(forecast), _severe(complaint)):
        if worse:
            severity -= 1
            words.append(worse)
    severity = max(WORST, severity)
    fine = _fine(forecast)
    if fine and severity < VOLUME:
        severity = VOLUME
        words.append(f"no worse because {fine}")
    automated = _automated(forecast)
    if automated:
        severity = min(MILDEST, severity + 1)
        words.append(automated)
    return Grade(severity, ", ".join(words), volume=_of_volume(forecast, complaint))


def _of_volume(forecast: CascadeForecast, complaint: int | None) -> bool:
    """Returns True if there is no complaint, the root and the reply that drives it are known not to be negative, and the
    audience has not turned."""
    root, driver = forecast.root, forecast.driver
    if driver is not None and (driver.negative is None or driver.negative >= NEGATIVE_ROOT):
        return False
    if (
        complaint
        or root is None
        or not (_is_own(forecast) or (root.negative is not None and root.negative < NEGATIVE_ROOT))
    ):
        return False
    return not _has_turned(forecast) and (not _is_own(forecast) or _is_read(forecast))


def _fine(forecast: CascadeForecast) -> str | None:
    """Why there is nothing to see but many posts: the brand's own post, or praise, whose audience was read and has not turned.
    Returns `None` for all others, a neutral piece of news among them. A complaint among the replies has a grade of its own."""
    root = forecast.root
    if root is None or _has_turned(forecast) or not _is_read(forecast):
        return None
    if _is_own(forecast):
        return "it is the brand's own post, and its audience has not turned"
    if root.positive is not None and root.positive >= POSITIVE_ROOT:
        return "it is praise, and its audience has not turned"
    return None


def _is_own(forecast: CascadeForecast) -> bool:
    """Returns True if the brand itself published the root."""
    return forecast.root is not None and forecast.root.author_brand == forecast.brand


def _has_turned(forecast: CascadeForecast) -> bool:
    """Returns True if clearly more of the audience is negative than usual."""
    mood = forecast.mood
    return mood is not None and mood.negative_share >= mood.usual_share + SOUR_MARGIN


def _is_read(forecast: CascadeForecast) -> bool:
    """Returns True if enough of the replies and quotes were read to say how the audience feels: half, or all but a few."""
    spoken = forecast.evidence.replies + forecast.evidence.quotes
    unread = spoken - (0 if forecast.mood is None else forecast.mood.scored)
    return unread <= max(SOUR_SCORED, 0.5 * spoken)


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
        return f"it includes {a_complaint(complaint)}"
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
    return _by_reach(signal.post, line, severity, [a_complaint(signal.severity)])


def _grade_flagged(signal: PostFlagged, line: Line) -> Grade:
    severity = min((_OF_TOPIC.get(topic, MILDEST) for topic in signal.topics), default=MILDEST)
    said = f"mentions {' and '.join(signal.topics)}" if signal.topics else f"may mention {' and '.join(signal.hints)}"
    words = [f"a post that {said}"]
    if signal.severity is not None and _OF_COMPLAINT[signal.severity] < severity:
        severity = _OF_COMPLAINT[signal.severity]
        words.append(a_complaint(signal.severity))
    return _by_reach(signal.post, line, severity, words)


def _by_reach(post: PostCard, line: Line, severity: int, words: list[str]) -> Grade:
    """Make it worse by one if the author alone reaches the audience that the line names."""
    if line.audience and (post.followers or 0) >= line.audience:
        severity = max(WORST, severity - 1)
        words.append(f"its author alone reaches {post.followers:,} followers (the line is {line.audience:,})")
    return Grade(severity, ", ".join(words))


def _grade_surge(surge: BrandSurge) -> Grade:
    severity = next(severity for factor, severity in _OF_SURGE if surge.factor >= factor)
    if surge.unread:
        unread = f"{surge.observed:,} posts that could not be read where {surge.expected:,.1f} are usual"
        return Grade(max(severity, UNREAD_SURGE), unread)
    words = [f"{surge.observed:,} negative posts where {surge.expected:,.1f} are usual"]
    if not surge.baseline_known:
        proof = surge.own_factor
        if proof is not None and proof >= OVERWHELMING_FACTOR:
            severity = max(PROVEN_SURGE, severity)
            words.append(f"what is usual is not known yet, but it is {proof:.0f} times the busiest ten minutes so far")
        elif severity < UNKNOWN_SURGE:
            severity = UNKNOWN_SURGE
            words.append("no worse as long as it is not known what is usual for the brand")
    volume = surge.share is not None and surge.share <= USUAL_SHARE
    return Grade(severity, ", ".join(words), volume=volume)


def _grade_wave(wave: CopyWave, line: Line) -> Grade:
    """Many copies of one text are one voice: the mildest, unless it complains and has reached many."""
    words = f"{wave.copies:,} copies of one text, which count as one voice"
    if (wave.complaint or 0.0) >= COMPLAINING and wave.reach >= (line.audience or WAVE_REACH):
        return Grade(WAVE_HEARD, f"{words}, a complaint that has reached {wave.reach:,} followers")
    return Grade(MILDEST, words)
