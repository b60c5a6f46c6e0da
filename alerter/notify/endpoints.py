"""Where webhooks go, as rows: added and removed at run time, each with its own secrets. Inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import Connection, delete, insert, or_, select

from alerter.store.database import insert_missing
from alerter.store.tables import endpoints, secrets
from services.contracts.base import BrandId

ALL: Final = "all"


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


def add(
    connection: Connection, name: str, url: str, description: str, brands: Collection[str], secret: str, now: datetime
) -> Any | None:
    """The new row; `None` when the name is taken."""
    row = {
        "name": name,
        "url": url,
        "description": description,
        "brands": json.dumps(list(brands)),
        "state": EndpointState.ENABLED,
        "created_at": now,
    }
    if not insert_missing(connection, endpoints, [row]):
        return None
    connection.execute(insert(secrets).values(endpoint=name, secret=secret))
    return connection.execute(select(endpoints).where(endpoints.c.name == name)).one()


def remove(connection: Connection, name: str) -> bool:
    """Whether there was one. Its secrets go with it."""
    return bool(connection.execute(delete(endpoints).where(endpoints.c.name == name)).rowcount)


def state_of(connection: Connection, name: str) -> EndpointState | None:
    state = connection.scalar(select(endpoints.c.state).where(endpoints.c.name == name))
    return None if state is None else EndpointState(state)


def brands_of(connection: Connection, name: str) -> str | None:
    """The brands that it is for, as JSON; `None` when there is no such endpoint."""
    return cast("str | None", connection.scalar(select(endpoints.c.brands).where(endpoints.c.name == name)))


def signing_secrets(connection: Connection, name: str, wall: datetime) -> tuple[str, ...]:
    """Those that sign now, the newest first: several while one is rotated out."""
    valid = or_(secrets.c.ends_wall.is_(None), secrets.c.ends_wall > wall)
    query = select(secrets.c.secret).where(secrets.c.endpoint == name, valid).order_by(secrets.c.id.desc())
    return tuple(connection.scalars(query))


def chosen(connection: Connection, names: Collection[str], brand: BrandId) -> tuple[str, ...]:
    """The enabled endpoints among `names` (or all of them, for `all`) that want this brand."""
    query = select(endpoints.c.name, endpoints.c.brands).where(endpoints.c.state == EndpointState.ENABLED)
    if ALL not in names:
        query = query.where(endpoints.c.name.in_(names))
    rows = connection.execute(query.order_by(endpoints.c.name))
    return tuple(name for name, brands in rows if not (wanted := json.loads(brands)) or brand in wanted)
