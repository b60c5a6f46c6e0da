"""What was declared at run time is read so that nothing old is ever taken for new."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, create_engine, event

from alerter.oncall import declarations
from alerter.store.tables import metadata
from services.config.declared import RotaPart
from tests.unit.alerter.make import NOW


def put(connection: Connection, seen: int, name: str) -> None:
    document = {"id": name, "methods": [name]}
    declarations.put(connection, seen, RotaPart.RESPONDERS, name, document, NOW, "ada")


def test_what_is_written_while_it_is_read_is_read_again() -> None:
    """Another replica commits between the two statements: the number must not be newer than the rows."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        put(connection, 0, "dana")
        waiting = ["lee"]

        def between(*_: Any) -> None:
            if waiting:
                put(connection, 1, waiting.pop())

        event.listen(connection, "after_cursor_execute", between)
        number, found = declarations.held(connection)
        event.remove(connection, "after_cursor_execute", between)
        assert not waiting
        assert declarations.revision(connection) == 2
        assert (number, {one.id for one in found}) == (1, {"dana", "lee"})
