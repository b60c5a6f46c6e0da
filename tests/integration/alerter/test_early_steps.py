"""A step that comes early says by how much and because of what, and only the first round is hurried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from services.contracts.signal import CrossingTime
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

MINUTE = 60.0


def crossing(minutes: int) -> CrossingTime:
    """It may cross so many minutes from now, and is expected to a quarter of an hour later."""
    return CrossingTime(earliest=NOW + timedelta(minutes=minutes), expected=NOW + timedelta(minutes=minutes + 15))


@asynccontextmanager
async def running(make_house: MakeHouse, *minutes: float, **policy: Any) -> AsyncIterator[House]:
    steps = [{"after_minutes": wait, "endpoints": [f"step{number}"]} for number, wait in enumerate(minutes, 1)]
    house = make_house(make.config(policies=[{"id": "default", "steps": steps, **policy}]))
    await house.receiver.start()
    async with house.running():
        for number in range(1, len(minutes) + 1):
            await house.endpoint(f"step{number}")
        yield house


def said(house: House, step: int) -> list[str]:
    return [one.body["data"]["because"] for one in house.receiver.at(f"/step{step}")]


async def test_a_step_that_comes_early_says_by_how_much_and_when_the_line_is_expected(make_house: MakeHouse) -> None:
    async with running(make_house, 0, 41) as house:
        await house.signal(make.forecast(crossing=crossing(45)))  # an answer takes 15 minutes, so it is due in 30
        await house.settle()
        await house.pass_time(29 * MINUTE)
        assert said(house, 2) == []
        await house.pass_time(MINUTE)
        early = "step 2 came 11 minutes early because the line is expected at 10:00 UTC"
        assert said(house, 2) == [f"step 2 of policy default: nobody has acknowledged it; {early}"]
        (incident,) = await house.incidents()
        told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
        assert any(early in line["because"] for line in told["timeline"])


async def test_a_first_step_that_waits_is_explained_too(make_house: MakeHouse) -> None:
    async with running(make_house, 60) as house:
        await house.signal(make.forecast())
        await house.settle()
        await house.signal(make.forecast(2, crossing=crossing(44), at=NOW + timedelta(minutes=1)))
        await house.settle()
        await house.pass_time(30 * MINUTE)
        assert "step 1 came 31 minutes early because the line is expected at 09:59 UTC" in said(house, 1)[0]


async def test_a_step_that_comes_when_it_is_written_gives_no_excuse(make_house: MakeHouse) -> None:
    async with running(make_house, 0, 10) as house:
        await house.signal(make.forecast(crossing=crossing(45)))
        await house.settle()
        await house.pass_time(10 * MINUTE)
        assert said(house, 2) == ["step 2 of policy default: nobody has acknowledged it"]


async def test_a_deadline_that_comes_nearer_hurries_the_step_that_waits_down_to_its_floor(
    make_house: MakeHouse,
) -> None:
    async with running(make_house, 0, 30, 30) as house:
        await house.signal(make.forecast(crossing=crossing(300)))
        await house.settle()
        await house.pass_time(2 * MINUTE)
        await house.signal(make.forecast(2, crossing=crossing(5), at=house.clock.now()))
        await house.settle()
        await house.pass_time(7 * MINUTE)
        assert said(house, 2) == [], "ten minutes are a third of thirty"
        await house.pass_time(MINUTE)
        assert "came 20 minutes early" in said(house, 2)[0]
        await house.pass_time(9 * MINUTE)
        assert said(house, 3) == []
        await house.pass_time(MINUTE)
        assert "came 20 minutes early" in said(house, 3)[0]


async def test_six_steps_are_not_burned_in_eight_minutes(make_house: MakeHouse) -> None:
    async with running(make_house, 0, 15, 25, repeat=1, insist_minutes="never") as house:

        def counts() -> list[int]:
            return [len(said(house, step)) for step in (1, 2, 3)]

        await house.signal(make.forecast(crossing=crossing(1)))
        await house.settle()
        await house.pass_time(8 * MINUTE)
        assert counts() == [1, 1, 0]
        await house.pass_time(6 * MINUTE)
        assert counts() == [1, 1, 1]
        await house.pass_time(10 * MINUTE)
        assert counts() == [2, 1, 1], "the second round comes ten minutes after the first"
        await house.signal(make.forecast(2, crossing=crossing(2), at=house.clock.now()))
        await house.pass_time(14 * MINUTE)
        assert counts() == [2, 1, 1], "and as it is written"
        await house.pass_time(27 * MINUTE)
        assert counts() == [2, 2, 2]
        assert not any("early" in words for step in (1, 2, 3) for words in said(house, step)[1:])


async def test_hasten_never_leaves_the_waits_as_they_are_written(make_house: MakeHouse) -> None:
    async with running(make_house, 0, 40, hasten="never") as house:
        await house.signal(make.forecast(crossing=crossing(20)))
        await house.settle()
        await house.signal(make.forecast(2, crossing=crossing(16), at=NOW + timedelta(minutes=1)))
        await house.settle()
        await house.pass_time(39 * MINUTE)
        assert said(house, 2) == []
        await house.pass_time(MINUTE)
        assert said(house, 2) == ["step 2 of policy default: nobody has acknowledged it"]
