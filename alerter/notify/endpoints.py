"""Endpoints as rows: added and removed at run time, each with its own secrets. Runs inside the caller's transaction."""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from alerter.notify.hours import Hours
from alerter.notify.outlet import Keys, Kind
from alerter.states import EndpointState
from alerter.store.database import insert_missing
from alerter.store.tables import endpoints, secrets
from services.config.rota import ALL
from services.contracts.base import BrandId


class Purpose(StrEnum):
    """What a secret is for."""

    SIGNING = "signing"
    """It signs what we send."""
    KEY = "key"
    """The receiver knows us by it: a routing key, a token."""
    INBOUND = "inbound"
    """It signs what the receiver sends us."""
    HEADERS = "headers"
    """Headers of each request, names and values, as JSON."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An endpoint to be added. Empty `brands`, `severities` or `types` mean all of them."""

    name: str
    url: str = field(repr=False)
    kind: Kind = Kind.WEBHOOK
    description: str = ""
    brands: tuple[str, ...] = ()
    severities: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    subscribed: bool = False
    """Whether it gets all messages that pass its filters, even if no policy names it."""
    owner: str | None = None
    """The endpoint that is told when this one fails or is disabled."""
    fallback: str | None = None
    """The endpoint that gets the messages that this one fails to accept."""
    concurrency: int | None = None
    per_second: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    hours: Hours = field(default_factory=Hours)
    header_names: tuple[str, ...] = ()
    """Those of the headers among its secrets."""
    secrets: Mapping[Purpose, str] = field(default_factory=dict, repr=False)


def add(connection: Connection, draft: Draft, now: datetime) -> Any | None:
    """Add an endpoint. Returns its row, or `None` if the name is taken."""
    row = {"name": draft.name, **_columns(draft), "state": EndpointState.ENABLED, "created_at": now}
    if not insert_missing(connection, endpoints, [row]):
        return None
    _add_secrets(connection, draft)
    return connection.execute(select(endpoints).where(endpoints.c.name == draft.name)).one()


def remove(connection: Connection, name: str) -> bool:
    """Remove an endpoint and its secrets. Returns True if there was one."""
    return bool(connection.execute(delete(endpoints).where(endpoints.c.name == name)).rowcount)


def state_of(connection: Connection, name: str) -> EndpointState | None:
    state = connection.scalar(select(endpoints.c.state).where(endpoints.c.name == name))
    return None if state is None else EndpointState(state)


def brands_of(connection: Connection, name: str) -> str | None:
    """Returns the brands that it is limited to, as JSON, or `None` if there is no such endpoint."""
    return cast("str | None", connection.scalar(select(endpoints.c.brands).where(endpoints.c.name == name)))


def takes(connection: Connection, name: str, brand: str) -> bool:
    """Returns True if there is an endpoint of this name, enabled or not, and it is for this brand or for all."""
    text = brands_of(connection, name)
    return text is not None and (not (brands := json.loads(text)) or brand in brands)


def keys_of_many(connection: Connection, names: Collection[str], wall: datetime) -> dict[str, Keys]:
    """Returns the secrets of each endpoint that are valid now. Several may sign while one is rotated out."""
    valid = or_(secrets.c.ends_wall.is_(None), secrets.c.ends_wall > wall)
    query = select(*secrets.c["endpoint", "purpose", "secret"]).where(secrets.c.endpoint.in_(list(names)), valid)
    found: dict[str, dict[str, list[str]]] = {}
    for endpoint, purpose, secret in connection.execute(query.order_by(secrets.c.id.desc())):
        found.setdefault(endpoint, {}).setdefault(purpose, []).append(secret)
    return {
        name: Keys(
            tuple(by.get(Purpose.SIGNING, ())),
            next(iter(by.get(Purpose.KEY, ())), None),
            json.loads(next(iter(by.get(Purpose.HEADERS, ())), "{}")),
            Purpose.INBOUND in by,
        )
        for name, by in found.items()
    }


_USABLE: Final = endpoints.c.state == EndpointState.ENABLED
_ENABLED: Final = select(endpoints.c.name, endpoints.c.brands).where(_USABLE).order_by(endpoints.c.name)
_CHOSEN: Final = _ENABLED.where(endpoints.c.name.in_(bindparam("names", expanding=True)))
_SUBSCRIBED: Final = select(*endpoints.c["name", "brands", "severities", "types"]).where(
    _USABLE, endpoints.c.subscribed.is_(True)
)


def chosen(connection: Connection, names: Collection[str], brand: BrandId) -> tuple[str, ...]:
    """Returns the enabled endpoints among `names` that take this brand. The name `all` stands for all endpoints."""
    rows = connection.execute(_ENABLED) if ALL in names else connection.execute(_CHOSEN, {"names": list(names)})
    return tuple(name for name, brands in rows if not (wanted := json.loads(brands)) or brand in wanted)


_LASTING: Final = select(endpoints.c.name).where(
    endpoints.c.name.in_(bindparam("names", expanding=True)), endpoints.c.kind != Kind.APPRISE
)


def lasting(connection: Connection, names: Collection[str]) -> frozenset[str]:
    """Returns those among `names` that keep what they are sent, unlike text messages, calls and mail."""
    return frozenset(connection.scalars(_LASTING, {"names": list(names)}))


class Subscribers:
    """The endpoints that get messages even if no policy names them. Looked up once a transaction."""

    def __init__(self, connection: Connection) -> None:
        rows = connection.execute(_SUBSCRIBED)
        self._rows = [(row.name, *map(json.loads, (row.brands, row.severities, row.types))) for row in rows]

    def of(self, kind: str, brand: str, severity: int) -> tuple[str, ...]:
        """Returns those whose filters let a message of this type pass."""
        return tuple(
            name
            for name, brands, severities, types in self._rows
            if (not brands or brand in brands)
            and (not severities or severity in severities)
            and (not types or any(fits(kind, pattern) for pattern in types))
        )


def fits(kind: str, pattern: str) -> bool:
    """Returns True if the pattern matches the type: `incident.opened` or `incident.*` match `incident.opened`."""
    return kind == pattern or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))


def change(connection: Connection, draft: Draft, seen: int, now: datetime, by: str) -> bool:
    """Set an endpoint up anew, as its next version. Its signing secrets and what waits for it stay; of the other secrets those
    that the draft has replace what was there. Returns False if it has another version than the caller has `seen`."""
    mine = (endpoints.c.name == draft.name, endpoints.c.version == seen)
    more = {"version": seen + 1, "changed_at": now, "changed_by": by}
    if not connection.execute(update(endpoints).where(*mine).values(**_columns(draft), **more)).rowcount:
        return False
    kept = (secrets.c.endpoint == draft.name, secrets.c.purpose != Purpose.SIGNING)
    connection.execute(delete(secrets).where(*kept))
    _add_secrets(connection, draft)
    return True


def _columns(draft: Draft) -> dict[str, Any]:
    return {
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
        "hours": draft.hours.model_dump_json(exclude_defaults=True),
        "header_names": json.dumps(draft.header_names),
    }


def _add_secrets(connection: Connection, draft: Draft) -> None:
    for purpose, secret in draft.secrets.items():
        connection.execute(insert(secrets).values(endpoint=draft.name, purpose=purpose, secret=secret))


def rotate(connection: Connection, name: str, secret: str, old_end: datetime) -> bool:
    """Let a new secret sign, beside the old ones until `old_end`. Returns False if there is no such endpoint."""
    if state_of(connection, name) is None:
        return False
    signing = (secrets.c.endpoint == name, secrets.c.purpose == Purpose.SIGNING)
    sooner = or_(secrets.c.ends_wall.is_(None), secrets.c.ends_wall > old_end)
    connection.execute(update(secrets).where(*signing, sooner).values(ends_wall=old_end))
    connection.execute(insert(secrets).values(endpoint=name, purpose=Purpose.SIGNING, secret=secret))
    return True


def enable(connection: Connection, name: str) -> bool:
    """Enable an endpoint, as healthy. Returns False if there is no such endpoint."""
    well = {"failures": 0, "failing_since": None, "told_failing": False, "paused_until": None}
    which = endpoints.c.name == name
    values = {"state": EndpointState.ENABLED, "disabled_because": None, **well}
    return bool(connection.execute(update(endpoints).where(which).values(**values)).rowcount)


def inbound_secret(connection: Connection, name: str, kind: Kind) -> str | None:
    query = select(secrets.c.secret).join(endpoints, endpoints.c.name == secrets.c.endpoint)
    row = query.where(secrets.c.endpoint == name, secrets.c.purpose == Purpose.INBOUND, endpoints.c.kind == kind)
    return cast("str | None", connection.scalar(row))


def sharing(connection: Connection, secret: str, kind: Kind) -> tuple[str, ...]:
    """Returns the endpoints of this kind with this inbound secret: those of one telephone number, bot or app, which has one
    address for all that comes back."""
    query = select(*secrets.c["endpoint", "secret"]).join(endpoints, endpoints.c.name == secrets.c.endpoint)
    rows = connection.execute(query.where(secrets.c.purpose == Purpose.INBOUND, endpoints.c.kind == kind))
    asked = secret.encode()
    return tuple(sorted(row.endpoint for row in rows if hmac.compare_digest(row.secret.encode(), asked)))
