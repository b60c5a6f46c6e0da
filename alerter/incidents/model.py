"""What an incident is and what may happen to it. Pure: every function takes the whole incident and the time, and returns the
whole next one with the entries for its timeline and what is to be told to whom, each with its reason in words.

PRIOR (forecast) -> ACTIVE (crossed, or surging) -> EASING -> RESOLVED; or it ends AVERTED (answered, never crossed) or
EXPIRED (never crossed, eased, nobody acted). `sequence` grows with every change, so a late or doubled message is harmless.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from alerter.incidents import cards, explain
from alerter.incidents.cards import Cards, PostKey
from alerter.incidents.dossier import (
    ENDED,
    Dossier,
    Entry,
    Facet,
    Message,
    Outcome,
    Surging,
    Told,
    heard,
    outlook,
    refresh,
    tell,
    worse,
)
from alerter.rules import LEVEL_RANK, WORST, Decision, Grade
from services.config import Policy
from services.contracts.base import BrandId, StoryId, event_id
from services.contracts.incident import Change, Incident, IncidentState
from services.contracts.signal import BrandSurge, CascadeForecast, Level, PostAnswered, PostNegative, SurgePhase
from services.errors import FirebreakError

TELL_AGAIN_AFTER: Final = timedelta(minutes=10)
"""Who works on it must not be buried by it. What became worse meanwhile is told when this has passed."""
CALM_FOR: Final = timedelta(hours=1)
"""So long after it began to ease it is over."""
SILENT_AFTER: Final = timedelta(hours=24)
"""Without any signal for so long it counts as easing: the scorer may have lost sight of it."""
MAX_CONVERSATIONS: Final = 32
"""Conversations of one story (its root, and the quotes that grew) whose forecasts are kept."""


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


class Refused(FirebreakError):
    """That cannot happen to an incident in this state."""


Opening = CascadeForecast | PostNegative | BrandSurge


def incident_id(brand: BrandId, story: StoryId, ordinal: int) -> str:
    return event_id("incident", brand, story, ordinal)


def open_incident(
    signal: Opening,
    decision: Decision,
    story: StoryId,
    ordinal: int,
    brand_name: str,
    policy: Policy,
    first_step: str | None,
    complaint: int | None,
    now: datetime,
) -> Outcome:
    """The policy, the reason and the playbook's first step are frozen into it here."""
    state = IncidentState.PRIOR
    if isinstance(signal, BrandSurge) or (isinstance(signal, CascadeForecast) and signal.level is Level.CROSSED):
        state = IncidentState.ACTIVE
    severity = decision.grade.severity
    incident = Incident(
        id=incident_id(signal.brand, story, ordinal),
        brand=signal.brand,
        story=story,
        sequence=1,
        state=state,
        severity=severity,
        title="",
        reason=decision.reason,
        rule=decision.rule.id,
        opened_at=now,
        changed_at=now,
        first_step=first_step,
    )
    blank = Dossier(
        incident=incident,
        ordinal=ordinal,
        brand_name=brand_name,
        policy=policy,
        cards=Cards(),
        told=Told(severity=severity, rank=-1, high=None, at=now),
        touched_at=now,
        complaint=complaint,
    )
    dossier = refresh(_take(blank, signal, decision.grade, now), {})
    dossier = dossier.model_copy(update={"told": heard(dossier, now)})
    return Outcome(dossier, (Entry("opened", decision.reason),), (Message(Change.OPENED, decision.reason),))


def join(dossier: Dossier, signal: Opening | PostAnswered, grade: Grade | None, now: datetime) -> Outcome | None:
    """What a further signal of the story does; `None`: nothing (it is old, doubled, or says nothing new)."""
    if dossier.ended or _stale(dossier, signal):
        return None
    if isinstance(signal, PostAnswered):
        draft = dossier.model_copy(update={"answered_at": dossier.answered_at or signal.at, "touched_at": now})
        return _advance(
            dossier, draft, Trigger.NOTED, Entry("answered", f"the brand answered post {signal.post_id}"), now
        )
    assert grade is not None, "whatever may open an incident is graded"
    draft = _take(dossier, signal, grade, now)
    if isinstance(signal, PostNegative):
        same = (draft.cards, draft.complaint_severity) == (dossier.cards, dossier.complaint_severity)
        if same and now - dossier.touched_at < CALM_FOR:
            return None
        return _advance(dossier, draft, Trigger.NOTED, Entry("negative", f"a negative post: {grade.words}"), now)
    if isinstance(signal, BrandSurge):
        return _advance(
            dossier, draft, _trigger(draft), Entry("surge", f"surge {signal.phase.value}: {grade.words}"), now
        )
    return _advance(dossier, draft, _trigger(draft), Entry("forecast", signal.reason), now)


def _stale(dossier: Dossier, signal: Opening | PostAnswered) -> bool:
    """Whether we know better already: numbers of forecasts and times of surges only grow."""
    if isinstance(signal, CascadeForecast):
        known = dossier.facets.get(signal.conversation)
        return known is not None and signal.number <= known.number
    if isinstance(signal, BrandSurge):
        return dossier.surge is not None and signal.at <= dossier.surge.at
    return isinstance(signal, PostAnswered) and dossier.answered_at is not None


def _take(dossier: Dossier, signal: Opening, grade: Grade, now: datetime) -> Dossier:
    """With what the signal knows; state, severity and sequence are not touched yet."""
    changes: dict[str, Any] = {"touched_at": now}
    if isinstance(signal, CascadeForecast):
        root = signal.root if str(signal.conversation) == dossier.incident.story or dossier.cards.root is None else None
        changes["cards"] = cards.merge(dossier.cards, root, signal.loudest, signal.exemplars)
        facet = Facet(
            number=signal.number, at=signal.at, severity=grade.severity, words=grade.words, outlook=outlook(signal)
        )
        facets = {**dossier.facets, signal.conversation: facet}
        if len(facets) > MAX_CONVERSATIONS:
            del facets[min(facets, key=lambda c: (LEVEL_RANK[facets[c].outlook.level], facets[c].at))]
        changes["facets"] = facets
    elif isinstance(signal, PostNegative):
        root = (
            signal.post
            if signal.conversation == f"{signal.post.network}:{signal.post.post_id}" == dossier.incident.story
            else None
        )
        changes["cards"] = cards.merge(dossier.cards, root, (), (signal.post,))
        changes["complaint"] = max(signal.severity or 0, dossier.complaint or 0)
        changes["complaint_severity"] = min(grade.severity, dossier.complaint_severity or grade.severity)
    else:
        changes["cards"] = cards.merge(dossier.cards, None, (), signal.exemplars)
        ended = signal.phase is SurgePhase.END
        changes["surge"] = Surging(
            begins=signal.begins, at=signal.at, severity=grade.severity, words=grade.words, ended=ended
        )
    return dossier.model_copy(update=changes)


def _trigger(dossier: Dossier) -> Trigger:
    levels = {facet.outlook.level for facet in dossier.facets.values()}
    if Level.CROSSED in levels:
        return Trigger.CROSSES
    if dossier.surge is not None and not dossier.surge.ended:
        return Trigger.SURGES
    if levels - {Level.EASING}:
        return Trigger.GROWS
    return _easing(dossier)


def _easing(dossier: Dossier) -> Trigger:
    if dossier.answered_at is not None:
        return Trigger.EASES_ANSWERED
    return Trigger.EASES_UNTOUCHED if dossier.incident.acknowledged_by is None else Trigger.EASES_HELD


def _advance(
    before: Dossier, draft: Dossier, trigger: Trigger, entry: Entry, now: datetime, say: Message | None = None
) -> Outcome:
    """Make the change: state, severity, sequence, what everybody reads. Without `say`, whether people hear of it depends
    on what it came to; with it, what had to wait to be told goes on waiting."""
    state = TRANSITIONS.get((before.incident.state, trigger))
    if state is None:
        raise Refused(f"the incident is {before.incident.state.value}")
    after = refresh(draft, {"state": state, "sequence": before.incident.sequence + 1, "changed_at": now})
    if state is not IncidentState.EASING:
        after = after.model_copy(update={"eased_at": None})
    elif before.incident.state is not state or trigger is Trigger.GROWS:
        after = after.model_copy(update={"eased_at": now})
    if say is not None:
        return Outcome(after, (entry,), (say,))
    message = _worth_telling(before, after, entry, now)
    if message is None:
        # Timelines hold decisions, not every number: a hot story is forecast thousands of times.
        quiet = entry.kind in ("forecast", "negative") and _visible(before) == _visible(after)
        return Outcome(after, () if quiet else (entry,))
    if message.pages:
        after = after.model_copy(update={"told": heard(after, now)})
    return Outcome(after, (Entry(entry.kind, message.because, entry.actor),), (message,))


def _visible(dossier: Dossier) -> tuple[object, ...]:
    level = dossier.incident.outlook.level if dossier.incident.outlook else None
    return dossier.incident.state, dossier.incident.severity, level


def _may_tell(dossier: Dossier, now: datetime) -> bool:
    """Ten minutes have passed; or it became severity 1, which waits for nothing (and can happen once a told severity)."""
    told = dossier.told
    return now - told.at >= TELL_AGAIN_AFTER or (dossier.incident.severity == WORST < told.severity)


def _worth_telling(before: Dossier, after: Dossier, entry: Entry, now: datetime) -> Message | None:
    was, state = before.incident.state, after.incident.state
    if state in ENDED:
        return Message(Change.RESOLVED, f"{entry.because}; {explain.STATE_WORDS[state]}")
    found = worse(after)
    if state is IncidentState.ACTIVE and was is not state:
        found.insert(0, "it has crossed the line" if _trigger(after) is Trigger.CROSSES else "it is part of a surge")
        return Message(Change.UPDATED, "; ".join(found))
    if found and _may_tell(after, now):
        return Message(Change.UPDATED, "; ".join(found))
    if state is not was:
        return Message(Change.UPDATED, f"{entry.because}; {explain.STATE_WORDS[state]}", pages=False)
    return None


def due(dossier: Dossier) -> datetime | None:
    """When `fire` has something to do, should nothing happen before."""
    if dossier.ended:
        return None
    easing = dossier.eased_at is not None
    moments = [dossier.eased_at + CALM_FOR if dossier.eased_at is not None else dossier.touched_at + SILENT_AFTER]
    if worse(dossier) and not easing:
        moments.append(dossier.told.at + TELL_AGAIN_AFTER)
    return min(moments)


def fire(dossier: Dossier, now: datetime) -> Outcome | None:
    """Do what time alone brings: the all-clear, the end of a silent story, what had to wait to be told."""
    moment = due(dossier)
    if moment is None or moment > now:
        return None
    if dossier.eased_at is not None:
        return _advance(dossier, dossier, Trigger.CALMS, Entry("calm", "nothing followed for an hour"), now)
    if dossier.touched_at + SILENT_AFTER <= now:
        return _advance(dossier, dossier, _easing(dossier), Entry("silent", "no signal for a day"), now)
    return _advance(dossier, dossier, Trigger.NOTED, Entry("retold", "worse than what was told"), now)


def acknowledge(dossier: Dossier, by: str, comment: str, now: datetime) -> Outcome | None:
    """`by` has it now; `None` when that was so already. Raises `Refused` when it is over."""
    if dossier.ended:
        raise Refused(f"the incident is {dossier.incident.state.value}")
    if dossier.incident.acknowledged_by == by:
        return None
    because = f"{by} acknowledged it" + (f": {comment}" if comment else "")
    held = dossier.incident.model_copy(update={"acknowledged_by": by, "acknowledged_at": now})
    draft = dossier.model_copy(update={"incident": held})
    draft = draft.model_copy(update={"told": heard(draft, now)})
    entry = Entry("acknowledged", because, by)
    return _advance(dossier, draft, Trigger.NOTED, entry, now, Message(Change.ACKNOWLEDGED, because))


def resolve(dossier: Dossier, by: str, comment: str, now: datetime) -> Outcome:
    """`by` says it is over. Raises `Refused` when it is over already."""
    because = f"{by} resolved it" + (f": {comment}" if comment else "")
    draft = dossier.model_copy(update={"by_hand": True})
    return _advance(dossier, draft, Trigger.CLOSED, Entry("resolved", because, by), now)


def escalate(dossier: Dossier, number: int, endpoints: tuple[str, ...], now: datetime) -> Outcome:
    """Step `number` of the policy tells these endpoints. The first that anybody hears is that it opened."""
    change = Change.ESCALATED if number else Change.OPENED
    because = (
        f"step {number + 1} of policy {dossier.policy.id}: nobody has acknowledged it"
        if number
        else dossier.incident.reason
    )
    entry = Entry(
        "escalated" if number else "told", f"step {number + 1} told {', '.join(endpoints) or 'nobody: no endpoint'}"
    )
    return _advance(dossier, tell(dossier, endpoints), Trigger.NOTED, entry, now, Message(change, because))


def redact(dossier: Dossier, post: PostKey, now: datetime) -> Outcome | None:
    """Forget the post, also after the end; `None` when that was done already. One that is not kept any more is remembered
    as deleted too, so that no late forecast brings it back."""
    if post in dossier.cards.redacted:
        return None
    forgetting = dossier.model_copy(update={"cards": cards.forget(dossier.cards, post)})
    after = refresh(forgetting, {"sequence": dossier.incident.sequence + 1, "changed_at": now})
    because = f"post {post[1]} was deleted on {post[0]}; its text is forgotten"
    return Outcome(after, (Entry("redacted", because),), (Message(Change.UPDATED, because, pages=False),))


def reopens(ended: Dossier, signal: Opening, severity: int) -> bool:
    """Whether a signal that fires a rule opens the story anew. What a person closed comes back only when it got worse."""
    if not ended.by_hand:
        return True
    worst_rank = max((LEVEL_RANK[f.outlook.level] for f in ended.facets.values()), default=-1)
    rank = LEVEL_RANK[signal.level] if isinstance(signal, CascadeForecast) else -1
    return severity < ended.incident.severity or rank > worst_rank
