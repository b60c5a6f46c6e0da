"""A drill rings everybody on duty once, the way a page does, and says who confirmed it, by which method and after how long."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerter.notify import outbox
from alerter.timekeeper import retention
from services.base.errors import ConfigError
from services.tools import page_drill
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import status
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key
from tests.integration.alerter.test_outlets import ROUTING_KEY, signature
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

RULES = [
    {"method": "dana-push"},
    {"after_minutes": 2, "method": "dana-sms"},
    {"after_minutes": 4, "method": "dana-call"},
]
DANA: dict[str, Any] = {
    "id": "dana",
    "name": "Dana Ito",
    "methods": ["dana-push", "dana-sms", "dana-call"],
    "notify": {"urgent": RULES},
    "zone": "Europe/Berlin",
}
LEE: dict[str, Any] = {"id": "lee", "name": "Lee Park", "methods": ["lee-push", "lee-sms"]}
MAX: dict[str, Any] = {"id": "max", "name": "Max", "methods": ["max-push"]}
OFF_DUTY: dict[str, Any] = {"id": "rosa", "name": "Rosa", "methods": ["rosa-push"]}
METHODS = ("dana-push", "dana-sms", "dana-call", "lee-push", "lee-sms", "max-push", "rosa-push", "desk")
LAYER = {"id": "base", "rotation": "weekly", "begins": "2026-02-24T09:00", "responders": ["dana", "rosa"]}
NIGHT = {"id": "night", "zone": "UTC", "layers": [LAYER]}
DAY = {"id": "day", "zone": "UTC", "layers": [{**LAYER, "responders": ["dana"]}]}
POLICY = {
    "id": "default",
    "steps": [{"targets": ["schedule:night", "desk"]}, {"targets": ["responder:lee"]}],
    "fallback": ["responder:max"],
}


@asynccontextmanager
async def running(make_house: MakeHouse, missing: tuple[str, ...] = (), **more: Any) -> Any:
    settings = {"public_url": more.pop("public_url", "https://firebreak.example")}
    fields = {"responders": [DANA, LEE, MAX, OFF_DUTY], "schedules": [NIGHT, DAY], "policies": [POLICY]}
    house = make_house(make.config(**fields | more), **settings)
    await house.receiver.start()
    async with house.running():
        for name in METHODS:
            if name not in missing:
                await house.endpoint(name)
        yield house


async def begin(house: House, **more: Any) -> Any:
    answer = await house.http.post("/v1/drills", json={"by": "ada", **more})
    assert answer.status_code == 201, answer.text
    await house.settle()
    return answer.json()


async def seen(house: House, drill: Any) -> Any:
    answer = await house.http.get(f"/v1/drills/{drill['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def rung(house: House) -> dict[str, int]:
    counts = {name: house.receiver.types(f"/{name}").count("page.test") for name in METHODS}
    return {name: count for name, count in counts.items() if count}


def link(house: House, method: str) -> str:
    message = house.receiver.at(f"/{method}")[-1].body
    return str(message["data"]["links"]["confirm"]).removeprefix("https://firebreak.example")


def by_name(drill: Any) -> Mapping[str, Any]:
    return {one["responder"]: one for one in drill["people"]}


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("<main") :])).split())


async def test_everybody_on_duty_is_rung_once_by_their_own_rules(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        drill = await begin(house)
        assert (drill["asked"], drill["confirmed"], drill["over"], drill["gaps"]) == (3, 0, False, [])
        assert rung(house) == {"dana-push": 1, "lee-push": 1, "max-push": 1}, "Dana serves twice and is rung once"
        await house.pass_time(119, step=30)
        assert "dana-sms" not in rung(house)
        await house.pass_time(1)
        assert rung(house)["dana-sms"] == 1
        await house.pass_time(3600)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1, "lee-push": 1, "max-push": 1}
        over = await seen(house, drill)
        assert (over["over"], over["confirmed"]) == (True, 0)
        assert await house.incidents() == []
        assert house.receiver.types("/desk") == [], "an endpoint is nobody on duty"


async def test_a_test_page_says_that_it_is_a_drill_and_its_button_confirms_it(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        drill = await begin(house)
        body = house.receiver.at("/dana-push")[0].body
        assert body["type"] == "page.test"
        assert (body["data"]["drill"], body["data"]["who"]) == (drill["id"], "Dana Ito (on call for night)")
        house.http.headers.pop("authorization")
        there = link(house, "dana-push")
        for _ in range(3):
            page = (await house.http.get(there)).text
        assert "This is a drill. Nothing is wrong." in words(page)
        assert 'value="Dana Ito"' in page
        assert page.count("<button") == 1
        assert "Europe/Berlin" in page
        assert (await house.http.head(there)).status_code == 405
        house.http.headers["authorization"] = "Bearer an-admin-key-for-tests"
        assert (await seen(house, drill))["confirmed"] == 0, "looking confirms nothing"
        house.clock.advance(42)
        done = await house.http.post(there, data={"by": "Dana Ito"})
        assert "It reached you." in words(done.text)
        dana = by_name(await seen(house, drill))["dana"]
        assert (dana["confirmed"], dana["method"], dana["after_seconds"], dana["late"]) == (
            True,
            "dana-push",
            42,
            False,
        )
        assert dana["pages"][0]["confirmed_by"] == "Dana Ito (dana-push)"
        await house.pass_time(600)
        assert "dana-sms" not in rung(house), "whoever has confirmed is not rung again"
        again = await house.http.post(there, data={"by": "somebody else"})
        assert again.status_code == 200
        assert "<button" not in (await house.http.get(there)).text
        assert by_name(await seen(house, drill))["dana"] == dana


@pytest.mark.parametrize("change", ["cut", "other", "acknowledge", "old", "long"])
async def test_only_our_own_links_confirm_and_only_for_a_day(make_house: MakeHouse, change: str) -> None:
    async with running(make_house) as house:
        drill = await begin(house)
        there = link(house, "dana-push")
        payload, _, mac = there.removeprefix("/confirm/").partition(".")
        wall = house.alerter.context().wall
        links, yesterday = house.alerter.links, wall - timedelta(hours=25)
        forged = {
            "cut": there[:-1],
            "other": "/confirm/" + link(house, "lee-push").removeprefix("/confirm/").partition(".")[0] + "." + mac,
            "acknowledge": "/confirm/" + str(links.acknowledge("0" * 32, "dana-push", wall)).rpartition("/")[2],
            "old": "/confirm/" + str(links.confirm(drill["id"], "dana", "dana-push", yesterday)).rpartition("/")[2],
            "long": there + "a" * 400,
        }[change]  # fmt: skip
        answer = await house.http.post(forged, data={"by": "eve"})
        assert answer.status_code == (410 if change == "old" else 404)
        assert (await house.http.get(f"/acknowledge/{payload}.{mac}")).status_code == 404, (
            "nor does one take an incident"
        )
        assert (await seen(house, drill))["confirmed"] == 0


async def test_the_api_confirms_for_those_who_have_no_browser(make_house: MakeHouse) -> None:
    async with running(make_house, public_url=None) as house:
        drill = await begin(house)
        assert drill["links"] is False
        assert "links" not in house.receiver.at("/lee-push")[0].body["data"]
        path, said = f"/v1/drills/{drill['id']}/confirm", {"responder": "lee", "method": "lee-push", "by": "lee"}
        for wrong in ({"responder": "rosa"}, {"method": "dana-push"}, {"method": "no-such"}):
            assert (await house.http.post(path, json=said | wrong)).status_code == 404
        assert (await house.http.post(f"/v1/drills/{'0' * 32}/confirm", json=said)).status_code == 404
        answer = await house.http.post(path, json=said)
        assert (answer.status_code, by_name(answer.json())["lee"]["method"]) == (200, "lee-push")
        lines = [(one["what"], one["on"]) for one in (await house.http.get("/v1/audit")).json()["items"][:2]]
        assert lines == [("drill.confirmed", f"{drill['id']}/lee/lee-push"), ("drill.begun", drill["id"])]


async def test_every_method_can_be_asked_for_and_each_is_confirmed_by_itself(make_house: MakeHouse) -> None:
    async with running(make_house, missing=("lee-sms",)) as house:
        drill = await begin(house, every_method=True)
        assert rung(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1, "lee-push": 1, "max-push": 1}
        for number, method in enumerate(("dana-sms", "dana-push", "dana-call"), 1):
            house.clock.advance(10)
            await house.http.post(link(house, method), data={"by": "Dana Ito"})
            dana = by_name(await seen(house, drill))["dana"]
            assert dana["confirmed"] is (number == 3)
        assert (dana["method"], dana["after_seconds"]) == ("dana-call", 30)
        await house.http.post(link(house, "lee-push"), data={})
        lee = by_name(await seen(house, drill))["lee"]
        assert lee["confirmed"] is False, "one of his methods does not exist"
        assert [one["trouble"] for one in lee["pages"] if one["method"] == "lee-sms"] == [
            "there is no such endpoint, or it is disabled"
        ]


async def test_one_drill_at_a_time_and_a_repeated_request_rings_nobody_again(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        drill = await begin(house, id="a" * 32)
        again = await begin(house, id="a" * 32)
        assert (again["id"], again["begun_at"], again["asked"]) == (drill["id"], drill["begun_at"], 3)
        answer = await house.http.post("/v1/drills", json={"by": "ada"})
        assert answer.status_code == 409
        assert rung(house) == {"dana-push": 1, "lee-push": 1, "max-push": 1}
        await house.pass_time(301)
        second = await begin(house)
        assert second["id"] != drill["id"]
        assert [one["id"] for one in (await house.http.get("/v1/drills")).json()["items"]] == [second["id"], "a" * 32]
        assert rung(house)["lee-push"] == 2


async def test_who_is_late_did_not_confirm_and_it_is_said(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        drill = await begin(house)
        await house.pass_time(301)
        await house.http.post(link(house, "lee-push"), data={"by": "Lee Park"})
        lee = by_name(await seen(house, drill))["lee"]
        assert (lee["confirmed"], lee["late"], lee["method"]) == (False, True, "lee-push")
        assert page_drill.report(await seen(house, drill)) is False


async def test_a_page_that_does_not_arrive_and_a_person_without_a_method_are_named(make_house: MakeHouse) -> None:
    async with running(make_house, missing=("max-push",)) as house:
        house.receiver.answers["/lee-push"] = status(500)
        drill = await begin(house)
        people = by_name(await seen(house, drill))
        assert people["max"]["pages"][0]["trouble"] == "no endpoint max-push works"
        assert people["lee"]["pages"][0]["trouble"] == "the message has not arrived yet (refused)"
        assert people["dana"]["pages"][0]["trouble"] is None


async def test_no_drill_rings_after_its_end_because_an_endpoint_was_down(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        house.receiver.answers["/lee-push"] = status(500)
        drill = await begin(house)
        await house.pass_time(299)
        tried = rung(house)["lee-push"]
        assert tried > 1
        del house.receiver.answers["/lee-push"]
        await house.pass_time(4 * 3600, step=600)
        assert rung(house)["lee-push"] == tried
        lee = by_name(await seen(house, drill))["lee"]
        assert lee["pages"][0]["trouble"] == "the message did not arrive (expired)"


async def test_the_fallback_of_a_method_confirms_as_itself(make_house: MakeHouse) -> None:
    async with running(make_house, missing=("lee-push",)) as house:
        await house.endpoint("lee-push", fallback="desk")
        house.receiver.answers["/lee-push"] = status(500)
        drill = await begin(house)
        await house.pass_time(90, step=30)
        await house.http.post(link(house, "desk"), data={"by": "Lee Park"})
        lee = by_name(await seen(house, drill))["lee"]
        assert (lee["confirmed"], lee["method"]) == (True, "desk")
        found = (await house.http.get("/v1/responders/lee/methods")).json()["items"]
        assert [one["confirmed_at"] for one in found] == [None, None]


async def test_where_nobody_is_on_duty_is_said(make_house: MakeHouse) -> None:
    later = {**DAY, "layers": [{**LAYER, "begins": "2026-04-01T09:00"}]}
    async with running(
        make_house, schedules=[later], policies=[{"id": "default", "steps": [{"targets": ["desk"]}]}]
    ) as house:
        drill = await begin(house)
        assert (drill["asked"], drill["over"]) == (0, True)
        assert drill["gaps"] == ["nobody is on call for schedule day"]
        assert page_drill.report(drill) is False, "a drill that rings nobody is none"


async def test_a_pager_is_told_that_it_is_over_and_an_acknowledgement_there_confirms(make_house: MakeHouse) -> None:
    async with running(make_house, missing=("max-push", "lee-push")) as house:
        for name in ("max-push", "lee-push"):
            made = {"name": name, "kind": "pagerduty", "url": house.receiver.url(f"/{name}"), "key": ROUTING_KEY}
            answer = await house.http.post("/v1/endpoints", json=made | {"inbound_secret": "what-pagerduty-signs-with"})
            assert answer.status_code == 201, answer.text
        drill = await begin(house)
        (event,) = [one.body for one in house.receiver.at("/max-push")]
        assert (event["event_action"], event["payload"]["severity"]) == ("trigger", "critical")
        assert "This is a drill" in event["payload"]["summary"]
        data = {"event": {"id": "E9", "event_type": "incident.acknowledged", "agent": {"summary": "Max"}}}
        data["event"]["data"] = {"incident_key": event["dedup_key"]}
        body = json.dumps(data).encode()
        back = await house.http.post("/v1/inbound/pagerduty/max-push", content=body, headers=signature(body))
        assert back.status_code == 204
        await house.settle()
        assert by_name(await seen(house, drill))["max"]["method"] == "max-push"
        actions = [one.body["event_action"] for one in house.receiver.at("/max-push")]
        assert actions == ["trigger", "resolve"]
        assert [one.body["event_action"] for one in house.receiver.at("/lee-push")] == ["trigger"]
        await house.pass_time(301)
        assert [one.body["event_action"] for one in house.receiver.at("/lee-push")] == ["trigger", "resolve"]
        assert house.receiver.types("/dana-push") == ["page.test"], "nothing rings on there"


async def test_a_drill_is_no_incident_and_uses_no_budget(make_house: MakeHouse) -> None:
    brands = [{"id": "acme", "name": "Acme", "line": {"engagements": 500}, "pages_per_hour": 1}]
    async with running(make_house, brands=brands) as house:
        await begin(house)
        await house.signal(make.forecast())
        await house.settle()
        assert house.receiver.types("/dana-push") == ["page.test", "incident.opened"]


async def test_only_an_unlimited_admin_key_rings_and_a_limited_one_sees_nothing(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        for scope, brands in (("read", ()), ("respond", ()), ("admin", ("acme",))):
            key = await make_key(house, f"k-{scope}", scope, *brands)
            assert (await house.http.post("/v1/drills", json={"by": "eve"}, headers=key)).status_code == 403
        assert rung(house) == {}
        drill = await begin(house)
        limited = await make_key(house, "centre", "admin", "acme")
        assert (await house.http.get("/v1/drills", headers=limited)).json() == {"items": []}
        said = {"responder": "lee", "method": "lee-push", "by": "lee"}
        for method, path in (("GET", ""), ("POST", "/confirm")):
            answer = await house.http.request(method, f"/v1/drills/{drill['id']}{path}", json=said, headers=limited)
            assert answer.status_code == 404


async def test_the_page_on_call_shows_the_last_drill_and_a_person_confirms_on_theirs(make_house: MakeHouse) -> None:
    async with running(make_house, public_url=None) as house:
        async with sign_in(house, person="lee") as client:
            said = words((await client.get("/console/on-call")).text)
            assert "No drill has been held yet" in said
            drill = await begin(house)
            assert "A drill is going on 0 of 3 confirmed" in words((await client.get("/console/on-call")).text)
            assert (await client.get("/console/me")).headers["location"] == "/console/people/lee"
            page = (await client.get("/console/people/lee")).text
            assert "It reached me by lee-push" in page
            form = {"csrf": await csrf(client), "drill": drill["id"], "method": "lee-push"}
            done = await client.post("/console/people/lee/drill", data=form)
            assert done.headers["location"] == "/console/people/lee?done=drill_confirmed"
            assert "It reached Lee Park by lee-push" in words((await client.get("/console/people/lee")).text)
            await house.pass_time(301)
            said = words((await client.get("/console/on-call")).text)
            assert "Last drill 1 of 3 confirmed , 2026-03-01 09:00 UTC" in said
            assert "Lee Park : by lee-push after 0 s" in said
            assert "Dana Ito (on call for night) : did not confirm" in said
        limited = await make_key(house, "centre", "respond", "acme")
        async with sign_in(house, limited["authorization"].removeprefix("Bearer ")) as client:
            said = words((await client.get("/console/on-call")).text)
            assert "methods" not in said
            assert "drill" not in said


async def test_drills_are_kept_for_more_than_a_year_and_then_forgotten_with_their_pages(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await begin(house)
        wall = house.alerter.context().wall
        for days, kept in ((399, 1), (401, 0)):
            later = NOW + timedelta(days=days)
            await house.alerter.database.write(lambda c, at=later: retention.forget(c, at, wall))
            assert len((await house.http.get("/v1/drills")).json()["items"]) == kept
        pages = await house.alerter.database.read(
            lambda c: c.exec_driver_sql("select count(*) from drill_pages").scalar()
        )
        assert pages == 0


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the command prints."""
    lines: list[str] = []
    plain = re.compile(r"\[.*?\]")
    monkeypatch.setattr(page_drill, "say", lambda form, *values: lines.append(plain.sub("", form).format(*values)))
    return lines


async def test_the_command_shows_who_confirms_and_ends_when_all_have(make_house: MakeHouse, said: list[str]) -> None:
    async with running(make_house) as house:

        async def sleep(seconds: float) -> None:
            await house.pass_time(seconds)
            first = next((name for name in ("dana-push", "lee-push", "max-push") if name not in done), None)
            if first is not None:
                done.append(first)
                await house.http.post(link(house, first), data={"by": first})

        done: list[str] = []
        assert await page_drill.ring(house.http, 5, every_method=False, sleep=sleep) is True
        assert [line for line in said if "confirmed by" in line] == [
            "ok    Dana Ito (on call for night) confirmed by dana-push (1 of 3)",
            "ok    Lee Park confirmed by lee-push (2 of 3)",
            "ok    Max confirmed by max-push (3 of 3)",
        ]
        assert said[-4:] == [
            "3 of 3 confirmed",
            "ok    Dana Ito (on call for night) by dana-push after 2 s",
            "ok    Lee Park by lee-push after 4 s",
            "ok    Max by max-push after 6 s",
        ]


async def test_the_command_fails_if_somebody_does_not_confirm_and_says_how_they_were_rung(
    make_house: MakeHouse, said: list[str]
) -> None:
    async with running(make_house, missing=("max-push",)) as house:

        async def sleep(seconds: float) -> None:
            await house.pass_time(seconds)
            if not done:
                done.append(await house.http.post(link(house, "lee-push"), data={}))

        done: list[Any] = []
        assert await page_drill.ring(house.http, 3, every_method=False, sleep=sleep) is False
        assert said[-4:] == [
            "1 of 3 confirmed",
            "wrong Dana Ito (on call for night) did not confirm (rung by dana-push, dana-sms)",
            "ok    Lee Park by lee-push after 2 s",
            "wrong Max did not confirm (not rung at all; no endpoint max-push works)",
        ]
        assert (house.clock.now() - datetime(2026, 3, 1, 9, tzinfo=UTC)).total_seconds() >= 180, (
            "it waited as long as stated"
        )


async def test_the_command_says_what_an_installation_refuses(make_house: MakeHouse) -> None:
    async with running(make_house) as house:

        async def sleep(_: float) -> None:
            raise AssertionError("nothing to wait for")

        await begin(house)
        with pytest.raises(ConfigError, match="another drill goes on"):
            await page_drill.ring(house.http, 5, every_method=False, sleep=sleep)
        house.http.headers["authorization"] = "Bearer wrong"
        with pytest.raises(ConfigError, match="401"):
            await page_drill.ring(house.http, 5, every_method=False, sleep=sleep)


async def test_what_rings_until_it_is_told_ends_outside_its_hours_too_and_no_sooner_because_it_works_again(
    make_house: MakeHouse,
) -> None:
    rules = {"urgent": [{"method": "dana-call"}]}
    async with running(make_house, missing=("dana-call",), responders=[{**DANA, "notify": rules}, LEE, MAX]) as house:
        shut = {"windows": [{"begins": "01:00", "ends": "01:30"}], "zone": "UTC"}
        await house.endpoint("dana-call", kind="pagerduty", key=ROUTING_KEY, hours=shut)
        await begin(house)
        said = [got.body["event_action"] for got in house.receiver.at("/dana-call")]
        assert said == ["trigger"]
        await house.alerter.database.write(lambda c: outbox.hurry(c, "dana-call", house.alerter.context().now))
        house.alerter.ring()
        await house.settle()
        assert [got.body["event_action"] for got in house.receiver.at("/dana-call")] == ["trigger"], (
            "it goes on ringing"
        )
        await house.pass_time(10 * 60, step=30)
        assert [got.body["event_action"] for got in house.receiver.at("/dana-call")] == ["trigger", "resolve"]
