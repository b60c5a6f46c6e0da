"""What a source's terms keep in the house is shown inside it, and to a key limited to brands only as a webhook says it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contracts.post import SourcePolicy
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import Bearer, make_key
from tests.unit.alerter import make

BRAND = {
    "id": "acme",
    "name": "Acme",
    "line": {"engagements": 500},
    "accounts": [{"network": network, "handle": "acme", "owner": "dana"} for network in ("bsky", "forum")],
    "promise": {"minutes": 60},
}
ROOT = make.card(policy=SourcePolicy.IDS_ONLY, author="@mia.example", permalink="https://bsky.example/mia.example/p1")
OPEN = make.card("e1", author="@open.example")
BY_CONFIG = make.card("e2", author="@quiet.example", network="forum")
CLOSED = make.card("kept-9", author="@closed.example", policy=SourcePolicy.INTERNAL)
KEPT = ("the text of p1", "the text of e2", "kept-9", "mia.example", "quiet.example", "closed.example")
"""What must not leave the house."""


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    config = make.config(brands=[BRAND], sources=[{"network": "forum", "policy": "ids_only"}])
    made = make_house(config, public_url=None)
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        story = make.forecast(root=ROOT, loudest=(BY_CONFIG, CLOSED), exemplars=(OPEN, BY_CONFIG, CLOSED))
        complaint = make.negative(severity=1, story="bsky:kept-9").model_copy(update={"post": CLOSED})
        await made.signal(story, complaint)
        await made.settle()
        yield made


def cards_of(incident: Any) -> list[Any]:
    cards = [incident["root"], *incident["loudest"], *incident["exemplars"]]
    return [{name: value for name, value in card.items() if value is not None and name != "policy"} for card in cards]


async def test_a_limited_key_reads_of_posts_what_a_webhook_says(house: House) -> None:
    centre = await make_key(house, "centre", "respond", "acme")
    (incident,) = (await house.http.get("/v1/incidents", headers=centre)).json()["items"]
    sent = next(m.body["data"] for m in house.receiver.at("/desk") if m.body["data"]["id"] == incident["id"])
    assert cards_of(incident) == cards_of(sent)
    assert [card["post_id"] for card in cards_of(incident)] == ["p1", "e2", "e1", "e2"]
    assert incident["root"]["policy"] == "ids_only"
    assert incident["root"]["reply_link"] == ROOT.reply_link
    assert incident["root"]["permalink"] is None, "the handle stands in it"
    assert incident["loudest"][0]["policy"] == "ids_only", "the configuration is stricter than the post"
    place = f"/v1/incidents/{incident['id']}"
    delivery = (await house.deliveries())[0]["id"]
    answers = [
        await house.http.get("/v1/incidents", headers=centre),
        await house.http.get(place, headers=centre),
        await house.http.get(f"{place}/explain", headers=centre),
        await house.http.get("/v1/deliveries", headers=centre),
        await house.http.get(f"/v1/deliveries/{delivery}", headers=centre),
        await house.http.get("/v1/answer-clocks", headers=centre),
        await house.http.post(f"{place}/acknowledge", json={"by": "dana"}, headers=centre),
        await house.http.post(f"{place}/snooze", json={"by": "dana", "minutes": 15}, headers=centre),
        await house.http.post(f"{place}/reassign", json={"by": "dana", "to": "desk"}, headers=centre),
        await house.http.post(f"{place}/outcome", json={"by": "dana", "outcome": "useful"}, headers=centre),
        await house.http.post(f"{place}/resolve", json={"by": "dana"}, headers=centre),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert [kept for kept in KEPT if kept in answer.text] == [], answer.request.url
    assert "the text of e1" in answers[1].text, "what may be shown is"


async def test_an_unlimited_key_reads_everything(house: House) -> None:
    reader: Bearer = await make_key(house, "insider", "respond")
    (incident,) = (await house.http.get("/v1/incidents", headers=reader)).json()["items"]
    place = f"/v1/incidents/{incident['id']}"
    explained = await house.http.get(f"{place}/explain", headers=reader)
    done = await house.http.post(f"{place}/acknowledge", json={"by": "dana"}, headers=reader)
    for shown in (incident, (await house.http.get(place)).json(), explained.json()["incident"], done.json()):
        assert [kept for kept in KEPT if kept not in json.dumps(shown)] == []
    clocks = (await house.http.get("/v1/answer-clocks", headers=reader)).json()["items"]
    assert [clock["post_id"] for clock in clocks] == ["kept-9"]


async def test_the_console_shows_a_limited_key_what_a_webhook_says_and_an_unlimited_one_all(house: House) -> None:
    centre = (await make_key(house, "centre", "respond", "acme"))["authorization"].removeprefix("Bearer ")
    incident = (await house.incidents())[0]["id"]
    delivery = (await house.deliveries())[0]["id"]
    paths = [
        "/console",
        f"/console/incidents/{incident}",
        "/console/answers",
        "/console/brands/acme",
        f"/console/deliveries/{delivery}",
    ]
    async with sign_in(house, centre) as outside, sign_in(house, KEY) as inside:
        for path in paths:
            page = await outside.get(path)
            assert page.status_code == 200
            assert [kept for kept in KEPT if kept in page.text] == [], path
        board, story = (await outside.get("/console")).text, (await outside.get(paths[1])).text
        for text in (board, story):
            assert "terms do not let us show the text" in text
            assert "author not shown" in text
            assert ROOT.reply_link is not None
            assert ROOT.reply_link in text
        assert "the text of e1" in story
        assert "the text of p1" in (await inside.get("/console")).text
        everything = (await inside.get(paths[1])).text
        assert [kept for kept in KEPT if kept not in everything] == []
        assert "terms do not let us" not in everything
        # Also once it is over, and on the way back from a form.
        form = {"csrf": await csrf(outside)}
        answer = await outside.post(f"{paths[1]}/resolve", data=form, follow_redirects=True)
        assert answer.status_code == 200
        assert [kept for kept in KEPT if kept in answer.text] == []


async def test_the_terms_of_today_hold_for_what_came_before(house: House) -> None:
    centre = await make_key(house, "centre", "read", "acme")
    stricter = make.config(brands=[BRAND], sources=[{"network": "bsky", "policy": "internal"}])
    await house.reconfigure(stricter)
    (incident,) = (await house.http.get("/v1/incidents", headers=centre)).json()["items"]
    assert incident["root"] is None
    assert {card["post_id"] for card in incident["exemplars"]} == {"e2"}
    (everything,) = await house.incidents()
    assert everything["root"]["text"] == "the text of p1"


async def test_what_a_source_keeps_in_the_house_is_not_found_from_outside(house: House) -> None:
    """Or whoever may not read a post could guess it, word by word."""
    centre = await make_key(house, "centre", "respond", "acme")
    for word in ("mia.example", "p1", "quiet.example", "closed.example", "kept-9", "e2"):
        inside = (await house.http.get("/v1/incidents", params={"text": word})).json()["items"]
        outside = (await house.http.get("/v1/incidents", params={"text": word}, headers=centre)).json()["items"]
        assert inside, word
        assert outside == [], word
