"""What only PostgreSQL does: it can make us wait, and it takes no NUL in a text."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from alerter.store.database import Database, DatabaseAway, engine_of
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import MakeHouse
from tests.postgres_fixture import Databases


async def test_no_lock_and_no_statement_holds_up_the_only_writer_for_ever(postgres: Databases) -> None:
    url = postgres.empty()
    database, other = Database(url), engine_of(url)
    await database.start()
    with other.connect() as connection:
        for limit in ("lock_timeout", "statement_timeout"):
            assert connection.scalar(text(f"SHOW {limit}")) in ("5s", "1min"), limit
    with other.begin() as holder:
        holder.execute(text("LOCK TABLE positions"))
        with pytest.raises(DatabaseAway, match="lock timeout"):
            # As short as a test may wait; the connection's own limit is the five seconds above.
            await database.write(
                lambda c: (c.execute(text("SET LOCAL lock_timeout = '50ms'")), c.execute(text("TABLE positions")))
            )
    assert await database.write(lambda c: c.execute(text("TABLE positions")).all()) == []
    other.dispose()
    await database.close()


async def test_an_answer_with_a_nul_in_it_is_recorded(make_house: MakeHouse) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        house.receiver.answers["/desk"] = receiver.status(200, body=b"tha\x00nks")
        await house.http.post("/v1/endpoints/desk/test")
        await house.settle()
        (delivery,) = await house.deliveries()
        (attempt,) = delivery["attempts"]
        assert (attempt["outcome"], attempt["detail"]) == ("delivered", "tha\ufffdnks")
