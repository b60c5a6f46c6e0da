"""The states of an incident and what may happen in each, in one table, and the function that makes a change. Pure.

PRIOR (forecast) -> ACTIVE (crossed, or surging) -> EASING -> RESOLVED. Or it ends as AVERTED (answered, and never
crossed) or EXPIRED (eased, never crossed, and nobody acted). Only a person reopens what has ended. `sequence` grows with
every change, so a late or duplicate message does no harm. Whether people are told of a change is decided in `telling`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, refresh
from alerter.rules.severity import WORST
from services.base.errors import FirebreakError
from services.contracts.incident import IncidentState
from services.contracts.signal import Level


class Trigger(StrEnum):
    NOTED = "noted"
    GROWS = "grows"
    CROSSES = "crosses"
    SURGES = "surges"
    EASES_ANSWERED = "eases_answered"
    EASES_HELD = "eases_held"
    EASES_UNTOUCHED = "eases_untouched"
    CALMS = "calms"
    CLOSED = "closed"
    REOPENS = "reopens"
    REOPENS_ACTIVE = "reopens_active"
    """A person reopens it: it had crossed its line, or is part of a surge."""


_S, _T = IncidentState, Trigger
TRANSITIONS: Final[dict[tuple[IncidentState, Trigger], IncidentState]] = {
    (_S.PRIOR, _T.NOTED): _S.PRIOR,
    (_S.PRIOR, _T.GROWS): _S.PRIOR,
    (_S.PRIOR, _T.CROSSES): _S.ACTIVE,
    (_S.PRIOR, _T.SURGES): _S.ACTIVE,
    (_S.PRIOR, _T.EASES_ANSWERED): _S.AVERTED,
    (_S.PRIOR, _T.EASES_HELD): _S.RESOLVED,
    (_S.PRIOR, _T.EASES_UNTOUCHED): _S.EXPIRED,
    (_S.PRIOR, _T.CLOSED): _S.RESOLVED,
    (_S.ACTIVE, _T.NOTED): _S.ACTIVE,
    (_S.ACTIVE, _T.GROWS): _S.ACTIVE,
    (_S.ACTIVE, _T.CROSSES): _S.ACTIVE,
    (_S.ACTIVE, _T.SURGES): _S.ACTIVE,
    (_S.ACTIVE, _T.EASES_ANSWERED): _S.EASING,
    (_S.ACTIVE, _T.EASES_HELD): _S.EASING,
    (_S.ACTIVE, _T.EASES_UNTOUCHED): _S.EASING,
    (_S.ACTIVE, _T.CLOSED): _S.RESOLVED,
    (_S.EASING, _T.NOTED): _S.EASING,
    (_S.EASING, _T.GROWS): _S.EASING,
    (_S.EASING, _T.CROSSES): _S.ACTIVE,
    (_S.EASING, _T.SURGES): _S.ACTIVE,
    (_S.EASING, _T.EASES_ANSWERED): _S.EASING,
    (_S.EASING, _T.EASES_HELD): _S.EASING,
    (_S.EASING, _T.EASES_UNTOUCHED): _S.EASING,
    (_S.EASING, _T.CALMS): _S.RESOLVED,
    (_S.EASING, _T.CLOSED): _S.RESOLVED,
    (_S.RESOLVED, _T.REOPENS): _S.PRIOR,
    (_S.RESOLVED, _T.REOPENS_ACTIVE): _S.ACTIVE,
    (_S.AVERTED, _T.REOPENS): _S.PRIOR,
    (_S.AVERTED, _T.REOPENS_ACTIVE): _S.ACTIVE,
    (_S.EXPIRED, _T.REOPENS): _S.PRIOR,
    (_S.EXPIRED, _T.REOPENS_ACTIVE): _S.ACTIVE,
}
"""Everything that may happen; anything else is refused. No signal and no timer changes an end, and only what eases can calm
down."""

OF_LEVEL: Final = {
    Level.WATCH: Trigger.GROWS,
    Level.LIKELY: Trigger.GROWS,
    Level.IMMINENT: Trigger.GROWS,
    Level.CROSSED: Trigger.CROSSES,
}
"""What the level of a story does to its incident. What easing does depends on who acted: see `easing`."""


class Refused(FirebreakError):
    """This cannot be done to the incident in its state."""


def trigger_of(record: IncidentRecord) -> Trigger:
    """Returns the worst of what its conversations and its surge do. The incident eases only if all of them do."""
    levels = {facet.outlook.level for facet in record.facets.values()}
    if Level.CROSSED in levels:
        return Trigger.CROSSES
    if record.surge is not None and not record.surge.ended:
        return Trigger.SURGES
    rising = [OF_LEVEL[level] for level in levels if level is not Level.EASING]
    return rising[0] if rising else easing(record)


def reopening(record: IncidentRecord) -> Trigger:
    """Returns how an incident that ended is opened again by a person: as what it was before it eased or ended."""
    beyond = record.crossed_at is not None or record.surge is not None
    return Trigger.REOPENS_ACTIVE if beyond or trigger_of(record) is Trigger.CROSSES else Trigger.REOPENS


def easing(record: IncidentRecord) -> Trigger:
    if record.answered_at is not None:
        return Trigger.EASES_ANSWERED
    return Trigger.EASES_HELD if record.acted else Trigger.EASES_UNTOUCHED


def advance(
    before: IncidentRecord,
    draft: IncidentRecord,
    trigger: Trigger,
    entry: Entry,
    now: datetime,
    message: Message | None = None,
    *,
    halts: bool = False,
    resumes_at: datetime | None = None,
) -> Transition:
    """Move the incident from `before` to `draft`: set its state and sequence, and derive its public part anew.

    With `message` that is published, and what got worse still waits to be told; without one, `telling` decides.

    Raises `Refused` if the table has no such transition.
    """
    state = TRANSITIONS.get((before.incident.state, trigger))
    if state is None:
        raise Refused(f"the incident is {before.incident.state.value}")
    after = refresh(draft, {"state": state, "sequence": before.incident.sequence + 1, "changed_at": now})
    if state is not IncidentState.EASING:
        after = after.model_copy(update={"eased_at": None})
    elif before.incident.state is not state or trigger is Trigger.GROWS:
        after = after.model_copy(update={"eased_at": now})
    if state.is_over:
        after = after.with_incident(held=None).model_copy(update={"ended_at": now})
    elif after.incident.severity == WORST and after.incident.snoozed_until is not None:
        # Severity 1 is never snoozed: the incident wakes, and the policy resumes at once.
        after, resumes_at = after.with_incident(snoozed_by=None, snoozed_until=None), now
    return Transition(after, (entry,), message, halts=halts, resumes_at=resumes_at)
