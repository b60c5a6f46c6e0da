"""Keys that all replicas of an installation share. The first replica to start makes them."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select

from alerter.store.database import insert_missing
from alerter.store.tables import installation


def shared_key(connection: Connection, name: str) -> bytes:
    """Returns 32 random bytes, always the same for all users of this database."""
    insert_missing(connection, installation, [{"name": name, "value": secrets.token_bytes(32)}])
    value = connection.scalar(select(installation.c.value).where(installation.c.name == name))
    assert value is not None
    return bytes(value)
