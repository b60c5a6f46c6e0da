"""A key that is limited to brands learns from no answer what else there is: not by a 404, a 409, a 422, nor by being woken."""

from __future__ import annotations

import re
from typing import Any

import pytest

from alerter.api.auth import Caller
from alerter.api.scopes import Scope
from alerter.console.live import About, fingerprint
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key, two_stories
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

URL = "https://x.example"
BY: dict[str, Any] = {"by": "dana"}
LATER = "2026-03-02T09:00:00Z"
MATCHER = {"field": "brand", "values": ["other"]}
ITEMS: dict[str, Any] = {
    "responders/{responder}": {"id": "mine", "methods": ["mine"]},
    "schedules/{schedule}": {"id": "mine", "zone": "UTC", "layers": []},
    "policies/{policy}": {"id": "mine", "steps": [{"targets": ["mine"]}]},
}
ABSENCE: dict[str, Any] = {**BY, "responder": "lee", "begins": "2026-03-04T09:00:00Z", "ends": "2026-03-05T09:00:00Z"}
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/incidents/{incident}/acknowledge"): BY,
    ("post", "/v1/incidents/{incident}/resolve"): BY,
    ("post", "/v1/incidents/{incident}/escalate"): BY,
    ("post", "/v1/incidents/{incident}/reopen"): BY,
    ("post", "/v1/incidents/{incident}/snooze"): {**BY, "minutes": 30},
    ("post", "/v1/incidents/{incident}/reassign"): {**BY, "to": "lee"},
    ("post", "/v1/incidents/{incident}/outcome"): {**BY, "outcome": "false_alarm"},
    ("post", "/v1/incidents/{incident}/note"): {**BY, "comment": "called them"},
    ("post", "/v1/incidents/{incident}/labels"): {**BY, "add": ["care"]},
    ("post", "/v1/incidents/{incident}/severity"): {**BY, "severity": 1, "comment": "the minister called"},
    ("post", "/v1/incidents/{incident}/playbook"): {**BY, "step": "Answer in public."},
    ("post", "/v1/deliveries/{delivery}/resend"): None,
    ("patch", "/v1/endpoints/{name}"): {"hours": None},
    ("patch", "/v1/silences/{silence}"): BY,
    **{("patch", f"/v1/{part}"): {} for part in ITEMS},
    **{("put", f"/v1/{part}"): body for part, body in ITEMS.items()},
    **{("post", f"/v1/{part}/preview"): ITEMS[part] for part in ("schedules/{schedule}", "policies/{policy}")},
    ("post", "/v1/endpoints/{name}/test"): None,
    ("post", "/v1/endpoints/{name}/secret"): {"grace_hours": 1},
    ("post", "/v1/endpoints/{name}/enable"): None,
    ("post", "/v1/endpoints/{name}/resend"): {"since": NOW.isoformat()},
    ("post", "/v1/drills/{drill}/confirm"): {**BY, "responder": "lee", "method": "only-other"},
    **{
        ("post", f"/v1/responders/{{responder}}/methods/{{method}}/{what}"): body
        for what, body in {"code": BY, "confirm": {**BY, "code": "123456"}, "test": BY, "off": BY, "on": BY}.items()
    },
    ("post", "/v1/schedules/{schedule}/overrides"): {
        **BY, "responder": "lee", "begins": "2026-03-01T10:00:00Z", "ends": LATER,
    },
    ("post", "/v1/schedules/{schedule}/swaps"): {
        **BY,
        "first": {"responder": "lee", "begins": "2026-03-01T10:00:00Z", "ends": LATER},
        "second": {"responder": "dana", "begins": LATER, "ends": "2026-03-03T09:00:00Z"},
    },
}  # fmt: skip
"""What a person says to each route that names a thing in its path. A right body, or the answer would be about that."""


@pytest.fixture
async def walled(make_house: MakeHouse) -> Any:
    """Everything there can be, of `other`."""
    night = {
        "id": "only-other", "zone": "UTC",
        "layers": [{"id": "a", "rotation": "daily", "begins": "2026-03-01T09:00", "responders": ["lee"]}],
    }  # fmt: skip
    policies = [
        {"id": "default", "steps": [{"targets": ["desk"]}]},
        {"id": "others", "steps": [{"targets": ["schedule:only-other", "only-other"]}]},
    ]
    rules = [
        {"id": "own", "brands": ["acme"], "level": "likely", "policy": "default"},
        {"id": "others", "brands": ["other"], "level": "likely", "policy": "others"},
    ]
    responders = [{"id": "lee", "methods": ["only-other"]}]
    house = make_house(make.config(responders=responders, schedules=[night], policies=policies, rules=rules))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("only-other", brands=["other"])
        await make_key(house, "key-of-other", "read", "other")
        yield house


async def things_of_other(house: House) -> dict[str, str]:
    """An id of each kind, all of `other`."""
    incident = (await two_stories(house))["other"]
    silence = {"matchers": [MATCHER], "ends_at": LATER, **BY}
    shift = BODIES["post", "/v1/schedules/{schedule}/overrides"]
    return {
        "incident": incident,
        "delivery": next(one["id"] for one in await house.deliveries() if one["incident"] == incident),
        "silence": (await house.http.post("/v1/silences", json=silence)).json()["id"],
        "schedule": "only-other",
        "override": (await house.http.post("/v1/schedules/only-other/overrides", json=shift)).json()["id"],
        "name": "only-other",
        "responder": "lee",
        "method": "only-other",
        "drill": (await house.http.post("/v1/drills", json=BY)).json()["id"],
        "policy": "others",
        "absence": (await house.http.post("/v1/absences", json=ABSENCE)).json()["id"],
    }


def nothing_like(thing: str) -> str:
    """An id that nothing has."""
    return re.sub(r"[0-9a-f]{32}", "0" * 32, thing) if re.search(r"[0-9a-f]{32}", thing) else "no-thing-xx"


async def test_every_route_answers_of_a_thing_of_others_as_of_none(walled: House) -> None:
    """The list of routes comes from the description, so a new one is asked too."""
    things = await things_of_other(walled)
    key = await make_key(walled, "centre", "admin", "acme")
    asked = 0
    for path, operations in walled.app.openapi()["paths"].items():
        if "{" not in path:
            continue
        own = {**things, "name": "key-of-other"} if path.startswith("/v1/keys") else things
        for method in operations:
            body = None if method in ("get", "delete") else BODIES[method, path]
            there = await walled.http.request(method, path.format(**own), json=body, headers=key)
            nothing = {name: nothing_like(value) for name, value in own.items()}
            none = await walled.http.request(method, path.format(**nothing), json=body, headers=key)
            assert there.status_code == 404, (method, path, there.text)
            assert none.status_code == 404, (method, path, none.text)
            said = [answer.text for answer in (there, none)]
            for known, unknown in zip(own.values(), nothing.values(), strict=True):
                said = [text.replace(known, "X").replace(unknown, "X") for text in said]
            assert said[0] == said[1], (method, path)
            asked += 1
    assert asked > 20


async def test_nobody_learns_by_handing_an_incident_over_who_else_there_is(walled: House) -> None:
    own = (await two_stories(walled))["acme"]
    key = await make_key(walled, "centre", "respond", "acme")
    said = set()
    for to in ("lee", "only-other", "nobody-here", "schedule:only-other"):
        answer = await walled.http.post(f"/v1/incidents/{own}/reassign", json={**BY, "to": to}, headers=key)
        said.add((answer.status_code, answer.text))
    ((status, text),) = said
    assert status == 422
    assert "only-other" not in text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/endpoints", {"url": URL, "name": "{}"}),
        ("/v1/endpoints", {"url": URL, "name": "acme-a", "owner": "{}"}),
        ("/v1/endpoints", {"url": URL, "name": "acme-b", "fallback": "{}"}),
        ("/v1/endpoints", {"url": URL, "name": "acme-c", "brands": ["{}"]}),
        ("/v1/keys", {"name": "{}", "scope": "read"}),
        ("/v1/keys", {"name": "acme-k", "scope": "read", "brands": ["{}"]}),
        ("/v1/silences", {"matchers": [{"field": "brand", "values": ["{}"]}], "ends_at": LATER, **BY}),
        ("/v1/silences", {"matchers": [{"field": "brand", "values": ["acme", "{}"]}], "ends_at": LATER, **BY}),
        ("/v1/silences", {"matchers": [{"field": "brand", "values": ["{}*"]}], "ends_at": LATER, **BY}),
    ],
)
async def test_a_name_in_a_request_is_answered_alike_whether_others_have_it(
    walled: House, path: str, body: dict[str, Any]
) -> None:
    key = await make_key(walled, "centre", "admin", "acme")
    taken = {"name": "only-other", "owner": "only-other", "fallback": "only-other"}
    answers = []
    for known in (True, False):
        word = "other" if "silences" in path or "brands" in body else taken["name"]
        word = "key-of-other" if path == "/v1/keys" and "{}" in body["name"] else word
        said = _filled(body, word if known else "xothing")
        answer = await walled.http.post(path, json=said, headers=key)
        answers.append((answer.status_code, answer.text.replace(word, "X").replace("xothing", "X")))
    assert answers[0] == answers[1]
    assert answers[0][0] in (404, 422)


def _filled(body: Any, word: str) -> Any:
    if isinstance(body, str):
        return body.replace("{}", word)
    if isinstance(body, dict):
        return {name: _filled(value, word) for name, value in body.items()}
    return [_filled(one, word) for one in body] if isinstance(body, list) else body


async def test_a_limited_key_makes_names_of_its_own_brands(make_house: MakeHouse) -> None:
    house = make_house(make.config(brands=[{"id": one, "name": one} for one in ("acme", "acme-air", "other")]))
    async with house.running():
        acme = await make_key(house, "centre", "admin", "acme")
        for name, status in (
            ("acme", 201), ("acme-desk", 201), ("acme-desk", 409), ("acmedesk", 422), ("desk", 422),
            ("other-desk", 422), ("acme-air-desk", 422), ("acme-air", 422), ("acme-airport", 201),
        ):  # fmt: skip
            for path, more in (("/v1/endpoints", {"url": URL}), ("/v1/keys", {"scope": "read"})):
                answer = await house.http.post(path, json={"name": name, **more}, headers=acme)
                assert answer.status_code == status, (name, answer.text)
                if status == 422:
                    assert f"acme-{name}" in answer.json()["detail"]
        assert (await house.http.post("/v1/endpoints", json={"name": "anything", "url": URL})).status_code == 201


async def test_the_console_answers_of_a_thing_of_others_as_of_none(make_house: MakeHouse) -> None:
    house = make_house(public_url=None)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("only-other", brands=["other"])
        incident = (await two_stories(house))["other"]
        key = (await make_key(house, "centre", "admin", "acme"))["authorization"].partition(" ")[2]
        async with sign_in(house, key) as client:
            form = {"csrf": await csrf(client)}
            for method, path in (
                ("GET", f"/console/incidents/{incident}"),
                ("POST", f"/console/incidents/{incident}/acknowledge"),
                ("GET", "/console/brands/other"),
                ("POST", "/console/endpoints/only-other/test"),
                ("POST", "/console/endpoints/only-other/secret"),
            ):
                there = await client.request(method, path, data=form if method == "POST" else None)
                none = path.replace(incident, "0" * 32).replace("other", "nothing")
                nothing = await client.request(method, none, data=form if method == "POST" else None)
                assert there.status_code == nothing.status_code == 404, (path, there.status_code, nothing.status_code)


async def test_nothing_that_happens_to_others_wakes_a_limited_page(walled: House) -> None:
    database = walled.alerter.database
    centre = Caller("centre", Scope.ADMIN, frozenset({"acme"}))

    async def known() -> list[str]:
        await walled.settle()
        return [await database.read(lambda c, a=about: fingerprint(c, centre, a)) for about in About]  # type: ignore[misc]

    await walled.endpoint("desk")
    before = await known()
    things = await things_of_other(walled)
    own = await known()
    assert own != before, "an incident of its own was among them"
    await walled.http.post(f"/v1/incidents/{things['incident']}/acknowledge", json=BY)
    await walled.http.post("/v1/endpoints/only-other/test")
    await walled.http.delete(f"/v1/silences/{things['silence']}")
    await walled.http.delete("/v1/schedules/only-other/overrides/" + things["override"])
    await walled.http.delete("/v1/keys/key-of-other")
    await walled.http.delete("/v1/endpoints/only-other?even_if_named=true")
    await walled.signal(
        make.negative(post="p9", story="bsky:p9", brand="other"), make.forecast(2, story="bsky:p2", brand="other")
    )
    assert await known() == own
    inside = Caller("admin", Scope.ADMIN)
    everything = await database.read(lambda c: fingerprint(c, inside))
    await walled.http.post("/v1/endpoints/desk/test")
    assert await database.read(lambda c: fingerprint(c, inside)) != everything
    (incident,) = [one["id"] for one in await walled.incidents() if one["brand"] == "acme"]
    await walled.http.post(f"/v1/incidents/{incident}/acknowledge", json=BY)
    assert await known() != own
