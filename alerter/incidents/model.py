"""What signals and time do to an incident. Pure.

Each function takes the incident and the time. It returns a transition: the incident as it is next, the entries for its
timeline and the message about it, each with its reason in words.

`transitions` has the table of what may happen, `actions` what people do, `telling` whether people are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from alerter.incidents import actions, cards, hearing
from alerter.incidents.cards import Cards, PostKey
from alerter.incidents.record import (
    AnswerTerms,
    Entry,
    Facet,
    IncidentRecord,
    Measures,
    Message,
    Story,
    Surging,
    Told,
    Transition,
    heard,
    incident_id,
    negatives_of,
    outlook,
    refresh,
    used_up_by,
    with_audience,
    worse,
)
from alerter.incidents.telling import TELL_AGAIN_AFTER, is_muted, why_muted
from alerter.incidents.transitions import Trigger, advance, easing, trigger_of
from alerter.rules.conditions import LEVEL_RANK, Opening, SinglePost
from alerter.rules.decide import Decision
from alerter.rules.severity import Grade
from alerter.states import TellReason
from services.config.model import Policy
from services.contracts.base import ConversationId, StoryId
from services.contracts.incident import Change, Incident, IncidentState
from services.contracts.signal import (
    BrandSurge,
    CascadeForecast,
    FlaggedBy,
    Level,
    PostAnswered,
    PostAsked,
    PostCard,
    PostFlagged,
    PostNegative,
    PostUnread,
    SurgePhase,
)

CALM_FOR: Final = timedelta(hours=1)
"""How long an incident eases before it is over."""
SILENT_AFTER: Final = timedelta(hours=24)
"""How long without any signal before an incident counts as easing: the scorer may have lost sight of its story."""
UNANSWERED: Final = "nobody has acknowledged it"
MAX_CONVERSATIONS: Final = 32
"""How many conversations of one story (its root, and the quotes that grew) keep their forecasts."""
_PHASE_WORDS: Final = {
    SurgePhase.START: "a surge began",
    SurgePhase.GROWING: "the surge is growing",
    SurgePhase.END: "the surge has ended",
}


_POST_WORDS: Final[dict[type[SinglePost], tuple[str, str]]] = {
    PostNegative: ("negative", "a negative post"),
    PostAsked: ("asked", "a question"),
    PostFlagged: ("flagged", "a post was flagged by its words"),
    PostUnread: ("unread", "a post was not read"),
}
"""The kind of the timeline's line about a post, and how it begins."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the configuration says about an incident that opens. It is frozen into the incident."""

    brand_name: str
    policy: Policy
    first_step: str | None = None
    """The first step of the playbook."""
    terms: AnswerTerms = field(default_factory=AnswerTerms)


def open_incident(
    signal: Opening,
    decision: Decision,
    story: StoryId,
    known: Story,
    setting: Setting,
    now: datetime,
    earlier: Mapping[ConversationId, Measures] | None = None,
) -> Transition:
    """Open an incident about a story. `known` is what earlier signals of the story left behind, `earlier` how large its
    conversations were before."""
    state = IncidentState.PRIOR
    if isinstance(signal, BrandSurge) or (isinstance(signal, CascadeForecast) and signal.level is Level.CROSSED):
        state = IncidentState.ACTIVE
    severity = decision.grade.severity
    incident = Incident(
        id=incident_id(signal.brand, story, known.openings),
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
        first_step=setting.first_step,
        previous=known.incident,
    )
    blank = IncidentRecord(
        incident=incident,
        ordinal=known.openings,
        brand_name=setting.brand_name,
        policy=setting.policy,
        cards=Cards(),
        told=Told(severity=severity, rank=-1, high=None, at=now),
        touched_at=now,
        complaint=known.complaint,
        terms=setting.terms,
        earlier=dict(earlier or {}),
    )
    record = refresh(_take(blank, signal, decision.grade, now), {})
    record = record.model_copy(update={"told": heard(record, now)})
    message = Message(Change.OPENED, decision.reason, TellReason.OPENED)
    return Transition(record, (Entry("opened", decision.reason),), message)


def join(
    record: IncidentRecord,
    signal: Opening | PostAnswered,
    grade: Grade | None,
    now: datetime,
    unheard: str | None = None,
) -> Transition | None:
    """Apply a further signal of the story. Returns `None` if it is old, a duplicate, or says nothing new.

    All signals but `PostAnswered` need a `grade`. `unheard` says in words that a network of the story is not heard: then
    what the scorer concludes from silence changes nothing (`hearing`).
    """
    if record.ended or _stale(record, signal):
        return None
    if unheard is not None and hearing.is_of_silence(record, signal):
        return hearing.withhold(record, signal, unheard, now)
    if isinstance(signal, PostAnswered):
        draft = record.model_copy(update={"answered_at": record.answered_at or signal.at, "touched_at": now})
        return advance(
            record, draft, Trigger.NOTED, Entry("answered", f"the brand answered post {signal.post_id}"), now
        )
    assert grade is not None, "a signal that may open an incident is graded"
    draft = _take(record, signal, grade, now)
    if isinstance(signal, SinglePost):
        if _weight(draft) == _weight(record) and now - record.touched_at < CALM_FOR:
            return None
        kind, what = _POST_WORDS[type(signal)]
        if isinstance(signal, PostFlagged) and signal.by is FlaggedBy.MODEL:
            what = "a post was flagged by what it was read to say"
        return advance(record, draft, Trigger.NOTED, Entry(kind, f"{what}: {grade.words}"), now)
    if isinstance(signal, BrandSurge):
        return advance(
            record, draft, trigger_of(draft), Entry("surge", f"{_PHASE_WORDS[signal.phase]}: {grade.words}"), now
        )
    return advance(record, draft, trigger_of(draft), Entry("forecast", signal.reason), now)


def _weight(record: IncidentRecord) -> tuple[Cards, int | None, int | None]:
    """What a single post may change."""
    return record.cards, record.complaint_severity, record.floor


def _stale(record: IncidentRecord, signal: Opening | PostAnswered) -> bool:
    """Returns True if a newer signal has been applied: a forecast's number or time and a surge's time only grow."""
    if isinstance(signal, CascadeForecast):
        known = record.facets.get(signal.conversation)
        # A scorer that had forgotten the conversation counts anew.
        return known is not None and signal.number <= known.number and signal.at <= known.at
    if isinstance(signal, BrandSurge):
        return record.surge is not None and signal.at <= record.surge.at
    return isinstance(signal, PostAnswered) and record.answered_at is not None


def _take(record: IncidentRecord, signal: Opening, grade: Grade, now: datetime) -> IncidentRecord:
    """Returns the record with what the signal says. State, severity and sequence are not changed yet."""
    changes: dict[str, Any] = {"touched_at": now}
    if grade.floor is not None:
        changes["floor"] = min(grade.floor, record.floor or grade.floor)
    if isinstance(signal, CascadeForecast):
        root = signal.root if str(signal.conversation) == record.incident.story or record.cards.root is None else None
        # What drives the story is said by its own conversation, also that it is the root again; a quote's may name another.
        own = str(signal.conversation) == record.incident.story
        known = record.cards.model_copy(update={"driver": None}) if own else record.cards
        changes["cards"] = cards.merge(known, root, signal.loudest, signal.exemplars, signal.driver)
        facet = Facet(
            number=signal.number,
            at=signal.at,
            severity=grade.severity,
            words=grade.words,
            outlook=outlook(signal),
            begins=signal.at - timedelta(seconds=signal.evidence.age_seconds),
            rate_60m=signal.evidence.rate_60m,
            curve=signal.evidence.curve,
            volume=grade.volume,
            negatives=negatives_of(signal),
        )
        facets = {**record.facets, signal.conversation: facet}
        if len(facets) > MAX_CONVERSATIONS:
            del facets[min(facets, key=lambda c: (LEVEL_RANK[facets[c].outlook.level], facets[c].at))]
        changes["facets"] = facets
        if record.crossed_at is None and (signal.level is Level.CROSSED or signal.crossed_at is not None):
            changes["crossed_at"] = signal.crossed_at or signal.at
    elif isinstance(signal, SinglePost):
        root = (
            signal.post
            if signal.conversation == f"{signal.post.network}:{signal.post.post_id}" == record.incident.story
            else None
        )
        changes["cards"] = cards.merge(record.cards, root, (), (signal.post,))
        if isinstance(signal, PostNegative):
            changes |= {"complaint": max(signal.severity or 0, record.complaint or 0), "posts": "complaint"}
        elif isinstance(signal, PostFlagged):
            changes["topics"] = tuple(sorted({*record.topics, *signal.topics}))
        else:
            changes["posts"] = record.posts or ("question" if isinstance(signal, PostAsked) else "unread")
        changes["complaint_severity"] = min(grade.severity, record.complaint_severity or grade.severity)
    else:
        changes["cards"] = cards.merge(record.cards, None, (), signal.exemplars)
        ended = signal.phase is SurgePhase.END
        changes["surge"] = Surging(
            begins=signal.begins,
            at=signal.at,
            severity=grade.severity,
            words=grade.words,
            ended=ended,
            volume=grade.volume,
            observed=signal.observed,
            networks=tuple(sorted(signal.networks)),
            unread=signal.unread,
        )
    return record.model_copy(update=changes)


def due(record: IncidentRecord) -> datetime | None:
    """Returns when `fire` is to be called next, if nothing else happens before, or `None` once the incident is over."""
    if record.ended:
        return None
    recheck = record.recheck_at
    if record.eased_at is not None:
        # Nobody is reminded of an incident that goes away by itself.
        calm = record.eased_at + CALM_FOR
        return calm if recheck is None else max(calm, recheck)
    incident = record.incident
    moments = [record.touched_at + _silent_after(record) if recheck is None else recheck]
    asked_until = record.asked_until if incident.acknowledged_by is not None else None
    untils = (incident.acknowledged_until, incident.snoozed_until, asked_until)
    moments += [until for until in untils if until is not None]
    if incident.held is not None:
        moments.append(incident.held.until)
    if worse(record) and not is_muted(record):
        moments.append(record.told.at + TELL_AGAIN_AFTER)
    return min(moments)


def _silent_after(record: IncidentRecord) -> timedelta:
    return CALM_FOR if record.storm else SILENT_AFTER


def is_silent(record: IncidentRecord, now: datetime) -> bool:
    """Returns True if there was no signal for so long that the incident eases, and if it is heard."""
    is_heard = record.recheck_at is None or record.recheck_at <= now
    return is_heard and record.touched_at + _silent_after(record) <= now


def ends_by_silence(record: IncidentRecord, now: datetime) -> bool:
    """Returns True if the incident is about to ease, or to end, because nothing happens; never of a storm."""
    if record.ended or record.storm:
        return False
    eased = record.eased_at is not None and record.eased_at + CALM_FOR <= now
    return eased or record.touched_at + _silent_after(record) <= now


def fire(record: IncidentRecord, now: datetime) -> Transition | None:
    """Do what is due by time alone: give the all-clear, end a story without signals, end an acknowledgement or a
    snooze, or tell what had to wait. Returns `None` if nothing is due."""
    moment = due(record)
    if moment is None or moment > now:
        return None
    if record.eased_at is not None:
        return advance(record, record, Trigger.CALMS, Entry("calm", "nothing more happened for an hour"), now)
    if is_silent(record, now):
        over = record.surge.model_copy(update={"ended": True}) if record.surge is not None else None
        draft = record.model_copy(update={"surge": over})
        why = "no further incident beyond the page budget for an hour" if record.storm else "no signal for a day"
        return advance(record, draft, easing(record), Entry("silent", why), now)
    incident = record.incident
    if incident.acknowledged_until is not None and incident.acknowledged_until <= now:
        return actions.lapse(record, now)
    if incident.acknowledged_by is not None and record.asked_until is not None and record.asked_until <= now:
        return actions.not_taken(record, now)
    if incident.snoozed_until is not None and incident.snoozed_until <= now:
        return actions.wake(record, now)
    if is_muted(record):
        return None  # it was held back until now: the desk asks the gate whether that goes on
    return advance(record, record, Trigger.NOTED, Entry("retold", "it is worse than what people were told"), now)


def escalate(
    record: IncidentRecord,
    number: int,
    endpoints: tuple[str, ...],
    now: datetime,
    words: str | None = None,
    why: str | None = None,
    insists: bool = False,
) -> Transition:
    """Tell these endpoints, as step `number` of the policy says. The first message to anybody says that it opened.

    `words` say who was told and how; `why` says what went differently from the policy. With `insists` it repeats a policy that
    is used up, which counts in the page budget; what follows such a page does not.
    """
    again = number > 0 or record.audience != ()
    used_up = number >= record.policy.step_count
    change = Change.ESCALATED if again else Change.OPENED
    because = record.incident.reason
    if again:
        because = f"step {number + 1} of policy {record.policy.id}: {why or UNANSWERED}"
        if used_up:
            because = f"policy {record.policy.id} is used up: {why or UNANSWERED}"
    elif why:
        because = f"{because} ({why})"
    told = words or f"step {number + 1} told {', '.join(endpoints) or 'nobody'}"
    kind = "insisted" if insists else "escalated" if again else "told"
    entry = Entry(kind, f"{told} ({why})" if why else told)
    message = Message(change, because, TellReason.STEP if again else TellReason.OPENED)
    draft = used_up_by(with_audience(record, endpoints, now), number, now)
    return advance(record, draft, Trigger.NOTED, entry, now, message)


def edit(record: IncidentRecord, post: PostCard, *, still_waits: bool, now: datetime) -> Transition | None:
    """Correct a post that was edited, also after the incident ended. Returns `None` if it is not kept any more, or says the
    same. People are told if the post that the incident is about takes back what it said (`still_waits` is False)."""
    corrected = cards.edit(record.cards, post)
    if corrected == record.cards:
        return None
    draft = record.model_copy(update={"cards": corrected})
    after = refresh(draft, {"sequence": record.incident.sequence + 1, "changed_at": now})
    front = [cards.key(card) for card in (record.cards.root, record.cards.driver) if card is not None]
    at = f" at {post.edited_at:%H:%M} UTC" if post.edited_at is not None else ""
    because = f"post {post.post_id} on {post.network} was edited{at}"
    tell = TellReason.RECORDED
    if not still_waits:
        because += ": it no longer complains, asks or speaks of danger"
        if cards.key(post) in front and not record.ended:
            tell = why_muted(after) or TellReason.EDITED
    return Transition(after, (Entry("edited", because),), Message(Change.UPDATED, because, tell))


def redact(record: IncidentRecord, post: PostKey, now: datetime, *, hidden: bool = False) -> Transition | None:
    """Forget a deleted post, also after the incident ended. Returns `None` if that was done already.

    A post that the incident no longer keeps is remembered as deleted too, so that no late forecast brings it back. One that was
    only `hidden` is not: it may be shown again.
    """
    if post in record.cards.redacted:
        return None
    left = cards.forget(record.cards, post)
    if hidden:
        left = left.model_copy(update={"redacted": record.cards.redacted})
    if left == record.cards:
        return None
    forgetting = record.model_copy(update={"cards": left})
    after = refresh(forgetting, {"sequence": record.incident.sequence + 1, "changed_at": now})
    because = f"post {post[1]} was {'hidden' if hidden else 'deleted'} on {post[0]}; its text and author have been erased here"
    return Transition(after, (Entry("redacted", because),), Message(Change.UPDATED, because, TellReason.RECORDED))
