"""How much is said about each brand, and how much of it is negative: hour by hour, from `BrandVolume`. In a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from alerter.store.database import insert_missing
from alerter.store.tables import volumes
from services.contracts.signal import BrandVolume


class Hour(NamedTuple):
    """Sums over the lanes of the scorer."""

    hour: datetime
    posts: int
    scored: int
    negative: int


def add(connection: Connection, event: BrandVolume) -> None:
    """Count one minute of one lane in. Once each: whoever calls it knows which events were applied already."""
    hour = event.minute.replace(minute=0, second=0, microsecond=0)
    blank = {"brand": event.brand, "hour": hour, "posts": 0, "scored": 0, "negative": 0}
    insert_missing(connection, volumes, [blank])
    connection.execute(
        update(volumes)
        .where(volumes.c.brand == event.brand, volumes.c.hour == hour)
        .values(
            posts=volumes.c.posts + event.posts,
            scored=volumes.c.scored + event.scored,
            negative=volumes.c.negative + event.negative,
        )
    )


def hours(connection: Connection, brand: str, since: datetime) -> Sequence[Hour]:
    """Those in which anything was said, the oldest first."""
    query = select(volumes.c.hour, volumes.c.posts, volumes.c.scored, volumes.c.negative)
    rows = connection.execute(query.where(volumes.c.brand == brand, volumes.c.hour >= since).order_by(volumes.c.hour))
    return [Hour(*row) for row in rows]
