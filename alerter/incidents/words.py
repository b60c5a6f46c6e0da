"""An incident in words: the sentences that every message states, on every outlet. Pure; never quotes a post."""

from __future__ import annotations

import re
from typing import Final

from services.contracts.incident import Incident, IncidentState, Outlook
from services.contracts.signal import Level, Line

_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")

STATE_WORDS: Final = {
    IncidentState.PRIOR: "it has not crossed the line yet",
    IncidentState.ACTIVE: "it is going on",
    IncidentState.EASING: "it is easing",
    IncidentState.RESOLVED: "it is over",
    IncidentState.AVERTED: "it was answered and never crossed the line",
    IncidentState.EXPIRED: "it eased by itself and never crossed the line",
}
_LEVEL_WORDS: Final = {
    Level.WATCH: "may cross",
    Level.LIKELY: "is likely to cross",
    Level.IMMINENT: "is about to cross",
    Level.CROSSED: "has crossed",
    Level.EASING: "is easing; it was measured against",
}


def line_words(line: Line) -> str:
    parts = []
    if line.engagements is not None:
        parts.append(f"{line.engagements:,} engagements")
    if line.audience is not None:
        parts.append(f"an audience of {line.audience:,}")
    return " or ".join(parts) or "no line"


def title(brand: str, outlook: Outlook | None, network: str | None, surging: bool, storm: int = 0) -> str:
    """What happened, in one line. Without any post's words, so that nothing here needs redaction."""
    if storm:
        return f"{brand}: a storm: {storm} further {'incident' if storm == 1 else 'incidents'} beyond the page budget"
    if outlook is not None:
        where = f" on {network}" if network else ""
        return f"{brand}: a story{where} {_LEVEL_WORDS[outlook.level]} the line of {line_words(outlook.line)}"
    if surging:
        return f"{brand}: a surge of negative posts"
    return f"{brand}: a severe complaint" + (f" on {network}" if network else "")


def how_sure(incident: Incident) -> str:
    outlook = incident.outlook
    if outlook is None:
        return "There is no forecast yet."
    size = outlook.final_size
    going = f"final size {size.median:,.0f} (80 % interval {size.low:,.0f} to {size.high:,.0f})"
    if outlook.level is Level.CROSSED or outlook.crossed_at is not None:
        return f"The line is crossed: {outlook.observed:,} engagements so far; {going}."
    return (
        f"{100 * outlook.probability:.0f} % to cross {line_words(outlook.line)}; "
        f"{outlook.observed:,} engagements so far; {going}."
    )


def who_has_it(incident: Incident) -> str:
    if incident.acknowledged_by is not None:
        since = f" since {incident.acknowledged_at:%Y-%m-%d %H:%M} UTC" if incident.acknowledged_at else ""
        return f"{incident.acknowledged_by} has it{since}."
    if incident.assigned_to is not None:
        return f"It is assigned to {incident.assigned_to}, who has not acknowledged it."
    return "Nobody has it yet."


def by_when(incident: Incident) -> str:
    if incident.answer_by is not None:
        because = f": {incident.answer_because}" if incident.answer_because else ""
        if incident.answer_by <= incident.changed_at:
            return f"Answer now{because}."
        return f"Answer by {incident.answer_by:%Y-%m-%d %H:%M} UTC{because}."
    if incident.state is IncidentState.ACTIVE:
        return "Answer now: it is going on."
    return "No deadline is known."


def first_step(playbook: str | None) -> str | None:
    """The first step of a playbook in Markdown: its first list item, or else its first line that is no heading."""
    lines = [line for line in (playbook or "").splitlines() if line.strip()]
    items = [line for line in lines if _ITEM.match(line)]
    plain = [line for line in lines if not line.lstrip().startswith("#")]
    chosen = items or plain
    return _ITEM.sub("", chosen[0]).strip() if chosen else None
