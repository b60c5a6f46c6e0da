"""Finds the people, schedules and endpoints of brands: whom the policies of their rules page, and who owns their accounts.
Pure.

A key that is limited to brands sees these, hands incidents over to these and puts these on duty, and nobody else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from services.config.model import Config
from services.config.rota import ALL, OWNER


class BrandPeople(NamedTuple):
    """Ids of responders and schedules, and names of endpoints: those that policies name, and those that lead to the people.
    `all` among the endpoints stands for every one."""

    responders: frozenset[str]
    schedules: frozenset[str]
    endpoints: frozenset[str]

    def has(self, target: str) -> bool:
        """Returns True if `responder:NAME`, `schedule:NAME` or an endpoint's name is one of them."""
        kind, _, name = target.rpartition(":")
        if kind:
            return name in (self.responders if kind == "responder" else self.schedules)
        return name in self.endpoints or ALL in self.endpoints


def people_of(config: Config, brands: Collection[str]) -> BrandPeople:
    """Returns those of these brands. Everybody who has a turn in one of the schedules is among the responders."""
    owners = {account.owner for brand in config.brands if brand.id in brands for account in brand.accounts}
    targets = config.paged_for(brands)
    schedules = [one for one in config.schedules if one.id in owners or f"schedule:{one.id}" in targets]
    serving = {who for one in schedules for layer in one.layers for who in layer.responders}
    people = [
        one for one in config.responders if one.id in serving or one.id in owners or f"responder:{one.id}" in targets
    ]
    known = {one.id for one in people} | {one.id for one in schedules}
    endpoints = {target for target in targets if ":" not in target and target != OWNER} | (owners - known)
    return BrandPeople(
        frozenset(one.id for one in people),
        frozenset(one.id for one in schedules),
        frozenset(endpoints.union(*(one.methods for one in people))),
    )
