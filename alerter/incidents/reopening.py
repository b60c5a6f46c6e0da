"""Decides whether a story whose incident is over opens another one, and says why. Pure.

What counts is what the story was when its incident ended. A person who resolved it had seen its size and its forecast, so
neither of them brings it back, nor does a trickle; twice that size does (the brand's `reopen_factor`), and so does a
forecast of twice what was forecast then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from alerter.incidents import words
from alerter.incidents.record import Facet, IncidentRecord, Measures, negatives_of
from alerter.rules.conditions import LEVEL_RANK, Opening, level_words
from services.contracts.base import ConversationId
from services.contracts.incident import IncidentState
from services.contracts.scales import sev
from services.contracts.signal import BrandSurge, CascadeForecast, PostNegative

DEFAULT_FACTOR: Final = 2.0
LEAST_ENGAGEMENTS: Final = 10
LEAST_REACH: Final = 100_000
LEAST_NEGATIVES: Final = 10
"""A story that grew by less than this is a trickle, whatever the factor: three times two is six."""
MAX_CONVERSATIONS: Final = 64
"""How many conversations of an ended story are followed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a story is, summed over its conversations. `heading` is the median of its forecast final size."""

    engagements: float = 0
    reach: float = 0
    negatives: float = 0
    heading: float = 0


def why_reopened(
    ended: IncidentRecord, signal: Opening, severity: int, now: datetime, factor: float = DEFAULT_FACTOR
) -> str | None:
    """Returns why a signal on which a rule fires opens another incident about the story, or `None` if it does not.

    A story that a person resolved comes back only if it got worse or grew by `factor`. So does any story while it cools
    down, because one that flickers around its rule is still the same trouble.
    """
    found = _worse(ended, signal, severity) or _grown(ended, signal, factor)
    cool = (ended.ended_at or ended.incident.changed_at) + timedelta(minutes=ended.terms.cool_down_minutes)
    if found is None and not ended.by_hand and now >= cool:
        found = "a rule fires again"
    return None if found is None else f"{_history(ended, signal)}: {found}."


def follow(ended: IncidentRecord, signal: Opening) -> IncidentRecord:
    """Returns the ended incident with what the signal, which did not reopen it, says about its story since then.

    So a story that grows in many small places is seen to grow.
    """
    since = ended.since
    if isinstance(signal, PostNegative):
        return ended.model_copy(update={"since": since.model_copy(update={"negatives": since.negatives + 1})})
    if not isinstance(signal, CascadeForecast):
        return ended
    known = since.sizes
    if signal.conversation not in known and len(known) >= MAX_CONVERSATIONS:
        return ended
    sizes = {**known, signal.conversation: _measured(ended.facets.get(signal.conversation), signal)}
    return ended.model_copy(update={"since": since.model_copy(update={"sizes": sizes})})


def size_at_end(ended: IncidentRecord) -> Size:
    """Returns how large the story was when its incident ended."""
    return _sum(list(_at_end(ended).values()))


def sizes_now(ended: IncidentRecord) -> dict[ConversationId, Measures]:
    """Returns the size of each conversation as last heard, for the incident that opens after this one."""
    measured = {conversation: measures(size) for conversation, size in _at_end(ended).items()}
    return {**measured, **ended.since.sizes}


def _at_end(ended: IncidentRecord) -> dict[ConversationId, Size]:
    earlier = {conversation: Size(*size) for conversation, size in ended.earlier.items()}
    return earlier | {conversation: _kept(facet) for conversation, facet in ended.facets.items()}


def measures(size: Size) -> Measures:
    return size.engagements, size.reach, size.negatives, size.heading


def _worse(ended: IncidentRecord, signal: Opening, severity: int) -> str | None:
    if severity < ended.peak_severity:
        return f"it is more severe than it ever was ({sev(severity)}, before at worst {sev(ended.peak_severity)})"
    if isinstance(signal, CascadeForecast) and LEVEL_RANK[signal.level] > ended.peak_rank:
        return f"it {level_words(signal.level)}, which it never was before"
    if isinstance(signal, BrandSurge) and ended.ended_at is not None and signal.begins > ended.ended_at:
        return "a surge began after it"
    return None


def _grown(ended: IncidentRecord, signal: Opening, factor: float) -> str | None:
    """Returns what grew by `factor` since the end, in words, or `None`."""
    if isinstance(signal, BrandSurge):
        posts = ended.surge.observed if ended.surge is not None else 0
        grown = posts > 0 and _outgrew(signal.observed, posts, factor, LEAST_ENGAGEMENTS)
        return f"its surge grew from {posts:,} to {signal.observed:,} negative posts" if grown else None
    then, now = size_at_end(ended), _size_now(ended, signal)
    if _outgrew(now.engagements, then.engagements, factor, LEAST_ENGAGEMENTS):
        return f"it has grown {_times(now.engagements, then.engagements)}"
    if _outgrew(now.reach, then.reach, factor, LEAST_REACH):
        return f"it reaches {now.reach:,.0f} followers, and {then.reach:,.0f} then"
    heard = ended.since.negatives + isinstance(signal, PostNegative)
    angry = max(now.negatives, then.negatives + heard)
    if _outgrew(angry, then.negatives, factor, LEAST_NEGATIVES):
        return f"{angry - then.negatives:,.0f} negative replies and quotes followed"
    if _outgrew(now.heading, max(then.heading, then.engagements), factor, LEAST_ENGAGEMENTS):
        return f"it is heading for {now.heading:,.0f} engagements, and for {then.heading:,.0f} then"
    return None


def _outgrew(now: float, then: float, factor: float, least: float) -> bool:
    return now >= then * factor and now - then >= least


def _times(now: float, then: float) -> str:
    return f"{now / then:.1f} times" if then else f"to {now:,.0f} engagements"


def _size_now(ended: IncidentRecord, signal: Opening) -> Size:
    """Returns how large the story is by this signal and those that were followed since the end."""
    sizes = _at_end(ended)
    for conversation, since in ended.since.sizes.items():
        sizes[conversation] = Size(*since)
    if isinstance(signal, CascadeForecast):
        place = signal.conversation
        sizes[place] = Size(*_measured(ended.facets.get(place), signal))
    return _sum(list(sizes.values()))


def _measured(then: Facet | None, signal: CascadeForecast) -> Measures:
    """Returns the size of the signal's conversation (the fields of `Size`).

    A forecast whose number begins anew comes from a scorer that had forgotten the conversation, and counted from zero.
    """
    evidence, heading = signal.evidence, signal.final_size.median
    now = Size(evidence.engagements, evidence.reach, negatives_of(signal), heading)
    if then is not None and signal.number <= then.number:
        now = _sum([_kept(then), now])
        now = Size(now.engagements, now.reach, now.negatives, then.outlook.observed + heading)
    return measures(now)


def _kept(facet: Facet) -> Size:
    return Size(facet.outlook.observed, facet.outlook.reach, facet.negatives, facet.outlook.final_size.median)


def _sum(sizes: list[Size]) -> Size:
    return Size(
        sum(s.engagements for s in sizes),
        sum(s.reach for s in sizes),
        sum(s.negatives for s in sizes),
        sum(s.heading for s in sizes),
    )


def _history(ended: IncidentRecord, signal: Opening) -> str:
    """Returns what became of the incident before, and how large the story was then and is now."""
    at = ended.ended_at or ended.incident.changed_at
    if ended.by_hand:
        how = f"resolved by {ended.resolved_by}" if ended.resolved_by else "resolved"
    else:
        state = ended.incident.state
        how = "over" if state is IncidentState.RESOLVED else f"over ({words.STATE_WORDS[state]})"
    then = size_at_end(ended).engagements
    with_then = f" with {then:,.0f} engagements" if then else ""
    now = f", and now has {_size_now(ended, signal).engagements:,.0f}" if isinstance(signal, CascadeForecast) else ""
    return f"The incident before was {how} at {at:%Y-%m-%d %H:%M} UTC{with_then}{now}"
