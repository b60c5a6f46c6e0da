"""Plays every policy over a coming period and says which steps reach nobody, and when. A dry run: nobody is paged. Pure.

A step reaches somebody as long as one of its targets does; if it does not, the policy's fallback is told instead. What
the period looks like is known: who is on call by schedules and overrides, which endpoints exist and are enabled, which
brands they take, and who owns the accounts of a brand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from alerter.oncall.method_states import Way
from alerter.oncall.shifts import Override, Shift, unroll
from alerter.oncall.wallclock import Span, merged, wall_of
from services.config.model import Config, Policy
from services.config.rota import ALL, OWNER, zone_of

AHEAD: Final = timedelta(days=7)
MOST_SPANS: Final = 3
MOST_NAMES: Final = 3
"""Most times, and most brands or owners, that one finding lists."""
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)
_DAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True, slots=True)
class Reachable:
    """An endpoint that exists. It takes messages about `brands`, or about all if there are none, while it `works`."""

    brands: frozenset[str] = frozenset()
    works: bool = True


class Finding(NamedTuple):
    """Something about a policy that an operator should know. `is_wrong` if by it nobody is told."""

    words: str
    is_wrong: bool


class Unreached(NamedTuple):
    """When a target reaches nobody, and why."""

    spans: tuple[Span, ...]
    why: str = ""


_Limited = frozenset[str]
"""Which of the endpoints that are limited to brands take the brand in question."""


class _Case(NamedTuple):
    """Incidents that are alike to a policy: by the limited endpoints that take their brand, and by who owns the account."""

    takes: _Limited
    owner: str | None = None


class DryRun:
    """One period, over which the policies of a configuration are played."""

    def __init__(
        self,
        config: Config,
        overrides: Sequence[Override],
        endpoints: Mapping[str, Reachable],
        now: datetime,
        ahead: timedelta = AHEAD,
        off: Collection[Way] = (),
    ) -> None:
        """`off` are the methods that people have switched off."""
        self._off = off
        self._config = config
        self._endpoints = endpoints
        self._begin, self._end = now, now + ahead
        self._always = (Span(self._begin, self._end),)
        self._overrides: defaultdict[str, list[Override]] = defaultdict(list)
        for override in overrides:
            self._overrides[override.schedule].append(override)
        self._rotas: dict[str, list[Shift]] = {}
        self._found: dict[tuple[str, _Limited], Unreached] = {}
        self._needed: dict[str, frozenset[str]] = {}

    def findings(self) -> tuple[Finding, ...]:
        """Returns what is to be said of all policies, in the order of the file."""
        return tuple(finding for policy in self._config.policies for finding in self._of(policy))

    def _of(self, policy: Policy) -> Iterator[Finding]:
        cases = self._cases(policy)
        found: defaultdict[tuple[int, bool, Unreached], list[str]] = defaultdict(list)
        for case, names in cases.items():
            fallback = self._together(policy.fallback, case) if policy.fallback else Unreached(self._always)
            for number, step in enumerate(policy.steps):
                gap = self._together(step.targets, case)
                lost = Unreached(_both(gap.spans, fallback.spans), gap.why)
                if lost.spans:
                    found[number, True, lost] += names
                elif gap.spans:
                    found[number, False, gap] += names
        everybody = {name for names in cases.values() for name in names}
        for (number, is_wrong, gap), names in found.items():
            zone = self._zone(policy.steps[number].targets)
            of = "" if len(set(names)) == len(everybody) else f" for {_listed(names)}"
            instead = "" if is_wrong else f"; then its fallback ({', '.join(policy.fallback)}) is told instead"
            words = (
                f"step {number + 1} of {policy.id} reaches nobody{of}{self._when(gap.spans, zone)}: {gap.why}{instead}"
            )
            yield Finding(words, is_wrong)

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
                wanted = needed | (self._names_of_owner(owner) if owner is not None else frozenset())
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

    def _together(self, targets: Sequence[str], case: _Case) -> Unreached:
        """Returns when none of the targets reaches anybody."""
        gaps = [self._target(target, case) for target in targets]
        spans: tuple[Span, ...] = self._always
        for gap in gaps:
            spans = _both(spans, gap.spans)
        return Unreached(spans, "; ".join(dict.fromkeys(gap.why for gap in gaps)) if spans else "")

    def _target(self, target: str, case: _Case) -> Unreached:
        if target == OWNER:
            if case.owner is None:
                return Unreached(self._always, "nobody owns an account that the brand does not have")
            owner = case.owner
            kind = (
                "responder:" if self._config.responder(owner) else "schedule:" if self._config.schedule(owner) else ""
            )
            target = f"{kind}{owner}"
        takes = case.takes & self._names(target)
        if (target, takes) not in self._found:
            self._found[target, takes] = self._look(target, takes)
        return self._found[target, takes]

    def _look(self, target: str, takes: _Limited) -> Unreached:
        kind, _, name = target.rpartition(":")
        if kind == "schedule":
            return self._schedule(name, takes)
        if kind == "responder":
            return self._reached(self._person(name, takes))
        if target == ALL:
            works = any(self._works(one, takes) for one in self._endpoints)
            return self._reached(None if works else "there is no endpoint at all")
        return self._reached(None if self._works(name, takes) else f"endpoint {name} {self._trouble(name)}")

    def _reached(self, why: str | None) -> Unreached:
        return Unreached(()) if why is None else Unreached(self._always, why)

    def _person(self, name: str, takes: _Limited) -> str | None:
        """Returns why this responder cannot be reached, or `None`."""
        responder = self._config.responder(name)
        if responder is None:
            return f"{name} is no responder"
        if any((name, method) not in self._off and self._works(method, takes) for method in responder.methods):
            return None
        why = {one: "is switched off" if (name, one) in self._off else self._trouble(one) for one in responder.methods}
        methods = ", ".join(f"{method} {why[method]}" for method in responder.methods[:MOST_NAMES])
        return f"{name} cannot be reached ({methods})"

    def _schedule(self, name: str, takes: _Limited) -> Unreached:
        people: dict[str, str | None] = {}
        spans, why = [], []
        for shift in self._rota(name):
            if shift.responder is None:
                because: str | None = f"nobody is on call for {name}"
            else:
                if shift.responder not in people:
                    people[shift.responder] = self._person(shift.responder, takes)
                because = people[shift.responder]
            if because is not None:
                spans.append(Span(shift.begins, shift.ends))
                why.append(because)
        return Unreached(tuple(merged(spans)), _listed(why)) if spans else Unreached(())

    def _rota(self, name: str) -> list[Shift]:
        if name not in self._rotas:
            schedule = self._config.schedule(name)
            nobody = [Shift(self._begin, self._end)]
            self._rotas[name] = (
                nobody if schedule is None else unroll(schedule, self._overrides[name], self._begin, self._end)
            )
        return self._rotas[name]

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

    def _names_of_owner(self, owner: str) -> frozenset[str]:
        kind = "responder:" if self._config.responder(owner) else "schedule:" if self._config.schedule(owner) else ""
        return self._names(f"{kind}{owner}")

    def _methods(self, name: str) -> Collection[str]:
        responder = self._config.responder(name)
        return () if responder is None else responder.methods

    def _is_limited(self, name: str) -> bool:
        return name in self._endpoints and bool(self._endpoints[name].brands)

    def _zone(self, targets: Sequence[str]) -> str:
        schedules = (self._config.schedule(t.rpartition(":")[2]) for t in targets if t.startswith("schedule:"))
        return next((schedule.zone for schedule in schedules if schedule is not None), "UTC")

    def _when(self, spans: Sequence[Span], zone: str) -> str:
        """Returns when in words, such as ` on Sundays`; nothing if it is always."""
        if tuple(spans) == self._always:
            return ""
        walls = self._walls(spans, zone_of(zone))
        days = [day for wall in walls for day in _whole_days(wall)]
        if len(walls) == sum(1 for wall in walls if _whole_days(wall)):
            return f" on {_listed(dict.fromkeys(days), 7)}"
        said = [f"{wall.begins:%a %H:%M} to {wall.ends:%a %H:%M}" for wall in walls]
        return f" on {_listed(said, MOST_SPANS)} ({zone})"

    def _walls(self, spans: Sequence[Span], zone: ZoneInfo) -> list[Span]:
        """Returns the spans as the zone's clocks show them. A week repeats: what it ends with goes on in what it began with."""
        walls = [Span(wall_of(span.begins, zone), wall_of(span.ends, zone)) for span in spans]
        joins = len(spans) > 1 and (spans[0].begins, spans[-1].ends) == (self._begin, self._end)
        if not joins or self._end - self._begin != _WEEK:
            return walls
        return [*walls[1:-1], Span(walls[-1].begins, walls[0].ends + _WEEK)]


def _whole_days(wall: Span) -> list[str]:
    """Returns the days of the week that a local period covers from midnight to midnight; none if it has other parts."""
    midnight = (wall.begins.hour, wall.begins.minute, wall.ends.hour, wall.ends.minute) == (0, 0, 0, 0)
    count = round((wall.ends - wall.begins) / _DAY) if midnight else 0
    return [_DAYS[(wall.begins.weekday() + number) % 7] for number in range(count)]


def _both(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, ...]:
    """Returns when both are: each is in order, without overlaps."""
    found: list[Span] = []
    left, right = iter(one), iter(other)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        begins, ends = max(a.begins, b.begins), min(a.ends, b.ends)
        if begins < ends:
            found.append(Span(begins, ends))
        if a.ends <= b.ends:
            a = next(left, None)
        else:
            b = next(right, None)
    return tuple(found)


def _listed(names: Iterable[str], most: int = MOST_NAMES) -> str:
    listed = list(dict.fromkeys(names))
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
