"""Who is signed in: a random token in a cookie that scripts cannot read, of which the database has only the hash.

A session lives as long as its key: it is asked for on every request, so a revoked key ends its sessions at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from alerter.api import keys
from alerter.api.auth import ROOT, Caller, digest
from alerter.api.context import ApiContext
from alerter.store.tables import sessions

COOKIE: Final = "firebreak_session"
LASTS: Final = timedelta(days=7)
"""Since the last use: whoever is paged at night should not have to look for a key first."""
_RENEW_AFTER: Final = timedelta(hours=1)
"""So that not every request writes."""
MAX_PERSON_CHARS: Final = 100
_TOKEN_BYTES: Final = 32
MAX_OF_A_KEY: Final = 100
"""A key may be a whole team's. Of more sessions the one that was used least lately is closed."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in. `person` is how others read who did something."""

    caller: Caller
    person: str
    csrf: str
    session: str


def csrf_of(token: str) -> str:
    """What a form must send back: only a page of ours, shown to this session, can know it."""
    return hmac.new(token.encode(), b"firebreak console form", hashlib.sha256).hexdigest()


async def open_session(service: ApiContext, key: str, person: str) -> str | None:
    """The new session's token; `None` when the key opens nothing. `person` of "" is whoever the key is named after. Another
    name stands before the key's own, so that whoever has a key cannot act as somebody else; the settings' key has no name."""
    given = digest(key)
    caller = await keys.caller_of(service, given)
    if caller is None:
        return None
    token, wall = secrets.token_urlsafe(_TOKEN_BYTES), service.context().wall

    def write(connection: Connection) -> None:
        own = select(sessions.c.digest).where(sessions.c.key == given)
        newest = own.order_by(sessions.c.ends_wall.desc(), sessions.c.digest).limit(MAX_OF_A_KEY - 1)
        kept = connection.scalars(newest).all()
        connection.execute(delete(sessions).where(sessions.c.key == given, sessions.c.digest.not_in(kept)))
        row = {"digest": digest(token), "key": given, "person": _named(person, caller.name), "ends_wall": wall + LASTS}
        connection.execute(insert(sessions), row)

    await service.database.write(write)
    return token


def _named(person: str, key: str) -> str:
    if not person or person.casefold() == key.casefold():
        return key
    whose = "" if key == ROOT else f" ({key})"
    return person[: MAX_PERSON_CHARS - len(whose)] + whose


async def visitor_of(service: ApiContext, token: str | None) -> Visitor | None:
    """Whose session this is, if it has not ended."""
    if not token:
        return None
    held, wall = digest(token), service.context().wall
    query = select(sessions).where(sessions.c.digest == held, sessions.c.ends_wall > wall)
    row = await service.database.read(lambda c: c.execute(query).one_or_none())
    caller = await keys.caller_of(service, row.key) if row is not None else None
    if row is None or caller is None:
        return None
    if row.ends_wall - wall < LASTS - _RENEW_AFTER:
        await service.database.write(lambda c: _renew(c, held, wall))
    return Visitor(caller, row.person, csrf_of(token), held)


def _renew(connection: Connection, held: str, wall: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.digest == held).values(ends_wall=wall + LASTS))


async def close_session(service: ApiContext, visitor: Visitor) -> None:
    await service.database.write(lambda c: c.execute(delete(sessions).where(sessions.c.digest == visitor.session)))
