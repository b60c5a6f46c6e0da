"""An endpoint with headers, an authorization and hours of its own: secrets are sent, never shown, and what may wait waits."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import select

from alerter.store.tables import secrets
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import Got, verify
from tests.integration.alerter.test_outlets import ONE_STEP, ROUTING_KEY
from tests.unit.alerter import make

TOKEN = "t0ken-that-nobody-else-knows"
OFFICE = {
    "zone": "Europe/Berlin",
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}],
}
"""The tests begin on a Sunday at ten, Berlin time."""


@pytest.fixture
async def quiet(make_house: MakeHouse) -> Any:
    made = make_house(make.config(policies=ONE_STEP))
    await made.receiver.start()
    async with made.running():
        yield made


async def everything_shown(house: House) -> str:
    """All that the API and the console tell of endpoints and deliveries."""
    said = ""
    for path in ("/v1/endpoints", "/v1/endpoints/desk", "/v1/audit", "/v1/deliveries"):
        said += (await house.http.get(path)).text
    for one in await house.deliveries():
        said += (await house.http.get(f"/v1/deliveries/{one['id']}")).text
    return said


@pytest.mark.parametrize("kind", ["webhook", "slack", "teams", "pagerduty", "alertmanager", "alertmanager_webhook"])
async def test_headers_are_sent_with_every_request_and_their_values_are_never_shown(quiet: House, kind: str) -> None:
    async def echo(got: Got, writer: Any) -> None:
        await receiver.status(500, body=f"you sent {got.headers['authorization']}".encode())(got, writer)

    path = "/desk/api/v2/alerts" if kind == "alertmanager" else "/desk"
    quiet.receiver.answers[path] = echo
    key = {"key": ROUTING_KEY} if kind == "pagerduty" else {}
    headers = {"X-Tenant": "acme-7", "authorization": f"Bearer {TOKEN}"}
    secret = await quiet.endpoint("desk", kind=kind, headers=headers, **key)
    await quiet.signal(make.forecast())
    await quiet.settle()
    (got,) = quiet.receiver.at(path)
    assert (got.headers["x-tenant"], got.headers["authorization"]) == ("acme-7", f"Bearer {TOKEN}")
    if kind == "webhook":
        verify(secret, got)
    shown = await everything_shown(quiet)
    assert TOKEN not in shown
    assert "you sent *** ***" in shown or "you sent ***" in shown
    endpoint = (await quiet.http.get("/v1/endpoints/desk")).json()
    assert endpoint["header_names"] == ["authorization", "x-tenant"]


async def test_an_authorization_is_sent_as_the_receiver_wants_it_and_can_be_changed(quiet: House) -> None:
    await quiet.endpoint("desk", auth={"user": "Zoë", "password": "pass:word"}, headers={"x-tenant": "acme-7"})
    secret = quiet.secrets["desk"]
    await quiet.http.post("/v1/endpoints/desk/test")
    await quiet.settle()
    sent = quiet.receiver.at("/desk")[-1].headers["authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == "Zoë:pass:word"
    quiet.receiver.answers["/desk"] = receiver.status(401)
    await quiet.signal(make.forecast())
    await quiet.settle()
    answer = await quiet.http.patch("/v1/endpoints/desk", json={"auth": {"bearer": TOKEN}})
    assert answer.status_code == 200, answer.text
    quiet.receiver.answers.pop("/desk")
    await quiet.pass_time(10, step=1)
    last = quiet.receiver.at("/desk")[-1]
    assert last.headers["authorization"] == f"Bearer {TOKEN}"
    assert last.headers["x-tenant"] == "acme-7", "what was not named stays"
    verify(secret, last)
    assert {one["state"] for one in await quiet.deliveries()} == {"delivered"}, "what waited is still there"
    rows = await quiet.alerter.database.read(lambda c: c.scalars(select(secrets.c.purpose)).all())
    assert sorted(rows) == ["headers", "signing"]
    assert TOKEN not in await everything_shown(quiet)
    assert (await quiet.http.patch("/v1/endpoints/desk", json={"headers": {}})).json()["header_names"] == []
    assert (await quiet.http.patch("/v1/endpoints/nobody", json={"headers": {}})).status_code == 404


@pytest.mark.parametrize(
    ("more", "at_"),
    [
        ({"headers": {"Host": "elsewhere.example"}}, "body.headers"),
        ({"headers": {"Content-Length": "1"}}, "body.headers"),
        ({"headers": {"webhook-signature": "v1,forged"}}, "body.headers"),
        ({"headers": {"transfer-encoding": "chunked"}}, "body.headers"),
        ({"headers": {"x y": "1"}}, "body.headers"),
        ({"headers": {"": "1"}}, "body.headers"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "body.headers"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "body.headers.x-a"),
        ({"headers": {"x-a": "é"}}, "body.headers.x-a"),
        ({"headers": {"x-a": ""}}, "body.headers.x-a"),
        ({"headers": {"Authorization": "x"}, "auth": {"bearer": "y"}}, "body.auth"),
        ({"auth": {}}, "body.auth"),
        ({"auth": {"user": "dana"}}, "body.auth"),
        ({"auth": {"bearer": "x", "user": "dana", "password": "y"}}, "body.auth"),
        ({"kind": "apprise", "url": "json://hook.example/x", "headers": {"x-a": "1"}}, "body.headers"),
        ({"kind": "alertmanager_webhook", "key": "k", "auth": {"bearer": "x"}}, "body.headers.authorization"),
        ({"name": "all"}, "body.name"),
        ({"hours": {"zone": "Mars/Olympus"}}, "body.hours.zone"),
        ({"hours": {"windows": [{"begins": "9 am"}]}}, "body.hours.windows.0.begins"),
        ({"hours": {"windows": [{"days": []}]}}, "body.hours.windows.0.days"),
    ],
)
async def test_what_no_request_may_have_is_refused_with_its_place(quiet: House, more: Any, at_: str) -> None:
    body = {"name": "one", "url": "https://hook.example/x", **more}
    answer = await quiet.http.post("/v1/endpoints", json=body)
    assert (answer.status_code, [one["at"] for one in answer.json()["errors"]]) == (422, [at_]), answer.text
    assert "forged" not in answer.text


async def test_what_comes_outside_the_hours_waits_for_them_and_severity_1_does_not(quiet: House) -> None:
    await quiet.endpoint("desk", hours=OFFICE)
    await quiet.endpoint("always")
    await quiet.signal(make.forecast())
    await quiet.settle()
    assert len(quiet.receiver.at("/always")) == 1
    assert quiet.receiver.at("/desk") == []
    (waiting,) = await quiet.deliveries(endpoint="desk")
    assert (waiting["state"], waiting["attempts"]) == ("pending", [])
    assert waiting["next_attempt_at"].startswith("2026-03-02T08:00")
    await quiet.http.post("/v1/endpoints/desk/test")
    await quiet.settle()
    assert quiet.receiver.types("/desk") == ["endpoint.test"], "somebody asked for it, and waits"
    worst: dict[str, Any] = {"level": Level.IMMINENT, "probability": 0.95, "mood": make.mood()}
    await quiet.signal(make.forecast(1, story="bsky:worst", **worst))
    await quiet.settle()
    assert quiet.receiver.types("/desk") == ["endpoint.test", "incident.opened"], "severity 1 never waits"
    await quiet.pass_time(23 * 3600 - 120, step=3600)
    assert [
        one.body["data"].get("severity") for one in quiet.receiver.at("/desk")[1:] if one.type == "incident.opened"
    ] == [1]
    await quiet.pass_time(240, step=30)
    opened = [one.body["data"]["severity"] for one in quiet.receiver.at("/desk") if one.type == "incident.opened"]
    assert sorted(opened) == [1, 3]


async def test_what_waits_for_the_hours_stands_in_the_way_of_nothing_urgent(quiet: House) -> None:
    await quiet.endpoint("desk", hours=OFFICE)
    for number in range(40):
        await quiet.signal(make.forecast(story=f"bsky:s{number}"))
    worst: dict[str, Any] = {"level": Level.IMMINENT, "probability": 0.95, "mood": make.mood()}
    await quiet.signal(make.forecast(1, story="bsky:worst", **worst))
    await quiet.settle()
    assert [one.body["data"]["severity"] for one in quiet.receiver.at("/desk")] == [1]


async def test_hours_can_be_changed_and_what_waits_goes_at_once(quiet: House) -> None:
    await quiet.endpoint("desk", hours=OFFICE)
    await quiet.signal(make.forecast())
    await quiet.settle()
    assert quiet.receiver.at("/desk") == []
    answer = await quiet.http.patch("/v1/endpoints/desk", json={"hours": {}})
    assert answer.json()["hours"] == {"windows": [], "zone": "UTC"}
    await quiet.settle()
    assert quiet.receiver.types("/desk") == ["incident.opened"]


async def test_waiting_for_hours_is_no_failure_that_a_fallback_stands_in_for(quiet: House) -> None:
    await quiet.endpoint("spare", brands=["other"])
    await quiet.endpoint("desk", hours=OFFICE, fallback="spare")
    await quiet.signal(make.forecast())
    await quiet.settle()
    await quiet.pass_time(600, step=30)
    assert quiet.receiver.at("/spare") == []
    assert (await quiet.http.get("/v1/endpoints/desk")).json()["failures"] == 0


async def test_a_page_outside_the_hours_of_its_endpoint_goes_to_the_next_method_at_once(make_house: MakeHouse) -> None:
    people = [{"id": "dana", "methods": ["desk", "phone"]}]
    policies = [{"id": "default", "steps": [{"targets": ["responder:dana"]}]}]
    house = make_house(make.config(responders=people, policies=policies))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk", hours=OFFICE)
        await house.endpoint("phone")
        await house.signal(make.forecast())
        await house.settle()
        assert len(house.receiver.at("/phone")) == 1, "at once, and not after a minute"
        assert house.receiver.at("/desk") == []
        (incident,) = await house.incidents()
        told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
        assert any("outside the hours" in line["because"] for line in told["timeline"])
