"""What people do to an incident, and what follows at the receivers: expiry, snooze, hand-over."""

from __future__ import annotations

from alerter.incidents.dossier import Dossier
from services.config import Config
from services.contracts.incident import OutcomeMark
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

STEPS = [{"endpoints": ["first"]}, {"after_minutes": 5, "endpoints": ["second"]}]


def two_steps() -> Config:
    return make.config(policies=[{"id": "default", "steps": STEPS, "acknowledgement_minutes": 30}])


async def opened(house: House) -> str:
    await house.endpoint("first")
    await house.endpoint("second")
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


async def test_an_expired_acknowledgement_is_told_and_the_policy_goes_on_at_its_step(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await house.alerter.act(lambda desk: desk.acknowledge(incident, "dana", "calling them"))
        await house.pass_time(29 * 60)
        assert house.receiver.types("/second") == []
        await house.pass_time(60)
        said = house.receiver.at("/first")[-1].body
        assert said["type"] == "incident.updated"
        assert said["data"]["because"].startswith("dana's acknowledgement has expired")
        assert said["data"]["who_has_it"] == "Nobody has it yet."
        assert house.receiver.types("/second") == []
    # The process may even end in between: what is due stands in the database.
    async with house.running():
        await house.pass_time(120)
        assert house.receiver.types("/second") == ["incident.escalated"]


async def test_a_prolonged_acknowledgement_disturbs_nobody(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        for _ in range(3):
            await house.alerter.act(lambda desk: desk.acknowledge(incident, "dana", ""))
            await house.pass_time(25 * 60)
        assert house.receiver.types("/first") == ["incident.opened", "incident.acknowledged"]
        assert house.receiver.types("/second") == []


async def test_the_last_step_is_done_again_when_nobody_is_left(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await house.pass_time(5 * 60)
        await house.alerter.act(lambda desk: desk.acknowledge(incident, "dana", "", 10))
        await house.pass_time(15 * 60)
        assert house.receiver.types("/second") == [
            "incident.escalated",
            "incident.acknowledged",
            "incident.updated",
            "incident.escalated",
        ]


async def test_a_snooze_wakes_and_severity_1_wakes_it_at_once(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await house.alerter.act(lambda desk: desk.snooze(incident, "dana", "after the call", 60))
        await house.pass_time(50 * 60)
        assert house.receiver.types("/second") == []
        await house.signal(make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood()))
        await house.settle()
        assert house.receiver.types("/first") == ["incident.opened", "incident.updated"]
        assert house.receiver.types("/second") == ["incident.escalated"]


async def test_a_hand_over_is_told_and_goes_on_when_nobody_takes_it(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await house.alerter.act(lambda desk: desk.acknowledge(incident, "dana", ""))
        await house.settle()
        await house.alerter.act(lambda desk: desk.reassign(incident, "dana", "lee", "your airline"))
        await house.pass_time(4 * 60)
        said = house.receiver.at("/first")[-1].body["data"]
        assert said["because"] == "dana asked lee to take it: your airline"
        assert said["who_has_it"] == "It is assigned to lee, who has not acknowledged it."
        assert house.receiver.types("/second") == []
        await house.pass_time(60)
        assert house.receiver.types("/second") == ["incident.escalated"]


async def test_what_an_alarm_was_worth_is_kept_after_its_end(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    await house.alerter.act(lambda desk: desk.resolve(incident["id"], "dana", ""))
    marked: Dossier = await house.alerter.act(
        lambda desk: desk.mark(incident["id"], "dana", OutcomeMark.USEFUL, "answered in time")
    )
    assert marked.incident.outcome is OutcomeMark.USEFUL
    (kept,) = await house.incidents()
    assert (kept["outcome"], kept["state"]) == ("useful", "resolved")
    await house.settle()
    assert house.receiver.types("/desk").count("incident.updated") == 0
