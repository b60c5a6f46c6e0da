"""Silences as rows. People add and end them at run time; they are kept for a while to explain what they held back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from alerter.silences.matching import Covers, Matcher, Silence
from alerter.states import ENDED
from alerter.store.tables import incidents, silences

MOST: Final = 10_000
"""Most silences that are not over: each is matched against every incident that people are about to be told of."""
_NOW: Final = bindparam("now", type_=silences.c.starts_at.type)
_IN_FORCE: Final = select(silences).where(silences.c.starts_at <= _NOW, silences.c.ends_at > _NOW).limit(MOST)


def add(
    connection: Connection,
    covers: Covers,
    matchers: Collection[Matcher],
    starts_at: datetime,
    ends_at: datetime,
    author: str,
    comment: str,
    now: datetime,
) -> Silence:
    silence = Silence(secrets.token_hex(16), covers, tuple(matchers), starts_at, ends_at, author, comment, now)
    row = {name: getattr(silence, name) for name in Silence.__slots__}
    row["matchers"] = _written(silence.matchers)
    connection.execute(insert(silences), row)
    return silence


def change(connection: Connection, silence: Silence, now: datetime, by: str) -> Silence | None:
    """Write another version of a silence that is not over. The gate is asked again at once about all that is held back. Returns
    `None` if somebody else changed or ended it meanwhile."""
    changed = replace(silence, version=silence.version + 1, changed_at=now, changed_by=by)
    values = {name: getattr(changed, name) for name in Silence.__slots__}
    values["matchers"] = _written(changed.matchers)
    same = (silences.c.id == silence.id, silences.c.version == silence.version, silences.c.ends_at > now)
    if not connection.execute(update(silences).where(*same).values(**values)).rowcount:
        return None
    reconsider(connection, now)
    return changed


def _written(matchers: Collection[Matcher]) -> str:
    return json.dumps([matcher.model_dump(mode="json") for matcher in matchers])


def in_force(connection: Connection, now: datetime) -> list[Silence]:
    return [silence_of(row) for row in connection.execute(_IN_FORCE, {"now": now})]


def find(connection: Connection, silence: str) -> Silence | None:
    row = connection.execute(select(silences).where(silences.c.id == silence)).one_or_none()
    return None if row is None else silence_of(row)


def end(connection: Connection, silence: str, now: datetime) -> bool:
    """End a silence now. Returns True if it was not over. The gate is asked again at once about what it held back."""
    ended = connection.execute(
        update(silences).where(silences.c.id == silence, silences.c.ends_at > now).values(ends_at=now)
    ).rowcount
    if ended:
        reconsider(connection, now)
    return bool(ended)


def reconsider(connection: Connection, now: datetime) -> None:
    """Make the timers of all incidents that are held back due now, so that the gate is asked again."""
    waiting = (incidents.c.held_until.is_not(None), incidents.c.state.not_in(ENDED))
    connection.execute(update(incidents).where(*waiting).values(due_at=now))


def silence_of(row: Any) -> Silence:
    fields = {name: getattr(row, name) for name in Silence.__slots__}
    matchers = tuple(Matcher.model_validate(matcher) for matcher in json.loads(row.matchers))
    return Silence(**{**fields, "covers": Covers(row.covers), "matchers": matchers})
