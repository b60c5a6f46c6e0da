"""What an incident does while a network of its story is not heard: nothing is concluded from silence. Pure.

An easing that the scorer draws from silence is kept, not applied; an incident that would ease or end by time alone waits. When
the network has been heard again for a while and nothing followed, what was kept is applied, and says what was not heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from alerter.incidents.record import Entry, IncidentRecord, Transition
from alerter.incidents.transitions import Trigger, advance, trigger_of
from alerter.rules.conditions import LEVEL_RANK, Opening
from services.contracts.signal import BrandSurge, CascadeForecast, Level, PostAnswered, SurgePhase

LOOKS_EVERY: Final = timedelta(minutes=5)
"""How often an incident that waits looks whether its networks are heard again."""


def is_of_silence(record: IncidentRecord, signal: Opening | PostAnswered) -> bool:
    """Returns True if the scorer concluded the signal from the fact that nothing follows: a surge ends, a story eases, or
    its forecast falls without an engagement more."""
    if isinstance(signal, BrandSurge):
        return signal.phase is SurgePhase.END
    if not isinstance(signal, CascadeForecast):
        return False
    if signal.level is Level.EASING:
        return True
    known = record.facets.get(signal.conversation)
    if known is None or LEVEL_RANK[signal.level] > LEVEL_RANK[known.outlook.level]:
        return False
    return signal.evidence.engagements <= known.outlook.observed and signal.evidence.reach <= known.outlook.reach


def withhold(record: IncidentRecord, signal: Opening | PostAnswered, unheard: str, now: datetime) -> Transition | None:
    """Keep what the signal concludes from silence until the network is heard. Its counts count all the same.

    Returns `None` if there is nothing to keep: a forecast that only fell, or the first one of its conversation.
    """
    changes: dict[str, Any] = {"recheck_at": now + LOOKS_EVERY, "was_unheard": unheard}
    if isinstance(signal, CascadeForecast):
        known = record.facets.get(signal.conversation)
        if known is None or signal.level is not Level.EASING:
            return None
        is_new = not known.unheard
        newest = known.outlook.model_copy(
            update={
                "observed": max(known.outlook.observed, signal.evidence.engagements),
                "reach": max(known.outlook.reach, signal.evidence.reach),
                "crossed_at": signal.crossed_at or known.outlook.crossed_at,
            }
        )
        update = {"number": signal.number, "at": signal.at, "outlook": newest, "unheard": True}
        changes["facets"] = {**record.facets, signal.conversation: known.model_copy(update=update)}
    elif isinstance(signal, BrandSurge):
        if record.surge is None:
            return None
        is_new = not record.surge.unheard
        changes["surge"] = record.surge.model_copy(update={"at": signal.at, "unheard": True})
    else:
        return None
    entry = Entry("unheard" if is_new else "forecast", _because(unheard))
    return advance(record, record.model_copy(update=changes), Trigger.NOTED, entry, now)


def note(record: IncidentRecord, unheard: str | None, now: datetime) -> Transition:
    """Say in the timeline that a network of the story is not heard from now on, or that it is heard again."""
    entry = Entry("heard", "its networks are heard again") if unheard is None else Entry("unheard", unheard)
    return advance(record, record, Trigger.NOTED, entry, now)


def wait(record: IncidentRecord, unheard: str, now: datetime) -> Transition:
    """Let an incident that would ease or end by time alone wait until its networks are heard."""
    draft = record.model_copy(update={"recheck_at": now + LOOKS_EVERY, "was_unheard": unheard})
    return advance(record, draft, Trigger.NOTED, Entry("unheard", _because(unheard)), now)


def waits_on(record: IncidentRecord, unheard: str, now: datetime) -> IncidentRecord:
    """Returns an incident that waits already, with the time of its next look."""
    return record.model_copy(update={"recheck_at": now + LOOKS_EVERY, "was_unheard": unheard})


def hear(record: IncidentRecord, now: datetime) -> Transition:
    """Apply what was kept: the networks are heard again, and nothing followed."""
    facets = {
        conversation: facet.model_copy(
            update={"unheard": False, "outlook": facet.outlook.model_copy(update={"level": Level.EASING})}
        )
        if facet.unheard
        else facet
        for conversation, facet in record.facets.items()
    }
    surge = record.surge
    if surge is not None and surge.unheard:
        surge = surge.model_copy(update={"unheard": False, "ended": True})
    draft = record.model_copy(update={"facets": facets, "surge": surge, "recheck_at": None})
    kept = (facets, surge) != (record.facets, record.surge)
    trigger = trigger_of(draft) if kept else Trigger.NOTED
    because = "it is heard again" + (", and nothing followed" if kept else "")
    return advance(record, draft, trigger, Entry("heard", f"{because}: {record.was_unheard}"), now)


def _because(unheard: str) -> str:
    return f"it is quiet, which means nothing: {unheard}"
