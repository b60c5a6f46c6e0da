"""The board as a table: found by words, taken several at once, with what happens next, and a strip that says how things are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from alerter.api.bulk import MOST
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.signal import BrandVolume
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key, two_stories
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

BY = {"by": "dana"}
STEPS = "Breathe.\n\n1. Answer the first post in public.\n2. Ring the airport.\n"
NIGHT = {
    "id": "night",
    "zone": "UTC",
    "layers": [{"id": "a", "rotation": "daily", "begins": "2026-02-28T21:00", "responders": ["lee"]}],
}
PEOPLE = [
    {"id": "dana", "name": "Dana Roth", "methods": ["desk", "phone"], "notify": {
        "calm": [{"method": "desk"}, {"after_minutes": 3, "method": "phone"}],
        "urgent": [{"method": "desk"}, {"after_minutes": 3, "method": "phone"}],
    }},
    {"id": "lee", "name": "Lee Park", "methods": ["phone"]},
]  # fmt: skip


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    steps = [{"targets": ["responder:dana"]}, {"after_minutes": 5, "targets": ["schedule:night"]}]
    rules = [{"id": "own", "level": "likely", "policy": "default", "playbook": "smoke"}]
    made = make_house(
        make.config(
            policies=[{"id": "default", "steps": steps, "insist_minutes": "never"}],
            responders=PEOPLE,
            schedules=[NIGHT],
            rules=rules,
            playbooks={"smoke": STEPS},
        ),
        public_url=None,
    )
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        await made.endpoint("phone")
        yield made


def rows(page: str) -> list[str]:
    return re.findall(r'data-incident="([0-9a-f]{32})"', page)


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def several(house: House) -> dict[str, str]:
    """Four incidents that differ in what they can be found by, under their stories."""
    texts = {
        "smoke": make.card("smoke", text="Smoke in the CABIN again", author="@Mia.example", language="en-GB"),
        "late": make.card(
            "late", text="lewat tiga jam, teruk betul", author="@ana.example", language="ms", network="x"
        ),
        "bags": make.card("bags", text="100%_lost bags", author="@joe.example", language="de"),
    }
    await house.signal(*(make.forecast(story=f"bsky:{name}", root=card) for name, card in texts.items()))
    await house.signal(make.forecast(story="bsky:p9", brand="other", mood=make.mood(), probability=0.95))
    await house.settle()
    return {one["story"].partition(":")[2]: one["id"] for one in await house.incidents()}


async def found(house: House, query: str, headers: Any = None) -> set[str]:
    answer = await house.http.get(f"/v1/incidents?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return {one["story"].partition(":")[2] for one in answer.json()["items"]}


async def test_board_and_list_find_the_same_by_the_same_filters(house: House) -> None:
    ids = await several(house)
    await house.http.post(f"/v1/incidents/{ids['bags']}/labels", json={**BY, "add": ["VIP guest"]})
    await house.http.post(f"/v1/incidents/{ids['late']}/resolve", json=BY)
    every = {"smoke", "late", "bags", "p9"}
    cases: list[tuple[str, str, set[str]]] = [
        ("text=smoke", "q=smoke&state=open", {"smoke"}),
        ("text=cabin+SMOKE", "q=cabin+SMOKE", {"smoke"}),
        ("text=smoke+bags", "q=smoke+bags", set()),
        ("text=mia.ex", "q=mia.ex", {"smoke"}),
        ("text=vip", "q=vip", {"bags"}),
        ("text=100%25_", "q=100%25_", {"bags"}),
        ("text=%25", "q=%25", {"bags"}),
        ("label=vip+guest", "label=vip+guest", {"bags"}),
        ("label=vip", "label=vip", set()),
        ("network=x&state=over", "network=x&state=over", {"late"}),
        ("language=en&state=open", "language=en", {"smoke"}),
        ("language=may", "language=may&state=over", {"late"}),
        ("severity=1", "severity=1", {"p9"}),
        ("severity=1&severity=3&state=open", "severity=1&severity=3", every - {"late"}),
        ("state=resolved&state=expired", "state=resolved&state=expired", {"late"}),
        ("state=open", "", every - {"late"}),
        ("brand=other", "brand=other", {"p9"}),
        ("brand=nobody-s", "brand=nobody-s", set()),
        (f"since={NOW:%Y-%m-%dT%H:%M:%SZ}&state=over", "state=over", {"late"}),
        ("since=2026-03-01T09:00:01Z", "q=nothing+at+all", set()),
    ]
    names = {identity: story for story, identity in ids.items()}
    async with sign_in(house) as client:
        for listed, board, expected in cases:
            assert await found(house, listed) == expected, listed
            page = await client.get(f"/console?{board}")
            assert page.status_code == 200, board
            assert {names[one] for one in rows(page.text)} == expected, board
        await house.http.post(f"/v1/incidents/{ids['smoke']}/acknowledge", json=BY)
        assert {names[one] for one in rows((await client.get("/console?mine=1")).text)} == {"smoke"}
        assert {names[one] for one in rows((await client.get("/console?free=1")).text)} == {"bags", "p9"}
        assert (await client.get("/console?state=closed")).status_code == 404
    for wrong in ("state=closed", "severity=5", "since=yesterday", "text=", f"text={'x' * 201}"):
        assert (await house.http.get(f"/v1/incidents?{wrong}")).status_code == 422, wrong


async def test_what_was_deleted_is_not_found_any_more(house: House) -> None:
    await house.signal(make.forecast(root=make.card("p1", text="smoke everywhere", author="@mia.example")))
    await house.settle()
    assert await found(house, "text=smoke") == await found(house, "text=mia.example") == {"p1"}
    await house.signal(make.redacted("p1"))
    await house.settle()
    assert await found(house, "text=smoke") == await found(house, "text=mia.example") == set()
    assert await found(house, "brand=acme") == {"p1"}


async def test_the_post_speaks_for_itself_and_people_are_called_by_their_names(house: House) -> None:
    await several(house)
    async with sign_in(house) as client:
        page = (await client.get("/console?q=smoke")).text
        assert ">Smoke in the CABIN again</a>" in page
        said = words(page)
        assert "@Mia.example , 40 followers" in said
        assert "60 engagements from 08:40 to 09:00" in said
        assert "Nobody has it" in said
        assert "rings Dana Roth in 3 min" in said
        house.clock.advance(4 * 60)
        await house.settle()
        assert "pages Lee Park in 60 s" in words((await client.get("/console?q=smoke")).text).replace("1 min", "60 s")
        house.clock.advance(2 * 60)
        await house.settle()
        assert "policy used up" in words((await client.get("/console?q=smoke")).text)


async def test_several_are_taken_and_ended_at_once_each_with_its_reasons(house: House) -> None:
    ids = await several(house)
    await house.http.post(f"/v1/incidents/{ids['late']}/resolve", json=BY)
    asked = {**BY, "action": "acknowledge", "comment": "both", "incidents": [ids["smoke"], ids["late"], "0" * 32]}
    answer = await house.http.post("/v1/incidents/bulk", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["done"] == 1
    assert [(one["status"], one["why_not"]) for one in answer.json()["results"]] == [
        (200, None),
        (409, "the incident is resolved"),
        (404, "there is none with this id"),
    ]
    (line,) = (await house.http.get("/v1/audit?actor=admin&limit=1")).json()["items"]
    assert (line["what"], line["on"]) == ("incident.acknowledged", ids["smoke"])
    mistakes: list[dict[str, Any]] = [
        {"incidents": []},
        {"action": "reopen"},
        {"incidents": ["0" * 32] * (MOST + 1)},
        {"incidents": ["x"]},
    ]
    for wrong in mistakes:
        assert (await house.http.post("/v1/incidents/bulk", json={**asked, **wrong})).status_code == 422, wrong

    async with sign_in(house) as client:
        form = {"csrf": await csrf(client), "view": "severity=3&evil=//x", "comment": "after the talk"}
        chosen = {f"i-{ids[story]}": "on" for story in ("smoke", "bags")}
        answer = await client.post("/console/incidents/bulk", data={**form, **chosen, "action": "resolve"})
        assert answer.headers["location"] == "/console?severity=3&done=all-resolved"
        assert "Marked as over" in (await client.get(answer.headers["location"])).text
        again = await client.post(
            "/console/incidents/bulk", data={**form, f"i-{ids['p9']}": "on", **chosen, "action": "resolve"}
        )
        assert "2 could not be ended , 1 was" in words(again.text)
        assert again.text.count("the incident is resolved") == 2
        forms: list[dict[str, str]] = [
            {"action": "resolve"},
            {**chosen, "action": "reopen"},
            chosen,
            {"i-x": "on", "action": "resolve"},
        ]
        for fields in forms:
            assert (await client.post("/console/incidents/bulk", data={**form, **fields})).status_code == 422, fields
    assert await found(house, "state=open") == set()


async def test_a_limited_key_ends_and_takes_only_what_it_sees(house: House) -> None:
    ids = await two_stories(house)
    key = await make_key(house, "centre", "respond", "acme")
    asked = {**BY, "action": "resolve", "incidents": list(ids.values())}
    answer = (await house.http.post("/v1/incidents/bulk", json=asked, headers=key)).json()
    why = {one["incident"]: one["why_not"] for one in answer["results"]}
    assert why == {ids["acme"]: None, ids["other"]: "there is none with this id"}
    async with sign_in(house, key["authorization"].partition(" ")[2]) as client:
        form = {"csrf": await csrf(client), "action": "resolve"}
        there = await client.post("/console/incidents/bulk", data={**form, f"i-{ids['other']}": "on"})
        none = await client.post("/console/incidents/bulk", data={**form, f"i-{'0' * 32}": "on"})
        said = [re.sub(r"[0-9a-f]{32,}", "X", page.text) for page in (there, none)]
        assert said[0] == said[1]


async def strip_of(client: httpx2.AsyncClient, path: str = "/console") -> str:
    page = (await client.get(path)).text
    begin = page.index('<section class="strip"')
    return words(page[begin : page.index("</section>", begin)])


async def test_a_strip_on_every_page_says_how_things_are(house: House) -> None:
    await several(house)
    minute = NOW - timedelta(minutes=2)
    volume = {"brand": make.ACME, "minute": minute, "lane": 0, "posts": 3, "scored": 3, "negative": 1, "abstained": 0}
    heard = SourceCoverage(
        network="bsky",
        connector="jet",
        state=CoverageState.HEALTHY,
        begins=NOW,
        observed_at=NOW - timedelta(seconds=30),
        every_seconds=60,
    )
    await house.signal(BrandVolume(**volume), BrandVolume(**{**volume, "minute": minute - timedelta(minutes=9)}), heard)
    await house.settle()
    async with sign_in(house) as client:
        for path in ("/console", "/console/answers", "/console/on-call", "/console/silences", "/console/incidents/x"):
            said = await strip_of(client, path)
            for part in (
                "On call Lee Park night", "SEV1 1", "SEV3 3", "Nobody has 4", "Told nobody 0", "Endpoints failing 0",
                "Silences 0", "Not read 0", "Last post 2 min ago", "bsky 30 s ago", "09:00 UTC",
            ):  # fmt: skip
                assert part in said, (path, part, said)
        await house.http.post(
            "/v1/incidents/bulk",
            json={**BY, "action": "acknowledge", "incidents": list((await several(house)).values())},
        )
        silence = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": "2026-03-02T09:00:00Z", **BY}
        await house.http.post("/v1/silences", json=silence)
        said = await strip_of(client)
        assert "Nobody has" not in said, "what was done shows at once"
        assert "Silences 1" in said
        house.clock.advance(5 * 60)
        await house.settle()
        assert "Last post 7 min ago" in await strip_of(client)


async def test_the_strip_of_a_limited_key_says_nothing_of_others(house: House) -> None:
    key = await make_key(house, "centre", "respond", "other")
    await house.endpoint("only-acme", brands=["acme"])
    async with sign_in(house, key["authorization"].partition(" ")[2]) as client:
        before = await strip_of(client)
        await house.signal(
            make.forecast(),
            make.unread("p5", story="bsky:p5"),
            BrandVolume(brand=make.ACME, minute=NOW, lane=0, posts=1, scored=1, negative=0, abstained=0),
            SourceCoverage(
                network="bsky",
                connector="jet",
                state=CoverageState.HEALTHY,
                begins=NOW,
                observed_at=NOW,
                every_seconds=60,
                brands=("acme",),
            ),
        )
        await house.settle()
        silence = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": "2026-03-02T09:00:00Z", **BY}
        await house.http.post("/v1/silences", json=silence)
        assert await strip_of(client) == before
        await house.signal(make.forecast(story="bsky:p2", brand="other"))
        await house.settle()
        assert "Nobody has 1" in await strip_of(client)


async def test_severity_is_changed_with_a_reason_that_everybody_reads(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    ((_, incident),) = ids = list((await found_ids(house)).items())
    assert len(ids) == 1
    path = f"/v1/incidents/{incident}/severity"
    assert (await house.http.post(path, json={**BY, "severity": 1})).status_code == 422, "a reason is needed"
    answer = await house.http.post(path, json={**BY, "severity": 1, "comment": "the minister called"})
    assert (answer.status_code, answer.json()["severity"]) == (200, 1), answer.text
    await house.settle()
    told = house.receiver.at("/desk")[-1].body
    assert (told["type"], told["data"]["severity"]) == ("incident.updated", 1)
    assert told["data"]["because"] == "dana changed it from SEV3 to SEV1: the minister called"
    async with sign_in(house) as client:
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert "dana changed it from SEV3 to SEV1: the minister called" in page
        form = {"csrf": await csrf(client), "severity": "4", "comment": "it was a hoax"}
        answer = await client.post(f"/console/incidents/{incident}/severity", data=form)
        assert answer.headers["location"].endswith("done=regraded")
    await house.signal(make.forecast(2, probability=0.72))
    await house.settle()
    assert (await house.incidents())[0]["severity"] == 4, "no worse than when they said so"
    await house.signal(make.forecast(3, mood=make.mood(), probability=0.95))
    await house.settle()
    assert (await house.incidents())[0]["severity"] == 1


async def found_ids(house: House) -> dict[str, str]:
    return {one["story"]: one["id"] for one in await house.incidents()}


async def test_steps_of_the_playbook_are_ticked_off_and_stay_so(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = (await found_ids(house)).values()
    step = "Answer the first post in public."
    path = f"/v1/incidents/{incident}/playbook"
    wrong = await house.http.post(path, json={**BY, "step": "Sit down."})
    assert (wrong.status_code, wrong.json()["detail"]) == (409, "its playbook has no such step")
    async with sign_in(house, person="Jo") as client:
        form = {"csrf": await csrf(client), "step": step, "done": "true"}
        answer = await client.post(f"/console/incidents/{incident}/playbook", data=form)
        assert answer.headers["location"] == f"/console/incidents/{incident}?done=ticked"
        page = (await client.get(f"/console/incidents/{incident}")).text
        assert page.count('aria-pressed="true"') == 1
        assert f"Jo did: {step}" in page
        assert "<bdi>Jo</bdi>, <time" in page
    sent = len(house.receiver.at("/desk"))
    assert (await house.http.post(path, json={**BY, "step": step, "done": False})).status_code == 200
    await house.settle()
    assert len(house.receiver.at("/desk")) == sent, "nobody is told of it"
    timeline = (await house.http.get(f"/v1/incidents/{incident}/explain")).json()["timeline"]
    assert [one["kind"] for one in timeline if "ticked" in one["kind"]] == ["ticked", "unticked"]


async def test_an_incident_says_by_name_who_was_paged_and_how_that_went(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = (await found_ids(house)).values()
    await house.http.post(f"/v1/incidents/{incident}/note", json={**BY, "comment": "they called back"})
    async with sign_in(house) as client:
        said = words((await client.get(f"/console/incidents/{incident}")).text)
        assert "Dana Roth was paged by desk arrived" in said
        assert "dana noted: they called back" in said
        assert "as of 09:00 UTC" in said
        assert "paged 09:00 UTC" in said, "it is marked in the chart"
        page = (await client.get("/console/silences?matchers=brand+%3D+acme")).text
        assert ">brand = acme</textarea>" in page
        assert 'value="acme" selected' in (await client.get("/console/page?brand=acme")).text
