"""Reads the operator's YAML file into a `Config`, and reports every mistake in it by file, line and field."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from services.base.errors import ConfigError
from services.config.endpoint_names import endpoint_names
from services.config.model import Config
from services.config.rota import ALL
from services.config.rule import CONDITIONS
from services.config.suggestions import meant
from services.config.yaml_reading import Place, read
from services.contracts.base import AccountId


def load(path: Path) -> Config:
    """Returns the configuration in `path`.

    Raises `ConfigError` with every mistake found, one a line: `file:line: field: what is wrong and what would be right`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    return parse(text, str(path))


def over(path: Path, base: Config) -> Config:
    """Returns the configuration in `path`. If it names no brands (a file of rules alone, say), its sections replace those of
    `base`. Raises `ConfigError`."""
    try:
        raw = read(path.read_text(encoding="utf-8"), str(path)).content
    except (OSError, UnicodeDecodeError):
        return load(path)  # which says what is wrong
    if not isinstance(raw, dict) or "brands" in raw:
        return load(path)
    whole = base.model_dump(mode="json", exclude_defaults=True) | raw
    return parse(yaml.safe_dump(whole, sort_keys=False), f"{path} over the present configuration")


def parse(text: str, name: str = "configuration") -> Config:
    """Like `load`, for a text."""
    raw, lines = read(text, name)
    if not isinstance(raw, dict):
        raise ConfigError(f"{name}:1: expected a mapping with `brands`, got {type(raw).__name__}")
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list that lost its only item to a mistake inside is no second mistake.
        inside = {e["loc"][:depth] for e in found for depth in range(1, len(e["loc"]))}
        told = [e for e in found if e["loc"] not in inside]
        raise ConfigError("\n".join(_say(name, lines, e["loc"], _advice(e)) for e in told)) from error
    mistakes = [_say(name, lines, place, what) for place, what in _references(config)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _say(name: str, lines: dict[Place, int], place: Place, what: str) -> str:
    known = place
    while known and known not in lines:
        known = known[:-1]
    return f"{name}:{lines.get(known, 1)}: {'.'.join(map(str, place))}: {what}"


def _advice(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        alike = meant(error["loc"])
        hint = f"did you mean `{alike}`?" if alike is not None else "`firebreak doctor --schema` shows them all"
        return f"there is no such field here; {hint}"
    if error["type"] == "missing":
        return "this field is required"
    return f"{error['msg']}, got {str(error['input'])[:80]!r}"


def _references(config: Config) -> Iterator[tuple[Place, str]]:
    """The mistakes that no single field shows: ids that are used twice, and names that lead nowhere."""
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
    yield from _rota_references(config)
    yield from _endpoint_references(config)


def _rule_references(config: Config) -> Iterator[tuple[Place, str]]:
    brands, policies = {b.id for b in config.brands}, {p.id for p in config.policies}
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


def _rota_references(config: Config) -> Iterator[tuple[Place, str]]:
    responders, schedules = {r.id for r in config.responders}, {s.id for s in config.schedules}
    known = {"responder": responders, "schedule": schedules}
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


def _endpoint_references(config: Config) -> Iterator[tuple[Place, str]]:
    """The name that no endpoint can have and, where the file declares its endpoints, those that are not declared."""
    stands = "stands for every endpoint in a policy, and can be the name of none"
    for number, name in enumerate(config.endpoints or ()):
        if name == ALL:
            yield ("endpoints", number), f"{ALL!r} {stands}"
    declared = None if config.endpoints is None else frozenset(config.endpoints)
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
