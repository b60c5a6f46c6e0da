"""How far a partition of the signals is applied. That stands in our database, and is moved in the transaction that applies
signals. Whether it is said of the log that is there: `services.eventlog.position`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from alerter.store import at_rest
from alerter.store.database import Overtaken, insert_missing
from alerter.store.tables import positions
from services.base.settings import Settings
from services.eventlog.position import Position

_MOVE: Final = update(positions).where(
    positions.c.partition == bindparam("of_partition"), positions.c.next == bindparam("base")
)


def stored(connection: Connection, partition: int, otherwise: int) -> Position:
    """Returns the partition's position. A new partition starts at `otherwise`, the start of the log."""
    insert_missing(connection, positions, [{"partition": partition, "next": otherwise}])
    columns = (positions.c.next, positions.c.last_offset, positions.c.last_ms)
    return Position(*connection.execute(select(*columns).where(positions.c.partition == partition)).one())


def known(settings: Settings) -> dict[int, Position]:
    """Returns the positions by partition as the database has them that the settings name. Raises `DatabaseAway`."""
    columns = positions.c["partition", "next", "last_offset", "last_ms"]
    rows = at_rest.read(settings, lambda connection: connection.execute(select(*columns)).all()) or ()
    return {row[0]: Position(*row[1:]) for row in rows}


def move(connection: Connection, partition: int, base: Position, to: Position) -> None:
    """Move the position by compare-and-set. Raises `Overtaken` if it is not `base` any more."""
    values = {"of_partition": partition, "base": base.next, **to._asdict()}
    if not connection.execute(_MOVE, values).rowcount:
        raise Overtaken(f"the position of partition {partition} is no longer {base.next}")
