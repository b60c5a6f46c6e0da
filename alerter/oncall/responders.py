"""Finds the person behind a policy's target, and the endpoints by which they are reached. Pure.

A policy is frozen when an incident opens, but `responder:`, `schedule:` and `owner` are looked up when the page is
made, so that an override or a new phone counts at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.oncall.method_states import ALL_ON, MethodStates
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Override
from services.config.model import Brand, Config
from services.config.rota import OWNER, NotificationRules, Responder, Schedule
from services.contracts.base import AccountId
from services.contracts.signal import PostCard

_A_MOMENT: Final = timedelta(seconds=1)
NO_RULES: Final = NotificationRules()


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody, or something, that can be told. `methods` are endpoints in the order in which they are tried, and
    `digest` is the endpoint for what can wait. A person has a `responder`, the id, and perhaps rules of their own.
    `unconfirmed` are methods that do not count as long as there are others."""

    target: str
    who: str
    methods: tuple[str, ...]
    digest: str
    responder: str | None = None
    notify: NotificationRules = NO_RULES
    unconfirmed: frozenset[str] = frozenset()

    def counting(self, usable: tuple[str, ...]) -> tuple[str, ...]:
        """Returns those of the methods that work (`usable`) by which the person is told: all of them if none counts."""
        return tuple(name for name in usable if name not in self.unconfirmed) or usable


@dataclass(frozen=True, slots=True)
class Nobody:
    """A target that leads to nobody at the moment, and why."""

    target: str
    because: str


@dataclass(frozen=True, slots=True)
class Directory:
    """The people and schedules of the configuration. Who is on call for a schedule is what the `roster` says or, without
    one, the configuration with these overrides. `states` says which methods people use."""

    config: Config
    overrides: Sequence[Override] = ()
    roster: Roster | None = None
    states: MethodStates = ALL_ON

    def find(self, target: str, account: AccountId | None, at: datetime) -> Contact | Nobody:
        """Returns who is behind `target` at this time, for an incident about this account."""
        if target == OWNER:
            return self.owner_of(account, at)
        kind, _, name = target.rpartition(":")
        if kind == "responder":
            responder = self.config.responder(name)
            return (
                self._person(responder, target) if responder else Nobody(target, f"responder {name} no longer exists")
            )
        if kind == "schedule":
            schedule = self.config.schedule(name)
            return self._of_schedule(schedule, target, at) if schedule else _gone(target, name)
        return Contact(target, name, (name,), name)

    def owner_of(self, account: AccountId | None, at: datetime) -> Contact | Nobody:
        """Returns the owner of this account: a responder, the person on call for a schedule, or an endpoint."""
        owner = self.config.owner(account) if account is not None else None
        if owner is None:
            return Nobody(OWNER, f"nobody owns {account or 'an unknown account'}")
        responder, schedule = self.config.responder(owner), self.config.schedule(owner)
        if responder is not None:
            return self._person(responder, OWNER)
        if schedule is not None:
            return self._of_schedule(schedule, OWNER, at)
        return Contact(OWNER, owner, (owner,), owner)

    def person(self, name: str) -> Contact | None:
        """Returns the responder with this id or name, in whatever case, or `None`. People sign their actions with either;
        the console writes the key behind it, as in "Dana (night-shift)"."""
        found = self.responder_called(name)
        return None if found is None else self._person(found, f"responder:{found.id}")

    def _called(self, name: str) -> str:
        responder = self.config.responder(name)
        return name if responder is None else responder.called

    def responder_called(self, name: str) -> Responder | None:
        """Returns the responder that `person` is about."""
        known = {key.casefold(): one for one in reversed(self.config.responders) for key in (one.called, one.id)}
        plain = name.partition(" (")[0]
        return self.config.responder(name) or known.get(name.casefold()) or known.get(plain.casefold())

    def named(self, name: str, at: datetime) -> Contact | Nobody | None:
        """Returns who is meant by a responder's id or name, or by a schedule's id (whoever is on call), or `None`."""
        found = self.person(name.removeprefix("responder:"))
        schedule = self.config.schedule(name.removeprefix("schedule:"))
        if found is not None or schedule is None:
            return found
        return self._of_schedule(schedule, f"schedule:{schedule.id}", at)

    def _of_schedule(self, schedule: Schedule, target: str, at: datetime) -> Contact | Nobody:
        roster = self.roster or Roster(self.overrides)
        shift = roster.on_call(schedule, at, _A_MOMENT)
        if shift.responder is None:
            away = roster.open_shifts(schedule, at, at + _A_MOMENT)
            because = f": {self._called(away[0].responder)} is absent" if away else ""
            return Nobody(target, f"nobody is on call for schedule {schedule.id}{because}")
        responder = self.config.responder(shift.responder)
        if responder is None:
            return Nobody(target, f"{shift.responder}, on call for schedule {schedule.id}, is no longer a responder")
        found = self._person(responder, target)
        return replace(found, who=f"{found.who} (on call for {schedule.id})")

    def _person(self, responder: Responder, target: str) -> Contact:
        methods = self.states.methods(responder)
        digest = responder.digest
        if digest is None or not self.states.is_on(responder.id, digest):
            digest = next(iter(methods), "")
        unconfirmed = self.states.unconfirmed(responder)
        return Contact(target, responder.called, methods, digest, responder.id, responder.notify, unconfirmed)


def _gone(target: str, name: str) -> Nobody:
    return Nobody(target, f"schedule {name} no longer exists")


def account_of(brand: Brand | None, cards: Iterable[PostCard]) -> AccountId | None:
    """Returns the brand's account that these posts are about, or `None` if the brand has none.

    It is the account that a post speaks to, or else one on the posts' network, or else the brand's first.
    """
    if brand is None or not brand.accounts:
        return None
    cards = list(cards)
    own = {account.id for account in brand.accounts}
    spoken_to = next((card.account for card in cards if card.account in own), None)
    if spoken_to is not None:
        return spoken_to
    networks = [card.network for card in cards]
    near = next((account.id for network in networks for account in brand.accounts if account.network == network), None)
    return near or brand.accounts[0].id
