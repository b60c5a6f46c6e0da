"""Keys that all replicas of an installation share: whoever starts first makes them."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select

from alerter.store.database import insert_missing
from alerter.store.tables import installation


def shared_key(connection: Connection, name: str) -> bytes:
    """32 random bytes, the same for ever and for everybody on this database."""
    insert_missing(connection, installation, [{"name": name, "value": secrets.token_bytes(32)}])
    value = connection.scalar(select(installation.c.value).where(installation.c.name == name))
    assert value is not None
    return bytes(value)
