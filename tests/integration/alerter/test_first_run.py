"""An empty board says what is still to be done, and ticks it off by itself."""

from __future__ import annotations

import re
from datetime import timedelta

from services.contracts.base import BrandId
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.signal import BrandVolume
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.integration.alerter.test_console_rota import RESPONDERS, SCHEDULES
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

HEARD = SourceCoverage(
    network="bsky",
    connector="sky",
    state=CoverageState.HEALTHY,
    begins=make.NOW,
    every_seconds=60,
    observed_at=make.NOW,
)
POSTS = BrandVolume(
    brand=BrandId("acme"), minute=make.NOW.replace(second=0), lane=0, posts=1, scored=1, negative=0, abstained=0
)


async def done(house: House, key: str | None = None) -> list[bool] | None:
    """Which of the five steps the board says are done; `None` if it shows none."""
    async with sign_in(house, key) if key is not None else sign_in(house) as client:
        page = (await client.get("/console")).text
    if "First steps" not in page:
        return None
    return [said == "done" for said in re.findall(r">: (done|not done)<", page)]


async def test_each_step_is_ticked_off_when_it_is_done_and_the_list_goes_when_all_are(make_house: MakeHouse) -> None:
    house = make_house(make.config(rules=[]), public_url=None)
    await house.receiver.start()
    async with house.running():
        assert await done(house) == [False, False, False, False, True]
        await house.signal(HEARD)
        await house.settle()
        assert await done(house) == [True, False, False, False, True]
        await house.signal(POSTS)
        await house.settle()
        assert await done(house) == [True, True, False, False, True]
        await house.endpoint("desk")
        assert await done(house) == [True, True, True, False, True]
        await house.http.post("/v1/endpoints/desk/test")
        await house.settle()
        assert await done(house) is None, "and the board is empty because all is well"
        async with sign_in(house) as client:
            assert "Nothing is waiting." in (await client.get("/console")).text


async def test_a_schedule_with_nobody_on_call_is_a_step_to_do(make_house: MakeHouse) -> None:
    house = make_house(make.config(rules=[], schedules=SCHEDULES, responders=RESPONDERS), public_url=None)
    async with house.running():
        steps = await done(house)
        assert steps is not None
        assert steps[4], "Lee is on call"
        away = {"by": "lee", "responder": "lee", "begins": "2026-02-28", "ends": "2026-03-02"}
        assert (await house.http.post("/v1/absences", json=away)).status_code == 201
        house.clock.advance(timedelta(seconds=2).total_seconds())
        steps = await done(house)
        assert steps is not None
        assert not steps[4]


async def test_a_board_that_had_something_on_it_once_and_a_filtered_one_show_no_first_steps(
    make_house: MakeHouse,
) -> None:
    house = make_house(public_url=None)
    await house.receiver.start()
    async with house.running():
        async with sign_in(house) as client:
            assert "First steps" not in (await client.get("/console?severity=1")).text
        await house.signal(make.forecast())
        await house.settle()
        assert await done(house) is None


async def test_a_key_of_another_brand_is_not_told_what_others_have_done(make_house: MakeHouse) -> None:
    house = make_house(make.config(rules=[]), public_url=None)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk", brands=["acme"])
        await house.http.post("/v1/endpoints/desk/test")
        await house.signal(POSTS, HEARD.model_copy(update={"brands": (BrandId("acme"),)}))
        await house.settle()
        key = (await make_key(house, "others", "read", "other"))["authorization"].removeprefix("Bearer ")
        assert await done(house, key) == [False, False, False, False, True]
