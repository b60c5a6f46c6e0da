"""What all replicas of an installation share: keys, which the first replica to start makes, and small notes."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select, update

from alerter.store.database import insert_missing
from alerter.store.tables import installation


def shared_key(connection: Connection, name: str) -> bytes:
    """Returns 32 random bytes, always the same for all users of this database."""
    insert_missing(connection, installation, [{"name": name, "value": secrets.token_bytes(32)}])
    value = connection.scalar(select(installation.c.value).where(installation.c.name == name))
    assert value is not None
    return bytes(value)


def note(connection: Connection, name: str, value: bytes) -> None:
    """Keep a note under this name, in place of the one before."""
    insert_missing(connection, installation, [{"name": name, "value": value}])
    connection.execute(update(installation).where(installation.c.name == name).values(value=value))


def noted(connection: Connection, name: str) -> bytes | None:
    """Returns the note of this name, if there is one."""
    value = connection.scalar(select(installation.c.value).where(installation.c.name == name))
    return None if value is None else bytes(value)


def turned(connection: Connection, name: str, state: str) -> bool:
    """Note the state of something that all replicas see. Returns True to the one that notes it first; nothing noted is the
    same as the empty state."""
    insert_missing(connection, installation, [{"name": name, "value": b""}])
    other = (installation.c.name == name, installation.c.value != state.encode())
    return bool(connection.execute(update(installation).where(*other).values(value=state.encode())).rowcount)
