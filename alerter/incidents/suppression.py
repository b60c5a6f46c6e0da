"""Incidents that nobody is told of for a while: held back, released when the reason ends, or gathered in one storm. Pure.

A held incident is opened and kept like any other; only its pages wait. Released, it is told as it is by then: from its first
step when nobody has heard of it yet, from where the policy stood otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from alerter.incidents import cards
from alerter.incidents.cards import Cards
from alerter.incidents.model import incident_id
from alerter.incidents.record import Entry, IncidentRecord, Message, Surging, Told, Transition, heard, refresh
from alerter.incidents.transitions import Trigger, advance
from services.contracts.base import StoryId
from services.contracts.incident import Change, Held, HeldBy, Incident, IncidentState

STORM: Final = StoryId("storm")
"""The story of every brand's storm incident."""
BUDGET_OVER: Final = timedelta(hours=1)


def hold(record: IncidentRecord, held: Held, now: datetime) -> Transition:
    """Nobody is told from now on: the step that waits is cancelled until the reason ends."""
    changes = {"held": held, "sequence": record.incident.sequence + 1, "changed_at": now}
    because = f"held back: {held.reason}"
    return Transition(
        refresh(record, changes),
        (Entry("held", because),),
        (Message(Change.UPDATED, because, pages=False),),
        halts=True,
    )


def hold_from_the_start(opened: Transition, held: Held) -> Transition:
    """An incident that opens while something holds it back."""
    incident = opened.record.incident.model_copy(update={"held": held})
    return replace(
        opened,
        record=opened.record.model_copy(update={"incident": incident}),
        entries=(*opened.entries, Entry("held", f"held back: {held.reason}")),
        messages=tuple(replace(message, pages=False) for message in opened.messages),
        halts=True,
    )


def hold_what_came(before: IncidentRecord, outcome: Transition, held: Held) -> Transition:
    """What was to be told now is not: people have still heard what they heard before."""
    incident = outcome.record.incident.model_copy(update={"held": held})
    record = outcome.record.model_copy(update={"incident": incident, "told": before.told})
    entries = outcome.entries
    if before.incident.held is None:
        entries = (*entries, Entry("held", f"held back: {held.reason}"))
    silent = tuple(replace(message, pages=False) for message in outcome.messages)
    return replace(outcome, record=record, entries=entries, messages=silent, halts=True, resumes_at=None)


def release_with(outcome: Transition, now: datetime, because: str) -> Transition:
    """What came ends what held it back."""
    incident = outcome.record.incident.model_copy(update={"held": None})
    taken = incident.acknowledged_by is not None or incident.snoozed_until is not None
    return replace(
        outcome,
        record=outcome.record.model_copy(update={"incident": incident}),
        entries=(*outcome.entries, Entry("released", because)),
        resumes_at=outcome.resumes_at if taken or outcome.halts else now,
    )


def release(record: IncidentRecord, now: datetime) -> Transition:
    """The reason ended: people are told again, and first of all what became worse meanwhile."""
    held = record.incident.held
    because = f"not held back any more: {held.reason}" if held is not None else "not held back any more"
    free = record.incident.model_copy(update={"held": None})
    taken = free.acknowledged_by is not None or free.snoozed_until is not None
    draft = record.model_copy(update={"incident": free})
    entry = Entry("released", because)
    outcome = advance(record, draft, Trigger.NOTED, entry, now, resumes_at=None if taken else now)
    if outcome.entries == (entry,):
        return outcome
    # It became worse meanwhile. Why it is told only now comes before what is told.
    worse = tuple(replace(one, because=f"{because}; {one.because}") for one in outcome.entries)
    return replace(outcome, entries=worse)


def open_storm(member: IncidentRecord, ordinal: int, budget: int, previous: str | None, now: datetime) -> Transition:
    """The incident that stands for all that a brand's page budget has no room for. It goes by the policy of the first."""
    reason = (
        f"The page budget of {member.brand_name}, {budget} incidents an hour, is used up: further ones are gathered here. "
        f"The first: {_named(member)}"
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
    return Transition(record, (Entry("opened", reason),), (Message(Change.OPENED, reason),))


def join_storm(storm: IncidentRecord, member: IncidentRecord, now: datetime) -> Transition:
    """One more. People hear of it when it is worse than what they heard."""
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
        f"the page budget of {budget} incidents an hour is used up; storm incident {storm.incident.id} stands for it"
    )
    return Held(by=HeldBy.PAGE_BUDGET, name=storm.incident.id, until=now + BUDGET_OVER, reason=reason)


def _named(member: IncidentRecord) -> str:
    return f"{member.incident.title}, severity {member.incident.severity} (incident {member.incident.id})"


def _with_cards(known: Cards, member: IncidentRecord) -> Cards:
    every = member.cards.every()
    return cards.merge(known, None, every, every)
