"""Encrypted rows: are all of them readable with the keys that we have, and how they come under the newest key.

Works on what is stored, below the column types, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Column, Connection, LargeBinary, String, Text, bindparam, column, delete, select, update
from sqlalchemy import table as plain

from alerter.store import tables
from alerter.store.database import Database
from alerter.store.vault import SEALED, SETTING, Locked, Sealed, SealedBytes, Vault

logger = structlog.get_logger()

COLUMNS: Final = tuple(
    sealed
    for table in tables.metadata.sorted_tables
    for sealed in table.columns
    if isinstance(sealed.type, (Sealed, SealedBytes))
)


class Stored(NamedTuple):
    """A value as it lies in the database, and the row that it belongs to."""

    at: Column[Any]
    key: str | int
    value: str


async def settle(database: Database, vault: Vault, late: int, alone: bool) -> None:
    """At start: bring what is not under the newest key (`late` values) under it, if no other process has them open.

    Other replicas may not have that key yet: there `firebreak rotate-secrets` does it once all of them have it.
    """
    if not alone:
        logger.warning("secrets_not_under_the_newest_key", values=late, do="firebreak rotate-secrets")
        return
    await database.write(lambda c: reseal(c, vault, vault))
    await database.fold()
    logger.info("secrets_encrypted", values=late)


def check(connection: Connection, vault: Vault) -> int:
    """Returns how many values are not stored as the newest key would store them. Raises `Locked` if one cannot be opened."""
    every = list(_stored(connection))
    locked = _locked(every, vault)
    if locked:
        given = "no key in it opens them" if vault.has_key else "it is not set"
        whose = ", ".join(sorted(_endpoints(connection, locked))[:10]) or "none"
        raise Locked(
            f"{len(locked)} secrets in the alerter's database are encrypted, and {SETTING}: {given} "
            f"(endpoints: {whose})\n"
            f"do: set {SETTING} to the key with which they were encrypted; several are separated by commas, the newest "
            "first. If that key is lost, `firebreak rotate-secrets --drop-unreadable` removes those endpoints, "
            "to be set up anew"
        )
    return sum(not vault.is_up_to_date(one.value) for one in every)


def reseal(connection: Connection, old: Vault, new: Vault) -> int:
    """Read with the keys of `old`, and store with the newest of `new`, or unencrypted if it has none. Returns how many
    changed. Raises `Locked`."""
    changed = 0
    for one in list(_stored(connection)):
        if new.is_up_to_date(one.value):
            continue
        opened = old.open(one.value)
        changed += _put(connection, one, new.seal(opened))
    return changed


def unreadable(connection: Connection, vault: Vault) -> list[str]:
    """Returns the names of the endpoints of which no key opens something."""
    return sorted(_endpoints(connection, _locked(list(_stored(connection)), vault)))


def drop_unreadable(connection: Connection, vault: Vault) -> list[str]:
    """Remove what no key opens: endpoints with all that is theirs, and our own keys, which are then made anew.

    Returns the names of the endpoints.
    """
    locked = _locked(list(_stored(connection)), vault)
    gone = sorted(_endpoints(connection, locked))
    connection.execute(delete(tables.endpoints).where(tables.endpoints.c.name.in_(gone)))
    ours = [one.key for one in locked if one.at.table is tables.installation]
    connection.execute(delete(tables.installation).where(tables.installation.c.name.in_(ours)))
    return gone


def _locked(every: list[Stored], vault: Vault) -> list[Stored]:
    def opens(one: Stored) -> bool:
        try:
            vault.open(one.value)
        except Locked:
            return False
        return True

    return [one for one in every if not opens(one)]


def _endpoints(connection: Connection, locked: list[Stored]) -> set[str]:
    """Returns the names of the endpoints that these values belong to."""
    of_secret = dict(connection.execute(select(tables.secrets.c.id, tables.secrets.c.endpoint)).all())
    named = {str(one.key) for one in locked if one.at.table is tables.endpoints}
    return named | {str(of_secret[one.key]) for one in locked if one.at.table is tables.secrets}


def _raw(at: Column[Any]) -> tuple[Any, Any, Any]:
    """Returns the table, its key and the column without our types, so that values come and go as they are stored."""
    (key,) = at.table.primary_key
    kind = LargeBinary() if isinstance(at.type, SealedBytes) else Text()
    bare = plain(
        at.table.name, column(key.name, String() if isinstance(key.type, String) else key.type), column(at.name, kind)
    )
    return bare, bare.c[key.name], bare.c[at.name]


def _stored(connection: Connection) -> Iterator[Stored]:
    for at in COLUMNS:
        _, key, raw = _raw(at)
        for row in connection.execute(select(key, raw).order_by(key)):
            yield Stored(at, row[0], _text(at, row[1]))


def _text(at: Column[Any], value: Any) -> str:
    """Returns a stored value as text: bytes that are not encrypted in the form in which they are sealed."""
    if not isinstance(at.type, SealedBytes):
        return str(value)
    return bytes(value).decode() if bytes(value).startswith(SEALED.encode()) else bytes(value).hex()


def _put(connection: Connection, one: Stored, text: str) -> int:
    """Store the value, unless another process has changed it since. Returns 1, or 0 in that case."""
    bare, key, raw = _raw(one.at)
    old, new = (_bytes(value) if isinstance(one.at.type, SealedBytes) else value for value in (one.value, text))
    which = update(bare).where(key == one.key, raw == old)
    return connection.execute(which.values({raw.name: bindparam("sealed", type_=raw.type)}), {"sealed": new}).rowcount


def _bytes(text: str) -> bytes:
    return text.encode() if text.startswith(SEALED) else bytes.fromhex(text)
