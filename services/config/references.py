"""The mistakes that no single field of the configuration shows: ids that are used twice, and names that lead nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

from services.config.endpoint_names import endpoint_names
from services.config.model import Config
from services.config.rota import ALL
from services.config.rule import CONDITIONS
from services.config.yaml_reading import Place
from services.contracts.base import AccountId


def references(config: Config, endpoints: Collection[str] = ()) -> Iterator[tuple[Place, str]]:
    """Yields each mistake with its place. These `endpoints` count as declared, besides those of the file."""
    for section, ids in (
        ("brands", [b.id for b in config.brands]),
        ("rules", [r.id for r in config.rules]),
        ("policies", [p.id for p in config.policies]),
        ("responders", [r.id for r in config.responders]),
        ("schedules", [s.id for s in config.schedules]),
        ("quiet_hours", [q.id for q in config.quiet_hours]),
    ):
        seen: set[str] = set()
        for index, slug in enumerate(ids):
            if slug in seen:
                yield (section, index, "id"), f"{slug!r} is used already; ids must differ"
            seen.add(slug)
    owners: dict[AccountId, str] = {}
    for index, brand in enumerate(config.brands):
        for number, account in enumerate(brand.accounts):
            if account.id in owners:
                yield (
                    ("brands", index, "accounts", number, "handle"),
                    f"{account.id} is an account of {owners[account.id]!r} already",
                )
            owners[account.id] = brand.id
    yield from _rule_references(config)
    yield from _source_references(config)
    yield from _rota_references(config)
    yield from _endpoint_references(config, endpoints)


def _rule_references(config: Config) -> Iterator[tuple[Place, str]]:
    brands = {b.id for b in config.brands}
    policies = {*(p.id for p in config.policies), *config.at_run_time.policies}
    for index, hours in enumerate(config.quiet_hours):
        for number, slug in enumerate(hours.brands):
            if slug not in brands:
                yield ("quiet_hours", index, "brands", number), f"no brand {slug!r}; there are {_names(brands)}"
    for index, rule in enumerate(config.rules):
        if rule.policy not in policies:
            yield ("rules", index, "policy"), f"no policy {rule.policy!r}; there are {_names(policies)}"
        if rule.playbook is not None and rule.playbook not in config.playbooks:
            yield ("rules", index, "playbook"), f"no playbook {rule.playbook!r}; there are {_names(config.playbooks)}"
        for number, slug in enumerate(rule.brands):
            if slug not in brands:
                yield ("rules", index, "brands", number), f"no brand {slug!r}; there are {_names(brands)}"
        for number, slug in enumerate(rule.topics):
            if slug not in config.every_topic:
                yield ("rules", index, "topics", number), f"no topic {slug!r}; there are {_names(config.every_topic)}"
        if not rule.has_condition:
            yield ("rules", index), f"needs a condition: topics, {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}"


def _source_references(config: Config) -> Iterator[tuple[Place, str]]:
    """Connectors of one name would share a cursor. Both places are told, because they may stand far apart."""
    brands = {b.id for b in config.brands}
    seen: dict[str, Place] = {}
    for index, source in enumerate(config.sources):
        for number, connector in enumerate(source.listen):
            place: Place = ("sources", index, "listen", number)
            first = seen.setdefault(connector.name, place)
            if first != place:
                for one, other in ((first, place), (place, first)):
                    yield (*one, "name"), f"{connector.name!r} is the name of {_dotted(other)} too; names must differ"
            for position, slug in enumerate(connector.brands):
                if slug not in brands:
                    yield (*place, "brands", position), f"no brand {slug!r}; there are {_names(brands)}"


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _rota_references(config: Config) -> Iterator[tuple[Place, str]]:
    responders = {*(r.id for r in config.responders), *config.at_run_time.responders}
    schedules = {*(s.id for s in config.schedules), *config.at_run_time.schedules}
    known = {"responder": responders, "schedule": schedules}
    yield from _one_person_each(config)
    for index, schedule in enumerate(config.schedules):
        if schedule.id in responders:
            yield ("schedules", index, "id"), f"{schedule.id!r} is a responder already; an owner could be either"
        for number, layer in enumerate(schedule.layers):
            for place, name in enumerate(layer.responders):
                if name not in responders:
                    where = ("schedules", index, "layers", number, "responders", place)
                    yield where, f"no responder {name!r}; there are {_names(responders)}"
    for index, policy in enumerate(config.policies):
        places: list[tuple[Place, str]] = [(("fallback", n), target) for n, target in enumerate(policy.fallback)]
        for number, step in enumerate(policy.steps):
            places += [(("steps", number, "targets", n), target) for n, target in enumerate(step.targets)]
        for inside, target in places:
            kind, _, name = target.rpartition(":")
            if kind and name not in known[kind]:
                yield ("policies", index, *inside), f"no {kind} {name!r}; there are {_names(known[kind])}"


def _one_person_each(config: Config) -> Iterator[tuple[Place, str]]:
    """What two responders are known as elsewhere: nobody could say who of them acted."""
    seen: dict[str, str] = {}
    for index, responder in enumerate(config.responders):
        for number, identity in enumerate(responder.known_as):
            if seen.setdefault(identity, responder.id) != responder.id:
                yield ("responders", index, "known_as", number), f"{identity!r} is {seen[identity]} already"


def _endpoint_references(config: Config, endpoints: Collection[str]) -> Iterator[tuple[Place, str]]:
    """The name that no endpoint can have and, where the file declares its endpoints, those that are not declared."""
    stands = "stands for every endpoint in a policy, and can be the name of none"
    for number, name in enumerate(config.endpoints or ()):
        if name == ALL:
            yield ("endpoints", number), f"{ALL!r} {stands}"
    declared = None if config.endpoints is None else frozenset((*config.endpoints, *endpoints))
    for name, place, _ in endpoint_names(config):
        if name == ALL:
            yield place, f"{ALL!r} {stands}"
        elif declared is not None and name not in declared:
            kind = "responder" if config.responder(name) else "schedule" if config.schedule(name) else None
            alike = get_close_matches(name, declared, 1)
            hint = f"; did you mean {f'{kind}:{name}' if kind else alike[0]!r}?" if kind or alike else ""
            yield place, f"no endpoint {name!r} under `endpoints`{hint}; there are {_names(declared)}"


def _names(names: Any) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") if listed else "none"
