"""Rows that wait for each other, so that those of one table go out in one statement: opening an incident inserts into nine.

They go before anything else is asked of the connection, and before the commit. So nobody can see that they waited, and
who has nothing to ask between two incidents writes both at once. An error in them comes only then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Insert, Table, Update, event

from alerter.store.tables import metadata

Statement = Insert | Update

MOST_ROWS: Final = 1_000
"""Rows that wait at most, because they are in memory."""
_PLACES: Final[Mapping[Table, int]] = {table: place for place, table in enumerate(metadata.sorted_tables)}
_Waiting = dict[Statement, list[Mapping[str, Any]]]
_waiting: Final[WeakKeyDictionary[Connection, _Waiting]] = WeakKeyDictionary()


def do(connection: Connection, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute the statement for each of the rows, which all have the same columns, before the connection is used again.

    The statement is a constant: rows of one statement go together. An update must not depend on the order of updates.
    """
    waiting = _waiting.setdefault(connection, {})
    waiting.setdefault(statement, []).extend(rows)
    if sum(map(len, waiting.values())) > MOST_ROWS:
        flush(connection)


def flush(connection: Connection) -> None:
    """Execute what waits: inserts in the order of the tables' references, then updates."""
    waiting = _waiting.pop(connection, None)
    for statement in sorted(waiting, key=_order) if waiting else ():
        if rows := waiting[statement]:  # type: ignore[index]
            connection.execute(statement, rows)


def _order(statement: Statement) -> tuple[bool, int]:
    assert isinstance(statement.table, Table)
    return isinstance(statement, Update), _PLACES[statement.table]


# Of every engine there is: rows that wait at a connection that nobody watches would be lost without a word.


@event.listens_for(Engine, "before_cursor_execute")
def _asked(connection: Connection, *_more: Any) -> None:
    flush(connection)


@event.listens_for(Engine, "commit")
def _committing(connection: Connection) -> None:
    flush(connection)


@event.listens_for(Engine, "rollback")
@event.listens_for(Engine, "rollback_savepoint")
def _rolling_back(connection: Connection, *_more: Any) -> None:
    _waiting.pop(connection, None)
