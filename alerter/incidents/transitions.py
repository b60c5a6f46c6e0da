"""Every state an incident can be in and what may happen to it there, in one table; and how a change is made: state, severity,
sequence, and whether people hear of it. Pure.

PRIOR (forecast) -> ACTIVE (crossed, or surging) -> EASING -> RESOLVED; or it ends AVERTED (answered, never crossed) or
EXPIRED (never crossed, eased, nobody acted). `sequence` grows with every change, so a late or doubled message is harmless.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alerter.incidents import words
from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, heard, refresh, worse
from alerter.rules.decide import WORST
from services.base.errors import FirebreakError
from services.contracts.incident import Change, IncidentState
from services.contracts.signal import Level

TELL_AGAIN_AFTER: Final = timedelta(minutes=10)
"""Who works on it must not be buried by it. What became worse meanwhile is told when this has passed."""


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
}
"""Everything that may happen. What is missing is refused: an end is final, and only what eases can calm down."""

OF_LEVEL: Final = {
    Level.WATCH: Trigger.GROWS,
    Level.LIKELY: Trigger.GROWS,
    Level.IMMINENT: Trigger.GROWS,
    Level.CROSSED: Trigger.CROSSES,
}
"""What a story's level does to its incident. Easing does what depends on who acted: see `easing`."""


class Refused(FirebreakError):
    """That cannot happen to an incident in this state."""


def trigger_of(record: IncidentRecord) -> Trigger:
    """The worst of what its conversations and its surge do. It eases only when all of them do."""
    levels = {facet.outlook.level for facet in record.facets.values()}
    if Level.CROSSED in levels:
        return Trigger.CROSSES
    if record.surge is not None and not record.surge.ended:
        return Trigger.SURGES
    rising = [OF_LEVEL[level] for level in levels if level is not Level.EASING]
    return rising[0] if rising else easing(record)


def easing(record: IncidentRecord) -> Trigger:
    if record.answered_at is not None:
        return Trigger.EASES_ANSWERED
    return Trigger.EASES_HELD if record.acted else Trigger.EASES_UNTOUCHED


def hushed(record: IncidentRecord) -> bool:
    """Somebody has it, or will look at it later, or a silence holds it back: it updates silently."""
    incident = record.incident
    return incident.acknowledged_by is not None or incident.snoozed_until is not None or incident.held is not None


def advance(
    before: IncidentRecord,
    draft: IncidentRecord,
    trigger: Trigger,
    entry: Entry,
    now: datetime,
    say: Message | None = None,
    *,
    halts: bool = False,
    resumes_at: datetime | None = None,
) -> Transition:
    """Make the change: state, severity, sequence, what everybody reads. Without `say`, whether people hear of it depends
    on what it came to; with it, what had to wait to be told goes on waiting. Raises `Refused`."""
    state = TRANSITIONS.get((before.incident.state, trigger))
    if state is None:
        raise Refused(f"the incident is {before.incident.state.value}")
    after = refresh(draft, {"state": state, "sequence": before.incident.sequence + 1, "changed_at": now})
    if state is not IncidentState.EASING:
        after = after.model_copy(update={"eased_at": None})
    elif before.incident.state is not state or trigger is Trigger.GROWS:
        after = after.model_copy(update={"eased_at": now})
    if state.is_over:
        over = after.incident.model_copy(update={"held": None})
        after = after.model_copy(update={"incident": over, "ended_at": now})
    if after.incident.severity == WORST and after.incident.snoozed_until is not None and not state.is_over:
        # Severity 1 is never put off: it wakes, and the policy goes on at once.
        awake = after.incident.model_copy(update={"snoozed_by": None, "snoozed_until": None})
        after, resumes_at = after.model_copy(update={"incident": awake}), now
    if say is not None:
        return Transition(after, (entry,), (say,), halts, resumes_at)
    message = _worth_telling(before, after, entry, now)
    if message is None:
        # Timelines hold decisions, not every number: a hot story is forecast thousands of times.
        quiet = entry.kind in ("forecast", "negative") and _visible(before) == _visible(after)
        return Transition(after, () if quiet else (entry,), (), halts, resumes_at)
    if message.pages:
        after = after.model_copy(update={"told": heard(after, now)})
    return Transition(after, (Entry(entry.kind, message.because, entry.actor),), (message,), halts, resumes_at)


def _visible(record: IncidentRecord) -> tuple[object, ...]:
    level = record.incident.outlook.level if record.incident.outlook else None
    return record.incident.state, record.incident.severity, level


def _became_worst(record: IncidentRecord) -> bool:
    return record.incident.severity == WORST < record.told.severity


def _may_tell(record: IncidentRecord, now: datetime) -> bool:
    """Ten minutes have passed; or it became severity 1, which waits for nothing (and can happen once a told severity)."""
    return now - record.told.at >= TELL_AGAIN_AFTER or _became_worst(record)


def _worth_telling(before: IncidentRecord, after: IncidentRecord, entry: Entry, now: datetime) -> Message | None:
    was, state = before.incident.state, after.incident.state
    if state.is_over:
        return Message(Change.RESOLVED, f"{entry.because}; {words.STATE_WORDS[state]}")
    found = worse(after)
    # Whoever has it reads it anyway; but nothing hides that it became severity 1.
    aloud = not hushed(after) or _became_worst(after)
    if state is IncidentState.ACTIVE and was is not state:
        crossed = trigger_of(after) is Trigger.CROSSES
        found.insert(0, "it has crossed the line" if crossed else "it is part of a surge")
        return Message(Change.UPDATED, "; ".join(found), pages=aloud)
    if found and _may_tell(after, now) and aloud:
        return Message(Change.UPDATED, "; ".join(found))
    if state is not was:
        return Message(Change.UPDATED, f"{entry.because}; {words.STATE_WORDS[state]}", pages=False)
    if found and not aloud and _visible(before) != _visible(after):
        return Message(Change.UPDATED, "; ".join(found), pages=False)
    return None
