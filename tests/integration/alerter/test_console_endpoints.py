"""Endpoints and silences in the console: created, changed and deleted by forms, and no secret is ever shown again."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

TOKEN = "t0ken-that-nobody-else-knows"
FORM = {"kind": "webhook", "brands": "", "severities": "", "types": "", "owner": "", "fallback": ""}


@pytest.fixture
async def open_house(make_house: MakeHouse) -> Any:
    made = make_house(public_url=None)
    await made.receiver.start()
    async with made.running():
        yield made


async def send(client: httpx2.AsyncClient, path: str, **fields: str) -> Any:
    return await client.post(f"/console/{path}", data={"csrf": await csrf(client), **fields})


async def test_an_endpoint_is_created_changed_and_deleted_by_forms(open_house: House) -> None:
    house = open_house
    async with sign_in(house, person="Maria") as client:
        assert 'href="/console/endpoints/+new"' in (await client.get("/console/endpoints")).text
        made = await send(
            client,
            "endpoints/+new",
            **FORM,
            name="desk",
            url=house.receiver.url("/wrong"),
            bearer=TOKEN,
            headers="x-a: 1",
        )
        found = re.search(r'<pre id="secret">(whsec_[^<]+)</pre>', made.text)
        assert found is not None, made.text
        house.receiver.answers["/wrong"] = receiver.status(500)
        await house.signal(make.forecast())
        await house.settle()
        shown = (await client.get("/console/endpoints/desk/change")).text
        assert "authorization, x-a" in shown
        assert TOKEN not in shown
        assert "/wrong" not in shown
        changed = await send(client, "endpoints/desk/change", **FORM, url=house.receiver.url("/right"), version="1")
        assert (changed.status_code, changed.headers["location"]) == (303, "/console/endpoints?done=changed")
        await house.settle()
        (got,) = house.receiver.at("/right")
        verify(found[1], got)
        assert (got.headers["authorization"], got.headers["x-a"]) == (f"Bearer {TOKEN}", "1")
        stale = await send(client, "endpoints/desk/change", **FORM, description="x", version="1")
        assert stale.status_code == 412
        assert "has version 2 by now" in stale.text
        named = await send(client, "endpoints/desk/delete", version="2")
        assert named.status_code == 409
        assert "policies.default.steps.0.targets.0" in named.text
        gone = await send(client, "endpoints/desk/delete", version="2", even_if_named="on")
        assert gone.status_code == 303
        assert (await client.get("/console/endpoints/desk/change")).status_code == 404
    lines = (await house.http.get("/v1/audit")).json()["items"]
    assert [(one["what"], one["detail"]["by"]) for one in lines[:3]] == [
        ("endpoint.deleted", "Maria"), ("endpoint.changed", "Maria"), ("endpoint.created", "Maria"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "ftp://x.example"}, "url"),
        ({"url": ""}, "url is required"),
        ({"kind": "pigeon"}, "kind"),
        ({"concurrency": "many"}, "concurrency"),
        ({"severities": "1, 9"}, "severities"),
        ({"brands": "nonesuch"}, "no brand nonesuch"),
        ({"owner": "nobody"}, "there is no endpoint nobody"),
        ({"headers": "Host: x"}, "headers"),
        ({"user": "x"}, "auth"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_said_above_the_form(open_house: House, fields: Any, why: str) -> None:
    async with sign_in(open_house) as client:
        body = {**FORM, "name": "desk", "url": "https://x.example/private-part", "description": "<i>ours</i>", **fields}
        answer = await send(client, "endpoints/+new", **body)
        assert answer.status_code == 422
        found = re.search(r'id="problem">(.*?)</div>', answer.text)
        assert found is not None
        assert why in unescape(found[1])
        assert 'value="&lt;i&gt;ours&lt;/i&gt;"' in answer.text, "what was typed is still there"
        assert "private-part" not in answer.text
    assert (await open_house.http.get("/v1/endpoints")).json()["items"] == []


async def test_a_silence_is_made_changed_and_ended_by_forms(open_house: House) -> None:
    house = open_house
    await house.endpoint("desk")
    until = f"{NOW + timedelta(hours=3):%Y-%m-%dT%H:%M}"
    async with sign_in(house, person="Maria") as client:
        fields = {
            "covers": "all",
            "matchers": "brand = acme\r\nseverity != 1",
            "ends": until,
            "zone": "UTC",
            "comment": "rollout",
        }
        assert (await send(client, "silences", **fields)).headers["location"] == "/console/silences?done=silenced"
        await house.signal(make.forecast())
        await house.settle()
        assert house.receiver.at("/desk") == []
        (one,) = (await house.http.get("/v1/silences")).json()["items"]
        assert one["matchers"] == [
            {"field": "brand", "values": ["acme"], "negate": False},
            {"field": "severity", "values": ["1"], "negate": True},
        ]
        page = (await client.get("/console/silences")).text
        assert "severity != 1" in page
        path = f"silences/{one['id']}"
        changed = {"matchers": "brand = other", "ends": until, "zone": "UTC", "version": "1"}
        assert (await send(client, path, **changed)).status_code == 303
        await house.settle()
        assert house.receiver.types("/desk") == ["incident.opened"]
        assert (await send(client, path, **changed)).status_code == 412
        assert (await send(client, f"{path}/end")).status_code == 303
        assert "Nothing is silenced" in (await client.get("/console/silences")).text
        for wrong in (
            {"matchers": "colour = red"},
            {"matchers": "brand"},
            {"ends": "soon"},
            {"ends": "2020-01-01T00:00"},
        ):
            answer = await send(client, "silences", **{**fields, **wrong})
            assert answer.status_code == 422
            assert "Not saved" in answer.text
    lines = (await house.http.get("/v1/audit")).json()["items"]
    assert [one["detail"]["by"] for one in lines if one["what"].startswith("silence.")] == ["Maria"] * 3


async def test_a_key_that_may_not_gets_no_form(open_house: House) -> None:
    await open_house.endpoint("desk")
    reader = (await make_key(open_house, "reader", "read"))["authorization"].removeprefix("Bearer ")
    responder = (await make_key(open_house, "shift", "respond"))["authorization"].removeprefix("Bearer ")
    for key, silences in ((reader, 403), (responder, 303)):
        async with sign_in(open_house, key) as client:
            assert "/change" not in (await client.get("/console/endpoints")).text
            for path in ("endpoints/+new", "endpoints/desk/change"):
                assert (await client.get(f"/console/{path}")).status_code == 403
                assert (await send(client, path, **FORM)).status_code == 403
            assert (await send(client, "endpoints/desk/delete")).status_code == 403
            page = (await client.get("/console/silences")).text
            assert ("Silence it" in page) is (silences == 303)
            fields = {"covers": "all", "matchers": "brand = acme", "ends": "2026-03-01T20:00"}
            assert (await send(client, "silences", **fields)).status_code == silences
