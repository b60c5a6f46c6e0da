"""Pages that do not get through, shifts that nobody has, rounds that repeat: somebody is told, once a step, and it is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.contracts.signal import CrossingTime, Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

PEOPLE = [
    {"id": "dana", "name": "Dana Ito", "methods": ["dana-push", "dana-sms"]},
    {"id": "lee", "methods": ["lee-push"]},
]
LAYER = {"id": "base", "rotation": "daily", "begins": "2026-03-01T09:00", "responders": ["dana", "lee"]}
NIGHT = {"id": "night", "zone": "UTC", "layers": [LAYER]}
NAMES = ("dana-push", "dana-sms", "lee-push", "lead")


@asynccontextmanager
async def running(make_house: MakeHouse, *steps: dict[str, Any], **more: Any) -> AsyncIterator[House]:
    config = {"responders": PEOPLE, "schedules": more.pop("schedules", [NIGHT])}
    for name in ("brands",):
        if name in more:
            config[name] = more.pop(name)
    house = make_house(make.config(policies=[{"id": "default", "steps": steps, **more}], **config))
    await house.receiver.start()
    async with house.running():
        for name in NAMES:
            await house.endpoint(name)
        yield house


def minutes_of(house: House) -> dict[str, list[str]]:
    return {name: house.receiver.types(f"/{name}") for name in NAMES if house.receiver.types(f"/{name}")}


async def because(house: House) -> list[str]:
    (incident,) = await house.incidents()
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    return [line["because"] for line in told["timeline"]]


async def test_a_page_goes_to_whoever_is_on_call_by_their_first_method(make_house: MakeHouse) -> None:
    async with running(make_house, {"targets": ["schedule:night"]}) as house:
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(120)
        assert minutes_of(house) == {"dana-push": ["incident.opened"]}


async def test_a_page_that_fails_three_times_tries_the_next_method_and_then_the_next_step(
    make_house: MakeHouse,
) -> None:
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 30, "targets": ["responder:lee"]}
    async with running(make_house, *steps) as house:
        house.receiver.answers["/dana-push"] = receiver.status(500)
        house.receiver.answers["/dana-sms"] = receiver.status(503)
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(5, step=1)
        assert list(minutes_of(house)) == ["dana-push"]
        await house.pass_time(4, step=1)
        assert list(minutes_of(house)) == ["dana-push", "dana-sms"]
        await house.pass_time(10, step=1)
        assert minutes_of(house)["lee-push"] == ["incident.escalated"]
        said = house.receiver.at("/lee-push")[0].body["data"]["because"]
        assert "the page to Dana Ito by dana-sms did not get through (3 failed attempts)" in said
        assert any("trying dana-sms" in line for line in await because(house))
        await house.pass_time(120 * 60)
        assert minutes_of(house)["lee-push"] == ["incident.escalated"], "the step was done once"


async def test_a_page_that_is_slow_goes_on_after_a_minute(make_house: MakeHouse) -> None:
    steps = {"targets": ["responder:lee"]}, {"after_minutes": 30, "targets": ["lead"]}
    async with running(make_house, *steps) as house:
        house.receiver.answers["/lee-push"] = receiver.status(429, "retry-after: 60")
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(59, step=1)
        assert "lead" not in minutes_of(house)
        await house.pass_time(1, step=1)
        assert minutes_of(house)["lead"] == ["incident.escalated"]


async def test_an_unowned_shift_falls_through_to_the_fallback_and_says_so(make_house: MakeHouse) -> None:
    office = {**NIGHT, "layers": [{**LAYER, "only": [{"days": ["mon"], "begins": "09:00", "ends": "17:00"}]}]}
    steps = {"targets": ["schedule:night"]}, {"after_minutes": 5, "targets": ["lead"]}
    async with running(make_house, *steps, schedules=[office], fallback=["responder:lee"]) as house:  # it is a Sunday
        await house.signal(make.forecast())
        await house.settle()
        assert minutes_of(house) == {"lee-push": ["incident.opened"]}
        said = "nobody is on call for schedule night: told lee instead"
        assert said in house.receiver.at("/lee-push")[0].body["data"]["because"]
        assert said in await because(house)
        await house.pass_time(300)
        assert minutes_of(house)["lead"] == ["incident.escalated"]


async def test_without_a_fallback_an_unowned_shift_goes_on_to_the_next_step_at_once(make_house: MakeHouse) -> None:
    late = {**NIGHT, "layers": [{**LAYER, "begins": "2026-03-02T09:00"}]}
    steps = {"targets": ["schedule:night"]}, {"after_minutes": 5, "targets": ["lead"]}
    async with running(make_house, *steps, schedules=[late]) as house:
        await house.signal(make.forecast())
        await house.settle()
        assert minutes_of(house) == {"lead": ["incident.escalated"]}
        assert "step 1 had nobody to tell" in house.receiver.at("/lead")[0].body["data"]["because"]


async def test_when_the_last_page_fails_the_fallback_is_told(make_house: MakeHouse) -> None:
    async with running(make_house, {"targets": ["responder:lee"]}, fallback=["lead"]) as house:
        house.receiver.answers["/lee-push"] = receiver.status(500)
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(30, step=1)
        assert minutes_of(house)["lead"] == ["incident.escalated"]
        assert "trying lead" in house.receiver.at("/lead")[0].body["data"]["because"]


async def test_an_endpoint_that_goes_away_counts_as_a_page_that_failed(make_house: MakeHouse) -> None:
    steps = {"targets": ["responder:lee"]}, {"after_minutes": 30, "targets": ["lead"]}
    async with running(make_house, *steps) as house:
        house.receiver.answers["/lee-push"] = receiver.status(410)
        await house.signal(make.forecast())
        await house.settle()
        assert minutes_of(house)["lead"] == ["incident.escalated"]


async def test_the_failing_of_what_no_step_sent_moves_no_policy(make_house: MakeHouse) -> None:
    steps = {"targets": ["responder:lee"]}, {"after_minutes": 120, "targets": ["lead"]}
    async with running(make_house, *steps) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        await house.pass_time(11 * 60)
        house.receiver.answers["/lee-push"] = receiver.status(500)
        await house.signal(make.forecast(2, Level.CROSSED, crossing=None))  # an update, not a step
        await house.settle()
        await house.pass_time(30 * 60)
        assert "lead" not in minutes_of(house)


async def test_rounds_repeat_until_somebody_acknowledges(make_house: MakeHouse) -> None:
    steps = {"targets": ["lead"]}, {"after_minutes": 5, "targets": ["responder:lee"]}
    async with running(make_house, *steps, repeat=2, repeat_after_minutes=10) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        await house.pass_time(16 * 60)
        assert len(house.receiver.at("/lead")) == 2
        await house.pass_time(5 * 60)
        assert len(house.receiver.at("/lee-push")) == 2
        (incident,) = await house.incidents()
        await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "lee", "minutes": 600})
        await house.pass_time(60 * 60)
        assert [t for t in house.receiver.types("/lead") if t != "incident.acknowledged"] == [
            "incident.opened",
            "incident.escalated",
        ]


async def test_steps_come_sooner_when_less_time_is_left(make_house: MakeHouse) -> None:
    steps = {"targets": ["lead"]}, {"after_minutes": 60, "targets": ["responder:lee"]}
    async with running(make_house, *steps) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        await house.pass_time(5 * 60)
        soon = CrossingTime(earliest=NOW + timedelta(minutes=50), expected=NOW + timedelta(minutes=55))
        await house.signal(make.forecast(2, crossing=soon))
        await house.settle()
        (incident,) = await house.incidents()
        left = (datetime.fromisoformat(incident["answer_by"]) - house.clock.now()).total_seconds()
        assert 0 < left < 55 * 60
        await house.pass_time(left - 30)
        assert house.receiver.types("/lee-push") == []
        await house.pass_time(30)
        assert house.receiver.types("/lee-push") == ["incident.escalated"]


async def test_the_owner_of_the_account_is_told(make_house: MakeHouse) -> None:
    accounts = [
        {"network": "bsky", "handle": "acme", "owner": "lee"},
        {"network": "x", "handle": "acme", "owner": "night"},
    ]
    brands = [{"id": "acme", "name": "Acme", "accounts": accounts, "line": {"engagements": 500}}]
    async with running(make_house, {"targets": ["owner"]}, brands=brands) as house:
        await house.signal(make.forecast())
        await house.settle()
        assert minutes_of(house) == {"lee-push": ["incident.opened"]}


@pytest.mark.parametrize("by", ["dana", "Dana Ito"])
async def test_an_expired_acknowledgement_pages_whoever_gave_it(make_house: MakeHouse, by: str) -> None:
    async with running(make_house, {"targets": ["lead"]}, repeat=1) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        (incident,) = await house.incidents()
        await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": by, "minutes": 30})
        await house.pass_time(31 * 60)
        assert len(house.receiver.at("/dana-push")) == 1


async def test_the_steps_to_come_are_shown_with_their_times(make_house: MakeHouse) -> None:
    steps = {"targets": ["lead"]}, {"after_minutes": 5, "targets": ["responder:lee"]}
    async with running(make_house, *steps, repeat=1, repeat_after_minutes=10) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        (incident,) = await house.incidents()
        told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()["steps"]
        minutes = [(datetime.fromisoformat(step["due_at"]) - NOW).total_seconds() / 60 for step in told]
        assert minutes == [0, 5, 15, 20]
        assert [step["state"] for step in told] == ["done", "waiting", None, None]
