"""Keys: scopes that reach as far as they say, brands that see nothing of each other, and an audit log of every change."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import select

from alerter.api.auth import digest
from alerter.api.guard import guarded_route
from alerter.store.tables import audit, keys
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

Bearer = dict[str, str]


async def make_key(house: House, name: str, scope: str, *brands: str, by: Bearer | None = None, **more: Any) -> Bearer:
    body = {"name": name, "scope": scope, "brands": brands, **more}
    answer = await house.http.post("/v1/keys", json=body, headers=by)
    assert answer.status_code == 201, answer.text
    return {"authorization": f"Bearer {answer.json()['key']}"}


async def two_stories(house: House) -> dict[str, str]:
    """An incident each of `acme` and `other`."""
    await house.signal(make.forecast(), make.forecast(story="bsky:p2", brand="other"))
    await house.settle()
    return {item["brand"]: item["id"] for item in await house.incidents()}


async def test_a_scope_reaches_as_far_as_it_says(house: House) -> None:
    incident = (await two_stories(house))["acme"]
    deed = {"by": "dana"}
    calls: list[tuple[str, str, Any, str]] = [
        ("GET", "/v1/incidents", None, "read"),
        ("GET", f"/v1/incidents/{incident}/explain", None, "read"),
        ("GET", "/v1/endpoints", None, "read"),
        ("POST", f"/v1/incidents/{incident}/acknowledge", deed, "respond"),
        ("GET", "/v1/keys", None, "admin"),
        ("GET", "/v1/audit", None, "admin"),
        ("POST", "/v1/endpoints", {"name": "new", "url": "https://x.example"}, "admin"),
        ("POST", "/v1/endpoints/desk/test", None, "admin"),
    ]
    ranks = ["read", "respond", "admin"]
    for scope in ranks:
        key = await make_key(house, f"k-{scope}", scope)
        for method, path, body, needed in calls:
            answer = await house.http.request(method, path, json=body, headers=key)
            if ranks.index(scope) >= ranks.index(needed):
                assert answer.status_code < 300, (scope, path, answer.text)
            else:
                assert answer.status_code == 403
                assert answer.headers["content-type"] == "application/problem+json"
                assert needed in answer.json()["detail"]


async def test_a_scope_that_does_not_reach_hears_nothing_of_what_else_is_wrong(house: House) -> None:
    key = await make_key(house, "reader", "read")
    answer = await house.http.post("/v1/endpoints?x=1", content=b"not json", headers=key)
    assert answer.status_code == 403


async def test_a_key_limited_to_a_brand_gets_404_for_everything_of_another(house: House) -> None:
    ids = await two_stories(house)
    await house.endpoint("only-other", brands=["other"])
    await house.http.post("/v1/endpoints/only-other/test")
    await house.settle()
    key = await make_key(house, "acme-centre", "admin", "acme")
    foreign = ids["other"]
    every = await house.deliveries()
    deliveries = [d["id"] for d in every if d["incident"] == foreign or d["endpoint"] == "only-other"]
    assert len(deliveries) == 2
    foreign_key = await make_key(house, "other-centre", "read", "other")
    deed = {"by": "dana"}
    calls = [
        ("GET", f"/v1/incidents/{foreign}", None),
        ("GET", f"/v1/incidents/{foreign}/explain", None),
        ("POST", f"/v1/incidents/{foreign}/acknowledge", deed),
        ("POST", f"/v1/incidents/{foreign}/resolve", deed),
        ("POST", "/v1/endpoints/only-other/test", None),
        ("DELETE", "/v1/endpoints/only-other", None),
        ("DELETE", "/v1/endpoints/desk", None),
        ("DELETE", "/v1/keys/other-centre", None),
        *(("POST", f"/v1/deliveries/{one}/resend", None) for one in deliveries),
    ]
    for method, path, body in calls:
        answer = await house.http.request(method, path, json=body, headers=key)
        assert answer.status_code == 404, path
        there_is_none = re.sub(r"[0-9a-f]{32}", "0" * 32, path).replace("other", "nobody").replace("desk", "nobody")
        nothing = await house.http.request(method, there_is_none, json=body, headers=key)
        assert re.sub("only-other|other-centre|desk", "x", answer.text) == re.sub(
            "[a-z]+-nobody[a-z-]*|nobody-centre|nobody", "x", nothing.text
        )
    for path in (
        "/v1/incidents",
        "/v1/incidents?brand=other",
        "/v1/deliveries",
        "/v1/endpoints",
        "/v1/keys",
        "/v1/audit",
    ):
        text = (await house.http.get(path, headers=key)).text
        assert "other" not in text.replace("http://", ""), path
        assert foreign not in text
    # Nothing of it was done.
    assert (await house.http.get(f"/v1/incidents/{foreign}")).json()["acknowledged_by"] is None
    assert {e["name"] for e in (await house.http.get("/v1/endpoints")).json()["items"]} == {"desk", "only-other"}
    assert (await house.http.get("/v1/incidents", headers=foreign_key)).json()["items"][0]["id"] == foreign


async def test_a_limited_key_works_within_its_limits(house: House) -> None:
    ids = await two_stories(house)
    key = await make_key(house, "acme-centre", "admin", "acme")
    (item,) = (await house.http.get("/v1/incidents", headers=key)).json()["items"]
    assert item["id"] == ids["acme"]
    assert (await house.http.get(f"/v1/incidents/{ids['acme']}/explain", headers=key)).status_code == 200
    taken = await house.http.post(f"/v1/incidents/{ids['acme']}/acknowledge", json={"by": "dana"}, headers=key)
    assert taken.json()["acknowledged_by"] == "dana"
    # What names no brand is for its own; what names another brand is refused like one that does not exist.
    made = await house.http.post("/v1/endpoints", json={"name": "acme-mine", "url": "https://x.example"}, headers=key)
    assert made.json()["brands"] == ["acme"]
    for brands in (["other"], ["acme", "other"], ["nobody"]):
        body = {"name": "acme-theirs", "url": "https://x.example", "brands": brands}
        answer = await house.http.post("/v1/endpoints", json=body, headers=key)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "body.brands")
        answer = await house.http.post(
            "/v1/keys", json={"name": "acme-k", "scope": "read", "brands": brands}, headers=key
        )
        assert answer.status_code == 422
    second = await make_key(house, "acme-colleague", "respond", by=key)
    assert (await house.http.get("/v1/incidents", headers=second)).json()["items"][0]["brand"] == "acme"
    listed = (await house.http.get("/v1/keys", headers=key)).json()["items"]
    assert {one["name"]: one["brands"] for one in listed} == {"acme-centre": ["acme"], "acme-colleague": ["acme"]}
    (resent,) = [d for d in await house.deliveries() if d["incident"] == ids["acme"] and d["type"] == "incident.opened"]
    assert (await house.http.post(f"/v1/deliveries/{resent['id']}/resend", headers=second)).status_code == 202


async def test_a_revoked_or_expired_key_ends_at_once(house: House) -> None:
    key = await make_key(house, "leaver", "read")
    assert (await house.http.get("/v1/incidents", headers=key)).status_code == 200
    for _ in range(2):  # repeating it is harmless
        assert (await house.http.delete("/v1/keys/leaver")).status_code == 204
    assert (await house.http.get("/v1/incidents", headers=key)).status_code == 401
    again = await house.http.post("/v1/keys", json={"name": "leaver", "scope": "read"})
    assert again.status_code == 409
    soon = datetime.now(UTC) + timedelta(hours=1)
    guest = await make_key(house, "guest", "read", expires_at=soon.isoformat())
    assert (await house.http.get("/v1/incidents", headers=guest)).status_code == 200
    house.alerter._wall = (soon + timedelta(seconds=1)).timestamp
    assert (await house.http.get("/v1/incidents", headers=guest)).status_code == 401
    late = await house.http.post("/v1/keys", json={"name": "late", "scope": "read", "expires_at": soon.isoformat()})
    assert late.status_code == 422


async def test_only_the_hash_of_a_key_is_kept(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    key = (await make_key(house, "reader", "read"))["authorization"].removeprefix("Bearer ")
    assert re.fullmatch(r"fbk_[\w-]{43}", key)
    (row,) = await house.alerter.database.read(lambda c: c.execute(select(keys)).all())
    assert row.digest == digest(key)
    said = [str(row), (await house.http.get("/v1/keys")).text, (await house.http.get("/v1/audit")).text]
    said.append(capsys.readouterr().out)
    said += [path.read_bytes().decode("latin-1") for path in house.settings.data.iterdir()]
    assert not [text for text in said if key in text or KEY in text]


async def test_the_settings_key_has_a_name_that_no_other_may_take(house: House) -> None:
    assert (await house.http.post("/v1/keys", json={"name": "admin", "scope": "read"})).status_code == 409


async def test_the_audit_log_says_who_changed_what_and_when(house: House) -> None:
    ids = await two_stories(house)
    key = await make_key(house, "centre", "admin", "acme")
    house.clock.advance(60)
    deed = {"by": "dana", "comment": "calling her"}
    for _ in range(2):  # the second changes nothing
        await house.http.post(f"/v1/incidents/{ids['acme']}/acknowledge", json=deed, headers=key)
    await house.http.post(f"/v1/incidents/{ids['other']}/resolve", json={"by": "root"})
    await house.settle()
    await house.http.post("/v1/endpoints/desk/test")
    (delivery, *_) = await house.deliveries(endpoint="desk")
    await house.http.post(f"/v1/deliveries/{delivery['id']}/resend")
    await house.http.delete("/v1/endpoints/desk?even_if_named=true")
    await house.http.delete("/v1/keys/centre")
    # Whatever was refused is no change.
    await house.http.delete("/v1/endpoints/desk?even_if_named=true")
    await house.http.post("/v1/endpoints", json={"name": "bad", "url": "https://x.example", "brands": ["nobody"]})
    items = (await house.http.get("/v1/audit")).json()["items"]
    assert [(i["actor"], i["what"], i["on"], i["brand"]) for i in reversed(items)] == [
        ("admin", "endpoint.created", "desk", None),
        ("admin", "key.created", "centre", "acme"),
        ("centre", "incident.acknowledged", ids["acme"], "acme"),
        ("admin", "incident.resolved", ids["other"], "other"),
        ("admin", "endpoint.tested", "desk", None),
        ("admin", "delivery.resent", delivery["id"], items[2]["brand"]),
        ("admin", "endpoint.deleted", "desk", None),
        ("admin", "key.revoked", "centre", "acme"),
    ]
    taken = items[5]
    assert taken["detail"] == deed
    assert datetime.fromisoformat(taken["at"]) == make.NOW + timedelta(seconds=60)
    by_page: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await house.http.get("/v1/audit", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        by_page, cursor = by_page + page["items"], page["next"]
    assert by_page == items
    (own,) = (await house.http.get("/v1/audit?actor=centre")).json()["items"]
    assert own["what"] == "incident.acknowledged"


async def test_a_change_that_is_rolled_back_leaves_no_line_in_the_audit_log(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alerter.notify import endpoints
    from alerter.store.database import DatabaseAway

    def away(*_: Any) -> bool:
        raise DatabaseAway("gone")

    monkeypatch.setattr(endpoints, "remove", away)
    assert (await house.http.delete("/v1/endpoints/desk?even_if_named=true")).status_code == 503
    rows = await house.alerter.database.read(lambda c: c.execute(select(audit.c.what, audit.c.detail)).all())
    assert [row.what for row in rows] == ["endpoint.created"]
    assert "target" in json.loads(rows[0].detail)


async def test_a_route_that_says_no_scope_is_refused(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running():
        routes = APIRouter(route_class=guarded_route(house.alerter))

        async def open_to_all() -> None: ...

        with pytest.raises(TypeError, match="which scope"):
            routes.get("/open")(open_to_all)


async def test_every_route_is_asked_for_its_key(house: House) -> None:
    """Also those that are added later: the list comes from the description."""
    app: FastAPI = house.app
    key = await make_key(house, "nothing-to-see", "read", "other")
    for path, operations in app.openapi()["paths"].items():
        real = path.replace("{incident}", "0" * 32).replace("{delivery}", "msg_" + "0" * 32)
        real = re.sub(r"\{\w+\}", "x", real)
        for method in operations:
            house.http.headers.pop("authorization", None)
            answer = await house.http.request(method, real, content=b"{}")
            assert answer.status_code == 401, (method, path)
            if method != "get":
                answer = await house.http.request(method, real, content=b"{}", headers=key)
                assert answer.status_code == 403, (method, path)
