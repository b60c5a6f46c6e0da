"""What is the matter with endpoints: what waits for them, what they answered last, and which policies page them.

Those in trouble come first, so that a failing endpoint looks like one: in the API, on the console and to `firebreak doctor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from alerter.api import schemas
from alerter.api.auth import Caller
from alerter.oncall import leads
from alerter.states import AttemptOutcome, DeliveryState, EndpointState
from alerter.store.tables import attempts, deliveries
from services.config.model import Config

LOOKED_AT: Final = 500
"""In how many deliveries of a kind the last answer is looked for: those that are tried last have the latest times."""
_TRIED: Final = (DeliveryState.PENDING, DeliveryState.EXHAUSTED, DeliveryState.CANCELLED, DeliveryState.DELIVERED)


def with_trouble(
    connection: Connection, caller: Caller, every: Sequence[schemas.Endpoint], config: Config
) -> tuple[schemas.Endpoint, ...]:
    """Returns the endpoints with what is the matter with each: failing ones first, then disabled ones."""
    waiting = _waiting(connection, [one.name for one in every])
    policies = leads.policies_of(config)
    seen = policies_seen(caller, config)
    found = []
    for one in every:
        count, since = waiting.get(one.name, (0, None))
        named = dict.fromkeys((*policies.get(one.name, ()), *policies.get(leads.ALL, ())))
        facts = {
            "waiting": count,
            "waiting_since": since,
            "last_answer": _last_answer(connection, one.name) if place(one) < FINE else None,
            "policies": tuple(policy for policy in named if policy in seen),
        }
        found.append(one.model_copy(update=facts))
    return tuple(sorted(found, key=lambda one: (place(one), one.name)))


FINE: Final = 2


def place(one: schemas.Endpoint) -> int:
    """Returns 0 for an endpoint that fails, 1 for one that is disabled, and `FINE` for all others."""
    if one.state is EndpointState.DISABLED:
        return 1
    return 0 if one.failures else FINE


def policies_seen(caller: Caller, config: Config) -> frozenset[str]:
    """Those that a key sees: limited to brands, it sees those of its brands' rules."""
    if caller.brands is None:
        return frozenset(policy.id for policy in config.policies)
    brands = caller.brands
    return frozenset(rule.policy for rule in config.rules if not rule.brands or brands & set(rule.brands))


def _waiting(connection: Connection, names: Sequence[str]) -> dict[str, tuple[int, Any]]:
    """How many messages wait for each endpoint, and since when the oldest does."""
    query = (
        select(deliveries.c.endpoint, func.count(), func.min(deliveries.c.created_at))
        .where(deliveries.c.endpoint.in_(names), deliveries.c.state == DeliveryState.PENDING)
        .group_by(deliveries.c.endpoint)
    )
    return {name: (count, since) for name, count, since in connection.execute(query)}


def _last_answer(connection: Connection, name: str) -> schemas.Attempt | None:
    """The newest attempt to deliver there that has ended."""
    newest: Any = None
    for state in _TRIED:
        late = (
            select(deliveries.c.id)
            .where(deliveries.c.endpoint == name, deliveries.c.state == state, deliveries.c.attempts > 0)
            .order_by(deliveries.c.next_attempt_at.desc())
            .limit(LOOKED_AT)
        )
        ended = (attempts.c.delivery.in_(late), attempts.c.outcome != AttemptOutcome.BEGUN)
        row = connection.execute(select(attempts).where(*ended).order_by(attempts.c.id.desc()).limit(1)).one_or_none()
        if row is not None and (newest is None or row.id > newest.id):
            newest = row
    return None if newest is None else schemas.attempt_of(newest)
