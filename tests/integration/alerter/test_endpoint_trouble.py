"""A failing endpoint looks like one, in the API and on its page: since when, until when, what waits, and who relies on it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from alerter.api import endpoint_findings, views
from alerter.api.auth import Caller
from alerter.api.scopes import Scope
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

LEE = {"id": "lee", "methods": ["zoo", "spare"]}
NIGHT = {
    "id": "night",
    "zone": "UTC",
    "layers": [{"id": "all", "rotation": "weekly", "begins": "2026-01-05T00:00", "responders": ["lee"]}],
}
POLICIES: list[dict[str, Any]] = [
    {"id": "default", "steps": [{"endpoints": ["desk"]}], "fallback": ["zoo"]},
    {"id": "nights", "steps": [{"targets": ["schedule:night"]}]},
    {"id": "owners", "steps": [{"targets": ["owner"]}]},
    {"id": "quiet", "steps": [{"targets": ["desk"]}]},
]


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    brand = {
        "id": "acme",
        "name": "Acme",
        "line": {"engagements": 500},
        "accounts": [{"network": "bsky", "handle": "acme", "owner": "lee"}],
    }
    config = make.config(brands=[brand], responders=[LEE], schedules=[NIGHT], policies=POLICIES)
    made = make_house(config, public_url=None)
    await made.receiver.start()
    async with made.running():
        for name in ("desk", "spare", "zoo"):
            await made.endpoint(name)
        yield made


async def listed(house: House) -> list[Any]:
    items: list[Any] = (await house.http.get("/v1/endpoints")).json()["items"]
    return items


async def test_an_endpoint_that_works_has_no_trouble_and_names_its_policies(house: House) -> None:
    assert [(one["name"], one["policies"], one["waiting"], one["last_answer"]) for one in await listed(house)] == [
        ("desk", ["default", "quiet"], 0, None),
        ("spare", ["nights", "owners"], 0, None),
        ("zoo", ["default", "nights", "owners"], 0, None),
    ]


async def test_a_failing_endpoint_comes_first_and_says_all_that_is_the_matter(house: House) -> None:
    house.receiver.answers["/zoo"] = receiver.status(503, body=b"down for repairs")
    for _ in range(7):
        await house.http.post("/v1/endpoints/zoo/test")
        await house.settle()
    first, *others = await listed(house)
    assert (first["name"], [one["name"] for one in others]) == ("zoo", ["desk", "spare"])
    assert first["failing_since"] == "2026-03-01T09:00:00Z"
    assert first["paused_until"] > first["failing_since"]
    assert (first["waiting"], first["waiting_since"]) == (7, "2026-03-01T09:00:00Z")
    assert (first["last_answer"]["status"], first["last_answer"]["detail"]) == (503, "down for repairs")
    alone = (await house.http.get("/v1/endpoints/zoo")).json()
    assert alone == first
    async with sign_in(house) as client:
        page = (await client.get("/console/endpoints")).text
    assert page.index('id="e-zoo"') < page.index('id="e-desk"')
    zoo = " ".join(re.sub(r"<[^>]+>", " ", page[page.index('id="e-zoo"') : page.index('id="e-desk"')]).split())
    assert re.search(
        r"zoo failing .* Failing since 01 Mar 09:00 UTC : \d+ attempts in a row did not get through; paused", zoo
    )
    assert "Waiting 7 messages, the oldest since 01 Mar 09:00 UTC" in zoo
    assert "Last answer 503, 01 Mar 09:00 UTC : down for repairs" in zoo
    assert "Policies that page it default, nights, owners" in zoo


async def test_the_doctor_says_all_that_is_the_matter_with_a_failing_endpoint(house: House) -> None:
    house.receiver.answers["/zoo"] = receiver.status(503, body=b"down for\x07 repairs")
    house.receiver.answers["/spare"] = receiver.status(410)
    for name in ("zoo",) * 7 + ("spare",):
        await house.http.post(f"/v1/endpoints/{name}/test")
        await house.settle()
    every = await house.alerter.database.read(
        lambda c: views.endpoint_list(c, Caller("admin", Scope.READ), house.config).items
    )
    failing, disabled = endpoint_findings.findings(every, house.clock.now())
    assert failing.is_wrong
    assert re.fullmatch(
        r"endpoint zoo has been failing since 2026-03-01 09:00 UTC \(\d+ attempts in a row\); "
        r"paused until 2026-03-01 09:0\d UTC; "
        r"7 messages waiting, the oldest since 2026-03-01 09:00 UTC; "
        r"last answer: 503, down for  repairs; paged by default, nights, owners",
        failing.words,
    )
    assert disabled == (
        "endpoint spare is disabled: the receiver answered 410 Gone; last answer: 410; paged by nights, owners", False
    )  # fmt: skip
    found = endpoint_findings.of_settings(house.settings, house.config)
    assert [one.words.split()[1] for one in found] == ["zoo", "spare"]


async def test_one_that_works_again_looks_like_it(house: House) -> None:
    house.receiver.answers["/zoo"] = receiver.status(500)
    await house.http.post("/v1/endpoints/zoo/test")
    await house.settle()
    assert (await listed(house))[0]["name"] == "zoo"
    del house.receiver.answers["/zoo"]
    await house.pass_time(120)
    assert [one["name"] for one in await listed(house)] == ["desk", "spare", "zoo"]
    assert (await house.http.get("/v1/endpoints/zoo")).json()["last_answer"] is None


async def test_a_disabled_one_says_what_it_answered_and_who_relies_on_it(house: House) -> None:
    house.receiver.answers["/zoo"] = receiver.status(410)
    house.receiver.answers["/spare"] = receiver.status(500)
    for name in ("zoo", "spare"):
        await house.http.post(f"/v1/endpoints/{name}/test")
    await house.settle()
    failing, disabled, fine = await listed(house)
    assert [one["name"] for one in (failing, disabled, fine)] == ["spare", "zoo", "desk"]
    assert (disabled["last_answer"]["status"], disabled["policies"]) == (410, ["default", "nights", "owners"])


async def test_a_key_from_outside_reads_of_its_own_brands_policies_alone(house: House) -> None:
    await house.endpoint("acme-desk", brands=["acme"])
    key = await make_key(house, "centre", "admin", "acme")
    (own,) = (await house.http.get("/v1/endpoints", headers=key)).json()["items"]
    assert (own["name"], own["policies"]) == ("acme-desk", [])
