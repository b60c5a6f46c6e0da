"""The machine's clock is set back, or forward, while the alerter is down: what is to come comes no later for it."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from alerter.store.tables import deliveries
from services.base.clock import ManualClock
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import status
from tests.unit.alerter import make

LATER = [
    {
        "id": "default",
        "steps": [{"endpoints": ["first"]}, {"after_minutes": 5, "endpoints": ["second"]}],
    }
]


async def _opened(make_house: MakeHouse) -> House:
    house = make_house(make.config(policies=LATER))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("first")
        await house.endpoint("second")
        await house.signal(make.forecast())
        await house.settle()
        assert house.receiver.at("/first")
        await house.pass_time(120)
        assert not house.receiver.at("/second")
    return house


@pytest.mark.parametrize("hours", [1, 24 * 365])
async def test_a_due_escalation_comes_when_it_would_have_come(make_house: MakeHouse, hours: int) -> None:
    house = await _opened(make_house)
    house.clock = ManualClock(house.clock.now() - timedelta(hours=hours))
    async with house.running():
        await house.pass_time(120)
        assert not house.receiver.at("/second")
        await house.pass_time(120)
        assert len(house.receiver.at("/second")) == 1


async def test_a_clock_that_was_set_forward_makes_overdue_what_it_passed(make_house: MakeHouse) -> None:
    house = await _opened(make_house)
    house.clock = ManualClock(house.clock.now() + timedelta(hours=1))
    async with house.running():
        await house.settle()
        assert len(house.receiver.at("/second")) == 1


async def test_a_small_difference_between_two_machines_moves_nothing(make_house: MakeHouse) -> None:
    house = await _opened(make_house)
    house.clock = ManualClock(house.clock.now() - timedelta(seconds=30))
    async with house.running():
        await house.pass_time(190)
        assert not house.receiver.at("/second")
        await house.pass_time(60)
        assert len(house.receiver.at("/second")) == 1


async def test_a_second_try_and_a_lease_that_a_dead_process_left_do_not_wait_for_the_clock(
    make_house: MakeHouse,
) -> None:
    house = make_house(make.config(policies=LATER))
    await house.receiver.start()
    house.receiver.answers["/first"] = status(503)
    async with house.running():
        await house.endpoint("first")
        await house.endpoint("second")
        await house.signal(make.forecast())
        await house.settle()
        assert len(house.receiver.at("/first")) == 1
        # Another process died with it in hand.
        ends = house.alerter.context().wall + timedelta(seconds=60)
        await house.alerter.database.write(
            lambda c: c.execute(deliveries.update().values(lease_owner="dead", lease_ends_wall=ends))
        )
        wall = house.alerter.context().wall.timestamp()
    del house.receiver.answers["/first"]
    house.clock = ManualClock(house.clock.now() - timedelta(hours=2))
    seconds = itertools.count()
    async with house.running(wall=lambda: wall - 7200 + next(seconds)):
        await house.pass_time(60)
        (delivery, *_) = await house.deliveries(endpoint="first")
        assert delivery["state"] == "delivered"
