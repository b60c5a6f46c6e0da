"""Holds incidents back, releases them when the reason ends, and gathers them in one storm. Pure.

An incident that is held back is opened and updated like any other, but nobody is told. After its release people are
told of it as it is by then: by the first step of its policy, or from where the policy stopped if they were told before.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from alerter.incidents import cards
from alerter.incidents.cards import Cards
from alerter.incidents.record import (
    Entry,
    IncidentRecord,
    Message,
    Surging,
    Told,
    Transition,
    heard,
    incident_id,
    refresh,
)
from alerter.incidents.transitions import Trigger, advance
from alerter.states import TellReason
from services.contracts.base import StoryId
from services.contracts.incident import Change, Held, HeldBy, Incident, IncidentState
from services.contracts.scales import sev

STORM: Final = StoryId("storm")
"""The story of every brand's storm incident."""
BUDGET_OVER: Final = timedelta(hours=1)
"""The period over which a brand's page budget counts."""


def hold(record: IncidentRecord, held: Held, now: datetime) -> Transition:
    """Tell nobody from now on. The waiting step of the policy is cancelled until the reason ends."""
    changes = {"held": held, "sequence": record.incident.sequence + 1, "changed_at": now}
    because = f"held back: {held.reason}"
    message = Message(Change.UPDATED, because, TellReason.held(held.by))
    return Transition(refresh(record, changes), (Entry("held", because),), message, halts=True)


def hold_from_the_start(opening: Transition, held: Held) -> Transition:
    """Hold an incident back that is just opening."""
    return replace(
        opening,
        record=opening.record.with_incident(held=held),
        entries=(*opening.entries, Entry("held", f"held back: {held.reason}")),
        message=_silent(opening.message, held),
        halts=True,
    )


def hold_what_came(before: IncidentRecord, transition: Transition, held: Held) -> Transition:
    """Hold back a change that people were about to be told of. What they know stays what they were told before."""
    record = transition.record.with_incident(held=held).model_copy(update={"told": before.told})
    entries = transition.entries
    if before.incident.held is None:
        entries = (*entries, Entry("held", f"held back: {held.reason}"))
    message = _silent(transition.message, held)
    return replace(transition, record=record, entries=entries, message=message, halts=True, resumes_at=None)


def _silent(message: Message | None, held: Held) -> Message | None:
    return None if message is None else replace(message, tell=TellReason.held(held.by))


def release_with(transition: Transition, now: datetime, because: str) -> Transition:
    """Release the incident together with a change: the change ended the reason for holding it back."""
    record = transition.record.with_incident(held=None)
    return replace(
        transition,
        record=record,
        entries=(*transition.entries, Entry("released", because)),
        resumes_at=transition.resumes_at if _is_taken(record) or transition.halts else now,
    )


def release(record: IncidentRecord, now: datetime) -> Transition:
    """Release the incident because the reason ended. People are told first what got worse meanwhile."""
    held = record.incident.held
    because = "no longer held back" if held is None else f"no longer held back: {held.reason}"
    free = record.with_incident(held=None)
    resumes_at = None if _is_taken(free) else now
    return advance(record, free, Trigger.NOTED, Entry("released", because), now, resumes_at=resumes_at)


def _is_taken(record: IncidentRecord) -> bool:
    """Returns True if somebody has acknowledged or snoozed it."""
    return record.incident.acknowledged_by is not None or record.incident.snoozed_until is not None


def open_storm(member: IncidentRecord, ordinal: int, budget: int, previous: str | None, now: datetime) -> Transition:
    """Open the incident that stands for all beyond a brand's page budget. Its policy is that of the first, `member`."""
    reason = (
        f"The page budget of {member.brand_name} ({budget} incidents an hour) is used up: further incidents are gathered "
        f"here. The first one: {_named(member)}"
    )
    incident = Incident(
        id=incident_id(member.incident.brand, STORM, ordinal),
        brand=member.incident.brand,
        story=STORM,
        sequence=1,
        state=IncidentState.ACTIVE,
        severity=member.incident.severity,
        title="",
        reason=reason,
        rule=member.incident.rule,
        opened_at=now,
        changed_at=now,
        first_step=member.incident.first_step,
        previous=previous,
    )
    blank = IncidentRecord(
        incident=incident,
        ordinal=ordinal,
        brand_name=member.brand_name,
        policy=member.policy,
        cards=_with_cards(Cards(), member),
        told=Told(severity=incident.severity, rank=-1, high=None, at=now),
        touched_at=now,
        terms=member.terms,
        surge=Surging(begins=now, at=now, severity=incident.severity, words="beyond the page budget"),
        storm=1,
    )
    record = refresh(blank, {})
    record = record.model_copy(update={"told": heard(record, now)})
    return Transition(record, (Entry("opened", reason),), Message(Change.OPENED, reason, TellReason.OPENED))


def join_storm(storm: IncidentRecord, member: IncidentRecord, now: datetime) -> Transition:
    """Add an incident to the storm. People are told if that makes the storm worse than what they were last told."""
    severity = min(member.incident.severity, storm.surge.severity if storm.surge is not None else 4)
    words = "beyond the page budget"
    begins = storm.surge.begins if storm.surge is not None else now
    draft = storm.model_copy(
        update={
            "storm": storm.storm + 1,
            "surge": Surging(begins=begins, at=now, severity=severity, words=words),
            "cards": _with_cards(storm.cards, member),
            "touched_at": now,
        }
    )
    return advance(storm, draft, Trigger.SURGES, Entry("overflow", _named(member)), now)


def beyond_budget(storm: IncidentRecord, budget: int, now: datetime) -> Held:
    reason = (
        f"the page budget of {budget} incidents an hour is used up; storm incident {storm.incident.id} stands in for it"
    )
    return Held(by=HeldBy.PAGE_BUDGET, name=storm.incident.id, until=now + BUDGET_OVER, reason=reason)


def _named(member: IncidentRecord) -> str:
    return f"{member.incident.title}, {sev(member.incident.severity)} (incident {member.incident.id})"


def _with_cards(known: Cards, member: IncidentRecord) -> Cards:
    every = member.cards.every()
    return cards.merge(known, None, every, every)
