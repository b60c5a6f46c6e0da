"""Overrides of schedules as rows: people add and remove them at run time. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Final

from pydantic import StringConstraints
from sqlalchemy import Connection, Select, delete, insert, select, update

from alerter.oncall.shifts import Override
from alerter.store.tables import overrides
from services.contracts.base import event_id

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
MOST: Final = 1000
"""Most overrides of one schedule that are not over yet."""


def add(connection: Connection, override: Override) -> None:
    connection.execute(
        insert(overrides).values(
            id=override.id,
            schedule=override.schedule,
            begins=override.begins,
            ends=override.ends,
            responder=override.responder,
            replaces=override.replaces,
            by=override.by,
            comment=override.comment,
            made_at=override.made_at,
        )
    )


def new_id(schedule: str, by: str, now: datetime, dice: str) -> str:
    return event_id("override", schedule, by, now, dice)


def end(connection: Connection, schedule: str, id_: str, now: datetime) -> bool:
    """End an override now, or remove it if it has not begun: the past stays as it was. Returns True if there was one."""
    mine = (overrides.c.schedule == schedule, overrides.c.id == id_, overrides.c.ends > now)
    begun = connection.execute(update(overrides).where(*mine, overrides.c.begins < now).values(ends=now)).rowcount
    return bool(begun or connection.execute(delete(overrides).where(*mine)).rowcount)


def between(
    connection: Connection, begin: datetime, end: datetime, schedules: Collection[str] | None = None
) -> list[Override]:
    """Returns the overrides that are in force at any time from `begin` to before `end`, the oldest first."""
    query: Select[tuple[object, ...]] = select(overrides).where(overrides.c.begins < end, overrides.c.ends > begin)
    if schedules is not None:
        query = query.where(overrides.c.schedule.in_(list(schedules)))
    rows = connection.execute(query.order_by(overrides.c.made_at, overrides.c.id))
    return [Override(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name
