"""Reads a roster from the database. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from alerter.oncall import absences, histories, overrides
from alerter.oncall.roster import Roster


def between(
    connection: Connection, begin: datetime, end: datetime, now: datetime, schedules: Collection[str] | None = None
) -> Roster:
    """Returns all that is known at `now` about who is on call from `begin` to before `end`, for these schedules or for all."""
    first = min(begin, now)
    return Roster(
        overrides.between(connection, begin, end, schedules),
        absences.between(connection, first, max(end, now)),
        histories.since(connection, first, schedules),
        now,
    )
