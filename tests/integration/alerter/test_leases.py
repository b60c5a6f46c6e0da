"""No delivery goes twice without a crash, however long the database keeps the process waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from alerter.notify.claims import Claims
from alerter.notify.leases import GRACE_SECONDS, LEASE, RENEW_SECONDS
from alerter.store.database import Database
from alerter.store.tables import attempts, deliveries
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeDatabase, MakeHouse
from tests.integration.alerter.receiver import Got
from tests.patience import PATIENCE_SECONDS

LONG = 10 * LEASE.total_seconds()


class Wall:
    """Real time for leases, which a test can move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Gate:
    """A receiver that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def __call__(self, got: Got, writer: asyncio.StreamWriter) -> None:
        self.asked.set()
        await self.answers.wait()
        await receiver.status(204)(got, writer)


@asynccontextmanager
async def writer_blocked(database: Database) -> AsyncIterator[None]:
    """A write that takes as long as the block; those after it wait."""
    entered, over = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        entered.set()
        over.wait(PATIENCE_SECONDS)

    held = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
    try:
        yield
    finally:
        over.set()
        await held


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await asyncio.sleep(0.01)


async def lease_of(house: House) -> Any:
    query = select(*deliveries.c["id", "lease_owner", "lease_ends_wall", "attempts"])
    return await house.alerter.database.read(lambda c: c.execute(query).one())


async def outcomes(house: House) -> list[str]:
    query = select(attempts.c.outcome).order_by(attempts.c.number)
    return await house.alerter.database.read(lambda c: list(c.scalars(query)))


async def test_a_lease_begins_when_it_is_written_and_not_before_the_wait_for_the_writer(make_house: MakeHouse) -> None:
    wall, gate = Wall(), Gate()
    house = make_house()
    await house.receiver.start()
    async with house.running(wall=wall):
        await house.endpoint("desk")
        house.receiver.answers["/desk"] = receiver.status(500)
        await house.http.post("/v1/endpoints/desk/test")
        await house.settle()
        house.receiver.answers["/desk"] = gate
        async with writer_blocked(house.alerter.database):
            house.clock.advance(3)  # the second attempt is due
            await until(lambda: len(house.alerter.database._waiting) > 0)
            wall.ahead += LONG
        await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
        assert (await lease_of(house)).lease_ends_wall > house.alerter.deliverer.wall_now()
        for _ in range(3):
            house.alerter.ring()
            await house.alerter.deliverer.leases.turn()
        gate.answers.set()
        await house.settle()
        assert await outcomes(house) == ["refused", "delivered"]
        assert len(house.receiver.at("/desk")) == 2


@pytest.fixture
async def pair(
    make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Path
) -> AsyncIterator[tuple[House, House, Wall, Gate]]:
    """Two replicas over one database, with one delivery in the hand of one of them."""
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    one, other = make_house(database=url), make_house(database=url)
    other.clock = one.clock
    wall, gate = Wall(), Gate()
    await one.receiver.start()
    one.receiver.answers["/desk"] = gate
    async with one.running(wall=wall), other.running(wall=wall):
        await one.endpoint("desk")
        await one.http.post("/v1/endpoints/desk/test")
        await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
        if not one.alerter.deliverer._held:
            one, other = other, one
        try:
            yield one, other, wall, gate
        finally:
            gate.answers.set()


def looks(house: House) -> Callable[[float], None]:
    """Lets a replica's keeper believe that so many seconds have passed."""
    passed = 1000.0

    def pass_seconds(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    house.alerter.deliverer.leases._monotonic = lambda: passed
    return pass_seconds


def arrived(one: House, other: House) -> int:
    return len(one.receiver.at("/desk")) + len(other.receiver.at("/desk"))


async def test_what_is_in_flight_keeps_its_lease_for_as_long_as_it_takes(
    pair: tuple[House, House, Wall, Gate],
) -> None:
    holder, other, wall, gate = pair
    passes = looks(other)
    for _ in range(20):  # many leases long
        wall.ahead += RENEW_SECONDS
        passes(RENEW_SECONDS)
        await holder.alerter.deliverer.leases.turn()
        await other.alerter.deliverer.leases.turn()
        other.alerter.ring()
    gate.answers.set()
    await asyncio.gather(holder.settle(), other.settle())
    assert await outcomes(holder) == ["delivered"]
    assert arrived(holder, other) == 1


async def test_what_could_not_be_recorded_for_long_is_not_sent_by_the_other_replica(
    pair: tuple[House, House, Wall, Gate], databases: Any
) -> None:
    holder, other, wall, gate = pair
    passes = looks(other)
    async with writer_blocked(holder.alerter.database):
        gate.answers.set()
        await until(lambda: len(holder.alerter.deliverer._ended) + len(holder.alerter.database._waiting) > 0)
        wall.ahead += LONG
        if databases is not None:  # SQLite has one writer: the other replica cannot take it meanwhile
            for _ in range(4):
                await other.alerter.deliverer.leases.turn()
                await holder.alerter.deliverer.leases.turn()
                passes(GRACE_SECONDS / 2)
                other.alerter.ring()
    await other.alerter.deliverer.leases.turn()
    await asyncio.gather(holder.settle(), other.settle())
    assert await outcomes(holder) == ["delivered"]
    assert arrived(holder, other) == 1


async def test_a_replica_that_dies_loses_its_lease_and_the_other_delivers(
    pair: tuple[House, House, Wall, Gate],
) -> None:
    dead, other, wall, gate = pair
    dead.alerter.deliverer.leases.stop()
    passes = looks(other)
    wall.ahead += LONG
    await other.alerter.deliverer.leases.turn()
    passes(GRACE_SECONDS)
    gate.asked.clear()
    await other.alerter.deliverer.leases.turn()
    await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
    row = await lease_of(other)
    assert (row.lease_owner, row.attempts) == (other.alerter.deliverer._owner, 2)
    gate.answers.set()
    # It was not dead after all. What it records late does not undo what the other has done.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await outcomes(other) != ["delivered", "delivered"]:
            await asyncio.sleep(0.01)
    (delivery,) = await other.deliveries()
    assert delivery["state"] == "delivered"


async def test_what_is_in_hand_here_is_not_claimed_again_here_whatever_happens_to_its_lease(
    make_house: MakeHouse,
) -> None:
    gate = Gate()
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        house.receiver.answers["/desk"] = gate
        await house.http.post("/v1/endpoints/desk/test")
        await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
        row = await lease_of(house)
        free = deliveries.update().values(lease_owner=None, lease_ends_wall=None)
        await house.alerter.database.write(lambda c: c.execute(free))
        await house.http.post(f"/v1/deliveries/{row.id}/resend")
        await house.endpoint("other")
        await house.http.post("/v1/endpoints/other/test")
        await until(lambda: len(house.receiver.at("/other")) == 1)
        gate.answers.set()
        await house.settle()
        assert len(house.receiver.at("/desk")) == 1


async def test_a_claim_whose_commit_took_as_long_as_a_lease_is_renewed_before_anything_is_sent(
    make_house: MakeHouse,
) -> None:
    """As when the writes that share its commit take long."""
    wall, gate = Wall(), Gate()
    house = make_house()
    await house.receiver.start()
    async with house.running(wall=wall):
        await house.endpoint("desk")
        house.receiver.answers["/desk"] = gate
        database = house.alerter.database
        write = database.write

        async def late(work: Callable[[Connection], Any], *, bulk: bool = False) -> Any:
            done = await write(work, bulk=bulk)
            if isinstance(done, tuple) and isinstance(done[1], Claims) and done[1].claimed:
                database.write = write  # type: ignore[method-assign]
                wall.ahead += LONG
            return done

        database.write = late  # type: ignore[method-assign]
        await house.http.post("/v1/endpoints/desk/test")
        await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
        assert (await lease_of(house)).lease_ends_wall > house.alerter.deliverer.wall_now()
        gate.answers.set()
        await house.settle()
        assert await outcomes(house) == ["delivered"]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_stop_does_not_wait_beyond_its_deadline_for_a_receiver_that_stalls(make_house: MakeHouse) -> None:
    gate = Gate()
    house = make_house()
    await house.receiver.start()
    house.receiver.answers["/desk"] = gate
    async with house.running():
        await house.endpoint("desk")
        await house.http.post("/v1/endpoints/desk/test")
        await asyncio.wait_for(gate.asked.wait(), PATIENCE_SECONDS)
        await house.alerter.stop(asyncio.get_running_loop().time() + 0.05)
        assert all(task.done() for task in house.alerter._loops)
    house.receiver.answers.clear()
    async with house.running():
        await house.settle()
        assert await outcomes(house) == ["unknown", "delivered"]
