"""Opens an incident because a person pages others, with a message of their own and outside any policy. Pure.

It is an incident like any other: who is paged acknowledges it, notification rules ring, and the board shows that nobody
has it. No silence, quiet hours or page budget hold it back, and it uses none of the budget up: a person has decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from alerter.incidents.cards import Cards
from alerter.incidents.record import (
    Entry,
    IncidentRecord,
    Message,
    Story,
    Told,
    Transition,
    heard,
    incident_id,
    refresh,
)
from alerter.states import TellReason
from services.config.model import Brand, Policy, Step
from services.contracts.base import StoryId
from services.contracts.incident import Change, Incident, IncidentState

BY_HAND: Final = "by-hand"
"""The rule and the policy that such an incident names; the file has neither."""


def story_of(key: str) -> StoryId:
    """Returns the story of a page. The same `key` names the same page, so that a repeated request pages nobody twice."""
    return StoryId(f"page:{key}")


def open_page(
    brand: Brand, key: str, known: Story, targets: Sequence[str], message: str, by: str, severity: int, now: datetime
) -> Transition:
    """Open an incident whose only step pages `targets` at once. `message` is what `by` says to them."""
    reason = f"{by} asks for you: {message}"
    incident = Incident(
        id=incident_id(brand.key, story_of(key), known.openings),
        brand=brand.key,
        story=story_of(key),
        sequence=1,
        state=IncidentState.ACTIVE,
        severity=severity,
        title="",
        reason=reason,
        rule=BY_HAND,
        opened_at=now,
        changed_at=now,
    )
    blank = IncidentRecord(
        incident=incident,
        ordinal=known.openings,
        brand_name=brand.name,
        policy=Policy(id=BY_HAND, steps=(Step(targets=tuple(targets)),)),
        cards=Cards(),
        told=Told(severity=severity, rank=-1, high=None, at=now),
        touched_at=now,
        floor=severity,
        asked=message,
    )
    record = refresh(blank, {})
    record = record.model_copy(update={"told": heard(record, now)})
    return Transition(record, (Entry("opened", reason, by),), Message(Change.OPENED, reason, TellReason.OPENED))
