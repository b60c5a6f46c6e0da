"""A person pages others at once: by the API or the console, with a message, whatever policies and silences say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import Bearer, make_key
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

RULES = [{"method": "dana-push"}, {"after_minutes": 3, "method": "dana-call"}]
PEOPLE = [
    {"id": "dana", "name": "Dana Ito", "methods": ["dana-push", "dana-call"], "notify": {"urgent": RULES}},
    {"id": "lee", "methods": ["lee-push"]},
]
STEPS = [{"targets": ["lead"]}, {"after_minutes": 30, "targets": ["responder:lee"]}]
ASKED: dict[str, Any] = {
    "brand": "acme",
    "to": ["responder:dana"],
    "message": "The minister\ncalls at nine & <nobody> answers",
    "by": "max",
}
NAMES = ("dana-push", "dana-call", "lee-push", "lead")


@asynccontextmanager
async def running(make_house: MakeHouse, **more: Any) -> AsyncIterator[House]:
    config = make.config(policies=[{"id": "default", "steps": STEPS}], responders=PEOPLE, **more)
    house = make_house(config, public_url=None)
    await house.receiver.start()
    async with house.running():
        for name in NAMES:
            await house.endpoint(name)
        yield house


async def ask(house: House, **more: Any) -> httpx2.Response:
    answer = await house.http.post("/v1/page", json={**ASKED, **more})
    await house.settle()
    return answer


async def test_a_page_by_hand_says_its_message_rings_and_is_acknowledged(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        answer = await ask(house)
        assert answer.status_code == 201, answer.text
        assert answer.json()["told"] == ["dana-push"]
        incident = answer.json()["incident"]
        assert incident["title"] == "Acme: The minister calls at nine & <nobody> answers"
        (page,) = house.receiver.at("/dana-push")
        assert page.type == "incident.opened"
        assert page.body["data"]["because"] == f"max asks for you: {ASKED['message']}"
        await house.pass_time(180)
        assert house.receiver.types("/dana-call") == ["incident.escalated"]
        taken = await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "dana"})
        assert taken.json()["acknowledged_by"] == "dana"
        over = await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "dana"})
        assert over.json()["state"] == "resolved"
        assert house.receiver.types("/lead") == [], "no policy of the file was followed"


async def test_neither_silence_nor_quiet_hours_nor_page_budget_hold_it_back(make_house: MakeHouse) -> None:
    quiet = [{"id": "night", "zone": "UTC", "holds_from": 3, "windows": [{"begins": "00:00", "ends": "24:00"}]}]
    brands = [{"id": "acme", "name": "Acme", "pages_per_hour": 1}]
    async with running(make_house, quiet_hours=quiet, brands=brands) as house:
        until = (NOW + timedelta(hours=9)).isoformat()
        body = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": until, "by": "lee"}
        assert (await house.http.post("/v1/silences", json=body)).status_code == 201
        for _ in range(3):
            assert (await ask(house, severity=4)).status_code == 201
        assert house.receiver.types("/dana-push") == ["incident.opened"] * 3


async def test_it_uses_none_of_the_page_budget_up(make_house: MakeHouse) -> None:
    brands = [{"id": "acme", "name": "Acme", "pages_per_hour": 1}]
    async with running(make_house, brands=brands) as house:
        await ask(house)
        await house.signal(make.forecast())
        await house.settle()
        assert house.receiver.types("/lead") == ["incident.opened"]


async def test_the_same_id_pages_nobody_twice(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        answers = [await ask(house, id="call-7") for _ in range(3)]
        assert len({answer.json()["incident"]["id"] for answer in answers}) == 1
        assert len(house.receiver.at("/dana-push")) == 1
        assert len(await house.incidents()) == 1
        await ask(house)
        assert len(house.receiver.at("/dana-push")) == 2


@pytest.mark.parametrize(
    ("more", "status", "why"),
    [
        ({"to": ["responder:nobody"]}, 404, "there is no responder:nobody"),
        ({"to": ["schedule:nothing"]}, 404, "there is no schedule:nothing"),
        ({"to": ["typo"]}, 409, "nobody would be told: endpoint typo is missing, disabled or not for this brand"),
        ({"to": ["owner"]}, 409, "nobody owns"),
        ({"brand": "nowhere"}, 404, "there is no brand nowhere"),
        ({"message": "  "}, 422, "message"),
        ({"message": "x" * 1001}, 422, "message"),
        ({"to": []}, 422, "to"),
        ({"severity": 5}, 422, "severity"),
    ],
)
async def test_a_page_that_would_reach_nobody_is_refused_with_the_reason(
    make_house: MakeHouse, more: dict[str, Any], status: int, why: str
) -> None:
    async with running(make_house) as house:
        answer = await ask(house, **more)
        assert answer.status_code == status
        assert why in answer.text
        assert await house.incidents() == []


async def test_who_may_page_is_checked_and_who_paged_is_written_down(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        reader = await make_key(house, "reader", "read")
        assert (await ask_with(house, reader)).status_code == 403
        outside = await make_key(house, "outside", "respond", "acme")
        refused = await ask_with(house, outside)
        assert (refused.status_code, "there is no responder:dana" in refused.text) == (404, True)
        assert (await ask_with(house, outside, to=["responder:lee"])).status_code == 201
        other = await make_key(house, "other", "respond", "other")
        assert (await ask_with(house, other, to=["responder:lee"])).status_code == 404
        await ask(house)
        (mine, theirs) = [one for one in await audited(house) if one["what"] == "page.sent"]
        assert (mine["actor"], theirs["actor"]) == ("admin", "outside")
        assert mine["detail"] == {"by": "max", "to": ["responder:dana"], "message": ASKED["message"]}


async def test_the_form_lists_whom_a_key_may_page(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        key = (await make_key(house, "outside", "respond", "acme"))["authorization"].removeprefix("Bearer ")
        async with sign_in(house, key) as client:
            text = (await client.get("/console/page")).text
        assert 'value="responder:lee"' in text
        assert 'value="responder:dana"' not in text
        assert 'value="other"' not in text


async def ask_with(house: House, headers: Bearer, **more: Any) -> httpx2.Response:
    return await house.http.post("/v1/page", json={**ASKED, **more}, headers=headers)


async def audited(house: House) -> list[Any]:
    return list((await house.http.get("/v1/audit")).json()["items"])


async def test_the_form_on_the_console_pages_once_however_often_it_is_sent(make_house: MakeHouse) -> None:
    async with running(make_house) as house, sign_in(house) as client:
        text = (await client.get("/console/page")).text
        assert '<option value="responder:dana">Dana Ito</option>' in text
        once = text.split('name="id" value="')[1].split('"')[0]
        form = {"csrf": await csrf(client), "id": once, "to": "responder:dana", "brand": "acme", "severity": "2"}
        for _ in range(2):
            answer = await client.post("/console/page", data={**form, "message": "come"})
            assert answer.status_code == 303
        await house.settle()
        assert len(house.receiver.at("/dana-push")) == 1
        page = (await client.get(answer.headers["location"])).text
        assert "They are being paged now" in page
        assert "rings <b><bdi>Dana Ito</bdi></b> by dana-call" in page
        assert (await client.post("/console/page", data={**form, "message": " "})).status_code == 422


async def opened(house: House) -> str:
    await house.signal(make.forecast(crossing=None))
    await house.settle()
    return str((await house.incidents())[0]["id"])


async def escalate(house: House, incident: str) -> httpx2.Response:
    answer = await house.http.post(f"/v1/incidents/{incident}/escalate", json={"by": "max", "comment": "help"})
    await house.settle()
    return answer


async def test_escalate_now_does_the_next_step_once(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await opened(house)
        assert (await escalate(house, incident)).status_code == 200
        assert house.receiver.types("/lee-push") == ["incident.escalated"]
        assert "max asked for it" in house.receiver.at("/lee-push")[0].body["data"]["because"]
        await house.pass_time(3600)
        assert house.receiver.types("/lee-push") == ["incident.escalated"]
        assert (await audited(house))[0]["what"] == "incident.escalated"


async def test_escalate_now_takes_it_from_whoever_had_it(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await opened(house)
        await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "dana"})
        after = (await escalate(house, incident)).json()
        assert after["acknowledged_by"] is None
        assert house.receiver.types("/lee-push") == ["incident.escalated"]


async def test_escalate_now_after_the_last_step_does_that_once_more(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await opened(house)
        for _ in range(3):
            assert (await escalate(house, incident)).status_code == 200
        assert house.receiver.types("/lee-push") == ["incident.escalated"] * 3


async def test_what_is_over_or_held_back_is_not_escalated(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await opened(house)
        await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": "dana"})
        refused = await escalate(house, incident)
        assert (refused.status_code, refused.json()["detail"]) == (409, "the incident is resolved")
        assert (await escalate(house, "0" * 32)).status_code == 404
