"""Endpoints and silences are changed in place: nothing that waits is lost, no secret with it, and nobody overlooks another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from alerter.store.tables import secrets
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.integration.alerter.test_endpoint_setup import TOKEN, everything_shown
from tests.integration.alerter.test_keys import make_key
from tests.integration.alerter.test_outlets import ONE_STEP, ROUTING_KEY
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

HOUR = timedelta(hours=1)
ACME = {"field": "brand", "values": ["acme"]}


@pytest.fixture
async def quiet(make_house: MakeHouse) -> Any:
    made = make_house(make.config(policies=ONE_STEP))
    await made.receiver.start()
    async with made.running():
        yield made


async def patched(house: House, endpoint: str, status: int = 200, /, **body: Any) -> Any:
    answer = await house.http.patch(f"/v1/endpoints/{endpoint}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


# -- endpoints ---------------------------------------------------------------------------------------------------------


async def test_what_waits_for_a_wrong_address_goes_to_the_right_one_signed_as_before(quiet: House) -> None:
    secret = await quiet.endpoint("desk", "/wrong", description="first", severities=[1, 2])
    quiet.receiver.answers["/wrong"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    assert quiet.receiver.at("/right") == []
    tried = len(quiet.receiver.at("/wrong"))
    changed = await patched(quiet, "desk", url=quiet.receiver.url("/right"), description="moved")
    assert (changed["version"], changed["description"], changed["severities"]) == (2, "moved", [1, 2])
    await quiet.settle()
    (got,) = quiet.receiver.at("/right")
    verify(secret, got)
    assert got.id == quiet.receiver.at("/wrong")[0].id, "the same message, under its own id"
    assert len(quiet.receiver.at("/wrong")) == tried
    assert {one["state"] for one in await quiet.deliveries()} == {"delivered"}


async def test_a_change_keeps_every_secret_that_it_does_not_name(quiet: House) -> None:
    inbound = "an-inbound-secret-of-theirs"
    await quiet.endpoint("desk", kind="pagerduty", key=ROUTING_KEY, inbound_secret=inbound, headers={"x-tenant": TOKEN})

    async def held() -> dict[str, str]:
        rows = await quiet.alerter.database.read(lambda c: c.execute(select(secrets)).all())
        return {row.purpose: row.secret for row in rows}

    before = await held()
    few: dict[str, Any] = {
        "description": "x",
        "brands": ["acme"],
        "concurrency": 2,
        "options": {},
        "types": ["incident.*"],
    }
    for name, value in few.items():
        await patched(quiet, "desk", **{name: value})
        assert await held() == before, name
    other = "f" * 32
    await patched(quiet, "desk", key=other)
    assert await held() == before | {"key": other}
    assert (await patched(quiet, "desk", key=None, inbound_secret=None, url=None))["version"] == 8
    assert await held() == before | {"key": other}
    shown = await everything_shown(quiet)
    assert not any(word in shown for word in (ROUTING_KEY, other, inbound, TOKEN))


async def test_null_takes_away_what_an_endpoint_may_be_without(quiet: House) -> None:
    await quiet.endpoint("lead")
    await quiet.endpoint("desk", owner="lead", fallback="lead", concurrency=3, per_second=2)
    kept = await patched(quiet, "desk", subscribed=True, description=None, hours=None)
    assert (kept["owner"], kept["fallback"], kept["concurrency"], kept["per_second"]) == ("lead", "lead", 3, 2)
    bare = await patched(quiet, "desk", owner=None, fallback=None, concurrency=None, per_second=None)
    assert (bare["owner"], bare["fallback"], bare["concurrency"], bare["per_second"]) == (None, None, None, None)
    assert bare["subscribed"] is True


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"url": "http://10.0.0.1/x"}, "body.url"),
        ({"url": "ftp://hook.example/x"}, "body.url"),
        ({"key": "webhooks-have-none"}, "body.key"),
        ({"inbound_secret": "they-send-nothing-back"}, "body.inbound_secret"),
        ({"options": {"colour": "red"}}, "body.options.colour"),
        ({"owner": "nobody"}, "body.owner"),
        ({"owner": "desk"}, "body.owner"),
        ({"fallback": "desk"}, "body.fallback"),
        ({"brands": ["nonesuch"]}, "body.brands"),
        ({"severities": [5]}, "body.severities.0"),
        ({"types": ["everything"]}, "body.types.0"),
        ({"per_second": 0}, "body.per_second"),
        ({"name": "other"}, "body.name"),
        ({"kind": "slack"}, "body.kind"),
        ({"headers": {"Host": "x"}}, "body.headers"),
    ],
)
async def test_a_change_is_checked_as_a_new_endpoint_is(quiet: House, body: Any, at: str) -> None:
    await quiet.endpoint("desk")
    answer = await patched(quiet, "desk", 422, **body)
    assert [one["at"] for one in answer["errors"]] == [at]
    assert (await quiet.http.get("/v1/endpoints/desk")).json()["version"] == 1


async def test_a_stale_change_of_an_endpoint_is_refused_with_what_it_is_now(quiet: House) -> None:
    await quiet.endpoint("desk")
    stale = {"if-match": '"1"'}
    first = await quiet.http.patch("/v1/endpoints/desk", json={"description": "a"}, headers=stale, params={"by": "Ana"})
    assert (first.status_code, first.headers["etag"], first.json()["changed_by"]) == (200, '"2"', "Ana")
    for method, body in (("PATCH", {"description": "b"}), ("DELETE", None)):
        answer = await quiet.http.request(method, "/v1/endpoints/desk", json=body, headers=stale)
        assert (answer.status_code, answer.json()["current"]["version"]) == (412, 2), answer.text
    line = (await quiet.http.get("/v1/audit")).json()["items"][0]
    assert (line["what"], line["detail"]) == (
        "endpoint.changed",
        {"changed": ["description"], "version": 2, "by": "Ana"},
    )


async def test_a_key_for_some_brands_widens_no_endpoint(quiet: House) -> None:
    key = await make_key(quiet, "centre", "admin", "acme")
    await quiet.endpoint("desk", brands=["acme"])
    await quiet.endpoint("others", brands=["other"])
    for body in ({"brands": ["acme", "other"]}, {"fallback": "others"}, {"owner": "others"}):
        assert (await quiet.http.patch("/v1/endpoints/desk", json=body, headers=key)).status_code == 422, body
    widest = await quiet.http.patch("/v1/endpoints/desk", json={"brands": []}, headers=key)
    assert widest.json()["brands"] == ["acme"]
    assert (await quiet.http.patch("/v1/endpoints/others", json={}, headers=key)).status_code == 404


async def test_an_endpoint_that_is_still_named_is_deleted_only_by_whoever_insists(make_house: MakeHouse) -> None:
    people = [{"id": "lee", "methods": ["lee-push"]}]
    policies = [{"id": "default", "steps": [{"targets": ["desk"]}]}]
    house = make_house(make.config(policies=policies, responders=people, operators=["desk"]))
    async with house.running():
        for name in ("desk", "lee-push", "spare"):
            await house.endpoint(name, "/x")
        await house.endpoint("other", "/x", fallback="spare")
        for name, places in (
            ("desk", ["policies.default.steps.0.targets.0", "operators.0"]),
            ("lee-push", ["responders.lee.methods.0"]),
            ("spare", ["endpoints.other.fallback"]),
        ):
            answer = await house.http.delete(f"/v1/endpoints/{name}")
            assert answer.status_code == 409, answer.text
            assert [one["at"] for one in answer.json()["errors"]] == places
        assert (await house.http.delete("/v1/endpoints/other")).status_code == 204
        assert (await house.http.delete("/v1/endpoints/spare")).status_code == 204
        assert (await house.http.delete("/v1/endpoints/desk", params={"even_if_named": "true"})).status_code == 204


# -- silences ----------------------------------------------------------------------------------------------------------


async def silenced(house: House, **more: Any) -> dict[str, Any]:
    body = {"matchers": [ACME], "ends_at": (NOW + 4 * HOUR).isoformat(), "by": "dana", "comment": "a rollout", **more}
    answer = await house.http.post("/v1/silences", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_people_are_told_at_once_of_what_a_changed_silence_no_longer_holds_back(house: House) -> None:
    one = await silenced(house)
    await house.signal(make.forecast())
    await house.settle()
    assert house.receiver.at("/desk") == []
    path = f"/v1/silences/{one['id']}"
    longer = await house.http.patch(path, json={"ends_at": (NOW + 9 * HOUR).isoformat(), "by": "lee"})
    await house.settle()
    assert house.receiver.at("/desk") == [], "it still holds"
    assert (longer.json()["by"], longer.json()["changed_by"], longer.json()["version"]) == ("dana", "lee", 2)
    other = {"matchers": [{"field": "brand", "values": ["other"]}], "by": "lee"}
    assert (await house.http.patch(path, json=other)).status_code == 200
    await house.settle()
    assert house.receiver.types("/desk") == ["incident.opened"]
    line = (await house.http.get("/v1/audit")).json()["items"][0]
    assert (line["what"], line["detail"]["by"], line["detail"]["fields"]) == ("silence.changed", "lee", ["matchers"])


async def test_what_cannot_be_said_of_a_silence_is_refused_and_what_is_over_stays(house: House) -> None:
    one = await silenced(house)
    path, by = f"/v1/silences/{one['id']}", {"by": "lee"}
    for body, at in (
        ({"ends_at": NOW.isoformat()}, "body.ends_at"),
        ({"starts_at": (NOW + HOUR).isoformat()}, "body.starts_at"),
        ({"matchers": []}, "body.matchers"),
        ({"matchers": [{"field": "brand", "values": ["nonesuch"]}]}, "body.matchers"),
        ({"id": "0" * 32}, "body.id"),
    ):
        answer = await house.http.patch(path, json={**by, **body})
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at), answer.text
    assert (await house.http.patch(path, json={"comment": "who?"})).status_code == 422, "somebody has to say so"
    assert (await house.http.patch(path, json={**by, "comment": ""})).json()["version"] == 2
    stale = await house.http.patch(path, json={**by, "comment": "x"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["current"]["version"]) == (412, 2)
    planned = await silenced(house, starts_at=(NOW + HOUR).isoformat())
    moved = {**by, "starts_at": (NOW + 2 * HOUR).isoformat()}
    assert (await house.http.patch(f"/v1/silences/{planned['id']}", json=moved)).status_code == 200
    await house.http.delete(path)
    assert (await house.http.patch(path, json={**by, "comment": "again"})).status_code == 409


async def test_a_key_for_some_brands_widens_no_silence(house: House) -> None:
    key = await make_key(house, "centre", "respond", "acme")
    one = await silenced(house)
    path = f"/v1/silences/{one['id']}"
    for matcher in ({"field": "brand", "values": ["acme", "other"]}, {"field": "severity", "values": ["4"]}):
        body = {"matchers": [matcher], "by": "lee"}
        assert (await house.http.patch(path, json=body, headers=key)).status_code == 404
    assert (await house.http.patch(path, json={"comment": "ours", "by": "lee"}, headers=key)).status_code == 200
    others = await silenced(house, matchers=[{"field": "brand", "values": ["other"]}])
    answer = await house.http.patch(f"/v1/silences/{others['id']}", json={"by": "lee"}, headers=key)
    assert answer.status_code == 404
