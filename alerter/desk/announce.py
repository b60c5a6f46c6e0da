"""Takes a change to an incident through five stages, in the order of `STAGES`.

  hold      decide whether people are told now (`incidents.telling`), asking silences, quiet hours and the page budget
  save      write the incident and its timeline
  publish   hand the change to the event log
  notify    enqueue deliveries to the people who are told, and to subscribers
  escalate  cancel, resume or hasten the steps of the policy, record the pages that must arrive, and schedule the next step

All of it happens in the caller's transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from sqlalchemy import Connection

from alerter.desk.context import Context
from alerter.desk.gate import Gate
from alerter.desk.sources import Sources
from alerter.escalation import steps, untold
from alerter.escalation.paging import PageRequest, Paging
from alerter.incidents import model, outcomes, suppression, telling
from alerter.incidents.record import (
    Entry,
    IncidentRecord,
    Message,
    Story,
    Transition,
    material,
    used_up_by,
    with_audience,
)
from alerter.incidents.store import IncidentStore, Origin
from alerter.incidents.telling import Announcement
from alerter.incidents.words import ENDED_QUIETLY
from alerter.notify import outbox
from alerter.notify.endpoints import Subscribers
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.notify.tickets import rows as ticket_rows
from alerter.rules.severity import WORST
from alerter.states import TellReason
from services.config.rota import Urgency
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.incident import Change, Held, HeldBy, IncidentChanged
from services.contracts.topics import INCIDENTS
from services.eventlog.base import Message as LogMessage


class Occasion(Enum):
    """Where a change comes from, as far as the stages need to know."""

    OPENING = auto()
    """A new incident."""
    CHANGE = auto()
    """A signal, a timer or a person changed it."""
    STEP = auto()
    """A step of its policy is due, or a page did not get through."""
    HOLD = auto()
    """The reason for holding it back began, changed or ended: the gate has been asked already."""


@dataclass(slots=True)
class Work:
    """One change on its way through the stages."""

    before: IncidentRecord | None
    transition: Transition
    occasion: Occasion
    origin: Origin | None
    request: PageRequest | None
    """Whom a step or a hand-over pages. Without one the change is told to those who were told before."""
    goes_on: bool
    """Whether to schedule the step after that of `request`."""
    announced: Announcement | None = None
    rouses: bool = False
    """Whether those who were paged while the incident was calm are rung now by their rules for urgent ones."""
    made: Mapping[str, str] = field(default_factory=dict)
    """The delivery to each endpoint by which people are told."""

    @property
    def result(self) -> Announcement:
        assert self.announced is not None, "the first stage decides"
        return self.announced

    @property
    def record(self) -> IncidentRecord:
        return self.result.record


class Announcer:
    """Announces changes in one transaction. `published` and `decisions` are for the metrics."""

    def __init__(self, connection: Connection, context: Context) -> None:
        self.connection = connection
        self.context = context
        self.now: datetime = context.now
        self.store = IncidentStore(connection)
        self.gate = Gate(connection, self.store, context.config, context.now)
        self.sources = Sources(connection, context.now)
        self.paging = Paging(connection, context.config, context.now, context.wall)
        self.published: list[tuple[Change, int]] = []
        self.decisions: Counter[TellReason] = Counter()
        self._subscribers: Subscribers | None = None

    def announce(
        self,
        before: IncidentRecord | None,
        transition: Transition,
        origin: Origin | None = None,
        occasion: Occasion = Occasion.CHANGE,
        request: PageRequest | None = None,
        goes_on: bool = True,
    ) -> IncidentRecord:
        """Take a transition through the stages; `before` is `None` for an opening. Returns the saved incident."""
        if before is None or not before.ended or not transition.record.ended:
            transition = replace(transition, record=self._with_what_is_unheard(transition.record))
        work = Work(before, transition, occasion, origin, request, goes_on)
        for stage in STAGES:
            stage(self, work)
        return work.record

    def _with_what_is_unheard(self, record: IncidentRecord) -> IncidentRecord:
        gap = self.sources.unheard(record)
        if gap is not None:
            record = record.model_copy(update={"was_unheard": gap.words})
        elif record.incident.state in ENDED_QUIETLY and record.was_unheard is None:
            record = record.model_copy(update={"was_unheard": self.sources.unreported(record)})
        since, words = (None, None) if gap is None else (gap.since, gap.words)
        if record.ended:
            words = record.was_unheard  # an end says what was not heard on the way
        incident = record.incident
        if (incident.unknown_since, incident.unheard) == (since, words):
            return record
        return record.with_incident(unknown_since=since, unheard=words)

    def open(self, transition: Transition, known: Story, origin: Origin | None) -> IncidentRecord:
        """Announce a new incident, and note in its story that it belongs to it."""
        record = self.announce(None, transition, origin, Occasion.OPENING)
        incident = record.incident
        opened = known._replace(incident=incident.id, openings=known.openings + 1)
        self.store.put_story(incident.brand, incident.story, opened, self.now)
        return record

    def why_held(self, record: IncidentRecord) -> Held | None:
        """Returns why nobody may be told of the incident now, or `None`. Beyond the page budget it joins the storm."""
        held = self.gate.held(record)
        if held is not None:
            return held
        budget = self.gate.overflows(record)
        return None if budget is None else self._overflow(record, budget)

    def _overflow(self, record: IncidentRecord, budget: int) -> Held:
        """Add the incident to its brand's storm, once, and open the storm if there is none."""
        brand, was = record.incident.brand, record.incident.held
        storm = self.store.open_incident_of(brand, suppression.STORM)
        if storm is None:
            known = self.store.story(brand, suppression.STORM)
            opening = suppression.open_storm(record, known.openings, budget, known.incident, self.now)
            storm = self.open(opening, known, None)
        elif was is None or was.name != storm.incident.id:
            self.announce(storm, suppression.join_storm(storm, record, self.now))
        return suppression.beyond_budget(storm, budget, self.now)

    def is_urgent(self, record: IncidentRecord) -> bool:
        return self.context.config.urgency(record.incident.severity) is Urgency.URGENT

    def enqueue(
        self, record: IncidentRecord, message: Message, names: tuple[str, ...], alone: bool = False
    ) -> dict[str, str]:
        """Enqueue a delivery to each of these endpoints, and to each subscriber to such messages, unless they are told
        `alone`: that one person is told again, or is asked, concerns nobody else.

        Returns the id of the delivery to each of `names`.
        """
        incident = record.incident
        self._subscribers = self._subscribers or Subscribers(self.connection)
        kind = f"incident.{message.change.value}"
        others = () if alone else self._subscribers.of(kind, incident.brand, incident.severity)
        everybody = tuple({*names, *others})
        if not everybody:
            return {}
        config, public_url = self.context.config, self.context.public_url
        body = native.render(incident, message.change, message.because, config.source_policy, public_url)
        cause = Cause(kind, incident.id, (incident.id, incident.sequence, message.change), incident.sequence)
        outbox.enqueue(self.connection, cause, body, everybody, self.now, self.context.wall)
        identity = cause.id
        return {name: outbox.id_of(identity, name) for name in names}


def hold(desk: Announcer, work: Work) -> None:
    """Decide whether people are told, and whom the first step of a new incident pages."""
    work.announced = telling.decide(work.before, work.transition, _gate(desk, work), desk.now)
    desk.decisions[work.announced.tell] += 1
    record = work.record
    if work.before is None and record.incident.held is None and record.policy.steps[0].after_minutes == 0:
        work.request = desk.paging.request(record, 0)
        work.announced = _told_first(work.announced, work.request, desk.now)
    elif work.before is not None and _calls_again(work.before, work):
        _call_again(desk, work)
    if work.before is not None:
        _rouse(desk, work.before, work)
    if work.before is not None and work.result.message is not None:
        work.announced = replace(work.result, record=_with_tickets(desk, work.record))


def _rouse(desk: Announcer, before: IncidentRecord, work: Work) -> None:
    """Decide whether those who were paged while the incident was calm are rung now: it became urgent, or its policy goes on
    and it had become urgent while somebody had it or it was held back."""
    record, request = work.record, work.request
    if record.ended:
        return  # if it is reopened, it is as it was
    is_urgent = desk.is_urgent(record)
    rose = is_urgent and not desk.is_urgent(before)
    is_step = work.occasion is Occasion.STEP and request is not None and not request.is_hand_over
    result = work.result
    is_now = result.resumes_at is None or result.resumes_at <= desk.now
    goes_on = is_step or (is_now and (result.resumes_at is not None or result.tell.is_told))
    work.rouses = is_urgent and (rose or (before.to_rouse and goes_on)) and _may_ring(desk, record)
    to_rouse = is_urgent and not work.rouses and (rose or before.to_rouse)
    if to_rouse != record.to_rouse:
        work.announced = replace(result, record=record.model_copy(update={"to_rouse": to_rouse}))


def _may_ring(desk: Announcer, record: IncidentRecord) -> bool:
    """Returns True if nobody has it and nothing holds it back, also where that would only be noticed by the next message."""
    return not telling.is_muted(record) and desk.gate.held(record) is None


def _with_tickets(desk: Announcer, record: IncidentRecord) -> IncidentRecord:
    """Returns the record with the tickets that other systems have made of it by now."""
    incident = record.incident
    found = ticket_rows.external_ids(desk.connection, [incident.id]).get(incident.id, ())
    return record if found == incident.external_ids else record.with_incident(external_ids=found)


def _gate(desk: Announcer, work: Work) -> telling.WhyHeld:
    """Returns the gate to ask, which depends on the occasion and on what held the incident back before."""
    if work.occasion is Occasion.HOLD:
        return lambda record: record.incident.held
    if work.before is None:
        return desk.why_held
    was = work.before.incident.held
    if was is None or was.by is not HeldBy.PAGE_BUDGET:
        return desk.gate.held
    # The storm incident stands in for it until the hour is over, whatever else would hold it back.
    return lambda record: was if record.incident.severity > WORST else desk.gate.held(record)


def _calls_again(before: IncidentRecord, work: Work) -> bool:
    """Returns True if it got materially worse after its policy was used up and nobody answered: that pages people again."""
    record, message = work.record, work.result.message
    if work.request is not None or record.used_up_at is None or not record.is_pressing or message is None:
        return False
    crossed = message.tell in (TellReason.CROSSED, TellReason.SURGING)
    return message.tell.is_told and (crossed or material(before.told, record))


def _call_again(desk: Announcer, work: Work) -> None:
    """Let the change page those who were told last, in place of the repetition that waits."""
    record, message = work.record, work.result.message
    number = desk.paging.insisting(record)
    request = None if number is None else desk.paging.insist(record, number)
    if message is None or number is None or request is None:
        return
    if not steps.take(desk.connection, record.incident.id, number, desk.now):
        return
    because = f"{message.because}; policy {record.policy.id} is used up and {model.UNANSWERED}"
    entries = (*work.result.entries, Entry("insisted", request.words))
    message = replace(message, because=because)
    record = with_audience(record, request.names, desk.now)
    work.request = request
    work.announced = replace(work.result, record=record, entries=entries, message=message)


def _told_first(announced: Announcement, request: PageRequest, now: datetime) -> Announcement:
    """Returns the opening with the endpoints of its first step, and why that step went differently from the policy."""
    record = used_up_by(with_audience(announced.record, request.names, now), request.number, now)
    if request.goes_on or request.is_unsure:
        announced = replace(announced, entries=(*announced.entries, Entry("told", request.words)))
    if request.said is None or announced.message is None:
        return replace(announced, record=record)
    message = replace(announced.message, because=f"{announced.message.because} ({request.said})")
    entries = (*announced.entries, Entry("unowned", request.said))
    return replace(announced, record=record, entries=entries, message=message)


def save(desk: Announcer, work: Work) -> None:
    """Write the incident, and record its alarm if the incident is over or has a mark. Of one that was reopened nothing is
    known yet."""
    desk.store.save(work.before, work.result, work.origin, desk.now, desk.context.wall)
    if work.record.ended or work.record.incident.outcome is not None:
        outcomes.keep(desk.connection, work.record)
    elif work.before is not None and work.before.ended:
        outcomes.drop(desk.connection, work.record.incident.id)


def publish(desk: Announcer, work: Work) -> None:
    """Put the change into the outbox for the event log, whether or not people are told."""
    message, incident = work.result.message, work.record.incident
    if message is None:
        return
    change = IncidentChanged(change=message.change, because=message.because, incident=incident)
    identity = event_id("incident.changed", incident.id, incident.sequence, message.change)
    outbox.publish(desk.connection, [LogMessage(INCIDENTS.name, incident.brand, encode(change, identity))], desk.now)
    desk.published.append((message.change, incident.severity))


def notify(desk: Announcer, work: Work) -> None:
    """Enqueue deliveries to the people who are told."""
    message, record, request = work.result.message, work.record, work.request
    if message is None or not message.tell.is_told:
        return
    names = _recipients(desk, work, message)
    if request is not None and request.is_hand_over and work.occasion is not Occasion.STEP:
        # It rings whoever is asked, also where somebody else has it. To all others it is news.
        asked = desk.enqueue(record, replace(message, change=Change.ESCALATED), request.names, alone=True)
        others = tuple(name for name in names if name not in asked)
        work.made = {**desk.enqueue(record, message, others), **asked}
        return
    work.made = desk.enqueue(record, message, names, alone=request is not None and request.is_ring)


def _recipients(desk: Announcer, work: Work, message: Message) -> tuple[str, ...]:
    """Returns the endpoints that a step pages, or else those that were told before, a named person's first."""
    record, brand = work.record, work.record.incident.brand
    if work.request is not None and (work.before is None or work.occasion is Occasion.STEP):
        return work.request.names
    if message.change is Change.OPENED:
        return ()  # the first step, which comes later, tells people
    first: tuple[str, ...] = ()
    if message.person is not None:
        # Who is asked to take it was looked at when they were asked; a reminder goes by the name that its holder gave.
        among = record.held_from_outside and message.tell is TellReason.REMINDED
        first = desk.paging.reach(message.person, record, only_of_brand=among)
    if work.request is not None:
        first = (*first, *work.request.names)
    return tuple(dict.fromkeys((*first, *desk.paging.usable_in_order(record.audience, brand))))


def escalate(desk: Announcer, work: Work) -> None:
    """Move the policy: schedule its first or next step, cancel, resume or hasten the waiting one, and record what pages."""
    before, record, result = work.before, work.record, work.result
    incident = record.incident
    if before is None:
        first = desk.now + timedelta(minutes=record.policy.steps[0].after_minutes)
        steps.schedule(desk.connection, incident.id, 0, first, done=work.request is not None)
    if result.halts or (record.ended and before is not None and not before.ended):
        steps.cancel(desk.connection, incident.id, desk.now)
    if result.resumes_at is not None and not record.ended:
        why = result.entries[-1].because if result.entries else None
        steps.resume(desk.connection, incident.id, result.resumes_at, record.policy.step_count - 1, why)
    # What resumes has its time: an answer that was due while it was over hastens nothing.
    moved = before is not None and incident.answer_by != before.incident.answer_by
    if moved and not record.ended and result.resumes_at is None:
        desk.paging.hasten(record)
    if work.request is not None and result.tell.is_told:
        # After what stops those that went before.
        desk.paging.record(record, work.request, work.made, is_first=before is None)
    if work.rouses:
        desk.paging.rouse(record, work.made)
    if work.request is not None and result.tell.is_told:
        if not work.request.called:
            untold.note(desk.connection, incident.id, work.request.number, desk.now, work.request.why_nobody)
        if work.goes_on:
            desk.paging.schedule_next(record, work.request)


STAGES: Final[tuple[Callable[[Announcer, Work], None], ...]] = (hold, save, publish, notify, escalate)
