"""Every name of an endpoint that the file uses, with where it stands: one list for the load, the start, `firebreak doctor`
and rehearsals, so that none of them forgets a place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.config.model import Config, Policy
from services.config.rota import ALL, OWNER

_NO_ENDPOINT: Final = frozenset({ALL, OWNER})
"""What a policy means by these is no endpoint."""


class EndpointName(NamedTuple):
    """A name, its place in the file, and how people say that place."""

    name: str
    place: tuple[str | int, ...]
    words: str


def endpoint_names(config: Config) -> Iterator[EndpointName]:
    """Yield them in the order of the file's sections. What a policy means by `all` and `owner` is left out."""
    for index, policy in enumerate(config.policies):
        yield from _of_policy(policy, index)
    for index, responder in enumerate(config.responders):
        words = f"responder {responder.id}"
        for number, method in enumerate(responder.methods):
            yield EndpointName(method, ("responders", index, "methods", number), words)
        if responder.digest is not None:
            yield EndpointName(responder.digest, ("responders", index, "digest"), words)
    people = {*config.at_run_time.responders, *config.at_run_time.schedules}
    for index, brand in enumerate(config.brands):
        for number, account in enumerate(brand.accounts):
            if not (config.responder(account.owner) or config.schedule(account.owner) or account.owner in people):
                place = ("brands", index, "accounts", number, "owner")
                yield EndpointName(account.owner, place, f"the owner of {account.id}")
    if "operators" in config.model_fields_set:
        for number, name in enumerate(config.operators):
            yield EndpointName(name, ("operators", number), "operators")


def _of_policy(policy: Policy, index: int) -> Iterator[EndpointName]:
    for number, step in enumerate(policy.steps):
        for place, target in enumerate(step.targets):
            if ":" not in target and target not in _NO_ENDPOINT:
                where = ("policies", index, "steps", number, "targets", place)
                yield EndpointName(target, where, f"step {number + 1} of {policy.id}")
    for place, target in enumerate(policy.fallback):
        if ":" not in target and target not in _NO_ENDPOINT:
            yield EndpointName(target, ("policies", index, "fallback", place), f"the fallback of {policy.id}")
