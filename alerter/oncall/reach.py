"""Plays every policy over a coming period and says which steps reach nobody, and when. A dry run: nobody is paged. Pure.

A step reaches somebody as long as one of its targets does; if it does not, the policy's fallback is told instead. What
the period looks like is known: who is on call by the roster that the alerter pages by (schedules and what they said before,
overrides, absences), which endpoints exist and are enabled, the hours and brands that they take, and who owns the accounts
of a brand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple

from alerter.oncall.method_states import Way
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Override, Shift
from alerter.oncall.unreached import MOST_NAMES, Lack, Piece, Pieces, Why, both, either, listed, outside, when
from alerter.oncall.wallclock import Span, clipped, merged, open_spans
from services.config.model import Config, Policy
from services.config.rota import ALL, OWNER, Schedule, Window, zone_of

AHEAD: Final = timedelta(days=7)
_CLOSED: Final = "takes nothing then but severity 1"


@dataclass(frozen=True, slots=True)
class Reachable:
    """An endpoint that exists. It takes messages about `brands`, or about all if there are none, while it `works`.

    They wait outside its `windows`, by the clocks of `zone`; without windows it always takes them. `leads_to` are the
    endpoints that it names itself, each after what it is to this one.
    """

    brands: frozenset[str] = frozenset()
    works: bool = True
    windows: tuple[Window, ...] = ()
    zone: str = "UTC"
    leads_to: tuple[tuple[str, str], ...] = ()


class Finding(NamedTuple):
    """Something about a policy that an operator should know. `is_wrong` if by it nobody is told."""

    words: str
    is_wrong: bool


_Limited = frozenset[str]
"""Which of the endpoints that are limited to brands take the brand in question."""


class _Case(NamedTuple):
    """Incidents that are alike to a policy: by the limited endpoints that take their brand, and by who owns the account."""

    takes: _Limited
    owner: str | None = None


_Resolved = tuple[str, _Limited]
"""A target other than `owner`, and which of the limited endpoints that it depends on take the brand."""


class _Instead(Enum):
    """What happens where a step reaches nobody."""

    NOTHING = 0
    FALLBACK = 1
    NEXT_STEP = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Lost:
    """When a step reaches nobody for like reasons, and what happens instead. Steps that are alike share one."""

    instead: _Instead
    said: str
    """When that is, and why."""


class DryRun:
    """One period, over which the policies of a configuration are played."""

    def __init__(
        self,
        config: Config,
        roster: Roster,
        endpoints: Mapping[str, Reachable],
        now: datetime,
        ahead: timedelta = AHEAD,
        off: Collection[Way] = (),
    ) -> None:
        """`off` are the methods that people have switched off."""
        self._off = off
        self._config = config
        self._roster = roster
        self._endpoints = endpoints
        self._period = Span(now, now + ahead)
        self._always: Pieces = (Piece(*self._period),)
        self._rotas: dict[str, list[Shift]] = {}
        self._open: dict[str, Pieces] = {}
        self._targets: dict[_Resolved, Pieces] = {}
        self._steps: dict[tuple[tuple[_Resolved, ...], tuple[_Resolved, ...], bool], tuple[_Lost, ...]] = {}
        self._alike: dict[tuple[_Instead, Pieces], _Lost] = {}
        self._needed: dict[str, frozenset[str]] = {}
        self._shut: dict[tuple[tuple[Window, ...], str], tuple[Span, ...]] = {}

    def findings(self) -> tuple[Finding, ...]:
        """Returns what is to be said of all policies, in the order of the file."""
        return tuple(finding for policy in self._config.policies for finding in self._of(policy))

    def unreached(self, target: str) -> Pieces:
        """Returns when a target of a policy, other than `owner`, reaches nobody, of a brand that no endpoint is limited to."""
        return self._target((target, frozenset()))

    def _of(self, policy: Policy) -> Iterator[Finding]:
        cases = self._cases(policy)
        found: defaultdict[tuple[int, _Lost], list[str]] = defaultdict(list)
        last = len(policy.steps) - 1
        for case, names in cases.items():
            for number, step in enumerate(policy.steps):
                for lost in self._step(step.targets, policy.fallback, number == last, case):
                    found[number, lost] += names
        everybody = {name for names in cases.values() for name in names}
        for (number, lost), names in found.items():
            of = "" if len(set(names)) == len(everybody) else f" for {listed(names)}"
            instead = ""
            if lost.instead is _Instead.FALLBACK:
                instead = f"; then its fallback ({', '.join(policy.fallback)}) is told instead"
            elif lost.instead is _Instead.NEXT_STEP:
                instead = f"; then step {number + 2} comes at once"
            words = f"step {number + 1} of {policy.id} reaches nobody{of}{lost.said}{instead}"
            yield Finding(words, lost.instead is _Instead.NOTHING)

    def _cases(self, policy: Policy) -> dict[_Case, list[str]]:
        """Returns the different cases of a policy's incidents, each with the brands or accounts' owners that are in it."""
        targets = {target for step in policy.steps for target in step.targets} | set(policy.fallback)
        rules = [rule for rule in self._config.rules if rule.policy == policy.id]
        chosen = None if not rules or any(not rule.brands for rule in rules) else {b for r in rules for b in r.brands}
        needed = frozenset[str]().union(*(self._names(target) for target in targets if target != OWNER))
        cases: defaultdict[_Case, list[str]] = defaultdict(list)
        for brand in self._config.brands:
            if chosen is not None and brand.id not in chosen:
                continue
            takes = self._takes.get(brand.id, frozenset())
            if OWNER not in targets:
                cases[_Case(takes & needed)].append(brand.id)
                continue
            for owner in dict.fromkeys(account.owner for account in brand.accounts) or (None,):
                wanted = needed if owner is None else needed | self._names(self._of_owner(owner))
                name = f"accounts of {owner}" if owner is not None else f"{brand.id}, which has no account"
                cases[_Case(takes & wanted, owner)].append(name)
        return cases

    @cached_property
    def _takes(self) -> dict[str, _Limited]:
        takes: defaultdict[str, set[str]] = defaultdict(set)
        for name, endpoint in self._endpoints.items():
            for brand in endpoint.brands:
                takes[brand].add(name)
        return {brand: frozenset(names) for brand, names in takes.items()}

    def _step(
        self, targets: tuple[str, ...], fallback: tuple[str, ...], is_last: bool, case: _Case
    ) -> tuple[_Lost, ...]:
        """Returns when a step reaches nobody, one for each kind of reason, and what the alerter does instead."""
        key = (self._resolved(targets, case), self._resolved(fallback, case), is_last)
        if key not in self._steps:  # most cases differ in nothing that a step depends on
            self._steps[key] = tuple(self._one(instead, pieces) for instead, pieces in self._lost(*key))
        return self._steps[key]

    def _one(self, instead: _Instead, pieces: Pieces) -> _Lost:
        if (instead, pieces) not in self._alike:
            why = listed(why.words for piece in pieces for why in piece.whys)
            self._alike[instead, pieces] = _Lost(instead, f"{when(pieces, self._period)}: {why}")
        return self._alike[instead, pieces]

    def _resolved(self, targets: Iterable[str], case: _Case) -> tuple[_Resolved, ...]:
        owner = OWNER if case.owner is None else self._of_owner(case.owner)
        found = (owner if target == OWNER else target for target in targets)
        return tuple((target, case.takes & self._names(target)) for target in found)

    def _of_owner(self, owner: str) -> str:
        """Returns the target that an owner of an account stands for."""
        if self._config.responder(owner) is not None:
            return f"responder:{owner}"
        return f"schedule:{owner}" if self._config.schedule(owner) is not None else owner

    def _lost(
        self, targets: Sequence[_Resolved], fallback: Sequence[_Resolved], is_last: bool
    ) -> Iterator[tuple[_Instead, Pieces]]:
        alike: defaultdict[tuple[frozenset[Lack], bool], list[Piece]] = defaultdict(list)
        for piece in self._together(targets):
            alike[piece.lacks, piece.is_weekly].append(piece)
        for (lacks, _), pieces in alike.items():
            gap = tuple(pieces)
            if not lacks & {Lack.WAY, Lack.PRESENCE}:
                if Lack.ANSWER in lacks:
                    yield _Instead.NOTHING, gap
                    continue
                if not is_last:
                    yield _Instead.NEXT_STEP, gap
                    continue
            bare = tuple(piece._replace(whys=()) for piece in self._together(fallback)) if fallback else self._always
            untold = both(gap, bare)
            yield (_Instead.NOTHING, untold) if untold else (_Instead.FALLBACK, gap)

    def _together(self, targets: Iterable[_Resolved]) -> Pieces:
        """Returns when none of the targets reaches anybody."""
        found, *others = (self._target(target) for target in targets)
        for pieces in others:
            found = both(found, pieces)
        return found

    def _target(self, target: _Resolved) -> Pieces:
        if target not in self._targets:
            self._targets[target] = self._look(*target)
        return self._targets[target]

    def _look(self, target: str, takes: _Limited) -> Pieces:
        kind, _, name = target.rpartition(":")
        if target == OWNER:
            return self._at_all(Lack.WAY, "nobody owns an account that the brand does not have")
        if kind == "schedule":
            return self._schedule(name, takes)
        if kind == "responder":
            return either(self._person(name, takes), self._absences(name))
        if target == ALL:
            return self._everything(takes)
        return self._way(name, takes, f"endpoint {name}")

    def _at_all(self, lack: Lack, words: str) -> Pieces:
        return (self._always[0]._replace(whys=(Why(lack, words),)),)

    def _everything(self, takes: _Limited) -> Pieces:
        """Returns when no endpoint takes anything."""
        found = self._always
        for name in self._endpoints:
            found = both(found, self._way(name, takes, name))
            if not found:
                return ()
        if not any(Lack.HOURS in piece.lacks for piece in found):
            return self._at_all(Lack.WAY, "there is no endpoint at all")
        return tuple(piece._replace(whys=_merged_hours(piece.whys)) for piece in found)

    def _way(self, name: str, takes: _Limited, called: str) -> Pieces:
        """Returns when an endpoint takes no page."""
        if not self._works(name, takes):
            return self._at_all(Lack.WAY, f"{called} {self._trouble(name)}")
        endpoint = self._endpoints[name]
        if not endpoint.windows:
            return ()
        why = (Why(Lack.HOURS, f"{called} {_CLOSED}", endpoint.zone),)
        return tuple(Piece(*span, why) for span in self._closed(endpoint.windows, endpoint.zone))

    def _closed(self, windows: tuple[Window, ...], zone: str) -> tuple[Span, ...]:
        if (windows, zone) not in self._shut:
            self._shut[windows, zone] = tuple(outside(open_spans(windows, zone_of(zone), *self._period), *self._period))
        return self._shut[windows, zone]

    def _person(self, name: str, takes: _Limited) -> Pieces:
        """Returns when this responder cannot be reached by any method."""
        responder = self._config.responder(name)
        if responder is None:
            return self._at_all(Lack.WAY, f"{name} is no responder")
        found = self._always
        for method in responder.methods:
            found = both(found, self._way_of(name, method, takes))
            if not found:
                return ()
        return tuple(piece._replace(whys=(_by_no_method(name, piece.whys),)) for piece in found)

    def _way_of(self, person: str, method: str, takes: _Limited) -> Pieces:
        """Returns when a person is not told by a method."""
        if (person, method) in self._off:
            return self._at_all(Lack.WAY, f"{method} is switched off")
        return self._way(method, takes, method)

    def _absences(self, name: str) -> Pieces:
        """Returns when this responder is absent. A policy that names them pages them all the same."""
        away = [Span(one.begins, one.ends) for one in self._roster.absences if one.responder == name]
        zone = next((one.zone for one in self._roster.absences if one.responder == name), "UTC")
        why = (Why(Lack.ANSWER, f"{name} is absent", zone, is_weekly=False),)
        return tuple(Piece(*span, why) for span in clipped(merged(away), *self._period))

    def _schedule(self, name: str, takes: _Limited) -> Pieces:
        schedule = self._config.schedule(name)
        zone = "UTC" if schedule is None else schedule.zone
        nobody = Why(Lack.WAY, f"nobody is on call for {name}", zone)
        people: dict[str, Pieces] = {}
        found: list[Piece] = []
        for shift in self._rota(name):
            if shift.responder is None:
                found.append(Piece(shift.begins, shift.ends, (nobody,)))
                continue
            if shift.responder not in people:
                people[shift.responder] = self._person(shift.responder, takes)
            for piece in people[shift.responder]:
                begins, ends = max(piece.begins, shift.begins), min(piece.ends, shift.ends)
                if begins < ends:
                    found.append(Piece(begins, ends, tuple(_by_clocks_of(zone, why) for why in piece.whys)))
        is_bare = schedule is not None and any(nobody in piece.whys for piece in found)
        return either(self._absent(schedule), found) if schedule is not None and is_bare else tuple(found)

    def _absent(self, schedule: Schedule) -> Pieces:
        """Returns when nobody is on call because somebody is absent."""
        if not self._roster.absences:
            return ()
        if schedule.id not in self._open:
            self._open[schedule.id] = tuple(self._vacant(schedule))
        return self._open[schedule.id]

    def _vacant(self, schedule: Schedule) -> Iterator[Piece]:
        for one in self._roster_of(schedule.id).open_shifts(schedule, *self._period):
            if one.filled_by is None:
                words = f"nobody is on call for {schedule.id}: {one.responder} is absent"
                yield Piece(one.begins, one.ends, (Why(Lack.PRESENCE, words, schedule.zone, is_weekly=False),))

    def _rota(self, name: str) -> list[Shift]:
        if name not in self._rotas:
            schedule = self._config.schedule(name)
            nobody = [Shift(*self._period)]
            self._rotas[name] = nobody if schedule is None else self._roster_of(name).unroll(schedule, *self._period)
        return self._rotas[name]

    def _roster_of(self, schedule: str) -> Roster:
        """Returns the roster with the overrides of this schedule alone: there may be a thousand of each."""
        return replace(self._roster, overrides=self._overrides.get(schedule, ()))

    @cached_property
    def _overrides(self) -> Mapping[str, Sequence[Override]]:
        found: defaultdict[str, list[Override]] = defaultdict(list)
        for override in self._roster.overrides:
            found[override.schedule].append(override)
        return found

    def _works(self, name: str, takes: _Limited) -> bool:
        endpoint = self._endpoints.get(name)
        return endpoint is not None and endpoint.works and (not endpoint.brands or name in takes)

    def _trouble(self, name: str) -> str:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return "does not exist"
        return "is not for this brand" if endpoint.works else "is disabled or only fails"

    def _names(self, target: str) -> frozenset[str]:
        """Returns the limited endpoints that it depends on whether a target is reached."""
        if target not in self._needed:
            kind, _, name = target.rpartition(":")
            names: Iterable[str]
            if kind == "schedule":
                on_call = {shift.responder for shift in self._rota(name) if shift.responder is not None}
                names = (method for one in on_call for method in self._methods(one))
            elif kind == "responder":
                names = self._methods(name)
            else:
                names = self._endpoints if target == ALL else (name,)
            self._needed[target] = frozenset(one for one in names if self._is_limited(one))
        return self._needed[target]

    def _methods(self, name: str) -> Collection[str]:
        responder = self._config.responder(name)
        return () if responder is None else responder.methods

    def _is_limited(self, name: str) -> bool:
        return name in self._endpoints and bool(self._endpoints[name].brands)


def _by_no_method(name: str, whys: Sequence[Why]) -> Why:
    """Returns in one what is the matter with each of a person's methods."""
    closed = next((why for why in whys if why.lack is Lack.HOURS), None)
    words = f"{name} cannot be reached ({', '.join(why.words for why in whys[:MOST_NAMES])})"
    return Why(Lack.WAY, words) if closed is None else closed._replace(words=words)


def _merged_hours(whys: Sequence[Why]) -> tuple[Why, ...]:
    closed = next((why for why in whys if why.lack is Lack.HOURS), None)
    zone = None if closed is None else closed.zone
    return (Why(Lack.HOURS, "no endpoint takes anything then but severity 1", zone),)


def _by_clocks_of(zone: str, why: Why) -> Why:
    """Says when a turn is, by the clocks of its schedule, and when an endpoint is closed, by its own."""
    return why if why.lack is Lack.HOURS else why._replace(zone=zone, is_weekly=False)
