"""Where everything that happens to incidents comes together: signals, timers, steps and people's deeds, each done to the
incident, the outbox and the timeline in the caller's one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from alerter.answers import answer_clocks, digest
from alerter.desk import groups, redaction
from alerter.desk.context import Context
from alerter.desk.gate import Gate
from alerter.escalation import pages, steps
from alerter.escalation.paging import PageRequest, Paging
from alerter.incidents import actions, model, outcomes, suppression, transitions, words
from alerter.incidents.record import AnswerTerms, Entry, IncidentRecord, Message, Transition, tell
from alerter.incidents.store import IncidentStore, Origin, Story
from alerter.incidents.transitions import Trigger
from alerter.notify import outbox
from alerter.notify.endpoints import Subscribers
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.rules import decide
from alerter.rules.decide import Decision
from alerter.store import volume
from services.contracts.base import BrandId, Event, StoryId, event_id
from services.contracts.codec import encode
from services.contracts.incident import Change, Held, HeldBy, IncidentChanged, IncidentState, OutcomeMark
from services.contracts.signal import (
    BrandSurge,
    BrandVolume,
    CascadeForecast,
    Line,
    PostAnswered,
    PostAsked,
    PostNegative,
    PostRedacted,
    SurgePhase,
)
from services.contracts.topics import INCIDENTS
from services.eventlog import base as eventlog

MAX_SURGE_STORIES: Final = 200
"""Stories of one surge that join its incident; more would make one transaction long."""


class SignalResult(StrEnum):
    """What came of a signal."""

    OPENED = "opened"
    JOINED = "joined"
    NOTED = "noted"
    IGNORED = "ignored"
    REPEATED = "repeated"


class IncidentService:
    """For one transaction. `told` collects what was told, for the metrics."""

    def __init__(self, connection: Connection, context: Context) -> None:
        self._connection = connection
        self._context = context
        self._now = context.now
        self.store = IncidentStore(connection)
        self.told: list[tuple[Change, int]] = []
        self._gate = Gate(connection, self.store, context.config, context.now)
        self._groups = groups.Groups(connection, self.store, self._gate, context.now)
        self.ladder = Paging(connection, context.config, context.now, context.wall)
        self._subscribers: Subscribers | None = None

    @property
    def connection(self) -> Connection:
        """The transaction, for what must be written together with a deed."""
        return self._connection

    # Signals

    def apply(self, event: Event, origin: Origin) -> SignalResult:
        """Do what this signal asks for. Types that concern neither incident nor answer clock are ignored."""
        timed = self._time(event)
        verdict = self._apply(event, origin)
        return SignalResult.NOTED if timed and verdict is SignalResult.IGNORED else verdict

    def _time(self, event: Event) -> bool:
        """Whether an answer clock started or stopped."""
        if isinstance(event, (PostNegative, PostAsked)):
            return answer_clocks.start(self._connection, event, self._context.config, self._now)
        if isinstance(event, PostAnswered):
            return answer_clocks.stop(self._connection, event, self._now)
        if isinstance(event, PostRedacted):
            digest.redact(self._connection, event)
            return answer_clocks.withdraw(self._connection, event)
        return False

    def _apply(self, event: Event, origin: Origin) -> SignalResult:
        if isinstance(event, BrandSurge):
            return self._surge(event, origin)
        if isinstance(event, (CascadeForecast, PostNegative)):
            return self._of_story(event, event.story, origin)
        if isinstance(event, PostAnswered):
            record = self._open_of(event.brand, event.story)
            return self._join(record, event, origin) if record is not None else SignalResult.IGNORED
        if isinstance(event, PostRedacted):
            forgotten = redaction.redact(
                self._connection, self.store, self._context, event, lambda d, o: self.carry_out(d, o, origin)
            )
            return SignalResult.JOINED if forgotten else SignalResult.IGNORED
        if isinstance(event, BrandVolume):
            volume.add(self._connection, event)
            return SignalResult.NOTED
        return SignalResult.IGNORED

    def _of_story(self, signal: decide.Opening, story: StoryId, origin: Origin) -> SignalResult:
        known = self.store.story(signal.brand, story)
        noted = isinstance(signal, PostNegative) and (signal.severity or 0) > (known.complaint or 0)
        if isinstance(signal, PostNegative) and noted:
            known = known._replace(complaint=signal.severity)
        record = self.store.load(known.incident) if known.incident is not None else None
        joins = record is not None and not record.ended
        decision = None if joins else self._decide(signal, known.complaint)
        if decision is not None and (
            record is None or model.reopens(record, signal, decision.grade.severity, self._now)
        ):
            return self._open(signal, story, known, decision, origin)
        if noted:
            self.store.put_story(signal.brand, story, known, self._now)
        if joins and record is not None:
            return self._join(record, signal, origin)
        return SignalResult.NOTED if noted else SignalResult.IGNORED

    def _surge(self, surge: BrandSurge, origin: Origin) -> SignalResult:
        """A surge joins the incident of one of its stories if there is one, and its other stories join it."""
        story = StoryId(f"surge:{surge.begins.timestamp():.0f}")
        if self._open_of(surge.brand, story) is None and surge.phase is not SurgePhase.END:
            open_ones = [
                d for s in surge.stories[:MAX_SURGE_STORIES] if (d := self._open_of(surge.brand, s)) is not None
            ]
            if open_ones:
                host = min(open_ones, key=lambda d: (d.incident.severity, d.incident.opened_at))
                self._link(surge.brand, story, host.incident.id)
        verdict = self._of_story(surge, story, origin)
        joined = self._open_of(surge.brand, story)
        if joined is not None:
            for member in surge.stories[:MAX_SURGE_STORIES]:
                if self._open_of(surge.brand, member) is None:
                    self._link(surge.brand, member, joined.incident.id)
        return verdict

    def _open_of(self, brand: BrandId, story: StoryId) -> IncidentRecord | None:
        incident = self.store.story(brand, story).incident
        record = self.store.load(incident) if incident is not None else None
        return None if record is None or record.ended else record

    def _link(self, brand: BrandId, story: StoryId, incident: str) -> None:
        self.store.put_story(brand, story, self.store.story(brand, story)._replace(incident=incident), self._now)

    def _line(self, brand: BrandId) -> Line:
        configured = self._context.config.brand(brand)
        return configured.line if configured is not None else Line()

    def _decide(self, signal: decide.Opening, complaint: int | None) -> Decision | None:
        config = self._context.config
        return decide.decide(
            signal, config.rules, self._line(signal.brand), complaint, self._now, topics=config.every_topic
        )

    def _join(self, record: IncidentRecord, signal: decide.Opening | PostAnswered, origin: Origin) -> SignalResult:
        grade = None
        if not isinstance(signal, PostAnswered):
            config = self._context.config
            grade = decide.grade(signal, self._line(signal.brand), record.complaint)
            grade = decide.raised(signal, config.rules, grade, record.complaint, config.every_topic)
        outcome = model.join(record, signal, grade, self._now)
        if outcome is None:
            return SignalResult.IGNORED
        self.carry_out(record, outcome, origin)
        return SignalResult.JOINED

    def _open(
        self, signal: decide.Opening, story: StoryId, known: Story, decision: Decision, origin: Origin
    ) -> SignalResult:
        """Open an incident, unless one of the same group takes the story in."""
        config = self._context.config
        brand = config.brand(signal.brand)
        policy = next(policy for policy in config.policies if policy.id == decision.rule.policy)
        first_step = words.first_step(config.playbooks.get(decision.rule.playbook or ""))
        opened = model.open_incident(
            signal,
            decision,
            story,
            known.openings,
            brand.name if brand is not None else signal.brand,
            policy,
            first_step,
            known.complaint,
            self._now,
            AnswerTerms(
                usual_answer_minutes=brand.usual_answer_minutes if brand is not None else 0,
                promise_minutes=brand.promise.minutes if brand is not None else None,
                cool_down_minutes=decision.rule.cool_down_minutes,
            ),
            known.incident,
        )
        group = decision.group
        host = self._groups.host(group, opened.record)
        if group is not None and host is not None:
            joined = groups.join(host, signal, story, decision, group, known.complaint, config, self._now)
            self.carry_out(host, joined, origin)
            self.store.put_story(signal.brand, story, known._replace(incident=host.incident.id), self._now)
            self._groups.joined(group)
            return SignalResult.JOINED
        self._begin(opened, story, known, origin)
        self._groups.opened(group, opened.record.incident.id)
        return SignalResult.OPENED

    def _begin(self, opened: Transition, story: StoryId, known: Story, origin: Origin | None) -> None:
        """Save what opened, and do the first step of its policy, unless something holds it back."""
        held = self._why_held(opened.record)
        if held is not None:
            opened = suppression.hold_from_the_start(opened, held)
        incident, policy = opened.record.incident, opened.record.policy
        at_once = policy.steps[0].after_minutes == 0 and held is None
        call = self.ladder.call(opened.record, 0) if at_once else PageRequest(0)
        outcome = _told_first(opened, call, self._now)
        self.carry_out(None, outcome, origin)
        self.store.put_story(
            incident.brand, story, known._replace(incident=incident.id, openings=known.openings + 1), self._now
        )
        first = self._now + timedelta(minutes=policy.steps[0].after_minutes)
        steps.schedule(self._connection, incident.id, 0, first, done=at_once)
        if at_once:
            self._page(outcome.record, outcome.messages[0], call)
        elif held is not None:
            steps.cancel(self._connection, incident.id, self._now)

    # What holds back

    def _why_held(self, record: IncidentRecord) -> Held | None:
        """Why nobody is told of it now. What goes beyond its brand's page budget is counted by the storm incident."""
        held = self._gate.held(record)
        if held is not None:
            return held
        budget = self._gate.overflows(record)
        return None if budget is None else self._overflow(record, budget)

    def _overflow(self, record: IncidentRecord, budget: int) -> Held:
        brand = record.incident.brand
        was = record.incident.held
        storm = self._open_of(brand, suppression.STORM)
        if storm is None:
            known = self.store.story(brand, suppression.STORM)
            opened = suppression.open_storm(record, known.openings, budget, known.incident, self._now)
            self._begin(opened, suppression.STORM, known, None)
            storm = opened.record
        elif was is None or was.name != storm.incident.id:
            self.carry_out(storm, suppression.join_storm(storm, record, self._now), None)
        return suppression.beyond_budget(storm, budget, self._now)

    def _gated(self, before: IncidentRecord, outcome: Transition) -> Transition:
        """What is about to be told, or was held back, looked at once more. Nothing holds back severity 1."""
        record, was = outcome.record, before.incident.held
        if record.ended or (was is None and not any(message.pages for message in outcome.messages)):
            return outcome
        if was is not None and was.by is HeldBy.PAGE_BUDGET and record.incident.severity > decide.WORST:
            held: Held | None = was
        else:
            held = self._gate.held(record)
        if held is not None:
            return suppression.hold_what_came(before, outcome, held)
        if was is None or record.incident.state is IncidentState.EASING:
            return outcome
        worst = record.incident.severity == decide.WORST
        because = "severity 1 is never held back" if worst else f"not held back any more: {was.reason}"
        return suppression.release_with(outcome, self._now, because)

    def _reconsider(self, record: IncidentRecord) -> bool:
        """Something held it back until now, or ended early: whether that changed anything."""
        was = record.incident.held
        if was is None or record.ended or record.incident.state is IncidentState.EASING:
            return False
        held = self._why_held(record)
        if held == was:
            return False
        outcome = suppression.release(record, self._now) if held is None else suppression.hold(record, held, self._now)
        self.carry_out(record, outcome, None, gated=False)
        return True

    # Time

    def step(self, incident: str, number: int) -> bool:
        """Do a due step of a policy; whether it was ours to do."""
        record = self.store.load(incident)
        held = self._why_held(record) if record is not None else None
        if record is not None and held is not None:
            self.carry_out(record, suppression.hold(record, held, self._now), None, gated=False)
            return True
        if record is None or not steps.take(self._connection, incident, number, self._now):
            return False
        call = self.ladder.call(record, number)
        why = [why for why in (steps.because(self._connection, incident, number), call.said) if why is not None]
        self._escalate(record, call, "; ".join(why) or None)
        return True

    def unreached(self, incident: str, page: int) -> bool:
        """A page did not arrive: the next method, or else the next step at once, or at last the fallback; whether it was
        ours to look at."""
        record = self.store.load(incident)
        taken = pages.take(self._connection, page, self._now, self._context.wall) if record is not None else None
        if record is None or taken is None:
            return False
        failed, why = taken
        lost = f"the page to {failed.who} by {failed.endpoint} did not get through ({why})"
        rest = self.ladder.usable_in_order(failed.rest, record.incident.brand)
        call = None
        if rest:
            call = self.ladder.again(failed, rest)
        elif self.ladder.is_last(record, failed.number):
            call = self.ladder.last_resort(record, failed.number)
        if call is not None:
            self._escalate(record, call, f"{lost}; trying {', '.join(call.names)}", goes_on=False)
            return True
        steps.hasten(self._connection, incident, failed.number + 1, self._now, lost)
        self.carry_out(
            record, transitions.advance(record, record, Trigger.NOTED, Entry("unreached", lost), self._now), None
        )
        return True

    def _escalate(self, record: IncidentRecord, call: PageRequest, why: str | None, goes_on: bool = True) -> None:
        outcome = model.escalate(record, call.number, call.names, self._now, call.words, why)
        self.carry_out(record, outcome, None, publish_only=True)
        self._page(outcome.record, outcome.messages[0], call, goes_on)

    def _page(self, record: IncidentRecord, message: Message, call: PageRequest, goes_on: bool = True) -> None:
        """Send it, remember what must arrive, and say when the next step is."""
        made = self._enqueue(record, message, call.names)
        self.ladder.record(record.incident.id, call, made)
        if goes_on:
            self.ladder.schedule_next(record, call)

    def fire(self, incident: str) -> bool:
        """Do what an incident's timer asks for; whether there was anything."""
        record = self.store.load(incident)
        if record is None:
            return False
        if self._reconsider(record):
            return True
        outcome = model.fire(record, self._now)
        if outcome is None:
            self.store.rest(record)
            return False
        self.carry_out(record, outcome, None)
        return True

    # People

    def acknowledge(self, incident: str, by: str, comment: str, minutes: float | None = None) -> IncidentRecord | None:
        """`None`: there is no such incident. Raises `Refused`."""
        until = None if minutes is None else self._now + timedelta(minutes=minutes)
        return self._deed(incident, lambda record: actions.acknowledge(record, by, comment, self._now, until))

    def snooze(self, incident: str, by: str, comment: str, minutes: float) -> IncidentRecord | None:
        """`None`: there is no such incident. Raises `Refused`."""
        until = self._now + timedelta(minutes=minutes)
        return self._deed(incident, lambda record: actions.snooze(record, by, comment, self._now, until))

    def reassign(self, incident: str, by: str, to: str, comment: str) -> IncidentRecord | None:
        """`None`: there is no such incident. Raises `Refused`."""
        return self._deed(incident, lambda record: actions.reassign(record, by, to, comment, self._now))

    def resolve(self, incident: str, by: str, comment: str) -> IncidentRecord | None:
        """`None`: there is no such incident. Raises `Refused`."""
        return self._deed(incident, lambda record: actions.resolve(record, by, comment, self._now))

    def mark(self, incident: str, by: str, outcome: OutcomeMark, comment: str) -> IncidentRecord | None:
        """`None`: there is no such incident."""
        return self._deed(incident, lambda record: actions.mark(record, by, outcome, comment, self._now))

    def _deed(self, incident: str, deed: Callable[[IncidentRecord], Transition | None]) -> IncidentRecord | None:
        record = self.store.load(incident)
        if record is None:
            return None
        outcome = deed(record)
        if outcome is None:
            return record
        self.carry_out(record, outcome, None)
        return outcome.record

    # What follows

    def carry_out(
        self,
        before: IncidentRecord | None,
        outcome: Transition,
        origin: Origin | None,
        publish_only: bool = False,
        gated: bool = True,
    ) -> None:
        """Save the incident, publish its change, tell its audience; at its end, cancel what waits."""
        if before is not None and gated:
            outcome = self._gated(before, outcome)
        self.store.save(before, outcome, origin, self._now, self._context.wall)
        record = outcome.record
        for message in outcome.messages:
            self._publish(record, message)
            if message.pages and not publish_only and message.change is not Change.OPENED:
                brand = record.incident.brand
                first = () if message.person is None else self.ladder.reach(message.person, brand)
                others = self.ladder.usable_in_order(record.audience, brand)
                self._enqueue(record, message, tuple(dict.fromkeys((*first, *others))))
            elif message.pages:
                self._enqueue(record, message, ())
        if record.ended or record.incident.outcome is not None:
            outcomes.keep(self._connection, record)
        if outcome.halts or (record.ended and before is not None and not before.ended):
            steps.cancel(self._connection, record.incident.id, self._now)
        if outcome.resumes_at is not None and not record.ended:
            why = outcome.entries[-1].because if outcome.entries else None
            steps.resume(self._connection, record.incident.id, outcome.resumes_at, why)
        if before is not None and not record.ended and record.incident.answer_by != before.incident.answer_by:
            self.ladder.hasten(record)

    def _publish(self, record: IncidentRecord, message: Message) -> None:
        incident = record.incident
        change = IncidentChanged(change=message.change, because=message.because, incident=incident)
        identity = event_id("incident.changed", incident.id, incident.sequence, message.change)
        outbox.publish(
            self._connection, [eventlog.Message(INCIDENTS.name, incident.brand, encode(change, identity))], self._now
        )
        self.told.append((message.change, incident.severity))

    def _enqueue(self, record: IncidentRecord, message: Message, names: tuple[str, ...]) -> dict[str, str]:
        """To these, and to whoever subscribed to such messages. Each of these -> the delivery's id."""
        incident = record.incident
        self._subscribers = self._subscribers or Subscribers(self._connection)
        kind = f"incident.{message.change.value}"
        everybody = tuple({*names, *self._subscribers.of(kind, incident.brand, incident.severity)})
        if not everybody:
            return {}
        config, public_url = self._context.config, self._context.public_url
        body = native.render(incident, message.change, message.because, config.source_policy, public_url)
        parts = (incident.id, incident.sequence, message.change)
        cause = Cause(kind, incident.id, parts, incident.sequence)
        outbox.enqueue(self._connection, cause, body, everybody, self._now, self._context.wall)
        return {name: outbox.delivery_id(cause, name) for name in names}


def _told_first(opened: Transition, call: PageRequest, now: datetime) -> Transition:
    """The opening, with whom its first step tells, and what went otherwise than the policy says."""
    record = tell(opened.record, call.names, now)
    if call.said is None:
        return replace(opened, record=record)
    first = replace(opened.messages[0], because=f"{opened.messages[0].because} ({call.said})")
    entries = (*opened.entries, Entry("unowned", call.said))
    return replace(opened, record=record, entries=entries, messages=(first, *opened.messages[1:]))
