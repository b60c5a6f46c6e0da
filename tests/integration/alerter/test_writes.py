"""The database's one writer: who goes first, and that rows which wait for each other are never lost, late or half there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from alerter.store import later
from alerter.store.database import Database, DatabaseAway, default_url
from alerter.store.tables import groupings, publications, stories
from tests.integration.alerter.conftest import MakeDatabase
from tests.unit.alerter import make

_PUBLISH = insert(publications)
_STORY = insert(stories)
_TOUCH = update(stories).values(openings=stories.c.openings + 1)
_GROUP = insert(groupings)


@pytest.fixture
async def database(tmp_path, borrow_database: MakeDatabase) -> AsyncIterator[Database]:  # type: ignore[no-untyped-def]
    one = Database(borrow_database() or default_url(tmp_path))
    await one.start()
    yield one
    await one.close()


def publication(key: str) -> dict[str, object]:
    return {"topic": "t", "key": key, "value": b"", "created_at": make.NOW}


def story(name: str, incident: str | None = None) -> dict[str, object]:
    return {"brand": "acme", "story": name, "incident": incident, "openings": 0, "touched_at": make.NOW}


def keys(connection: Connection) -> list[str]:
    return list(connection.scalars(select(publications.c.key).order_by(publications.c.id)))


async def test_acknowledgements_and_claims_do_not_wait_for_signals_that_came_before_them(database: Database) -> None:
    order: list[str] = []
    held, begun = threading.Event(), threading.Event()

    def holding(_connection: Connection) -> None:
        begun.set()
        held.wait()

    def noting(name: str) -> Callable[[Connection], None]:
        return lambda _connection: order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(database.write(holding, bulk=True))
        await asyncio.to_thread(begun.wait)
        for name in ("signals 1", "signals 2"):
            group.create_task(database.write(noting(name), bulk=True))
        for name in ("acknowledgement", "claims"):
            group.create_task(database.write(noting(name)))
        await asyncio.sleep(0)
        held.set()
    assert order == ["acknowledgement", "claims", "signals 1", "signals 2"]


async def test_signals_get_their_turn_while_there_is_always_something_urgent(database: Database) -> None:
    stopped = False

    async def hurrying() -> None:
        while not stopped:
            await asyncio.gather(*(database.write(lambda _: None) for _ in range(3)))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(hurrying())
        for number in range(5):
            await database.write(lambda _, n=number: n, bulk=True)  # type: ignore[misc]
        stopped = True


async def test_rows_that_wait_are_there_when_anybody_asks_and_after_the_commit(database: Database) -> None:
    def work(connection: Connection) -> list[str]:
        later.do(connection, _PUBLISH, [publication("a")])
        later.do(connection, _STORY, [story("s")])
        later.do(connection, _TOUCH, [{}])
        later.do(connection, _PUBLISH, [publication("b")])
        found = keys(connection)
        assert connection.scalar(select(stories.c.openings)) == 1
        later.do(connection, _PUBLISH, [publication("c")])
        return found

    assert await database.write(work) == ["a", "b"]
    assert await database.read(keys) == ["a", "b", "c"]


async def test_no_more_rows_wait_than_fit_in_memory(database: Database) -> None:
    def work(connection: Connection) -> None:
        for number in range(2 * later.MOST_ROWS):
            later.do(connection, _PUBLISH, [publication(str(number))])

    await database.write(work)
    assert await database.read(keys) == [str(number) for number in range(2 * later.MOST_ROWS)]


async def test_rows_that_wait_are_forgotten_when_their_write_fails(database: Database) -> None:
    def failing(connection: Connection) -> None:
        later.do(connection, _PUBLISH, [publication("lost")])
        raise KeyError("a mistake of ours")

    def refused(connection: Connection) -> None:
        later.do(connection, _PUBLISH, [publication("lost too")])
        later.do(connection, _GROUP, [{"key": "k", "incident": "no such incident", "members": 1}])

    def fine(connection: Connection) -> None:
        later.do(connection, _PUBLISH, [publication("kept")])

    with pytest.raises(KeyError):
        await database.write(failing)
    with pytest.raises(IntegrityError):
        await database.write(refused)
    # Those that share a commit too: each fails alone.
    results = await asyncio.gather(*map(database.write, (fine, failing, refused, fine)), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), KeyError, IntegrityError, type(None)]
    assert await database.read(keys) == ["kept", "kept"]


async def test_every_write_is_answered_when_no_transaction_can_begin(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object) -> None:
        raise DatabaseAway("it is away")

    monkeypatch.setattr(Engine, "begin", away)
    both = [database.write(lambda _: None, bulk=bulk) for bulk in (True, False, True, False)]
    async with asyncio.timeout(10):
        results = await asyncio.gather(*both, return_exceptions=True)
    assert {type(result) for result in results} == {DatabaseAway}
