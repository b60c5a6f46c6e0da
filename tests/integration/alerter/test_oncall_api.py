"""Who is on call and who will be, overrides that count at once, gaps, and a calendar that a calendar can read."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import icalendar
import pytest

from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

PEOPLE = [
    {"id": "dana", "name": "Dana Ito", "methods": ["dana-push"]},
    {"id": "lee", "methods": ["lee-push"]},
]
NIGHT = {
    "id": "night",
    "zone": "Europe/Berlin",
    "layers": [{"id": "base", "rotation": "daily", "begins": "2026-03-01T10:00", "responders": ["dana", "lee"]}],
}
OFFICE = {
    "id": "office",
    "zone": "Europe/Berlin",
    "layers": [
        {
            "id": "days",
            "rotation": "weekly",
            "begins": "2026-02-23T09:00",
            "responders": ["lee"],
            "only": [{"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}],
        }
    ],
}


@pytest.fixture
async def rota(make_house: MakeHouse) -> AsyncIterator[House]:
    policies = [{"id": "default", "steps": [{"targets": ["schedule:night"]}]}]
    house = make_house(make.config(responders=PEOPLE, schedules=[NIGHT, OFFICE], policies=policies))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("dana-push")
        await house.endpoint("lee-push")
        yield house


async def get(house: House, path: str, **params: Any) -> Any:
    answer = await house.http.get(f"/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_who_is_on_call_and_who_will_be(rota: House) -> None:
    night, office = (await get(rota, "/on-call"))["items"]
    assert (night["now"]["responder"], night["now"]["name"]) == ("dana", "Dana Ito")
    assert night["now"]["ends"] == "2026-03-02T09:00:00Z"
    assert office["now"]["responder"] is None
    tomorrow = (NOW + timedelta(days=1, hours=1)).isoformat()
    night, office = (await get(rota, "/on-call", at=tomorrow))["items"]
    assert (night["now"]["responder"], office["now"]["responder"]) == ("lee", "lee")


async def test_an_override_counts_at_once_and_is_written_down(rota: House) -> None:
    body = {
        "begins": NOW.isoformat(),
        "ends": (NOW + timedelta(hours=4)).isoformat(),
        "responder": "lee",
        "by": "dana",
        "comment": "at the dentist",
    }
    made = await rota.http.post("/v1/schedules/night/overrides", json=body)
    assert made.status_code == 201, made.text
    await rota.signal(make.forecast())
    await rota.settle()
    assert rota.receiver.types("/lee-push") == ["incident.opened"]
    (listed,) = (await get(rota, "/schedules/night/overrides"))["items"]
    assert (listed["id"], listed["comment"]) == (made.json()["id"], "at the dentist")
    gone = await rota.http.delete(f"/v1/schedules/night/overrides/{listed['id']}")
    assert gone.status_code == 204
    assert (await rota.http.delete(f"/v1/schedules/night/overrides/{listed['id']}")).status_code == 404
    assert (await get(rota, "/on-call"))["items"][0]["now"]["responder"] == "dana"
    changes = [change["what"] for change in (await get(rota, "/audit"))["items"]]
    assert changes[:2] == ["override.deleted", "override.created"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"ends": NOW.isoformat()}, "is not after begins"),
        ({"responder": "nobody"}, "there is no responder nobody"),
        ({"begins": "2020-01-01T00:00:00Z", "ends": "2020-01-02T00:00:00Z"}, "is in the past"),
        ({"ends": "2040-01-01T00:00:00Z"}, "a year at most"),
        ({"ends": "9999-12-31T23:59:59-23:59"}, "a year at most"),
    ],
)
async def test_an_override_that_makes_no_sense_is_refused(rota: House, changed: dict[str, str], why: str) -> None:
    body = {"begins": NOW.isoformat(), "ends": (NOW + timedelta(hours=4)).isoformat(), "responder": "lee", "by": "dana"}
    answer = await rota.http.post("/v1/schedules/night/overrides", json={**body, **changed})
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


async def test_gaps_are_reported_and_measured(rota: House) -> None:
    night, office = (await get(rota, "/on-call/coverage", days=7))["items"]
    assert (night["gap_hours"], night["gaps"]) == (0, [])
    assert office["gap_hours"] == 7 * 24 - 5 * 8
    assert office["hours"] == {"lee": 40.0}
    await rota.alerter.gauges.turn()
    sample = rota.registry.get_sample_value
    assert sample("firebreak_oncall_gap_seconds", {"schedule": "office"}) == (7 * 24 - 40) * 3600
    assert sample("firebreak_oncall_covered", {"schedule": "office"}) == 0
    assert sample("firebreak_oncall_covered", {"schedule": "night"}) == 1


async def test_shifts_and_the_calendar_say_the_same(rota: House) -> None:
    shifts = (await get(rota, "/schedules/night/shifts", days=4))["shifts"]
    assert [shift["responder"] for shift in shifts] == ["dana", "lee", "dana", "lee"]
    answer = await rota.http.get("/v1/schedules/night/calendar.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    events = icalendar.Calendar.from_ical(answer.text).walk("VEVENT")
    ahead = [event for event in events if event.decoded("dtend") > NOW][:4]
    assert [str(event["summary"]) for event in ahead] == [
        f"{who} on call (night)" for who in ("Dana Ito", "lee", "Dana Ito", "lee")
    ]
    assert ahead[1].decoded("dtstart").isoformat() == "2026-03-02T09:00:00+00:00"
    assert len({str(event["uid"]) for event in events}) == len(events)


async def test_a_calendar_subscribes_by_a_secret_address_that_ends_with_its_key(rota: House) -> None:
    made = await rota.http.post("/v1/keys", json={"name": "wall", "scope": "read", "brands": ["acme"]})
    key = {"authorization": f"Bearer {made.json()['key']}"}
    url = (await rota.http.get("/v1/schedules/night/calendar", headers=key)).json()["url"]
    assert made.json()["key"] not in url
    path = url[url.index("/calendars/") :]
    with_key = await rota.http.get("/v1/schedules/night/calendar.ics", headers=key)
    rota.http.headers.pop("authorization")
    answer = await rota.http.get(path)
    assert (answer.status_code, answer.text) == (200, with_key.text)
    said, seal = path.removeprefix("/calendars/").removesuffix(".ics").split(".")
    other = base64.urlsafe_b64encode(b"wall/office").decode().rstrip("=")
    forged = (f"{other}.{seal}", said, f"{said}.{seal[:-1]}", f"{said}.{seal}.x", "x", "é", "%00", "a" * 2000)
    for token in forged:
        assert (await rota.http.get(f"/calendars/{token}.ics")).status_code == 404
    admin = {"authorization": f"Bearer {KEY}"}
    assert (await rota.http.get("/v1/schedules/office/calendar", headers=key)).status_code == 404
    assert (await rota.http.delete("/v1/keys/wall", headers=admin)).status_code == 204
    assert (await rota.http.get(path)).status_code == 404
    own = (await rota.http.get("/v1/schedules/night/calendar", headers=admin)).json()["url"]
    assert (await rota.http.get(own[own.index("/calendars/") :])).status_code == 200


async def test_a_person_has_a_calendar_of_their_own_turns_in_every_schedule(rota: House) -> None:
    admin = {"authorization": f"Bearer {KEY}"}
    made = await rota.http.post("/v1/keys", json={"name": "wall", "scope": "read", "brands": ["acme"]})
    limited = {"authorization": f"Bearer {made.json()['key']}"}

    async def subscribed(responder: str, key: dict[str, str]) -> list[Any]:
        url = (await rota.http.get(f"/v1/responders/{responder}/calendar", headers=key)).json()["url"]
        rota.http.headers.pop("authorization", None)
        answer = await rota.http.get(url[url.index("/calendars/") :])
        assert answer.status_code == 200
        own = await rota.http.get(f"/v1/responders/{responder}/calendar.ics", headers=key)
        assert own.text == answer.text
        return list(icalendar.Calendar.from_ical(answer.text).walk("VEVENT"))

    lee = await subscribed("lee", admin)
    assert {str(event["summary"]) for event in lee} == {"lee on call (night)", "lee on call (office)"}
    assert {str(event["summary"]) for event in await subscribed("dana", admin)} == {"Dana Ito on call (night)"}
    assert {str(event["summary"]) for event in await subscribed("lee", limited)} == {"lee on call (night)"}
    everybody = (await rota.http.get("/v1/schedules/night/calendar.ics", headers=admin)).text
    uids = {str(event["uid"]) for event in icalendar.Calendar.from_ical(everybody).walk("VEVENT")}
    assert {str(event["uid"]) for event in lee if "night" in str(event["summary"])} < uids, "one turn, one id"
    for path in ("calendar", "calendar.ics"):
        assert (await rota.http.get(f"/v1/responders/nobody/{path}", headers=admin)).status_code == 404
        assert (await rota.http.get(f"/v1/responders/max/{path}", headers=limited)).status_code == 404
    assert (await rota.http.delete("/v1/keys/wall", headers=admin)).status_code == 204
    url = (await rota.http.get("/v1/responders/lee/calendar", headers=admin)).json()["url"]
    path = url[url.index("/calendars/") :]
    assert (await rota.http.get(path.replace("/calendars/", "/calendars/x"))).status_code == 404


async def test_a_key_limited_to_a_brand_sees_the_schedules_of_its_policies_alone(rota: House) -> None:
    made = await rota.http.post("/v1/keys", json={"name": "centre", "scope": "respond", "brands": ["acme"]})
    key = {"authorization": f"Bearer {made.json()['key']}"}
    seen = (await rota.http.get("/v1/on-call", headers=key)).json()["items"]
    assert [one["schedule"] for one in seen] == ["night"]
    for path in ("shifts", "calendar.ics", "calendar", "overrides"):
        assert (await rota.http.get(f"/v1/schedules/office/{path}", headers=key)).status_code == 404
    assert (await rota.http.get("/v1/schedules/gone/shifts")).status_code == 404
