"""A key that is limited to brands sees, pages, asks and puts on duty the people of these brands, and nobody else.

Every route stands in one of the tables below, with the fields in which it takes a person's name. A new route, and a new field
of an old one, fails these tests until somebody has thought of it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from fastapi.routing import APIRoute

from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key, two_stories
from tests.integration.alerter.test_outlets import INBOUND, ROUTING_KEY, from_pagerduty, signature
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

DAY = timedelta(days=1)


def at(days: float) -> str:
    return (NOW + days * DAY).isoformat()


def rota(name: str, *people: str) -> dict[str, Any]:
    layer = {"id": "a", "rotation": "daily", "begins": "2026-03-01T09:00", "responders": list(people)}
    return {"id": name, "zone": "UTC", "layers": [layer]}


PEOPLE = [
    {"id": "ours", "name": "Ada Ours", "methods": ["ours-push"]},
    {"id": "second", "methods": ["ours-push"]},
    {"id": "both", "methods": ["both-push"]},
    {"id": "zorro", "name": "Zorro Vega", "methods": ["zorro-push"], "zone": "Asia/Tokyo"},
]
"""Of acme are all but Zorro; `both` has turns in a schedule of the other brand too."""
BRANDS = [
    {"id": one, "name": one, "accounts": [{"network": "bsky", "handle": one, "owner": owner}]}
    for one, owner in (("acme", "ours"), ("other", "zorro"))
]
ACK = {"acknowledgement_minutes": 10}
POLICIES = [
    {"id": "default", "steps": [{"targets": ["schedule:acme-night"]}], **ACK},
    {"id": "others", "steps": [{"targets": ["schedule:zorro-night", "responder:zorro", "zorro-desk"]}]},
]
RULES = [
    {"id": "own", "brands": ["acme"], "level": "likely", "policy": "default"},
    {"id": "others", "brands": ["other"], "level": "likely", "policy": "others"},
]


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    schedules = [rota("acme-night", "ours", "second", "both"), rota("zorro-night", "zorro", "both")]
    config = make.config(brands=BRANDS, responders=PEOPLE, schedules=schedules, policies=POLICIES, rules=RULES)
    made = make_house(config, public_url=None)
    await made.receiver.start()
    async with made.running():
        for name in ("ours-push", "both-push", "zorro-push", "zorro-desk"):
            await made.endpoint(name)  # for every brand: no limit of an endpoint stands in for the check
        await made.endpoint("acme-desk", brands=["acme"])
        yield made


class Asks(NamedTuple):
    """What a route is sent: in `body` the name stands for `{}`. `own` may be named, `foreign` may not."""

    body: dict[str, Any]
    own: str
    foreign: tuple[str, ...]


PERSON, TARGETS = ("zorro",), ("responder:zorro", "schedule:zorro-night", "zorro-push", "zorro-desk")
ANYBODY = ("zorro", "ZORRO", "Zorro Vega", "zorro vega (centre)", "zorro-night", *TARGETS)
BY = {"by": "ada"}
SHIFT = {"begins": at(0.1), "ends": at(0.5)}
TURNS = [
    {"responder": who, "begins": at(day + 0.1), "ends": at(day + 0.5)}
    for day, who in ((0, "ours"), (1, "second"), (3, "ours"), (4, "second"))
]
LOCAL = {"begins": "2026-03-02T10:00", "ends": "2026-03-02T12:00"}
AWAY = {"begins": at(20), "ends": at(21), **BY}
API: dict[tuple[str, str], list[Asks]] = {
    ("post", "/v1/incidents/{incident}/reassign"): [
        Asks({"to": "{}", **BY}, one, ANYBODY) for one in ("Ada Ours", "responder:ours", "acme-night", "acme-desk")
    ],
    ("post", "/v1/page"): [
        Asks({"brand": "acme", "to": ["{}"], "message": "come", **BY}, "schedule:acme-night", TARGETS),
    ],
    ("post", "/v1/schedules/{schedule}/overrides"): [
        Asks({"responder": "{}", **SHIFT, **BY}, "ours", PERSON),
        Asks({"responder": "ours", "replaces": "{}", **SHIFT, **BY}, "second", PERSON),
    ],
    ("post", "/v1/schedules/{schedule}/swaps"): [
        Asks({"first": {**TURNS[0], "responder": "{}"}, "second": TURNS[1], **BY}, "ours", PERSON),
        Asks({"first": TURNS[2], "second": {**TURNS[3], "responder": "{}"}, **BY}, "second", PERSON),
    ],
    ("post", "/v1/absences"): [Asks({"responder": "{}", **AWAY}, "ours", ("zorro", "both"))],
}  # fmt: skip
"""The routes that take the name of a person, a schedule or an endpoint whom somebody is to be."""
NAMING = {"to", "responder", "replaces"}
"""Their fields."""
MINE = {
    "responders": {"id": "mine", "methods": ["ours-push"]},
    "schedules": rota("mine", "zorro"),
    "policies": {"id": "mine", "steps": [{"targets": ["responder:zorro"]}]},
}
CLOSED: dict[tuple[str, str], Any] = {
    **{("post", f"/v1/{part}"): body for part, body in MINE.items()},
    **{
        (method, f"/v1/{part}/{{{part[:-3] + 'y' if part == 'policies' else part[:-1]}}}"): body
        for part, body in MINE.items()
        for method in ("put", "patch", "delete")
    },
    **{("post", f"/v1/{part}/preview"): MINE[part.partition("/")[0]]
       for part in ("schedules/{schedule}", "policies/{policy}")},
    ("post", "/v1/drills"): BY,
    ("post", "/v1/drills/{drill}/confirm"): {**BY, "responder": "ours", "method": "ours-push"},
}  # fmt: skip
"""What is declared is of all brands, and a drill rings everybody: a limited key does neither, whoever is named."""
ACTIONS = ("acknowledge", "escalate", "resolve", "reopen", "snooze", "outcome")
NAMELESS = {("post", f"/v1/incidents/{{incident}}/{one}") for one in ACTIONS} | {
    ("post", "/v1/silences"), ("delete", "/v1/silences/{silence}"), ("post", "/v1/deliveries/{delivery}/resend"),
    ("post", "/v1/endpoints"), ("patch", "/v1/endpoints/{name}"), ("delete", "/v1/endpoints/{name}"),
    ("post", "/v1/keys"), ("delete", "/v1/keys/{name}"), ("post", "/v1/config/reload"),
    ("delete", "/v1/schedules/{schedule}/overrides/{override}"), ("delete", "/v1/absences/{absence}"),
    ("patch", "/v1/silences/{silence}"), ("post", "/v1/incidents/{incident}/labels"),
    ("post", "/v1/incidents/{incident}/note"), ("post", "/v1/incidents/bulk"),
    *(("post", f"/v1/incidents/{{incident}}/{one}") for one in ("severity", "playbook")),
    # Whoever answers is a name that is shown, and nobody to whom anything is sent.
    *(("post", f"/v1/answer-clocks/{one}") for one in ("answer", "dismiss", "assign", "snooze", "reopen")),
} | {("post", f"/v1/endpoints/{{name}}/{one}") for one in ("test", "secret", "enable", "resend")} | {
    ("post", f"/v1/responders/{{responder}}/methods/{{method}}/{one}") for one in ("code", "confirm", "off", "on", "test")
}  # fmt: skip
"""Those that take none: `by` says who acts, and what `owner` and `fallback` of an endpoint may be is in `test_walls`."""
PLAIN = {
    "add", "remove", "code", "ids", "how", "why", "assignee", "action", "incidents", "step", "done",
    "by", "comment", "minutes", "outcome", "brand", "brands", "message", "severity", "severities", "id", "begins",
    "ends", "first", "second", "kind", "zone", "name", "scope", "expires_at", "covers", "matchers", "field", "values",
    "starts_at", "ends_at", "negate", "url", "key", "inbound_secret", "headers", "auth", "bearer", "user", "password",
    "hours", "windows", "days", "options", "description", "types", "subscribed", "concurrency", "per_second",
    "grace_hours", "since", "owner", "fallback",
}  # fmt: skip
"""Fields that name nobody who is to do anything."""
FORMS: dict[str, list[Asks]] = {
    "/console/incidents/{incident}/reassign": [Asks({"to": "{}"}, "Ada Ours", ANYBODY)],
    "/console/on-call/{schedule}/overrides": [
        Asks({"responder": "{}", **LOCAL}, "ours", PERSON),
        Asks(
            {"responder": "ours", "replaces": "{}", "begins": "2026-03-02T10:00", "ends": "2026-03-02T12:00"},
            "both",
            PERSON,
        ),
    ],
    "/console/on-call/{schedule}/open-shifts": [
        Asks({"responder": "{}", "begins": at(5.1), "ends": at(5.5)}, "ours", PERSON)
    ],
    "/console/on-call/{schedule}/swaps": [
        Asks({"first": f"{{}} {at(0.1)} {at(0.5)}", "second": f"second {at(1.6)} {at(1.8)}"}, "ours", PERSON),
    ],
    "/console/absences": [
        Asks(
            {"responder": "{}", "kind": "sick", "begins": "2026-04-20", "ends": "2026-04-21"}, "ours", ("zorro", "both")
        ),
    ],
    "/console/page": [
        Asks({"brand": "acme", "to": "{}", "message": "x", "severity": "2", "id": "1"}, "schedule:acme-night", TARGETS)
    ],
}
PLAIN_FORMS = {
    "/console/login", "/console/logout", "/console/zone", "/console/absences/{absence}/end",
    "/console/on-call/{schedule}/overrides/{override}/remove", "/console/deliveries/{delivery}/resend",
    *(f"/console/endpoints/{{name}}/{one}" for one in ("test", "enable", "secret")),
    *(f"/console/incidents/{{incident}}/{one}" for one in ACTIONS),
    "/console/endpoints/+new", *(f"/console/endpoints/{{name}}/{one}" for one in ("change", "delete")),
    "/console/silences", "/console/silences/{silence}", "/console/silences/{silence}/end",
    *(f"/console/incidents/{{incident}}/{one}" for one in ("labels", "note", "severity", "playbook")),
    "/console/incidents/bulk",
    *(f"/console/answers/{one}" for one in ("answer", "dismiss", "assign", "snooze", "reopen")),
    # Of a person who is seen, and of what no limited key may change.
    "/console/people/{responder}/drill", "/console/people/{responder}/methods/{method}/{action}",
    "/console/rota/new/{part}", "/console/rota/{part}/{name}", "/console/rota/{part}/{name}/delete",
    # These prove themselves, without a key.
    "/acknowledge/{token}", "/acknowledge/once/{token}", "/confirm/{token}",
    *(f"/v1/inbound/{one}/{{name}}" for one in ("pagerduty", "slack", "sms", "telegram", "ticket")),
}  # fmt: skip
"""Forms, and routes without a description, that take no name of anybody who is to do anything."""
UNREAD = {
    "/console/live", "/console/static/{version}/{name}", "/console/zone", "/calendars/{token}.ics", "/acknowledge/{token}",
    "/confirm/{token}", "/acknowledge/once/{token}",
}  # fmt: skip
"""A stream that says nothing, files, the list of all zones, and addresses that prove themselves."""
HIDDEN = {
    "/v1/config", "/console/me", "/v1/drills/{drill}", "/console/rota/new/{part}", "/console/rota/{part}/{name}",
    "/v1/responders/{responder}/methods", "/console/people/{responder}",
}  # fmt: skip
"""What a limited key does not read."""


def routes(house: House, method: str) -> Iterator[APIRoute]:
    """The routes that take a method, but for the documents about them."""
    for one in walked(house.app.routes):
        if isinstance(one, APIRoute) and method in (one.methods or ()):
            yield one


def walked(every: Any) -> Iterator[Any]:
    for one in every:
        router = getattr(one, "original_router", None)
        yield from (one,) if router is None else walked(router.routes)


def described(house: House) -> set[tuple[str, str]]:
    return {(method, path) for path, every in house.app.openapi()["paths"].items() for method in every}


def fields(schema: Any, parts: Any) -> set[str]:
    """The names of all fields of a body, however deep."""
    if isinstance(schema, list):
        return set().union(*(fields(one, parts) for one in schema))
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return fields(parts[schema["$ref"].rpartition("/")[2]], parts)
    own = set(schema.get("properties", {}))
    return own.union(*(fields(one, parts) for key, one in schema.items() if key not in ("examples", "default")))


def test_every_route_that_changes_something_stands_in_a_table_with_its_names(house: House) -> None:
    changes = {(method, path) for method, path in described(house) if method != "get"}
    assert changes == API.keys() | NAMELESS | CLOSED.keys()
    forms = {one.path for one in routes(house, "POST") if not one.include_in_schema}
    assert forms == FORMS.keys() | PLAIN_FORMS


def test_every_field_of_a_request_is_known_to_name_somebody_or_not(house: House) -> None:
    document = house.app.openapi()
    parts = document["components"]["schemas"]
    for method, path in described(house) - CLOSED.keys():
        body = document["paths"][path][method].get("requestBody", {})
        names = fields(body.get("content", {}).get("application/json", {}).get("schema", {}), parts)
        assert names <= PLAIN | NAMING, (method, path)
        assert bool(names & NAMING) == ((method, path) in API), (method, path)


def named(body: Any, who: str) -> Any:
    if isinstance(body, str):
        return body.replace("{}", who)
    if isinstance(body, dict):
        return {key: named(value, who) for key, value in body.items()}
    return [named(one, who) for one in body] if isinstance(body, list) else body


def nobody_like(who: str) -> str:
    """The same kind of name, which nobody has."""
    return re.sub("zorro|both", "xothing", who, flags=re.IGNORECASE)


async def own_things(house: House) -> dict[str, str]:
    incident = (await two_stories(house))["acme"]
    delivery = next(one["id"] for one in await house.deliveries() if one["incident"] == incident)
    silence = {"matchers": [{"field": "brand", "values": ["acme"]}], "starts_at": at(200), "ends_at": at(300), **BY}
    return {
        "silence": (await house.http.post("/v1/silences", json=silence)).json()["id"],
        "incident": incident,
        "delivery": delivery,
        "schedule": "acme-night",
        "responder": "ours",
        "name": "acme-desk",
        "brand": "acme",
        "policy": "default",
        "part": "schedules",
        "method": "ours-push",
        "drill": (await house.http.post("/v1/drills", json=BY)).json()["id"],
    }


async def test_whoever_is_of_others_is_to_every_route_as_nobody_at_all(house: House) -> None:
    things = await own_things(house)
    key = await make_key(house, "centre", "admin", "acme")
    for (method, path), rows in API.items():
        for asks in rows:
            for who in asks.foreign:
                there = await house.http.request(method, path.format(**things), json=named(asks.body, who), headers=key)
                nobody = nobody_like(who)
                none = await house.http.request(
                    method, path.format(**things), json=named(asks.body, nobody), headers=key
                )
                assert there.status_code in (404, 422), (path, who, there.text)
                said = there.text.replace(who, "X"), none.text.replace(nobody, "X")
                assert (said[0], there.status_code) == (said[1], none.status_code), (path, who)
            mine = await house.http.request(method, path.format(**things), json=named(asks.body, asks.own), headers=key)
            assert mine.status_code < 300, (path, asks.own, mine.text)
    await house.settle()
    told = [one for one in house.receiver.at("/zorro-push") if one.type.startswith("incident.")]
    assert {one.body["data"]["brand"] for one in told} == {"other"}


async def test_what_is_of_all_brands_is_changed_by_no_limited_key_whoever_is_named(house: House) -> None:
    things = await own_things(house)
    key = await make_key(house, "centre", "admin", "acme")
    for (method, path), body in CLOSED.items():
        sent = None if method == "delete" else body
        answer = await house.http.request(method, path.format(**things), json=sent, headers=key)
        assert answer.status_code in (403, 404), (method, path, answer.text)
        assert "zorro" not in answer.text


async def test_a_key_without_limits_names_whomever_it_wants(house: House) -> None:
    things = await own_things(house)
    for (method, path), rows in API.items():
        for asks in rows[:1]:
            body = named(asks.body, asks.foreign[0])
            if "swaps" in path:
                continue  # he has no turn there
            answer = await house.http.request(method, path.format(**things), json=body)
            assert answer.status_code < 300, (path, answer.text)


async def test_whoever_is_of_others_is_to_every_form_as_nobody_at_all(house: House) -> None:
    things = await own_things(house)
    key = (await make_key(house, "centre", "respond", "acme"))["authorization"].partition(" ")[2]
    async with sign_in(house, key, "ada") as client:
        token = {"csrf": await csrf(client)}
        for path, rows in FORMS.items():
            for asks in rows:
                for who in asks.foreign:
                    nobody = nobody_like(who)
                    there = await client.post(path.format(**things), data=named(asks.body, who) | token)
                    none = await client.post(path.format(**things), data=named(asks.body, nobody) | token)
                    assert there.status_code in (404, 422), (path, who, there.text)
                    said = there.text.replace(who, "X"), none.text.replace(nobody, "X")
                    assert (said[0], there.status_code) == (said[1], none.status_code), (path, who)
                mine = await client.post(path.format(**things), data=named(asks.body, asks.own) | token)
                assert mine.status_code == 303, (path, asks.own, mine.text)


async def test_nothing_that_can_be_read_names_anybody_of_others(house: House) -> None:
    things = await own_things(house)
    shift = {"responder": "zorro", **SHIFT, "by": "zorro"}
    made = await house.http.post("/v1/schedules/zorro-night/overrides", json=shift)
    gone = await house.http.post("/v1/absences", json={"responder": "zorro", **AWAY})
    assert (made.status_code, gone.status_code) == (201, 201)
    key = await make_key(house, "centre", "admin", "acme")
    names = re.compile("zorro|vega|tokyo", re.IGNORECASE)
    asked = 0
    async with sign_in(house, key["authorization"].partition(" ")[2], "ada") as client:
        for route in routes(house, "GET"):
            if route.path in UNREAD:
                continue
            own = {**things, "name": "acme-night"} if "/rota/" in route.path else things
            path = route.path.format(**own)
            answer = await (house.http.get(path, headers=key) if route.include_in_schema else client.get(path))
            right = (200, 303, 307, 403, 404) if route.path in HIDDEN else (200, 303, 307)
            assert answer.status_code in right, (path, answer.text)
            assert names.search(answer.text) is None, (path, names.search(answer.text))
            asked += 1
        address = (await house.http.get("/v1/responders/both/calendar", headers=key)).json()["url"]
        feed = await client.get(address[address.index("/calendars/") :])
        assert (feed.status_code, names.search(feed.text)) == (200, None)
        # What everybody sees without limits is there: it was looked for in the right places.
        everything = [
            (await house.http.get(path)).text for path in ("/v1/on-call", "/v1/absences", "/v1/on-call/coverage")
        ]
        assert all(names.search(text) for text in everything)
    assert asked > 25
    for path in ("/v1/responders/zorro/calendar", "/v1/responders/zorro/calendar.ics"):
        there = await house.http.get(path, headers=key)
        none = await house.http.get(path.replace("zorro", "nobody"), headers=key)
        assert (there.status_code, there.text.replace("zorro", "X")) == (404, none.text.replace("nobody", "X"))


async def test_of_somebody_of_others_who_stands_in_nothing_but_that_is_told(house: House) -> None:
    own = {"responder": "zorro", "begins": at(20.1), "ends": at(20.9), "by": "lead"}
    assert (await house.http.post("/v1/absences", json={"responder": "zorro", **AWAY})).status_code == 201
    made = await house.http.post("/v1/schedules/acme-night/overrides", json=own)
    assert any("Zorro Vega is absent" in one for one in made.json()["warnings"])
    key = (await make_key(house, "centre", "respond", "acme"))["authorization"].partition(" ")[2]
    house.clock.advance(timedelta(days=15).total_seconds())
    async with sign_in(house, key, "ada") as client:
        page = (await client.get("/console/on-call")).text
    assert "Zorro Vega" in page, "who is on duty for them, they see"
    assert "Zorro Vega is absent" not in page
    async with sign_in(house) as client:
        assert "Zorro Vega is absent" in (await client.get("/console/on-call")).text


async def test_a_name_that_is_given_from_outside_reminds_nobody_of_others(house: House) -> None:
    """Whoever has an incident is told when their time is over: by the name that they gave, which may be anybody's."""
    incident = (await two_stories(house))["acme"]
    await house.http.post(f"/v1/incidents/{(await two_stories(house))['other']}/resolve", json={"by": "lee"})
    key = await make_key(house, "centre", "respond", "acme")
    for name, headers, is_told in (
        ("zorro", key, False),
        ("Zorro Vega (centre)", key, False),
        ("ours", key, True),
        ("zorro", None, True),
    ):
        path = f"/v1/incidents/{incident}/acknowledge"
        endpoint = "/ours-push" if name == "ours" else "/zorro-push"
        before = len(house.receiver.at(endpoint))
        assert (await house.http.post(path, json={"by": name}, headers=headers)).status_code == 200
        await house.pass_time(11 * 60)
        told = [one.body["data"]["because"] for one in house.receiver.at(endpoint)[before:]]
        assert any("acknowledgement has expired" in why for why in told) == is_told, (name, told)


async def test_what_pagerduty_sends_to_an_endpoint_of_one_brand_changes_nothing_of_another(house: House) -> None:
    incidents = await two_stories(house)
    made = {"name": "acme-pd", "kind": "pagerduty", "key": ROUTING_KEY, "inbound_secret": INBOUND, "brands": ["acme"]}
    assert (await house.http.post("/v1/endpoints", json=made)).status_code == 201
    for number, (brand, ended) in enumerate((("other", False), ("acme", True))):
        body = from_pagerduty("incident.resolved", incidents[brand], f"E{number}")
        path = "/v1/inbound/pagerduty/acme-pd"
        assert (await house.http.post(path, content=body, headers=signature(body))).status_code in (200, 204)
        state = (await house.http.get(f"/v1/incidents/{incidents[brand]}")).json()["state"]
        assert (state == "resolved") == ended, brand
