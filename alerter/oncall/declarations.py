"""What was declared at run time, as rows: each version of each item, with who made it. Runs inside the caller's transaction.

All items are one configuration, so a change is made on top of all the others: whoever did not see the newest is refused
(`Overtaken`), and looks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from alerter.store.database import Overtaken, insert_missing
from alerter.store.tables import declarations as rows
from services.config.declared import RotaPart


@dataclass(frozen=True, slots=True)
class Declaration:
    """One version of an item. `document` is `None` if it was deleted by it."""

    part: RotaPart
    id: str
    version: int
    document: Mapping[str, Any] | None
    changed_at: datetime
    changed_by: str


def revision(connection: Connection) -> int:
    """Returns the number of the newest change; 0 if there was none."""
    return connection.scalar(select(func.max(rows.c.revision))) or 0


def held(connection: Connection) -> tuple[int, list[Declaration]]:
    """Returns the newest version of each item that was not deleted, with the number of the newest change."""
    # The number first: what is written in between is then read again, and never taken for known.
    number = revision(connection)
    query = select(rows).where(rows.c.ends.is_(None), rows.c.document.is_not(None))
    found = connection.execute(query.order_by(rows.c.part, rows.c.id)).all()
    return number, [_declaration(row) for row in found]


def history(connection: Connection, part: RotaPart, name: str, most: int) -> list[Declaration]:
    """Returns the versions of one item, also of one that was deleted, the newest first."""
    query = select(rows).where(*_of(part, name)).order_by(rows.c.version.desc()).limit(most)
    return [_declaration(row) for row in connection.execute(query)]


def put(
    connection: Connection,
    seen: int,
    part: RotaPart,
    name: str,
    document: Mapping[str, Any] | None,
    now: datetime,
    by: str,
) -> Declaration:
    """Write the next version of an item; a `document` of `None` deletes it. `seen` is the newest change that the caller knows.

    Raises `Overtaken` if there is a newer one.
    """
    if revision(connection) != seen:
        raise Overtaken
    last = connection.scalar(select(func.max(rows.c.version)).where(*_of(part, name))) or 0
    connection.execute(update(rows).where(*_of(part, name), rows.c.ends.is_(None)).values(ends=now))
    row = {
        "revision": seen + 1,
        "part": part.value,
        "id": name,
        "version": last + 1,
        "document": None if document is None else json.dumps(document),
        "changed_at": now,
        "changed_by": by,
        "ends": now if document is None else None,
    }
    if not insert_missing(connection, rows, [row]):
        raise Overtaken
    return Declaration(part, name, last + 1, document, now, by)


def _of(part: RotaPart, name: str) -> tuple[ColumnElement[bool], ...]:
    return rows.c.part == part.value, rows.c.id == name


def _declaration(row: Any) -> Declaration:
    document = None if row.document is None else json.loads(row.document)
    return Declaration(RotaPart(row.part), row.id, row.version, document, row.changed_at, row.changed_by)
