"""Finds out whom a step of a policy pages: from its targets to people, from people to the first method that works.

If a target leads to nobody, the policy's fallback is paged instead, and the message says so. Every page is recorded
(`pages`): if it does not arrive, the next method is tried, then the next step, and at last the fallback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import Connection

from alerter.escalation import pages, policy, steps
from alerter.escalation.pages import Page
from alerter.incidents.record import IncidentRecord
from alerter.notify import endpoints
from alerter.oncall import overrides
from alerter.oncall.responders import Contact, Directory, Nobody, account_of
from services.config.model import Config
from services.contracts.base import AccountId, BrandId

_A_MOMENT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody to page now, by the first of `methods`."""

    contact: Contact
    methods: tuple[str, ...]
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Whom a step pages, and which of its targets led to nobody."""

    number: int
    called: tuple[Recipient, ...] = ()
    missing: tuple[Nobody, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints to send to now."""
        return tuple(dict.fromkeys(one.methods[0] for one in self.called))

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
        told = [
            one.contact.who if one.methods[0] == one.contact.who else f"{one.contact.who} by {one.methods[0]}"
            for one in self.called
        ]
        return f"step {self.number + 1} told {', '.join(told) or 'nobody: there is no endpoint'}"


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
            schedules = self._config.schedules
            in_force = overrides.between(self._connection, self._now, self._now + _A_MOMENT) if schedules else []
            self._directory = Directory(self._config, in_force)
        return self._directory

    @cached_property
    def _failing(self) -> frozenset[str]:
        return pages.failing_endpoints(self._connection, self._now)

    def request(self, record: IncidentRecord, number: int) -> PageRequest:
        """Returns whom step `number` pages."""
        called, missing = self._contacts(record, policy.step_of(record.policy, number).targets, False)
        instead: list[Recipient] = []
        if missing and record.policy.fallback:
            instead, _ = self._contacts(record, record.policy.fallback, True)
        return PageRequest(number, (*called, *instead), tuple(missing))

    def again(self, failed: Page, methods: tuple[str, ...]) -> PageRequest:
        """Returns a request to page the same person by the first of `methods`, after a page that failed."""
        contact = Contact(failed.target, failed.who, methods, methods[0])
        return PageRequest(failed.number, (Recipient(contact, methods, failed.fallback),))

    def is_last(self, record: IncidentRecord, number: int) -> bool:
        return number + 1 >= policy.count(record.policy)

    def last_resort(self, record: IncidentRecord, number: int) -> PageRequest | None:
        """Returns a request to page the fallback, for a page that failed at the last step.

        Returns `None` if there is no fallback, or it was paged already.
        """
        if not record.policy.fallback or pages.of_step(self._connection, record.incident.id, number, True):
            return None
        called, _ = self._contacts(record, record.policy.fallback, True)
        return PageRequest(number, tuple(called)) if called else None

    def _contacts(
        self, record: IncidentRecord, targets: Sequence[str], fallback: bool
    ) -> tuple[list[Recipient], list[Nobody]]:
        incident = record.incident
        called: list[Recipient] = []
        missing: list[Nobody] = []
        for target in targets:
            if target == endpoints.ALL:
                everybody = sorted(self.usable((endpoints.ALL,), incident.brand))
                called += [Recipient(Contact(target, name, (name,), name), (name,), fallback) for name in everybody]
                continue
            found = self.directory.find(target, self._account(record), self._now)
            if isinstance(found, Nobody):
                missing.append(found)
                continue
            methods = self.usable_in_order(found.methods, incident.brand)
            if methods:
                called.append(Recipient(found, methods, fallback))
            else:
                missing.append(Nobody(target, f"{found.who} cannot be reached by {' or '.join(found.methods)}"))
        return called, missing

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

    def reach(self, person: str, brand: BrandId) -> tuple[str, ...]:
        """Returns the first working method of the responder or schedule with this id or name, or the endpoint of this name,
        or nothing."""
        found = self.directory.named(person, self._now)
        methods = (person,) if found is None else () if isinstance(found, Nobody) else found.methods
        return self.usable_in_order(methods, brand)[:1]

    def record(self, incident: str, request: PageRequest, deliveries: dict[str, str]) -> None:
        """Record the pages of a step. `deliveries` has the id of the delivery to each endpoint."""
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
            )
            for one in request.called
        ]
        pages.add(self._connection, made, self._now, self._wall, self._failing)

    def schedule_next(self, record: IncidentRecord, request: PageRequest) -> None:
        """Schedule the step after this one: at once if this one had nobody to tell."""
        following = request.number + 1
        if following < policy.count(record.policy):
            due = policy.due(record.policy, following, self._now, record.incident.answer_by)
            because = None if request.called else f"step {request.number + 1} had nobody to tell"
            steps.schedule(
                self._connection, record.incident.id, following, due if request.called else self._now, because=because
            )

    def hasten(self, record: IncidentRecord) -> None:
        """Bring the waiting step forward if the answer-by time leaves less time than before."""
        incident = record.incident
        waiting = steps.waiting(self._connection, incident.id)
        if waiting is not None:
            number, due_at, since = waiting
            due = policy.due(record.policy, number, since or incident.opened_at, incident.answer_by)
            steps.hasten(self._connection, incident.id, number, min(due_at, max(due, self._now)))
