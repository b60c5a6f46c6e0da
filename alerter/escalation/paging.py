"""Finds out whom a step of a policy pages: from its targets to people, from people to the first method that works.

If a target leads to nobody, the policy's fallback is paged instead, and the message says so. Every page is recorded
(`pages`): if it does not arrive, the next method is tried, then the next step, and at last the fallback.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import Connection

from alerter.escalation import pages, policy, rings, steps, untold
from alerter.escalation.pages import Page
from alerter.escalation.rings import Recipient, Ring
from alerter.incidents import actions
from alerter.incidents.record import IncidentRecord
from alerter.notify import endpoints, methods
from alerter.oncall import rosters
from alerter.oncall.brand_people import people_of
from alerter.oncall.method_states import ALL_ON
from alerter.oncall.responders import Contact, Directory, Nobody, account_of
from alerter.rules.severity import PRESSING
from services.config.model import Config
from services.config.rota import ALL, NotificationRule, Urgency
from services.contracts.base import AccountId, BrandId

_A_MOMENT: Final = timedelta(seconds=1)
MILD_AFTER: Final = timedelta(hours=1)
"""A mild incident is looked at rarely: once it is more severe, that alone pages people, and thousands may be open."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Whom a step pages, and which of its targets led to nobody. With `is_ring` it is a further message to a person who
    was paged, which concerns nobody else."""

    number: int
    called: tuple[Recipient, ...] = ()
    missing: tuple[Nobody, ...] = ()
    is_ring: bool = False
    is_hand_over: bool = False
    """No step pages: somebody asks a person to take the incident."""
    insists: bool = False
    """The policy is used up, and this repeats its last step."""

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints to send to now."""
        return tuple(dict.fromkeys(one.methods[0] for one in self.called))

    @property
    def goes_on(self) -> bool:
        """Whether somebody is told again by their own rules, if nobody acknowledges."""
        return any(one.later for one in self.called)

    @property
    def is_unsure(self) -> bool:
        """Whether somebody is told by a method that does not count, because they have no other."""
        return any(one.methods[0] in one.contact.unconfirmed for one in self.called)

    @property
    def said(self) -> str | None:
        """How the step went differently from the policy, in words, or `None`."""
        if not self.missing:
            return None
        instead = [one.contact.who for one in self.called if one.fallback]
        told = f"told {', '.join(instead)} instead" if instead else "there is no fallback to tell instead"
        return f"{'; '.join(nobody.because for nobody in self.missing)}: {told}"

    @property
    def words(self) -> str:
        """Who was told and how, for the timeline."""
        told = [one.words for one in self.called]
        step = "the policy is used up and was repeated: it" if self.insists else f"step {self.number + 1}"
        step = "the hand-over" if self.is_hand_over else step
        return f"{step} told {', '.join(told) or 'nobody'}"

    @property
    def why_nobody(self) -> str:
        """Why it reaches nobody, if it does."""
        return "; ".join(nobody.because for nobody in self.missing) or "there is no endpoint"


class Paging:
    """Pages people, in one transaction."""

    def __init__(self, connection: Connection, config: Config, now: datetime, wall: datetime) -> None:
        self._connection = connection
        self._config = config
        self._now = now
        self._wall = wall
        self._directory: Directory | None = None
        self._usable: dict[tuple[tuple[str, ...], BrandId], frozenset[str]] = {}

    @property
    def directory(self) -> Directory:
        """Who is who. Read when the first target needs it, because most transactions page nobody."""
        if self._directory is None:
            roster = None
            if self._config.schedules:
                roster = rosters.between(self._connection, self._now, self._now + _A_MOMENT, self._now)
            states = methods.states(self._connection, self._config) if self._config.responders else ALL_ON
            self._directory = Directory(self._config, roster=roster, states=states)
        return self._directory

    @cached_property
    def _failing(self) -> frozenset[str]:
        return pages.failing_endpoints(self._connection, self._now)

    def request(self, record: IncidentRecord, number: int, busy: Collection[str] = ()) -> PageRequest:
        """Returns whom step `number` pages. Endpoints that are `busy` with a page already are not asked again."""
        called, missing = self._contacts(record, policy.step_of(record.policy, number).targets, False, busy)
        instead: list[Recipient] = []
        if missing and record.policy.fallback:
            instead, _ = self._contacts(record, record.policy.fallback, True, busy)
        return PageRequest(number, (*called, *instead), tuple(missing))

    def again(self, failed: Page, methods: tuple[str, ...]) -> PageRequest:
        """Returns a request to page the same person by the first of `methods`, after a page that failed."""
        contact = Contact(failed.target, failed.who, methods, methods[0], failed.responder)
        called = (Recipient(contact, methods, failed.fallback),)
        return PageRequest(failed.number, called, is_hand_over=failed.is_hand_over)

    def hand_over(self, record: IncidentRecord, whom: Contact) -> PageRequest:
        """Returns a request to page somebody who is asked to take the incident, by their own rules like a step does."""
        usable = whom.counting(self.usable_in_order(whom.methods, record.incident.brand))
        called = rings.arrange(whom, usable, self._config.urgency(record.incident.severity), fallback=False)
        return PageRequest(policy.HAND_OVER, tuple(called), is_hand_over=True)

    def insist(self, record: IncidentRecord, number: int) -> PageRequest | None:
        """Returns a request to page those of the last step that reaches anybody, once more, or `None` if none does."""
        for last in reversed(range(len(record.policy.steps))):
            request = self.request(record, last)
            if request.called:
                return PageRequest(number, request.called, insists=True)
        return None

    def insisting(self, record: IncidentRecord) -> int | None:
        """Returns the number of the step that waits to repeat a policy that is used up, or `None` if none waits."""
        waiting = steps.waiting(self._connection, record.incident.id)
        return waiting[0] if waiting is not None and waiting[0] >= policy.count(record.policy) else None

    def last_resort(self, record: IncidentRecord, number: int) -> PageRequest | None:
        """Returns a request to page the fallback, for a page that failed at the last step.

        Returns `None` if there is no fallback, or it was paged already.
        """
        if not record.policy.fallback or pages.of_step(self._connection, record.incident.id, number, True):
            return None
        called, _ = self._contacts(record, record.policy.fallback, True)
        return PageRequest(number, tuple(called)) if called else None

    def _contacts(
        self, record: IncidentRecord, targets: Sequence[str], fallback: bool, busy: Collection[str] = ()
    ) -> tuple[list[Recipient], list[Nobody]]:
        incident = record.incident
        called: list[Recipient] = []
        missing: list[Nobody] = []
        for target in targets:
            if target == ALL:
                everybody = sorted(self.usable((ALL,), incident.brand) - set(busy))
                called += [Recipient(Contact(target, name, (name,), name), (name,), fallback) for name in everybody]
                continue
            found = self.directory.find(target, self._account(record), self._now)
            if isinstance(found, Nobody):
                missing.append(found)
                continue
            somebody = self._recipients(record, found, fallback, busy)
            called += somebody
            if not somebody:
                missing.append(Nobody(target, _why_unreached(found)))
        return called, missing

    def _recipients(
        self, record: IncidentRecord, found: Contact, fallback: bool, busy: Collection[str] = ()
    ) -> list[Recipient]:
        """Returns how to page this person or endpoint, or nothing if they cannot be reached."""
        incident = record.incident
        urgency = self._config.urgency(incident.severity)
        # Asked only where it can be so: a storm opens hundreds of incidents in one transaction.
        is_rung = bool(record.audience and found.notify.of(urgency)) and rings.is_rung(
            self._connection, incident.id, found.responder, urgency
        )
        usable = self.usable_in_order(found.methods, incident.brand)
        free = tuple(name for name in usable if name not in busy)
        counting = found.counting(free)
        called = rings.arrange(found, counting, urgency, fallback, is_rung)
        # What nobody confirmed is better than silence: it is tried when all else has failed.
        return rings.with_spare(called, tuple(name for name in free if name not in counting))

    def ways_left(self, failed: Page, brand: BrandId) -> tuple[str, ...]:
        """Returns the methods that are left to tell the person whom a page did not reach, without what they switched off."""
        person = self.directory.responder_called(failed.who) if failed.rest else None
        states = self.directory.states
        on = (one for one in failed.rest if person is None or states.is_on(person.id, one))
        return self.usable_in_order(tuple(on), brand)

    def ring(self, record: IncidentRecord, ring: Ring) -> PageRequest | Nobody:
        """Returns whom to tell now that a ring is due: its person, or whoever has taken their turn over meanwhile.

        It calls nobody if whoever has the turn now was told before. Returns `Nobody` if there is no way to the person.
        """
        if self._config.responder(ring.responder) is None:
            rings.stop_person(self._connection, ring)
            return Nobody(ring.target, f"{ring.who} is no longer a responder")
        found = self.directory.find(ring.target, self._account(record), self._now)
        if isinstance(found, Contact) and found.responder != ring.responder:
            called = self._recipients(record, found, ring.fallback)
            if called:
                rings.stop_person(self._connection, ring)
                over = Nobody(ring.target, f"the turn of {ring.who} is over")
                is_told = not ring.is_hand_over and pages.was_paged(
                    self._connection, record.incident.id, ring.number, found.responder
                )
                called = [] if is_told else called
                return PageRequest(ring.number, tuple(called), (over,), is_hand_over=ring.is_hand_over)
        # Where nobody else can be told, the person who was paged is still the best that there is.
        is_on = self.directory.states.is_on
        wanted = tuple(name for name in (ring.method, *ring.rest) if is_on(ring.responder, name))
        ways = self.usable_in_order(wanted, record.incident.brand)
        if not ways or ways[0] != ring.method:
            return Nobody(ring.target, f"{ring.who} cannot be reached by {ring.method}")
        contact = Contact(ring.target, ring.who, ways, ring.method, ring.responder)
        again = (Recipient(contact, ways, ring.fallback),)
        return PageRequest(ring.number, again, is_ring=True, is_hand_over=ring.is_hand_over)

    def rouse(self, record: IncidentRecord, told: Collection[str]) -> None:
        """Ring those who were paged while the incident was calm, by their rules for urgent ones.

        What comes at once goes to those methods that are not `told` now anyway.
        """
        incident, urgent = record.incident, Urgency.URGENT
        for target, number, fallback in pages.targets(self._connection, incident.id):
            if number == policy.HAND_OVER and not actions.is_asked(record, self._now):
                continue
            found = self.directory.find(target, self._account(record), self._now)
            if isinstance(found, Nobody) or not found.notify.of(urgent):
                continue
            usable = found.counting(self.usable_in_order(found.methods, incident.brand))
            is_rung = rings.is_rung(self._connection, incident.id, found.responder, urgent)
            called = [] if is_rung else rings.arrange(found, usable, urgent, fallback)
            silent = [NotificationRule(method=one.methods[0]) for one in called if one.methods[0] not in told]
            roused = [replace(one, later=(*silent, *one.later)) for one in called[-1:]]
            self._start_rings(record, number, roused)

    def _start_rings(self, record: IncidentRecord, number: int, called: Sequence[Recipient]) -> None:
        """Write what these people are told after a page. Who is asked to take it is told for as long as they are asked."""
        if number == policy.HAND_OVER and record.asked_until is not None:
            left = record.asked_until - self._now
            called = [
                replace(one, later=tuple(rule for rule in one.later if timedelta(minutes=rule.after_minutes) < left))
                for one in called
            ]
        rings.start(self._connection, record.incident.id, number, called, self._now)

    def news(self, request: PageRequest) -> tuple[str, ...]:
        """Returns the endpoints of a request that are told of later changes, too.

        Those that only ring are not, because nobody wants a call at night that says who has it: the person hears it by
        the method that was first. Receivers that keep what they were sent are told how it goes on.
        """
        if not request.is_ring:
            return request.names
        lasting = endpoints.lasting(self._connection, request.names)
        return tuple(name for name in request.names if name in lasting)

    def _account(self, record: IncidentRecord) -> AccountId | None:
        return account_of(self._config.brand(record.incident.brand), record.cards.every())

    def usable(self, names: tuple[str, ...], brand: BrandId) -> frozenset[str]:
        """Returns the enabled endpoints among `names` that take this brand.

        Each set is looked up once a transaction, because a storm opens hundreds of incidents of one brand in one.
        """
        if (names, brand) not in self._usable:
            self._usable[names, brand] = frozenset(endpoints.chosen(self._connection, names, brand))
        return self._usable[names, brand]

    def usable_in_order(self, names: tuple[str, ...], brand: BrandId) -> tuple[str, ...]:
        usable = self.usable(names, brand)
        return tuple(name for name in names if name in usable)

    def reach(self, person: str, record: IncidentRecord, only_of_brand: bool = False) -> tuple[str, ...]:
        """Returns by which endpoints to tell the responder or schedule with this id or name at once, by their own rules, or
        the endpoint of this name, or nothing; with `only_of_brand`, nothing of those whom no policy or account of the brand
        leads to."""
        brand = record.incident.brand
        found = self.directory.named(person, self._now)
        if only_of_brand and not people_of(self._config, (brand,)).has(person if found is None else found.target):
            return ()
        if isinstance(found, Nobody):
            return ()
        found = found or Contact(person, person, (person,), person)
        usable = found.counting(self.usable_in_order(found.methods, brand))
        called = rings.arrange(found, usable, self._config.urgency(record.incident.severity), fallback=False)
        return tuple(one.methods[0] for one in called)

    def record(
        self, about: IncidentRecord, request: PageRequest, deliveries: Mapping[str, str], is_first: bool = False
    ) -> None:
        """Record the pages of a step or a hand-over. `deliveries` has the id of the delivery to each endpoint. `is_first` says
        that the incident opens with them."""
        incident = about.incident.id
        made = [
            Page(
                incident,
                request.number,
                one.contact.target,
                one.contact.who,
                one.methods[0],
                deliveries[one.methods[0]],
                one.methods[1:],
                one.fallback,
                one.contact.responder,
            )
            for one in request.called
        ]
        pages.add(self._connection, made, self._now, self._wall, self._failing)
        if not is_first:
            rings.spare(self._connection, incident, request.called, self._now)
        self._start_rings(about, request.number, request.called)

    def schedule_next(self, record: IncidentRecord, request: PageRequest) -> None:
        """Schedule the step after this one: at once if this one had nobody to tell. The last one is repeated later."""
        incident, following = record.incident, request.number + 1
        because, due = None, policy.due(record.policy, following, self._now, record.incident.answer_by)
        if following >= policy.count(record.policy):
            nobody = not request.called and untold.reached_nobody(self._connection, incident.id)
            if nobody or policy.insists_after(record.policy) is None:
                return
        elif not request.called:
            because, due = f"step {request.number + 1} had nobody to tell", self._now
        steps.schedule(self._connection, incident.id, following, due, because=because)

    def go_on(self, record: IncidentRecord) -> None:
        """See to it that a policy that insists is repeated later. It stopped where it reached nobody, and somebody knows now:
        a page that was lost has arrived after all."""
        incident, after = record.incident.id, policy.insists_after(record.policy)
        planned = steps.planned(self._connection, incident)
        if after is not None and planned and steps.waiting(self._connection, incident) is None:
            number = max(policy.count(record.policy), planned[-1][0] + 1)
            steps.schedule(self._connection, incident, number, self._now + after)

    def put_off(self, record: IncidentRecord, number: int) -> None:
        """Look later whether a policy that is used up is to be repeated."""
        after = policy.insists_after(record.policy) or policy.LEAST_WAIT
        if record.incident.severity > PRESSING:
            after = max(after, MILD_AFTER)
        steps.put_off(self._connection, record.incident.id, number, self._now + after)

    def hasten(self, record: IncidentRecord) -> None:
        """Bring the waiting step of the first round forward if the answer-by time leaves less time than before."""
        incident = record.incident
        waiting = steps.waiting(self._connection, incident.id)
        if waiting is not None and waiting[0] < len(record.policy.steps):
            number, due_at, since = waiting
            due = policy.due(record.policy, number, since or incident.opened_at, incident.answer_by)
            steps.hasten(self._connection, incident.id, number, min(due_at, max(due, self._now)))

    def why_early(self, record: IncidentRecord, number: int) -> str | None:
        """Returns by how much a step that is due came early and because of what, in words, or `None` if it did not."""
        incident = record.incident
        waiting = steps.waiting(self._connection, incident.id)
        if waiting is None or waiting[0] != number or incident.answer_by is None:
            return None
        early = policy.early_by(record.policy, number, waiting[2] or incident.opened_at, self._now)
        minutes = round(early.total_seconds() / 60)
        if not minutes:
            return None
        crossing = incident.outlook.crossing if incident.outlook is not None else None
        due = f"an answer is due by {incident.answer_by:%H:%M} UTC"
        why = due if crossing is None else f"the line is expected at {crossing.expected:%H:%M} UTC"
        return f"step {number + 1} came {minutes} {'minute' if minutes == 1 else 'minutes'} early because {why}"


def _why_unreached(found: Contact) -> str:
    if not found.methods:
        return f"{found.who} has switched off every method"
    names = " or ".join(found.methods)
    if found.who == names:
        return f"endpoint {names} is missing, disabled or not for this brand"
    return f"{found.who} cannot be reached by {names}"
