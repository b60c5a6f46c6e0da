"""Absences: shifts in them are open, offered and filled; overrides warn of long hours; two people swap in one act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_console_rota import words
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

PEOPLE = [
    {"id": "dana", "name": "Dana Ito", "methods": ["dana-push"], "zone": "Asia/Tokyo"},
    {"id": "lee", "methods": ["lee-push"], "zone": "Europe/Berlin"},
    {"id": "max", "methods": ["max-push"]},
    {"id": "zoe", "methods": ["zoe-push"]},
]
# NOW is 9:00 UTC on Sunday, the 1st of March 2026.
DAYS = {"id": "days", "rotation": "daily", "begins": "2026-03-01T09:00", "responders": ["dana", "lee", "max"]}
BELOW = {"id": "below", "rotation": "weekly", "begins": "2026-03-01T09:00", "responders": ["zoe"]}
HOUR = timedelta(hours=1)


def schedule(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"id": "night", "zone": "UTC", "layers": layers}


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    policies = [{"id": "default", "steps": [{"targets": ["schedule:night"]}], "fallback": ["lead"]}]
    made = make_house(make.config(responders=PEOPLE, schedules=[schedule(DAYS)], policies=policies), public_url=None)
    await made.receiver.start()
    async with made.running():
        for name in ("dana-push", "lee-push", "max-push", "zoe-push", "lead"):
            await made.endpoint(name)
        yield made


async def get(house: House, path: str, **params: Any) -> Any:
    answer = await house.http.get(f"/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def absent(house: House, responder: str, begins: str, ends: str, **more: Any) -> Any:
    body = {"responder": responder, "begins": begins, "ends": ends, "by": "lee", **more}
    answer = await house.http.post("/v1/absences", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def stand_in(house: House, responder: str, begins: timedelta, ends: timedelta, **more: Any) -> Any:
    body = {"begins": (NOW + begins).isoformat(), "ends": (NOW + ends).isoformat(), "responder": responder, "by": "lee"}
    answer = await house.http.post("/v1/schedules/night/overrides", json={**body, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def people(house: House, days: int = 4) -> list[str | None]:
    shifts = (await get(house, "/schedules/night/shifts", days=days))["shifts"]
    return [shift["responder"] for shift in shifts]


async def test_a_day_of_absence_is_a_day_where_the_person_lives(house: House) -> None:
    made = await absent(house, "dana", "2026-03-04", "2026-03-05")
    assert (made["begins"], made["ends"]) == ("2026-03-03T15:00:00Z", "2026-03-05T15:00:00Z")
    assert made["zone"] == "Asia/Tokyo"
    made = await absent(house, "lee", "2026-03-29", "2026-03-29")
    assert (made["begins"], made["ends"]) == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), "a day of 23 hours"
    made = await absent(house, "max", "2026-03-04T12:00", "2026-03-04T20:00+01:00", zone="America/New_York")
    assert (made["begins"], made["ends"]) == ("2026-03-04T17:00:00Z", "2026-03-04T19:00:00Z")


async def test_a_shift_in_an_absence_is_open_and_a_gap_that_is_measured_and_paged_to_the_fallback(house: House) -> None:
    await absent(house, "dana", NOW.isoformat(), (NOW + 24 * HOUR).isoformat(), kind="sick")
    assert await people(house) == [None, "lee", "max", "dana"]
    (shift, *_) = (await get(house, "/schedules/night/open-shifts", days=2))["items"]
    assert (shift["absent"], shift["filled_by"]) == ("dana", None)
    assert set(shift["free"]) == {"lee", "max"}
    (covered,) = (await get(house, "/on-call/coverage", days=2))["items"]
    assert covered["gap_hours"] == 24
    house.clock.advance(60)  # coverage is measured once a minute
    await house.alerter.gauges.turn()
    sample = house.registry.get_sample_value
    assert sample("firebreak_oncall_covered", {"schedule": "night"}) == 0
    assert sample("firebreak_oncall_gap_seconds", {"schedule": "night"}) == 24 * 3600 - 60
    await house.signal(make.forecast(crossing=None))
    await house.settle()
    assert [got.path for got in house.receiver.got] == ["/lead"]
    (incident,) = await house.incidents()
    told = await get(house, f"/incidents/{incident['id']}/explain")
    said = " ".join(line["because"] for line in told["timeline"])
    assert "nobody is on call for schedule night: Dana Ito is absent" in said
    assert "sick" not in str(house.receiver.got[0].body), "why is nobody's business"


async def test_an_open_shift_that_is_taken_is_open_no_more(house: House) -> None:
    await absent(house, "dana", NOW.isoformat(), (NOW + 24 * HOUR).isoformat())
    await stand_in(house, "max", 0 * HOUR, 24 * HOUR, replaces="dana")
    assert await people(house, 3) == ["max", "lee", "max"]
    assert (await get(house, "/schedules/night/open-shifts", days=2))["items"] == []


async def test_the_layer_below_fills_in(house: House) -> None:
    await house.reconfigure(house.config.model_copy(update={"schedules": make.config(
        responders=PEOPLE, schedules=[schedule(BELOW, DAYS)]).schedules}))  # fmt: skip
    await house.alerter.rota_history.turn()
    await absent(house, "lee", (NOW + 24 * HOUR).isoformat(), (NOW + 30 * HOUR).isoformat())
    assert await people(house) == ["dana", "zoe", "lee", "max", "dana"]
    (shift,) = (await get(house, "/schedules/night/open-shifts", days=3))["items"]
    assert (shift["absent"], shift["filled_by"]) == ("lee", "zoe")
    (covered,) = (await get(house, "/on-call/coverage", days=4))["items"]
    assert covered["gaps"] == []


async def test_whoever_falls_ill_stands_in_for_nobody_and_whoever_offers_all_the_same_does(house: House) -> None:
    await stand_in(house, "max", 24 * HOUR, 48 * HOUR)
    house.clock.advance(60)
    await absent(house, "max", (NOW + 24 * HOUR).isoformat(), (NOW + 72 * HOUR).isoformat(), kind="sick")
    assert (await people(house, 3))[:3] == ["dana", "lee", None], "the shift is lee's again"
    opened = (await get(house, "/schedules/night/open-shifts", days=3))["items"]
    assert [(one["absent"], one["filled_by"]) for one in opened] == [("max", "lee"), ("max", None)]
    house.clock.advance(60)
    made = await stand_in(house, "max", 48 * HOUR, 72 * HOUR)
    assert any("max is absent" in warning for warning in made["warnings"]), made
    assert (await people(house, 3))[2] == "max"


async def test_an_absence_that_ends_early_gives_back_what_is_to_come_and_not_what_was(house: House) -> None:
    made = await absent(house, "dana", NOW.isoformat(), (NOW + 20 * HOUR).isoformat())
    house.clock.advance(4 * 3600)
    assert (await house.http.delete(f"/v1/absences/{made['id']}")).status_code == 204
    assert (await house.http.delete(f"/v1/absences/{made['id']}")).status_code == 404
    rota = (await get(house, "/schedules/night/shifts", begins=NOW.isoformat(), days=1))["shifts"]
    assert [(shift["responder"], shift["ends"]) for shift in rota] == [
        (None, "2026-03-01T13:00:00Z"),
        ("dana", "2026-03-02T09:00:00Z"),
    ]
    lines = [line for line in (await get(house, "/audit"))["items"] if line["what"].startswith("absence.")]
    assert [line["what"] for line in lines] == ["absence.ended", "absence.created"]
    assert "kind" not in str(lines)


async def test_an_override_that_is_removed_while_it_runs_was_in_force_until_then(house: House) -> None:
    made = await stand_in(house, "max", 0 * HOUR, 20 * HOUR)
    house.clock.advance(4 * 3600)
    assert (await house.http.delete(f"/v1/schedules/night/overrides/{made['id']}")).status_code == 204
    rota = (await get(house, "/schedules/night/shifts", begins=NOW.isoformat(), days=1))["shifts"]
    assert [shift["responder"] for shift in rota] == ["max", "dana"]
    assert (await get(house, "/schedules/night/overrides"))["items"] == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"responder": "nobody"}, "responder"),
        ({"begins": "tomorrow"}, "begins"),
        ({"begins": "2026-02-30"}, "begins"),
        ({"begins": "2026-03-09"}, "ends"),
        ({"ends": "2026-02-01", "begins": "2026-01-01"}, "ends"),
        ({"ends": "2028-01-01"}, "ends"),
        ({"ends": "9999-12-31"}, "ends"),
        ({"ends": "2026-03-09T25:00"}, "ends"),
        ({"kind": "tired"}, "kind"),
        ({"zone": "Mars/Olympus"}, "zone"),
    ],
)
async def test_an_absence_that_makes_no_sense_is_refused(house: House, change: dict[str, str], where: str) -> None:
    body = {"responder": "dana", "begins": "2026-03-02", "ends": "2026-03-08", "by": "lee"}
    answer = await house.http.post("/v1/absences", json={**body, **change})
    assert answer.status_code == 422, answer.text
    assert where in answer.text
    assert (await get(house, "/absences"))["items"] == []


async def test_an_override_warns_of_long_hours_and_short_rest_that_it_brings_about(house: House) -> None:
    calm = await stand_in(house, "zoe", 24 * HOUR, 30 * HOUR)
    assert calm["warnings"] == []
    # Lee has the second day; with the first and the third it is three days.
    await stand_in(house, "lee", 0 * HOUR, 24 * HOUR)
    long = await stand_in(house, "lee", 48 * HOUR, 72 * HOUR)
    assert long["warnings"] == [], "a free part of his own day lies between"
    close = await stand_in(house, "zoe", 36 * HOUR, 40 * HOUR)
    assert close["warnings"] == ["zoe would have 6 h of rest, from 02 Mar 15:00 to 02 Mar 21:00 (UTC)"]
    ten = await stand_in(house, "zoe", 51 * HOUR, 52 * HOUR)
    assert ten["warnings"] == [], "eleven hours are enough"
    week = await stand_in(house, "dana", 72 * HOUR, 150 * HOUR)
    assert week["warnings"] == [
        "Dana Ito would be on duty for 96 h without a break, from 04 Mar 18:00 to 08 Mar 18:00 (Asia/Tokyo)"
    ], "her own shifts count"
    inside = await stand_in(house, "dana", 80 * HOUR, 90 * HOUR)
    assert inside["warnings"] == [], "it makes nothing worse"


async def test_two_people_swap_in_one_act(house: House) -> None:
    body: dict[str, Any] = {
        "first": {"responder": "dana", "begins": (NOW).isoformat(), "ends": (NOW + 24 * HOUR).isoformat()},
        "second": {"responder": "max", "begins": (NOW + 48 * HOUR).isoformat(), "ends": (NOW + 72 * HOUR).isoformat()},
        "by": "dana",
    }
    assert await people(house, 3) == ["dana", "lee", "max"]
    answer = await house.http.post("/v1/schedules/night/swaps", json=body)
    assert answer.status_code == 201, answer.text
    assert await people(house, 3) == ["max", "lee", "dana"]
    made = answer.json()["overrides"]
    assert [(one["responder"], one["replaces"]) for one in made] == [("max", "dana"), ("dana", "max")]
    again = await house.http.post("/v1/schedules/night/swaps", json=body)
    assert again.status_code == 422, "dana does not have that shift any more"
    assert "dana is not on call for all of that time" in again.text
    for change in (
        {"second": body["first"]},
        {"second": {**body["first"], "responder": "lee"}},
        {"first": {**body["first"], "ends": NOW.isoformat()}},
    ):
        assert (await house.http.post("/v1/schedules/night/swaps", json={**body, **change})).status_code == 422
    assert len((await get(house, "/schedules/night/overrides"))["items"]) == 2, "both or none"
    assert (await house.http.post("/v1/schedules/gone/swaps", json=body)).status_code == 404


async def test_a_key_for_other_brands_sees_nobodys_absence_and_one_for_these_not_why(house: House) -> None:
    made = await absent(house, "dana", "2026-03-02", "2026-03-08", kind="sick", comment="the flu")
    inside = await make_key(house, "centre", "respond", "acme")
    (seen,) = (await house.http.get("/v1/absences", headers=inside)).json()["items"]
    assert (seen["responder"], seen["kind"], seen["comment"]) == ("dana", None, None)
    for headers, status in ((await make_key(house, "reader", "read"), 403), (inside, 422)):
        body = {"responder": "zoe", "begins": "2026-03-02", "ends": "2026-03-08", "by": "lee"}
        assert (await house.http.post("/v1/absences", json=body, headers=headers)).status_code == status
    other = without_policy(house)
    await house.reconfigure(other)
    assert (await house.http.get("/v1/absences", headers=inside)).json()["items"] == []
    assert (await house.http.delete(f"/v1/absences/{made['id']}", headers=inside)).status_code == 404
    assert len((await get(house, "/absences"))["items"]) == 1


def without_policy(house: House) -> Any:
    return house.config.model_copy(update={"rules": (), "policies": ()})


# -- the page ----------------------------------------------------------------------------------------------------------


async def test_the_page_takes_absences_shows_open_shifts_and_lets_somebody_take_them(house: House) -> None:
    async with sign_in(house, person="lee") as client:
        token = await csrf(client)
        form = {"responder": "dana", "kind": "vacation", "begins": "2026-03-01", "ends": "2026-03-02", "csrf": token}
        answer = await client.post("/console/absences", data={**form, "comment": "<b>Kyoto</b>"})
        assert answer.headers["location"] == "/console/on-call?done=absent", answer.text
        page = (await client.get("/console/on-call?done=absent")).text
        said = words(page)
        assert "&lt;b&gt;Kyoto&lt;/b&gt;" in page
        assert "Dana Ito, vacation, 01 Mar 18:00 JST to 03 Mar 00:00 JST, by" in said
        assert "Now Nobody until 02 Mar 10:00 CET" in said
        assert "Dana Ito is absent 01 Mar 10:00 CET to 02 Mar 10:00 CET: nobody is on call" in said
        taken = {"responder": "max", "csrf": token, "begins": NOW.isoformat(), "ends": (NOW + 24 * HOUR).isoformat()}
        answer = await client.post("/console/on-call/night/open-shifts", data=taken)
        assert answer.headers["location"] == "/console/on-call?done=taken"
        said = words((await client.get("/console/on-call")).text)
        assert "Now max until 02 Mar 10:00 CET" in said
        assert "Open shifts" not in said
        (made,) = (await get(house, "/absences"))["items"]
        path = f"/console/absences/{made['id']}/end"
        assert (await client.post(path, data={"csrf": token})).headers["location"] == "/console/on-call?done=back"
        assert (await client.post(path, data={"csrf": token})).status_code == 404
        assert (await client.post("/console/absences", data={**form, "begins": ""})).status_code == 422


async def test_the_page_swaps_two_shifts_and_warns(house: House) -> None:
    async with sign_in(house, person="lee") as client:
        token = await csrf(client)
        page = (await client.get("/console/on-call")).text
        spans = [(NOW + n * 24 * HOUR, NOW + (n + 1) * 24 * HOUR) for n in range(3)]
        first, second = (
            f"{who} {spans[n][0].isoformat()} {spans[n][1].isoformat()}" for n, who in ((0, "dana"), (2, "max"))
        )
        assert first in page
        assert second in page
        form = {"csrf": token, "first": first, "second": second}
        answer = await client.post("/console/on-call/night/swaps", data=form)
        assert answer.headers["location"] == "/console/on-call?done=swapped", answer.text
        assert await people(house, 3) == ["max", "lee", "dana"]
        for wrong in ("", "max", "max x y", first):
            assert (
                await client.post("/console/on-call/night/swaps", data={**form, "second": wrong})
            ).status_code == 422
        await stand_in(house, "zoe", 0 * HOUR, 60 * HOUR)
        said = words((await client.get("/console/on-call")).text)
        assert "zoe would be on duty for 60 h without a break" in said


async def test_a_key_that_only_reads_sees_the_absences_and_no_form(house: House) -> None:
    await absent(house, "dana", "2026-03-02", "2026-03-08")
    key = (await make_key(house, "reader", "read"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house, key) as client:
        page = (await client.get("/console/on-call")).text
        assert "Dana Ito" in page
        assert "Somebody is absent" not in page
        form = {"responder": "lee", "begins": "2026-03-02", "ends": "2026-03-08", "csrf": await csrf(client)}
        assert (await client.post("/console/absences", data={**form, "kind": "sick"})).status_code == 403
        for path in ("swaps", "open-shifts"):
            assert (await client.post(f"/console/on-call/night/{path}", data=form)).status_code == 403
