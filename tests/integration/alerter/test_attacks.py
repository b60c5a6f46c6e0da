"""Attacks that nothing else tests: a session that was planted, a disk that is full."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from alerter.store.database import DatabaseAway
from alerter.store.tables import sessions
from services.contracts.topics import POSTS
from services.eventlog.base import Message, Unavailable
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.conftest import KEY, House
from tests.integration.alerter.test_console import browser
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

PLANTED = "planted-by-somebody-else"


async def test_a_session_that_somebody_planted_is_not_the_one_that_a_sign_in_opens(house: House) -> None:
    async with browser(house) as client, browser(house) as thief:
        client.cookies.set("firebreak_session", PLANTED, path="/console")
        thief.cookies.set("firebreak_session", PLANTED, path="/console")
        answer = await client.post("/console/login", data={"key": KEY, "person": "dana"})
        assert answer.status_code == 303
        (cookie,) = answer.headers.get_list("set-cookie")
        assert PLANTED not in cookie
        assert (await thief.get("/console")).status_code == 303, "the planted one still opens nothing"
        again = await client.post("/console/login", data={"key": KEY, "person": "dana"})
        assert again.headers["set-cookie"] != cookie
    rows = await house.alerter.database.read(lambda c: c.execute(sessions.select()).all())
    assert len({row.digest for row in rows}) == 2


async def test_a_full_disk_refuses_what_comes_and_loses_nothing_of_what_was_accepted(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", 1)
    await log.start()
    await log.append([Message(POSTS.name, "k", b"before")])

    async def limit(pages: int) -> None:
        await log._file.write(lambda db: db.execute(f"PRAGMA max_page_count={pages}"))

    await limit(1)  # as many as there are: SQLite then says what it says of a full disk
    with pytest.raises(Unavailable, match="full"):
        await log.append([Message(POSTS.name, "k", b"x" * 100_000)])
    assert [record.value for record in (await log.read(POSTS.name, 0, 0, 10)).records] == [b"before"]
    await limit(1_000_000)
    await log.append([Message(POSTS.name, "k", b"after")])
    assert [record.value for record in (await log.read(POSTS.name, 0, 0, 10)).records] == [b"before", b"after"]
    await log.close()


async def test_what_an_alerter_could_not_write_on_a_full_disk_is_told_when_there_is_room(tmp_path: Path) -> None:
    house = House(tmp_path / "house", make.config())
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        room = {"pages": 1}

        def limited(connection: Any, *_: Any) -> None:
            connection.execute(f"PRAGMA max_page_count={room['pages']}")

        refused: list[str] = []
        engine = house.alerter.database._engine
        event.listen(engine, "checkout", limited)
        event.listen(engine, "handle_error", lambda context: refused.append(str(context.original_exception)))
        with pytest.raises(DatabaseAway, match="full"):
            await house.alerter.database.write(
                lambda c: c.exec_driver_sql("INSERT INTO installation VALUES ('large', zeroblob(1000000))")
            )
        for number in range(40):
            await house.signal(make.forecast(story=f"bsky:p{number}"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum("disk is full" in why for why in refused) < 2:
                await asyncio.sleep(0.01)
        room["pages"] = 1_000_000
        await house.settle()
        assert len(await house.incidents()) == 40
        assert len(house.receiver.at("/desk")) == 40
    await house.receiver.stop()
