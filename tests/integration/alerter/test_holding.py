"""Silences, campaign mutes, quiet hours and page budgets, from the signal to what receivers get (and do not get)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.config.model import Config
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make


async def silenced(house: House, minutes: float, *, start: float = 0, **more: Any) -> str:
    now = house.clock.now()
    body = {
        "matchers": [{"field": "brand", "values": ["acme"]}],
        "starts_at": (now + timedelta(minutes=start)).isoformat(),
        "ends_at": (now + timedelta(minutes=start + minutes)).isoformat(),
        "by": "dana",
        "comment": "the app is rolled out",
    }
    answer = await house.http.post("/v1/silences", json=body | more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def told(house: House, path: str = "/desk") -> list[str]:
    return house.receiver.types(path)


async def kinds(house: House, incident: str) -> list[str]:
    lines = (await house.http.get(f"/v1/incidents/{incident}/explain")).json()["timeline"]
    return [line["kind"] for line in lines]


async def test_what_a_silence_held_back_is_told_when_it_ends(house: House) -> None:
    await silenced(house, 30)
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["held"]["reason"] == "silence by dana until 2026-03-01 09:30 UTC: the app is rolled out"
    await house.pass_time(15 * 60)
    await house.signal(make.forecast(2, Level.IMMINENT))
    await house.pass_time(14 * 60)
    assert told(house) == []
    await house.pass_time(60)
    assert told(house) == ["incident.opened"]
    said = house.receiver.at("/desk")[0].body["data"]
    assert (said["severity"], said["held"], said["outlook"]["level"]) == (2, None, "imminent")
    await house.pass_time(5 * 60)
    assert told(house) == ["incident.opened", "incident.escalated"]
    assert await kinds(house, incident["id"]) == ["opened", "held", "forecast", "released", "told", "escalated"]


async def test_a_silence_that_begins_later_stops_the_policy_and_lets_it_go_on(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await silenced(house, 60, start=2)
    await house.pass_time(61 * 60)
    assert told(house) == ["incident.opened"]
    await house.pass_time(60)
    assert told(house) == ["incident.opened", "incident.escalated"]


async def test_a_silence_that_is_ended_early_is_looked_at_again_at_once(make_house: MakeHouse) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        first = await silenced(house, 600)
        second = await silenced(house, 30)
        await house.signal(make.forecast())
        await house.settle()
        assert (await house.http.delete(f"/v1/silences/{first}")).status_code == 204
        await house.settle()
        assert told(house) == []
        (incident,) = await house.incidents()
        assert incident["held"]["name"] == second
    async with house.running():
        assert (await house.http.delete(f"/v1/silences/{second}")).status_code == 204
        await house.settle()
        assert told(house) == ["incident.opened"]
        assert (await house.http.get("/v1/silences")).json()["items"] == []
        assert len((await house.http.get("/v1/silences?ended=true")).json()["items"]) == 2


async def test_no_silence_no_quiet_hour_and_no_budget_holds_back_severity_1(make_house: MakeHouse) -> None:
    brands = [{"id": "acme", "name": "Acme", "pages_per_hour": 1}]
    hours = [{"id": "always", "windows": [{}], "holds_from": 3}]
    house = make_house(make.config(brands=brands, quiet_hours=hours))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await silenced(house, 600)
        worst: dict[str, Any] = {"level": Level.IMMINENT, "probability": 0.95, "mood": make.mood()}
        await house.signal(*(make.forecast(1, story=f"bsky:s{n}", **worst) for n in range(3)))
        await house.settle()
        assert told(house) == ["incident.opened"] * 3


async def test_what_becomes_severity_1_breaks_the_silence_at_once(house: House) -> None:
    await silenced(house, 600)
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood()))
    await house.settle()
    assert told(house) == ["incident.opened"]
    assert house.receiver.at("/desk")[0].body["data"]["severity"] == 1


async def test_a_mute_covers_a_campaign_s_volume_until_the_mood_turns(house: House) -> None:
    await silenced(house, 600, covers="volume", comment="spring campaign")
    cheerful = make.card(negative=0.02)
    await house.signal(make.forecast(root=cheerful, mood=make.mood(0.1)), make.negative("p9", 3, "bsky:p9"))
    await house.settle()
    assert [one.body["data"]["story"] for one in house.receiver.at("/desk")] == ["bsky:p9"]
    await house.signal(make.forecast(2, root=cheerful, mood=make.mood(0.9)))
    await house.settle()
    assert [one.body["data"]["story"] for one in house.receiver.at("/desk")] == ["bsky:p9", "bsky:p1"]
    (held,) = [i for i in await house.incidents() if i["story"] == "bsky:p1"]
    assert "released" in await kinds(house, held["id"])


async def test_quiet_hours_hold_the_mild_until_the_morning(make_house: MakeHouse) -> None:
    hours = [{"id": "night", "windows": [{"begins": "22:00", "ends": "11:00"}], "zone": "Europe/Berlin"}]
    house = make_house(make.config(quiet_hours=hours))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(make.forecast(), make.forecast(1, Level.IMMINENT, story="bsky:p2"))
        await house.settle()
        assert [one.body["data"]["story"] for one in house.receiver.at("/desk")] == ["bsky:p2"]
        (mild,) = [i for i in await house.incidents() if i["story"] == "bsky:p1"]
        assert mild["held"]["reason"] == "quiet hours until 11:00 Europe/Berlin: SEV3 counts as SEV4 and waits"
        await house.pass_time(3600)
        opened = [one for one in house.receiver.at("/desk") if one.type == "incident.opened"]
        assert [one.body["data"]["story"] for one in opened] == ["bsky:p2", "bsky:p1"]


def budgeted(pages: int) -> Config:
    brands = [{"id": "acme", "name": "Acme", "pages_per_hour": pages}, {"id": "other", "name": "Other"}]
    policy = {"id": "default", "steps": [{"endpoints": ["desk"]}]}
    return make.config(brands=brands, policies=[policy])


async def test_beyond_the_page_budget_there_is_one_storm_incident_instead_of_a_hundred_pages(
    make_house: MakeHouse,
) -> None:
    house = make_house(budgeted(3))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(*(make.negative(f"p{n}", 3, f"bsky:p{n}") for n in range(20)))
        await house.signal(make.negative("q1", 3, "bsky:q1", brand="other"))
        await house.settle()
        opened = [one.body["data"] for one in house.receiver.at("/desk")]
        ours = [one for one in opened if one["brand"] == "acme"]
        assert len(ours) == 4
        assert ours[-1]["story"] == "storm" or "storm" in [one["story"] for one in ours]
        assert len(opened) == 5, "another brand has a budget of its own"
        (storm,) = [i for i in await house.incidents() if i["story"] == "storm"]
        assert storm["title"] == "Acme: a storm: 17 further incidents beyond the page budget"
        assert len(await house.incidents()) == 22, "every one of them is kept"
        held = [i for i in await house.incidents() if i["held"] is not None]
        assert {i["held"]["name"] for i in held} == {storm["id"]}


async def test_an_hour_later_the_budget_has_room_for_what_was_held_back(make_house: MakeHouse) -> None:
    house = make_house(budgeted(1))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(*(make.negative(f"p{n}", 3, f"bsky:p{n}") for n in range(3)))
        await house.settle()
        assert sorted(told(house)) == ["incident.opened"] * 2
        await house.pass_time(61 * 60)
        stories = [one.body["data"]["story"] for one in house.receiver.at("/desk") if one.type == "incident.opened"]
        assert len([story for story in stories if story != "storm"]) == 2
        assert stories.count("storm") == 1


async def test_silences_say_what_is_wrong_with_them_and_belong_to_brands(house: House) -> None:
    past, soon = "2026-03-01T08:00:00Z", "2026-03-01T10:00:00Z"
    base = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": soon, "by": "dana"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ends_at": past}, "body.ends_at"),
        ({"starts_at": "2026-03-01T11:00:00Z"}, "body.ends_at"),
        ({"matchers": []}, "body.matchers"),
        ({"matchers": [{"field": "brand", "values": ["nobody"]}]}, "body.matchers"),
        ({"matchers": [{"field": "mood", "values": ["x"]}]}, "body.matchers.0.field"),
        ({"matchers": [{"field": "brand", "values": []}]}, "body.matchers.0.values"),
    ]
    for change, place in wrong:
        answer = await house.http.post("/v1/silences", json=base | change)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, place)
    key = await make_key(house, "theirs", "respond", "other")
    mine = (await house.http.post("/v1/silences", json=base)).json()["id"]
    for method, path in (("GET", f"/v1/silences/{mine}"), ("DELETE", f"/v1/silences/{mine}")):
        assert (await house.http.request(method, path, headers=key)).status_code == 404
    assert (await house.http.get("/v1/silences", headers=key)).json()["items"] == []
    for matchers in (
        base["matchers"],
        [{"field": "severity", "values": ["4"]}],
        [{"field": "brand", "values": ["o*"]}],
    ):
        refused = await house.http.post("/v1/silences", json=base | {"matchers": matchers}, headers=key)
        assert refused.status_code == 404
    theirs = base | {"matchers": [{"field": "brand", "values": ["other"]}]}
    assert (await house.http.post("/v1/silences", json=theirs, headers=key)).status_code == 201
    assert len((await house.http.get("/v1/silences")).json()["items"]) == 2
    changes = (await house.http.get("/v1/audit")).json()["items"]
    assert changes[0]["what"] == "silence.created"
