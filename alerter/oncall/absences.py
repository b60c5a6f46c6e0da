"""Absences of people as rows. They are entered and ended at run time. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Select, delete, insert, select, update

from alerter.oncall.shifts import Absence
from alerter.store.tables import absences as rows
from services.contracts.base import event_id

MOST: Final = 100
"""Most absences of one person that are not over yet."""


class AbsenceKind(StrEnum):
    """Why somebody is absent. Shown to colleagues, and never sent in a message."""

    VACATION = "vacation"
    SICK = "sick"
    OTHER = "other"


def add(connection: Connection, absence: Absence) -> None:
    connection.execute(
        insert(rows).values(
            id=absence.id,
            responder=absence.responder,
            begins=absence.begins,
            ends=absence.ends,
            kind=absence.kind,
            zone=absence.zone,
            by=absence.by,
            comment=absence.comment,
            made_at=absence.made_at,
        )
    )


def new_id(responder: str, by: str, now: datetime, dice: str) -> str:
    return event_id("absence", responder, by, now, dice)


def end(connection: Connection, id_: str, now: datetime) -> bool:
    """End an absence now, or remove it if it has not begun: the past stays as it was. Returns True if there was one."""
    mine = (rows.c.id == id_, rows.c.ends > now)
    begun = connection.execute(update(rows).where(*mine, rows.c.begins < now).values(ends=now)).rowcount
    return bool(begun or connection.execute(delete(rows).where(*mine)).rowcount)


def find(connection: Connection, id_: str) -> Absence | None:
    row = connection.execute(select(rows).where(rows.c.id == id_)).one_or_none()
    return None if row is None else Absence(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def between(
    connection: Connection, begin: datetime, end: datetime, responders: Collection[str] | None = None
) -> list[Absence]:
    """Returns the absences that last at any time from `begin` to before `end`, the oldest first."""
    query: Select[tuple[object, ...]] = select(rows).where(rows.c.begins < end, rows.c.ends > begin)
    if responders is not None:
        query = query.where(rows.c.responder.in_(list(responders)))
    found = connection.execute(query.order_by(rows.c.begins, rows.c.made_at, rows.c.id))
    return [Absence(**row._mapping) for row in found]  # noqa: SLF001
