"""What people do to an incident, and what follows at the receivers: expiry, snooze, hand-over."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from services.config.model import Config
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

STEPS = [{"endpoints": ["first"]}, {"after_minutes": 5, "endpoints": ["second"]}]


LEE = {"id": "lee", "name": "Lee Park", "methods": ["lee-push"]}
DANA = {"id": "dana", "methods": ["first"]}
NIGHT = {
    "id": "night",
    "zone": "UTC",
    "layers": [{"id": "all", "rotation": "weekly", "begins": "2026-01-05T00:00", "responders": ["lee"]}],
}
EMPTY = {
    "id": "later",
    "zone": "UTC",
    "layers": [{"id": "all", "rotation": "weekly", "begins": "2027-01-04T00:00", "responders": ["lee"]}],
}


def two_steps(**more: Any) -> Config:
    return make.config(policies=[{"id": "default", "steps": STEPS, "acknowledgement_minutes": 30}], **more)


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
    house = make_house(two_steps(responders=[LEE]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("lee-push")
        incident = await opened(house)
        assert (await act(house, incident, "reassign", to="lee", comment="your airline")).status_code == 200
        await house.pass_time(4 * 60)
        said = house.receiver.at("/lee-push")[-1].body["data"]
        assert said["because"] == "dana asked Lee Park to take it: your airline"
        assert said["who_has_it"] == "It is assigned to Lee Park, who has not acknowledged it yet."
        assert house.receiver.types("/second") == []
        await house.pass_time(60)
        assert house.receiver.types("/second") == ["incident.escalated"]


async def test_whoever_hands_it_over_keeps_it_until_the_other_takes_it(make_house: MakeHouse) -> None:
    house = make_house(two_steps(responders=[LEE, DANA]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("lee-push")
        incident = await opened(house)
        await act(house, incident, "acknowledge")
        given = (await act(house, incident, "reassign", to="lee")).json()
        assert (given["acknowledged_by"], given["assigned_to"]) == ("dana", "Lee Park")
        assert given["acknowledged_until"] == "2026-03-01T09:30:00Z"
        await house.pass_time(6 * 60)
        assert house.receiver.types("/lee-push") == ["incident.escalated", "incident.updated"]
        told = house.receiver.at("/first")[-1].body["data"]
        assert (
            told["because"] == "Lee Park did not take it within 5 minutes; dana still has it until 2026-03-01 09:30 UTC"
        )
        assert (told["acknowledged_by"], told["assigned_to"]) == ("dana", None)
        assert house.receiver.types("/second") == [], "dana has it"
        await act(house, incident, "reassign", to="Lee Park")
        taken = await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "Lee Park"})
        assert (taken.json()["acknowledged_by"], taken.json()["assigned_to"]) == ("Lee Park", None)
        await house.pass_time(10 * 60)
        assert house.receiver.types("/second") == [], "lee has it"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("Nobody Atall", "there is nobody called Nobody Atall"),
        ("all", "there is nobody called all"),
        ("gone", "there is nobody called gone"),
        ("responder:gone", "there is nobody called responder:gone"),
        ("schedule:lee", "there is nobody called schedule:lee"),
        ("later", "nobody is on call for schedule later"),
        ("max", "max cannot be told: there is no working endpoint max-push"),
    ],
)
async def test_a_hand_over_to_nobody_is_refused_with_the_names_and_changes_nothing(
    make_house: MakeHouse, to: str, why: str
) -> None:
    responders = [LEE, {"id": "max", "methods": ["max-push"]}]
    house = make_house(two_steps(responders=responders, schedules=[NIGHT, EMPTY]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("lee-push")
        incident = await opened(house)
        before = (await act(house, incident, "acknowledge")).json()
        refused = await act(house, incident, "reassign", to=to)
        assert refused.status_code == 422
        assert why in refused.json()["detail"]
        assert "you can ask Lee Park, night, later, first, second" in refused.json()["detail"]
        assert refused.json()["errors"][0]["at"] == "body.to"
        assert await house.incidents() == [before]
        await house.settle()
        assert house.receiver.types("/lee-push") == []


@pytest.mark.parametrize(
    ("to", "who", "where"),
    [
        ("lee", "Lee Park", "lee-push"),
        ("LEE", "Lee Park", "lee-push"),
        ("lee park", "Lee Park", "lee-push"),
        ("responder:lee", "Lee Park", "lee-push"),
        ("Lee Park (night-shift)", "Lee Park", "lee-push"),
        ("night", "Lee Park (on call for night)", "lee-push"),
        ("schedule:night", "Lee Park (on call for night)", "lee-push"),
        ("second", "second", "second"),
    ],
)
async def test_whoever_exists_is_asked_by_their_own_way(make_house: MakeHouse, to: str, who: str, where: str) -> None:
    house = make_house(two_steps(responders=[LEE], schedules=[NIGHT]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("lee-push")
        incident = await opened(house)
        asked = await act(house, incident, "reassign", to=to)
        assert (asked.status_code, asked.json()["assigned_to"]) == (200, who)
        await house.settle()
        assert house.receiver.types(f"/{where}") == ["incident.escalated"]


async def act(house: House, incident: str, what: str, **body: object) -> httpx2.Response:
    return await house.http.post(f"/v1/incidents/{incident}/{what}", json={"by": "dana", **body})


async def test_what_people_do_over_the_api_is_done_or_refused_with_a_reason(house: House) -> None:
    await house.endpoint("lee")
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
