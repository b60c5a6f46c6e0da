"""A policy that is used up goes on while nobody answers, within bounds, and the board says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.unit.alerter import make

SEVERE: dict[str, Any] = {"mood": make.mood(), "probability": 0.95, "crossing": None}
"""Severity 1."""
STEPS = [{"endpoints": ["front"]}, {"after_minutes": 10, "endpoints": ["lead"]}]
MINUTE = 60.0


@asynccontextmanager
async def running(make_house: MakeHouse, brand: dict[str, Any] | None = None, **policy: Any) -> AsyncIterator[House]:
    brands = [{"id": "acme", "name": "Acme", "line": {"engagements": 500}, **(brand or {})}]
    config = make.config(policies=[{"id": "default", "steps": STEPS, **policy}], brands=brands)
    house = make_house(config, public_url=None)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("front")
        await house.endpoint("lead")
        yield house


async def open_one(house: House, severity: int = 1, **more: Any) -> str:
    fields = SEVERE if severity == 1 else {"crossing": None}
    await house.signal(make.forecast(**(fields | more)))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["severity"] == severity
    return str(incident["id"])


async def used_up(house: House, severity: int = 1) -> str:
    """An incident whose last step was done ten minutes after the first."""
    incident = await open_one(house, severity)
    await house.pass_time(10 * MINUTE)
    assert house.receiver.types("/lead") == ["incident.escalated"]
    return incident


async def test_the_last_step_is_repeated_until_somebody_takes_it(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await used_up(house)
        await house.pass_time(14 * MINUTE)
        assert len(house.receiver.at("/lead")) == 1
        await house.pass_time(MINUTE)
        (_, again) = house.receiver.at("/lead")
        assert "policy default is used up: nobody has acknowledged it" in again.body["data"]["because"]
        await house.pass_time(60 * MINUTE)
        assert len(house.receiver.at("/lead")) == 6, "every fifteen minutes"
        assert len(house.receiver.at("/front")) == 1, "it is the last step that goes on"
        told = (await house.http.get(f"/v1/incidents/{incident}/explain")).json()
        assert sum(line["kind"] == "insisted" for line in told["timeline"]) == 5
        await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "mia", "minutes": 600})
        await house.settle()
        count = len(house.receiver.at("/lead"))
        await house.pass_time(120 * MINUTE)
        assert len(house.receiver.at("/lead")) == count


async def test_an_acknowledgement_that_expires_lets_it_go_on(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await used_up(house)
        await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "mia", "minutes": 5})
        await house.pass_time(8 * MINUTE)
        count = len(house.receiver.at("/lead"))
        await house.pass_time(15 * MINUTE)
        assert len(house.receiver.at("/lead")) == count + 1


async def test_rounds_come_first_and_then_the_last_step(make_house: MakeHouse) -> None:
    async with running(make_house, repeat=1, repeat_after_minutes=5) as house:
        await used_up(house)
        await house.pass_time(15 * MINUTE)
        assert (len(house.receiver.at("/front")), len(house.receiver.at("/lead"))) == (2, 2)
        await house.pass_time(15 * MINUTE)
        assert (len(house.receiver.at("/front")), len(house.receiver.at("/lead"))) == (2, 3)


@pytest.mark.parametrize("what", ["mild", "never", "easing", "resolved", "snoozed"])
async def test_what_is_mild_over_easing_or_switched_off_is_left_alone(make_house: MakeHouse, what: str) -> None:
    async with running(make_house, insist_minutes="never" if what == "never" else 15) as house:
        incident = await used_up(house, 3 if what in ("mild", "snoozed") else 1)
        if what == "easing":
            await house.signal(make.forecast(2, Level.EASING, at=house.clock.now(), **SEVERE))
        elif what == "resolved":
            await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": "mia"})
        elif what == "snoozed":
            await house.http.post(f"/v1/incidents/{incident}/snooze", json={"by": "mia", "minutes": 50})
        await house.settle()
        paged = [one for one in house.receiver.at("/lead") if one.type == "incident.escalated"]
        await house.pass_time(45 * MINUTE)
        assert [one for one in house.receiver.at("/lead") if one.type == "incident.escalated"] == paged


async def test_a_mild_one_that_gets_severe_is_paged_again_at_once_and_goes_on(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await used_up(house, 3)
        await house.pass_time(20 * MINUTE)
        await house.signal(make.forecast(2, at=house.clock.now(), **SEVERE))
        await house.settle()
        assert len(house.receiver.at("/lead")) == 2
        assert "policy default is used up" in house.receiver.at("/lead")[1].body["data"]["because"]
        await house.pass_time(15 * MINUTE)
        assert len(house.receiver.at("/lead")) == 3


async def test_crossing_and_doubling_page_those_told_last_at_once_and_all_the_others_hear_of_it(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:
        await used_up(house)
        await house.pass_time(3 * MINUTE)
        for number, engagements in ((2, 520), (3, 1040), (4, 2200)):
            seen = len(house.receiver.at("/lead"))
            forecast = make.forecast(
                number,
                Level.CROSSED,
                at=house.clock.now(),
                evidence=make.evidence(engagements=engagements),
                **SEVERE,
            )
            await house.signal(forecast)
            await house.settle()
            new = house.receiver.at("/lead")[seen:]
            assert [one.type for one in new] == ["incident.updated"], "one message, and it is a page"
            assert "policy default is used up and nobody has acknowledged it" in new[0].body["data"]["because"]
            assert house.receiver.types("/front")[-1] == "incident.updated"
            await house.pass_time(2 * MINUTE)
        count = len(house.receiver.at("/lead"))
        await house.pass_time(12 * MINUTE)
        assert len(house.receiver.at("/lead")) == count, "the interval counts from the last page"
        await house.pass_time(MINUTE)
        assert len(house.receiver.at("/lead")) == count + 1


async def test_a_change_that_pages_and_is_lost_goes_to_the_fallback(make_house: MakeHouse) -> None:
    async with running(make_house, fallback=["desk"]) as house:
        await house.endpoint("desk")
        await used_up(house)
        house.receiver.answers["/lead"] = receiver.status(500)
        await house.signal(make.forecast(2, Level.CROSSED, at=house.clock.now(), **SEVERE))
        await house.settle()
        await house.pass_time(30, step=5)
        assert house.receiver.types("/desk") == ["incident.escalated"]


async def test_before_it_is_used_up_a_change_moves_no_policy(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await open_one(house)
        await house.signal(make.forecast(2, Level.CROSSED, at=house.clock.now(), **SEVERE))
        await house.settle()
        assert house.receiver.types("/front") == ["incident.opened", "incident.updated"]
        assert house.receiver.at("/lead") == []


async def test_severity_2_is_repeated_within_the_page_budget_and_severity_1_always(make_house: MakeHouse) -> None:
    async with running(make_house, {"pages_per_hour": 3}, insist_minutes=5) as house:
        story: dict[str, Any] = {"story": "bsky:two", "crossing": None, "mood": make.mood(), "probability": 0.6}
        await house.signal(make.forecast(**story))
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["severity"] == 2
        await house.pass_time(10 * MINUTE + 45 * MINUTE)
        assert len(house.receiver.at("/lead")) == 1 + 2, "the opening and two repetitions are the hour's three"
        await house.pass_time(60 * MINUTE)
        assert len(house.receiver.at("/lead")) <= 1 + 2 + 4
    async with running(make_house, {"pages_per_hour": 1}, insist_minutes=5) as house:
        await used_up(house)
        await house.pass_time(50 * MINUTE)
        assert len(house.receiver.at("/lead")) == 1 + 10


async def test_a_repetition_that_is_lost_goes_to_the_fallback_and_does_not_come_round_faster(
    make_house: MakeHouse,
) -> None:
    async with running(make_house, fallback=["front"]) as house:
        await used_up(house)
        house.receiver.answers["/lead"] = receiver.status(500)
        seen = len(house.receiver.at("/front"))
        await house.pass_time(15 * MINUTE + 30, step=5)
        assert len(house.receiver.at("/front")) == seen + 1
        await house.pass_time(10 * MINUTE, step=5)
        assert len(house.receiver.at("/front")) == seen + 1
        await house.pass_time(5 * MINUTE, step=5)
        assert len(house.receiver.at("/front")) == seen + 2, "the next repetition has its own fallback"


async def test_where_the_last_step_reaches_nobody_the_one_before_is_repeated(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        assert (await house.http.delete("/v1/endpoints/lead?even_if_named=true")).status_code == 204
        await open_one(house)
        await house.pass_time(10 * MINUTE)
        await house.pass_time(15 * MINUTE)
        assert house.receiver.types("/front") == ["incident.opened", "incident.escalated"]


async def test_the_board_and_the_page_say_that_nobody_answered(make_house: MakeHouse) -> None:
    words = "Policy used up, nobody answered"
    async with running(make_house) as house:
        incident = await used_up(house)
        async with sign_in(house) as client:
            addresses = ("/console", f"/console/incidents/{incident}")
            assert all([words not in (await client.get(a)).text for a in addresses]), "the last page was just sent"
            await house.pass_time(5 * MINUTE)
            assert all([words in (await client.get(a)).text for a in addresses])
            await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "mia"})
            assert all([words not in (await client.get(a)).text for a in addresses])
