"""An incident that a person opens again: its pages, its story's signals, its group, and what was recorded of it."""

from __future__ import annotations

from typing import Any

import httpx2

from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

STEPS = [{"endpoints": ["first"]}, {"after_minutes": 20, "endpoints": ["second"]}]


async def act(house: House, incident: str, what: str, by: str = "dana", **body: Any) -> httpx2.Response:
    answer = await house.http.post(f"/v1/incidents/{incident}/{what}", json={"by": by, **body})
    await house.settle()
    return answer


async def opened(house: House) -> str:
    await house.endpoint("first")
    await house.endpoint("second")
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


def two_steps(**more: Any) -> Any:
    return make.config(policies=[{"id": "default", "steps": STEPS, "acknowledgement_minutes": 60}], **more)


async def test_what_is_reopened_is_told_and_its_policy_goes_on_where_it_stopped(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await act(house, incident, "resolve")
        await house.pass_time(60 * 60)
        assert house.receiver.types("/second") == []
        back = await act(house, incident, "reopen", by="lee", comment="they wrote again")
        assert (back.status_code, back.json()["state"], back.json()["acknowledged_by"]) == (200, "prior", None)
        said = house.receiver.at("/first")[-1].body
        assert (said["type"], said["data"]["state"]) == ("incident.updated", "prior")
        assert said["data"]["because"].startswith("lee reopened it: they wrote again; the policy goes on in 2 minutes")
        assert house.receiver.types("/second") == []
        await house.pass_time(2 * 60)
        assert house.receiver.types("/second") == ["incident.escalated"]
        (change, *_) = (await house.http.get("/v1/audit")).json()["items"]
        assert (change["what"], change["on"], change["detail"]["by"]) == ("incident.reopened", incident, "lee")
        again = await act(house, incident, "reopen")
        assert (again.status_code, again.json()["detail"]) == (
            409,
            "the incident is prior: only what is over can be reopened",
        )


async def test_what_is_taken_back_in_time_disturbs_nobody_while_somebody_has_it(make_house: MakeHouse) -> None:
    house = make_house(two_steps())
    await house.receiver.start()
    async with house.running():
        incident = await opened(house)
        await act(house, incident, "acknowledge")
        await act(house, incident, "resolve", by="lee")
        await house.pass_time(9 * 60)
        back = (await act(house, incident, "reopen", by="lee")).json()
        assert (back["acknowledged_by"], back["acknowledged_until"]) == ("dana", "2026-03-01T10:00:00Z")
        await house.pass_time(45 * 60)
        assert house.receiver.types("/second") == [], "dana has it"
        await house.pass_time(10 * 60)
        assert house.receiver.types("/second") == ["incident.escalated"], "her time is over, and the policy goes on"


async def test_the_story_goes_on_in_the_incident_that_was_reopened(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    await act(house, incident["id"], "resolve")
    await house.signal(make.forecast(2))
    await house.settle()
    await act(house, incident["id"], "reopen")
    await house.signal(make.forecast(3, Level.CROSSED, crossed_at=house.clock.now()))
    await house.settle()
    (now,) = await house.incidents()
    assert (now["id"], now["state"]) == (incident["id"], "active")


async def test_an_older_incident_of_a_story_that_went_on_names_the_newer_one(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (first,) = await house.incidents()
    await act(house, first["id"], "resolve")
    await house.signal(make.forecast(2, Level.CROSSED, crossed_at=house.clock.now()))
    await house.settle()
    (second,) = [one for one in await house.incidents() if one["id"] != first["id"]]
    for _ in range(2):
        refused = await act(house, first["id"], "reopen")
        assert refused.status_code == 409
        assert second["id"] in refused.json()["detail"]
        await act(house, second["id"], "resolve")
    assert (await act(house, second["id"], "reopen")).status_code == 200


async def test_a_group_takes_its_stories_into_the_incident_that_was_reopened(make_house: MakeHouse) -> None:
    rules = [{"id": "viral", "level": "likely", "policy": "default", "group_by": ["source"], "group_minutes": 60}]
    house = make_house(make.config(rules=rules))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(make.forecast())
        await house.settle()
        (incident,) = await house.incidents()
        await act(house, incident["id"], "resolve")
        await act(house, incident["id"], "reopen")
        await house.signal(make.forecast(story="bsky:p2"))
        await house.settle()
        (still,) = await house.incidents()
        assert still["id"] == incident["id"]
        explained = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
        kinds = [line["kind"] for line in explained["timeline"]]
        assert kinds == ["opened", "resolved", "reopened", "grouped"], kinds


async def test_what_was_recorded_of_its_end_is_forgotten_until_it_ends_again(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()

    async def recorded() -> int:
        total: int = (await house.http.get("/v1/outcomes")).json()["total"]["incidents"]
        return total

    await act(house, incident["id"], "resolve")
    assert await recorded() == 1
    await act(house, incident["id"], "reopen")
    assert await recorded() == 0
    await act(house, incident["id"], "resolve")
    assert await recorded() == 1


async def test_a_silence_holds_back_what_is_reopened_too(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    await act(house, incident["id"], "resolve")
    silence = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": "2026-03-01T12:00:00Z", "by": "dana"}
    assert (await house.http.post("/v1/silences", json=silence)).status_code == 201
    before = house.receiver.types("/desk")
    await act(house, incident["id"], "reopen")
    await house.pass_time(10 * 60)
    assert house.receiver.types("/desk") == before
    (now,) = await house.incidents()
    assert now["held"]["by"] == "silence"
