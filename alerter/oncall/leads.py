"""Finds which policies may page an endpoint: named by a step or a fallback, or as a method of whoever those lead to. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from services.config.model import Config
from services.config.rota import OWNER

ALL: Final = "all"
"""The target that stands for every endpoint."""


def policies_of(config: Config) -> Mapping[str, tuple[str, ...]]:
    """Returns the ids of the policies that may page an endpoint, by its name. What stands under `ALL` goes for each."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for policy in config.policies:
        targets = {target for step in policy.steps for target in step.targets} | set(policy.fallback)
        for target in targets:
            for endpoint in _endpoints(config, target):
                found[endpoint][policy.id] = None
    return {endpoint: tuple(policies) for endpoint, policies in found.items()}


def _endpoints(config: Config, target: str) -> Iterable[str]:
    """Yields the endpoints that a target may lead to, whoever is on call."""
    if target == OWNER:
        owners = {account.owner for brand in config.brands for account in brand.accounts}
        for owner in owners:
            yield from _of_owner(config, owner)
        return
    kind, _, name = target.rpartition(":")
    if kind == "responder":
        yield from _of_responder(config, name)
    elif kind == "schedule":
        yield from _of_schedule(config, name)
    else:
        yield name


def _of_owner(config: Config, owner: str) -> Iterable[str]:
    if config.responder(owner) is not None:
        yield from _of_responder(config, owner)
    elif config.schedule(owner) is not None:
        yield from _of_schedule(config, owner)
    else:
        yield owner


def _of_responder(config: Config, name: str) -> Iterable[str]:
    responder = config.responder(name)
    return () if responder is None else responder.methods


def _of_schedule(config: Config, name: str) -> Iterable[str]:
    schedule = config.schedule(name)
    serving = {one for layer in schedule.layers for one in layer.responders} if schedule is not None else set()
    for responder in serving:
        yield from _of_responder(config, responder)
