"""A step that is done again, after somebody had the incident or it was over, has all again that it had the first time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

MINUTE = 60.0


@asynccontextmanager
async def running(make_house: MakeHouse, *steps: dict[str, Any], **more: Any) -> AsyncIterator[House]:
    policy = {"id": "default", "steps": steps, "insist_minutes": "never", "fallback": ["desk"], **more}
    house = make_house(make.config(policies=[policy]))
    await house.receiver.start()
    async with house.running():
        for name in ("lead", "desk"):
            await house.endpoint(name)
        yield house


async def opened(house: House) -> str:
    await house.signal(make.forecast(crossing=None))
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


async def act(house: House, incident: str, what: str, **body: Any) -> None:
    answer = await house.http.post(f"/v1/incidents/{incident}/{what}", json={"by": "mia", **body})
    assert answer.status_code == 200, answer.text
    await house.settle()


def pages(house: House, path: str) -> int:
    return sum(kind in ("incident.opened", "incident.escalated") for kind in house.receiver.types(path))


@pytest.mark.parametrize("how", ["lapses", "wakes", "is reopened", "is escalated by hand"])
async def test_its_fallback_is_told_again_when_its_page_is_lost_again(make_house: MakeHouse, how: str) -> None:
    async with running(make_house, {"endpoints": ["lead"]}) as house:
        house.receiver.answers["/lead"] = receiver.status(500)
        incident = await opened(house)
        await house.pass_time(2 * MINUTE, step=5)
        assert pages(house, "/desk") == 1
        await act(house, incident, "snooze" if how == "wakes" else "acknowledge", minutes=5)
        if how == "is reopened":
            await act(house, incident, "resolve")
            await house.pass_time(20 * MINUTE)
            await act(house, incident, "reopen")
        elif how == "is escalated by hand":
            await act(house, incident, "escalate")
        await house.pass_time(10 * MINUTE, step=5)
        assert pages(house, "/desk") == 2
        await house.pass_time(20 * MINUTE, step=5)
        assert pages(house, "/desk") == 2, "once a round"


async def test_a_step_that_reaches_nobody_now_waits_although_it_reached_somebody_before(make_house: MakeHouse) -> None:
    async with running(make_house, {"endpoints": ["lead"]}, fallback=[]) as house:
        incident = await opened(house)
        assert pages(house, "/lead") == 1
        await act(house, incident, "acknowledge", minutes=5)
        assert (await house.http.delete("/v1/endpoints/lead?even_if_named=true")).status_code == 204
        await house.pass_time(20 * MINUTE)
        await house.endpoint("lead")
        await house.settle()
        assert pages(house, "/lead") == 2


async def test_whoever_takes_the_turn_over_is_told_although_they_were_before_somebody_had_it(
    make_house: MakeHouse,
) -> None:
    rules = {"urgent": [{"method": "dana-push"}, {"after_minutes": 3, "method": "dana-call"}]}
    people = [
        {"id": "dana", "methods": ["dana-push", "dana-call"], "notify": rules},
        {"id": "lee", "methods": ["lead"]},
    ]
    layer = {"id": "base", "rotation": "daily", "begins": "2026-02-28T09:15", "responders": ["dana", "lee"]}
    schedules = [{"id": "night", "zone": "UTC", "layers": [layer]}]
    steps = [{"targets": ["responder:lee"]}, {"after_minutes": 30, "targets": ["schedule:night"]}]
    policy = {"id": "default", "steps": steps, "insist_minutes": "never"}
    house = make_house(make.config(policies=[policy], responders=people, schedules=schedules, urgent_severity=4))
    await house.receiver.start()
    async with house.running():
        for name in ("lead", "dana-push", "dana-call"):
            await house.endpoint(name)
        incident = await opened(house)
        assert pages(house, "/lead") == 1
        await act(house, incident, "acknowledge", minutes=11)
        await house.pass_time(13 * MINUTE)
        assert pages(house, "/dana-push") == 1
        await house.pass_time(5 * MINUTE)
        assert (pages(house, "/lead"), pages(house, "/dana-call")) == (2, 0), "the turn is over, and Lee has it now"
