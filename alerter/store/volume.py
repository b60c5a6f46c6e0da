"""Volume: how many posts there are about each brand in each hour, and how many are negative. Runs in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, and_, case, false, func, or_, select, true, type_coerce, update

from alerter.store.database import insert_missing
from alerter.store.tables import volumes
from services.contracts.signal import BrandVolume

LOOKED_BACK: Final = timedelta(days=7)
"""How far back the newest post is looked for."""


class Hour(NamedTuple):
    """The posts about one brand in one hour, summed over the scorer's lanes."""

    hour: datetime
    posts: int
    scored: int
    negative: int


def add(connection: Connection, event: BrandVolume) -> None:
    """Add one minute of one lane. The caller makes sure that no event is added twice."""
    hour = event.minute.replace(minute=0, second=0, microsecond=0)
    blank = {"brand": event.brand, "hour": hour, "posts": 0, "scored": 0, "negative": 0}
    insert_missing(connection, volumes, [blank])
    is_newer = and_(
        true() if event.posts else false(), or_(volumes.c.newest_at.is_(None), volumes.c.newest_at < event.minute)
    )
    connection.execute(
        update(volumes)
        .where(volumes.c.brand == event.brand, volumes.c.hour == hour)
        .values(
            posts=volumes.c.posts + event.posts,
            scored=volumes.c.scored + event.scored,
            negative=volumes.c.negative + event.negative,
            newest_at=case((is_newer, type_coerce(event.minute, volumes.c.newest_at.type)), else_=volumes.c.newest_at),
        )
    )


def hours(connection: Connection, brand: str, since: datetime) -> Sequence[Hour]:
    """Returns the hours with posts about the brand, the oldest first."""
    query = select(volumes.c.hour, volumes.c.posts, volumes.c.scored, volumes.c.negative)
    rows = connection.execute(query.where(volumes.c.brand == brand, volumes.c.hour >= since).order_by(volumes.c.hour))
    return [Hour(*row) for row in rows]


def newest(connection: Connection, whose: ColumnElement[bool], now: datetime) -> datetime | None:
    """Returns the last minute in which there was a post about any of these brands, or `None` if there was none for days."""
    query = select(func.max(volumes.c.newest_at)).where(volumes.c.hour >= now - LOOKED_BACK, whose)
    return cast("datetime | None", connection.scalar(query))
