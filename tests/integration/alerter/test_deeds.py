"""What people do to an incident, and what follows at the receivers: expiry, snooze, hand-over."""

from __future__ import annotations

import httpx2

from services.config.model import Config
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
        await house.alerter.act(lambda desk: desk.people.acknowledge(incident, "dana", "calling them"))
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
            await house.alerter.act(lambda desk: desk.people.acknowledge(incident, "dana", ""))
            await house.pass_time(25 * 60)
        assert house.receiver.types("/first") == ["incident.opened", "incident.acknowledged"]
        assert house.receiver.types("/second") == []


async def test_the_last_step_is_done_again_when_nobody_is_left(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await house.pass_time(5 * 60)
        await house.alerter.act(lambda desk: desk.people.acknowledge(incident, "dana", "", 10))
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
        await house.alerter.act(lambda desk: desk.people.snooze(incident, "dana", "after the call", 60))
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
        await house.alerter.act(lambda desk: desk.people.acknowledge(incident, "dana", ""))
        await house.settle()
        await house.alerter.act(lambda desk: desk.people.reassign(incident, "dana", "lee", "your airline"))
        await house.pass_time(4 * 60)
        said = house.receiver.at("/first")[-1].body["data"]
        assert said["because"] == "dana asked lee to take it: your airline"
        assert said["who_has_it"] == "It is assigned to lee, who has not acknowledged it yet."
        assert house.receiver.types("/second") == []
        await house.pass_time(60)
        assert house.receiver.types("/second") == ["incident.escalated"]


async def act(house: House, incident: str, what: str, **body: object) -> httpx2.Response:
    return await house.http.post(f"/v1/incidents/{incident}/{what}", json={"by": "dana", **body})


async def test_what_people_do_over_the_api_is_done_or_refused_with_a_reason(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    key = incident["id"]
    held = (await act(house, key, "acknowledge", minutes=5, comment="on it")).json()
    assert (held["acknowledged_until"], held["comment"]) == ("2026-03-01T09:05:00Z", "on it")
    snoozed = (await act(house, key, "snooze", minutes=30)).json()
    assert (snoozed["snoozed_until"], snoozed["acknowledged_by"]) == ("2026-03-01T09:30:00Z", None)
    given = (await act(house, key, "reassign", to="lee")).json()
    assert (given["assigned_to"], given["snoozed_until"]) == ("lee", None)
    for body in ({"minutes": 0}, {"minutes": -1}, {"minutes": 1e9}, {"minutes": "soon"}, {}):
        assert (await act(house, key, "snooze", **body)).status_code == 422
    await act(house, key, "resolve")
    for what, body in (("snooze", {"minutes": 5}), ("reassign", {"to": "lee"}), ("acknowledge", {})):
        refused = await act(house, key, what, **body)
        assert (refused.status_code, refused.json()["detail"]) == (409, "the incident is resolved")
    told = (await house.http.get("/v1/audit")).json()["items"]
    assert [change["what"].partition(".")[2] for change in told[:4]] == [
        "resolved",
        "reassigned",
        "snoozed",
        "acknowledged",
    ]


async def test_precision_and_lead_time_come_from_what_happened_and_what_people_say(house: House) -> None:
    await house.signal(make.forecast(), make.forecast(story="bsky:p2"), make.forecast(story="bsky:p3"))
    await house.settle()
    await house.pass_time(30 * 60)
    now = house.clock.now()
    await house.signal(
        make.forecast(2, Level.CROSSED, crossed_at=now),
        make.forecast(2, Level.EASING, story="bsky:p2"),
        make.answered("bsky:p3", at=now),
        make.forecast(2, Level.EASING, story="bsky:p3"),
    )
    await house.settle()
    await house.signal(make.forecast(3, Level.EASING))
    await house.pass_time(61 * 60)
    report = (await house.http.get("/v1/outcomes")).json()
    assert {kind: n for kind, n in report["total"]["counts"].items() if n} == {
        "crossed": 1,
        "never_crossed": 1,
        "averted": 1,
    }
    assert (report["total"]["precision"], report["total"]["apart"]) == (0.5, 1)
    assert report["total"]["lead"]["median_minutes"] == 30
    (expired,) = [one for one in await house.incidents() if one["state"] == "expired"]
    marked = await act(house, expired["id"], "outcome", outcome="useful", comment="we called them")
    assert (marked.json()["outcome"], marked.json()["state"]) == ("useful", "expired")
    report = (await house.http.get("/v1/outcomes?brand=acme&days=1")).json()
    assert (report["total"]["precision"], report["rules"]["viral"]["right"]) == (1.0, 2)
    assert (await house.http.get("/v1/outcomes?brand=other")).json()["total"]["precision"] is None
    await house.alerter.gauges.turn()
    assert house.registry.get_sample_value("firebreak_alarm_precision") == 1.0
    assert house.registry.get_sample_value("firebreak_alarm_lead_seconds") == 1800
    assert house.receiver.types("/desk").count("incident.updated") == 1, "a mark disturbs nobody"
