"""What becomes urgent while somebody has it, or while it is held back, rouses those who were paged when it was calm: later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_rings import DANA, RULES, act, opened, running, told
from tests.unit.alerter import make

MINUTE = 60.0
SLEEPS = {**DANA, "notify": {"urgent": RULES, "calm": [{"method": "desk"}]}, "methods": [*DANA["methods"], "desk"]}
"""By day, mail; at night, everything."""
STEPS = {"targets": ["responder:dana"]}, {"after_minutes": 300, "targets": ["lead"]}
ACME = [{"field": "brand", "values": ["acme"]}]


@asynccontextmanager
async def calm(make_house: MakeHouse, **more: Any) -> AsyncIterator[tuple[House, str]]:
    """An incident of severity 3 that has paged Dana at her desk, where severity 2 is urgent."""
    async with running(make_house, *STEPS, people=[SLEEPS], **more) as house:
        incident = await opened(house)
        await house.pass_time(MINUTE)
        assert told(house) == {"desk": 1}
        yield house, incident


async def rises(house: House, number: int = 2, **more: Any) -> None:
    fields: dict[str, Any] = {"mood": make.mood(), "probability": 0.6} | more
    await house.signal(make.forecast(number, crossing=None, at=house.clock.now(), **fields))
    await house.settle()


async def silenced(house: House, minutes: float) -> None:
    ends = (house.clock.now() + timedelta(minutes=minutes)).isoformat()
    answer = await house.http.post("/v1/silences", json={"matchers": ACME, "ends_at": ends, "by": "mia"})
    assert answer.status_code == 201, answer.text


async def muted(house: House, incident: str, how: str, minutes: float) -> None:
    """Let somebody have it, or hold it back, for so long."""
    if how == "silence":
        await silenced(house, minutes)
        # A silence holds back what would be told: the incident gets a little worse first.
        await rises(house, 2, mood=None, probability=0.71, level=Level.IMMINENT)
    else:
        await act(house, incident, how, minutes=minutes)


def rung(house: House) -> dict[str, int]:
    return {name: count for name, count in told(house).items() if name.startswith("dana")}


@pytest.mark.parametrize(("how", "grace"), [("acknowledge", 2), ("snooze", 0)])
async def test_when_nobody_has_it_any_more_the_urgent_rules_count(
    make_house: MakeHouse, how: str, grace: float
) -> None:
    async with calm(make_house) as (house, incident):
        await muted(house, incident, how, 20)
        await house.pass_time(5 * MINUTE)
        await rises(house)
        await house.pass_time(14 * MINUTE)
        assert rung(house) == {}, "somebody has it"
        await house.pass_time(MINUTE + grace * MINUTE)
        assert rung(house) == {"dana-push": 1}
        assert "it has become urgent" in house.receiver.at("/dana-push")[0].body["data"]["because"]
        assert told(house)["lead"] == 1, "and the policy goes on where it stopped"
        await house.pass_time(6 * MINUTE)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}
        await act(house, incident, "acknowledge", minutes=5)
        await house.pass_time(30 * MINUTE)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}, "once"


async def test_when_a_silence_ends_the_urgent_rules_count(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, _):
        await silenced(house, 20)
        await house.pass_time(5 * MINUTE)
        await rises(house)
        await house.pass_time(14 * MINUTE)
        (incident,) = await house.incidents()
        assert (incident["severity"], incident["held"]["by"], rung(house)) == (2, "silence", {})
        await house.pass_time(MINUTE)
        assert rung(house) == {"dana-push": 1}
        await house.pass_time(6 * MINUTE)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


async def test_what_quiet_hours_held_back_rouses_as_soon_as_they_let_it_through(make_house: MakeHouse) -> None:
    quiet = [{"id": "night", "zone": "UTC", "windows": [{"begins": "09:30", "ends": "12:00"}]}]
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 40, "targets": ["responder:dana"]}
    async with running(make_house, *steps, people=[SLEEPS], quiet_hours=quiet) as house:
        await opened(house)
        await house.pass_time(45 * MINUTE)
        (shown,) = await house.incidents()
        assert (shown["held"]["by"], rung(house)) == ("quiet_hours", {})
        await rises(house)
        (shown,) = await house.incidents()
        assert (shown["held"], rung(house)) == (None, {"dana-push": 1}), "by its next step, and not twice"
        await house.pass_time(6 * MINUTE)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


async def test_what_the_page_budget_held_back_pages_by_the_urgent_rules(make_house: MakeHouse) -> None:
    brands = [{"id": "acme", "name": "Acme", "line": {"engagements": 500}, "pages_per_hour": 1}]
    async with running(make_house, *STEPS, people=[SLEEPS], brands=brands) as house:
        await house.signal(make.forecast(crossing=None), make.forecast(crossing=None, story="bsky:p2"))
        await house.settle()
        held = next(one for one in await house.incidents() if one["held"] is not None)
        await rises(house, story=held["story"])
        await house.pass_time(30 * MINUTE)
        before = rung(house)
        await house.pass_time(40 * MINUTE)
        new = {name: count - before.get(name, 0) for name, count in rung(house).items()}
        assert new == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


async def test_who_takes_it_within_the_grace_is_not_the_end_of_it(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, incident):
        await act(house, incident, "acknowledge", minutes=10)
        await rises(house)
        await house.pass_time(11 * MINUTE)
        await act(house, incident, "acknowledge", by="mia", minutes=10)
        await house.pass_time(9 * MINUTE)
        assert rung(house) == {}
        await house.pass_time(3 * MINUTE)
        assert rung(house) == {"dana-push": 1}


async def test_what_is_reopened_is_as_urgent_as_it_was(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, incident):
        await act(house, incident, "acknowledge")
        await rises(house)
        await act(house, incident, "resolve")
        await house.pass_time(60 * MINUTE)
        await act(house, incident, "reopen")
        await house.pass_time(2 * MINUTE)
        assert rung(house) == {"dana-push": 1}


async def test_escalating_by_hand_rouses_too(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, incident):
        await act(house, incident, "acknowledge")
        await rises(house)
        await act(house, incident, "escalate")
        await house.settle()
        assert rung(house) == {"dana-push": 1}


async def test_a_hand_over_in_between_rouses_nobody_else(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, incident):
        await act(house, incident, "acknowledge", minutes=30)
        await rises(house)
        await act(house, incident, "reassign", to="lead")
        await house.pass_time(20 * MINUTE)
        assert rung(house) == {}, "somebody has it"
        await house.pass_time(12 * MINUTE)
        assert rung(house) == {"dana-push": 1}


async def test_what_was_urgent_for_a_while_only_rouses_nobody(make_house: MakeHouse) -> None:
    async with calm(make_house) as (house, incident):
        await act(house, incident, "acknowledge", minutes=20)
        await rises(house)
        await rises(house, 3, mood=None)
        (shown,) = await house.incidents()
        assert shown["severity"] == 3
        await house.pass_time(40 * MINUTE)
        assert rung(house) == {}


async def test_what_was_urgent_when_it_paged_rouses_nobody_twice(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=[SLEEPS], urgent_severity=4) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge", minutes=20)
        await rises(house)
        await house.pass_time(40 * MINUTE)
        assert rung(house) == {"dana-push": 1}


async def test_a_rise_that_nobody_is_told_of_yet_still_rings_by_what_comes_at_once(make_house: MakeHouse) -> None:
    rules = {"urgent": [{"method": "desk"}, {"after_minutes": 3, "method": "dana-call"}], "calm": [{"method": "desk"}]}
    async with running(make_house, *STEPS, people=[{**SLEEPS, "notify": rules}]) as house:
        await opened(house)
        await house.pass_time(MINUTE)
        await rises(house)
        assert told(house) == {"desk": 2}, "people were told a minute ago, and yet this is for tonight"
