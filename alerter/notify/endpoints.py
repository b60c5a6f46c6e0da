"""Where messages go, as rows: added and removed at run time, each with its own secrets. Inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Connection, delete, insert, or_, select, update

from alerter.notify.outlet import Keys, Kind
from alerter.states import EndpointState
from alerter.store.database import insert_missing
from alerter.store.tables import endpoints, secrets
from services.contracts.base import BrandId

ALL: Final = "all"


class Purpose(StrEnum):
    """What a secret is for."""

    SIGNING = "signing"
    """Signs what we send."""
    KEY = "key"
    """What the receiver knows us by: a routing key, a token."""
    INBOUND = "inbound"
    """Signs what the other side sends us."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An endpoint that is to be. Empty `brands`, `severities` or `types` mean all of them."""

    name: str
    url: str = field(repr=False)
    kind: Kind = Kind.WEBHOOK
    description: str = ""
    brands: tuple[str, ...] = ()
    severities: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    subscribed: bool = False
    """Told everything that it wants, whether or not a policy names it."""
    owner: str | None = None
    """The endpoint that hears when this one fails or is disabled."""
    fallback: str | None = None
    """The endpoint that gets what this one fails to take."""
    concurrency: int | None = None
    per_second: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[Purpose, str] = field(default_factory=dict, repr=False)


def add(connection: Connection, draft: Draft, now: datetime) -> Any | None:
    """The new row; `None` when the name is taken."""
    row = {
        "name": draft.name,
        "kind": draft.kind,
        "url": draft.url,
        "options": json.dumps(draft.options),
        "description": draft.description,
        "brands": json.dumps(draft.brands),
        "severities": json.dumps(draft.severities),
        "types": json.dumps(draft.types),
        "subscribed": draft.subscribed,
        "owner": draft.owner,
        "fallback": draft.fallback,
        "concurrency": draft.concurrency,
        "per_second": draft.per_second,
        "state": EndpointState.ENABLED,
        "created_at": now,
    }
    if not insert_missing(connection, endpoints, [row]):
        return None
    for purpose, secret in draft.secrets.items():
        connection.execute(insert(secrets).values(endpoint=draft.name, purpose=purpose, secret=secret))
    return connection.execute(select(endpoints).where(endpoints.c.name == draft.name)).one()


def remove(connection: Connection, name: str) -> bool:
    """Whether there was one. Its secrets go with it."""
    return bool(connection.execute(delete(endpoints).where(endpoints.c.name == name)).rowcount)


def state_of(connection: Connection, name: str) -> EndpointState | None:
    state = connection.scalar(select(endpoints.c.state).where(endpoints.c.name == name))
    return None if state is None else EndpointState(state)


def brands_of(connection: Connection, name: str) -> str | None:
    """The brands that it is for, as JSON; `None` when there is no such endpoint."""
    return cast("str | None", connection.scalar(select(endpoints.c.brands).where(endpoints.c.name == name)))


def keys_of_many(connection: Connection, names: Collection[str], wall: datetime) -> dict[str, Keys]:
    """The secrets that hold now: several may sign while one is rotated out."""
    valid = or_(secrets.c.ends_wall.is_(None), secrets.c.ends_wall > wall)
    query = select(*secrets.c["endpoint", "purpose", "secret"]).where(secrets.c.endpoint.in_(list(names)), valid)
    found: dict[str, dict[str, list[str]]] = {}
    for endpoint, purpose, secret in connection.execute(query.order_by(secrets.c.id.desc())):
        found.setdefault(endpoint, {}).setdefault(purpose, []).append(secret)
    return {
        name: Keys(tuple(by.get(Purpose.SIGNING, ())), next(iter(by.get(Purpose.KEY, ())), None))
        for name, by in found.items()
    }


def chosen(connection: Connection, names: Collection[str], brand: BrandId) -> tuple[str, ...]:
    """The enabled endpoints among `names` (or all of them, for `all`) that want this brand."""
    query = select(endpoints.c.name, endpoints.c.brands).where(endpoints.c.state == EndpointState.ENABLED)
    if ALL not in names:
        query = query.where(endpoints.c.name.in_(names))
    rows = connection.execute(query.order_by(endpoints.c.name))
    return tuple(name for name, brands in rows if not (wanted := json.loads(brands)) or brand in wanted)


class Subscribers:
    """Who is told whether or not a policy names them; looked up once a transaction."""

    def __init__(self, connection: Connection) -> None:
        query = select(*endpoints.c["name", "brands", "severities", "types"])
        rows = connection.execute(
            query.where(endpoints.c.state == EndpointState.ENABLED, endpoints.c.subscribed.is_(True))
        )
        self._rows = [(row.name, *map(json.loads, (row.brands, row.severities, row.types))) for row in rows]

    def of(self, kind: str, brand: str, severity: int) -> tuple[str, ...]:
        return tuple(
            name
            for name, brands, severities, types in self._rows
            if (not brands or brand in brands)
            and (not severities or severity in severities)
            and (not types or any(fits(kind, pattern) for pattern in types))
        )


def fits(kind: str, pattern: str) -> bool:
    """Whether a type is meant: `incident.opened` by itself or by `incident.*`."""
    return kind == pattern or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))


def rotate(connection: Connection, name: str, secret: str, old_end: datetime) -> bool:
    """A new secret signs from now on; the old ones sign beside it until `old_end`. Whether there is such an endpoint."""
    if state_of(connection, name) is None:
        return False
    signing = (secrets.c.endpoint == name, secrets.c.purpose == Purpose.SIGNING)
    sooner = or_(secrets.c.ends_wall.is_(None), secrets.c.ends_wall > old_end)
    connection.execute(update(secrets).where(*signing, sooner).values(ends_wall=old_end))
    connection.execute(insert(secrets).values(endpoint=name, purpose=Purpose.SIGNING, secret=secret))
    return True


def enable(connection: Connection, name: str) -> bool:
    """Messages go there again, from now on; whether there is such an endpoint."""
    well = {"failures": 0, "failing_since": None, "told_failing": False, "paused_until": None}
    which = endpoints.c.name == name
    values = {"state": EndpointState.ENABLED, "disabled_because": None, **well}
    return bool(connection.execute(update(endpoints).where(which).values(**values)).rowcount)


def inbound_secret(connection: Connection, name: str, kind: Kind) -> str | None:
    query = select(secrets.c.secret).join(endpoints, endpoints.c.name == secrets.c.endpoint)
    row = query.where(secrets.c.endpoint == name, secrets.c.purpose == Purpose.INBOUND, endpoints.c.kind == kind)
    return cast("str | None", connection.scalar(row))
