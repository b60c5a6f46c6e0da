"""Puts an incident into words: the sentences of every message, on every outlet. Pure; no sentence quotes a post."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from alerter.rules.conditions import level_words, percent
from services.contracts.incident import Incident, IncidentState, Outlook
from services.contracts.scales import a_complaint
from services.contracts.signal import Level, Line

_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")

_LONGEST_ASKED: Final = 120
"""Characters of a person's message that fit into a title; the reason has all of it."""
_POSTS: Final = {"question": "a question", "unread": "a post that could not be read"}

STATE_WORDS: Final = {
    IncidentState.PRIOR: "it has not crossed the line yet",
    IncidentState.ACTIVE: "it is ongoing",
    IncidentState.EASING: "it is easing",
    IncidentState.RESOLVED: "it is over",
    IncidentState.AVERTED: "it was answered and never crossed the line",
    IncidentState.EXPIRED: "it eased on its own and never crossed the line",
}


def line_words(line: Line) -> str:
    parts = []
    if line.engagements is not None:
        parts.append(f"{line.engagements:,} engagements")
    if line.audience is not None:
        parts.append(f"an audience of {line.audience:,}")
    return " or ".join(parts) or "no line"


def title(
    brand: str,
    outlook: Outlook | None,
    network: str | None,
    surging: bool,
    storm: int = 0,
    topics: Sequence[str] = (),
    complaint: int | None = None,
    *,
    posts: str | None = None,
    asked: str | None = None,
) -> str:
    """Returns what happened in one line, without words of a post, so that it never needs redaction. `topics` are those of
    posts that were flagged; `posts` says what the single posts are; `asked` is what somebody wrote who pages by hand."""
    if asked is not None:
        said = " ".join(asked.split())
        return f"{brand}: {said if len(said) <= _LONGEST_ASKED else said[: _LONGEST_ASKED - 1].rstrip() + '…'}"
    if storm:
        return f"{brand}: a storm: {storm} further {'incident' if storm == 1 else 'incidents'} beyond the page budget"
    if outlook is not None:
        where = f" on {network}" if network else ""
        line, story = line_words(outlook.line), f"{brand}: a story{where} {level_words(outlook.level)}"
        return f"{story} (its line: {line})" if outlook.level is Level.EASING else f"{story} of {line}"
    if surging:
        return f"{brand}: a surge of {'posts that could not be read' if posts == 'unread' else 'negative posts'}"
    plain = _POSTS.get(posts or "") or a_complaint(complaint)
    what = f"a post about {' and '.join(topics)}" if topics else plain
    return f"{brand}: {what}" + (f" on {network}" if network else "")


ENDED_QUIETLY: Final = frozenset({IncidentState.EXPIRED, IncidentState.AVERTED})
"""Nothing more was heard of it, and nobody said that it is over."""


def how_sure(incident: Incident) -> str:
    sure = _how_sure(incident)
    return sure if incident.unheard is None else f"{incident.unheard[0].upper()}{incident.unheard[1:]}. {sure}"


def state_words(incident: Incident, unheard: str | None = None) -> str:
    """Returns how the incident stands. Where it was `unheard`, that it never crossed its line is more than anybody knows."""
    said = STATE_WORDS[incident.state]
    is_doubted = incident.state in ENDED_QUIETLY and (unheard or incident.unheard)
    return f"as far as it was heard, {said}" if is_doubted else said


def _how_sure(incident: Incident) -> str:
    outlook = incident.outlook
    if outlook is None:
        return "There is no forecast yet."
    size = outlook.final_size
    expected = f"expected final size {size.median:,.0f} (80 % interval {size.low:,.0f} to {size.high:,.0f})"
    if outlook.level is Level.CROSSED or outlook.crossed_at is not None:
        return f"It has crossed the line: {outlook.observed:,} engagements so far; {expected}."
    return (
        f"{percent(outlook.probability)} likely to cross the line of {line_words(outlook.line)}; "
        f"{outlook.observed:,} engagements so far; {expected}."
    )


def who_has_it(incident: Incident) -> str:
    if incident.acknowledged_by is not None:
        since = incident.acknowledged_at
        person = incident.acknowledged_by
        asked = f"; {incident.assigned_to} was asked to take it over" if incident.assigned_to is not None else ""
        return f"{person} has it{'' if since is None else f' (since {since:%Y-%m-%d %H:%M} UTC)'}{asked}."
    if incident.assigned_to is not None:
        return f"It is assigned to {incident.assigned_to}, who has not acknowledged it yet."
    return "Nobody has it yet."


def by_when(incident: Incident) -> str:
    if incident.answer_by is not None:
        because = f": {incident.answer_because}" if incident.answer_because else ""
        if incident.answer_by <= incident.changed_at:
            return f"Answer now{because}."
        return f"Answer by {incident.answer_by:%Y-%m-%d %H:%M} UTC{because}."
    if incident.state is IncidentState.ACTIVE:
        return "Answer now: it is ongoing."
    return "There is no deadline."


def first_step(playbook: str | None) -> str | None:
    """Returns the first step of a playbook in Markdown: its first list item, or else its first line of text."""
    lines = [line for line in (playbook or "").splitlines() if line.strip()]
    items = [line for line in lines if _ITEM.match(line)]
    plain = [line for line in lines if not line.lstrip().startswith("#")]
    chosen = items or plain
    return _ITEM.sub("", chosen[0]).strip() if chosen else None
