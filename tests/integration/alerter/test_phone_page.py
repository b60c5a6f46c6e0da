"""The page behind an acknowledge link: all that a person needs at night, nothing that leaves the house, and one button."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contracts.post import SourcePolicy
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.receiver import Got
from tests.unit.alerter import make

LEE = {"id": "lee", "name": "Lee Park", "methods": ["lee-push", "front"], "zone": "Europe/Berlin"}
MAX = {"id": "max", "methods": ["front"]}
STEPS = [{"id": "default", "steps": [{"endpoints": ["lee-push", "front"]}]}]


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=[LEE, MAX], policies=STEPS))
    await made.receiver.start()
    async with made.running():
        await made.endpoint("lee-push")
        await made.endpoint("front")
        made.http.headers.pop("authorization")
        made.http.base_url = "https://firebreak.example"
        yield made


async def links(house: House, **more: Any) -> tuple[str, str]:
    """The ways of the links that two endpoints got."""
    await house.signal(make.forecast(**more))
    await house.settle()
    found = [house.receiver.at(place)[-1].body["data"]["links"]["acknowledge"] for place in ("/lee-push", "/front")]
    lee, front = [link.removeprefix("https://firebreak.example") for link in found]
    return lee, front


def words(page: str) -> str:
    body = page[page.index("<main>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def acknowledged(house: House) -> Any:
    records = await house.alerter.database.read(
        lambda c: c.exec_driver_sql("select acknowledged_by from incidents").all()
    )
    return records[0][0]


async def test_it_says_what_it_is_how_bad_and_by_when_with_the_name_filled_in(house: House) -> None:
    lee, front = await links(house, root=make.card(text="My seat <b>burned</b>", author="@jo", followers=12_000))
    page = (await house.http.get(lee)).text
    said = words(page)
    assert "My seat <b>burned</b>" in said
    assert "&lt;b&gt;burned" in page
    assert re.search(r"SEV[1-4] ", said)
    assert "@jo , 12,000 followers, on bsky" in said
    assert re.search(r"Answer within \d+ min|Answer now", said)
    assert re.search(r"By 01 Mar \d\d:\d\d Europe/Berlin \(\d\d:\d\d UTC\)", said), "on her own clock"
    assert "First step: Answer in public" in said
    assert 'name="by" maxlength="80" autocomplete="name" value="Lee Park"' in page
    assert page.count("<button") == 1
    other = (await house.http.get(front)).text
    assert 'autocomplete="name" value=""' in other, "two people are reached there"
    assert re.search(r"By 01 Mar \d\d:\d\d UTC", words(other))


async def test_looking_at_it_acknowledges_nothing_and_its_button_does(house: House) -> None:
    lee, front = await links(house)
    for _ in range(3):
        assert (await house.http.get(lee)).status_code == 200
    assert (await house.http.head(lee)).status_code == 405
    await house.settle()
    assert await acknowledged(house) is None
    assert house.receiver.types("/front") == ["incident.opened"]
    done = await house.http.post(lee, data={"by": "Lee Park", "comment": "calling"})
    assert "You have it until 01 Mar 10:30 Europe/Berlin (09:30 UTC)" in words(done.text)
    assert await acknowledged(house) == "Lee Park (lee-push)"
    assert ">I still have it<" in (await house.http.get(lee)).text
    house.http.cookies.clear()
    assert ">I take it over<" in (await house.http.get(front)).text
    await house.settle()
    assert house.receiver.types("/front") == ["incident.opened", "incident.acknowledged"]


async def test_a_name_that_was_typed_is_filled_in_the_next_time(house: House) -> None:
    _, front = await links(house)
    done = await house.http.post(front, data={"by": 'Zoë "Z" Li'})
    (cookie,) = done.headers.get_list("set-cookie")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/acknowledge"} <= set(cookie.split("; "))
    assert 'value="Zoë &quot;Z&quot; Li"' in (await house.http.get(front)).text
    house.http.cookies.set("firebreak_name", "%00%0a<script>" + "x" * 500)
    page = (await house.http.get(front)).text
    assert "<script" not in page
    assert len(page) < 10_000


async def test_it_loads_nothing_runs_nothing_and_is_dark_where_the_phone_is(house: House) -> None:
    lee, _ = await links(house)
    answer = await house.http.get(lee)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (policy["default-src"], policy["style-src"]) == ("'none'", f"'sha256-{digest}'")
    assert policy["frame-ancestors"] == "'none'"
    assert "prefers-color-scheme:dark" in style[1]
    assert '<meta name="color-scheme" content="light dark">' in answer.text
    assert not re.search(r"<script|style=|\son\w+=|src=", answer.text)
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_of_a_post_it_says_what_a_webhook_says(house: House) -> None:
    card = make.card(text="for the house alone", author="@secret", policy=SourcePolicy.IDS_ONLY)
    lee, _ = await links(house, root=card, loudest=(), exemplars=())
    page = (await house.http.get(lee)).text
    assert "for the house alone" not in page
    assert "@secret" not in page
    assert "somebody" in page


async def test_what_others_wrote_is_cut_and_leads_nowhere_but_to_the_web(house: House) -> None:
    card = make.card(text="x" * 5000, permalink="javascript:alert(1)", reply_link="data:text/html,x")
    lee, _ = await links(house, root=card)
    page = (await house.http.get(lee)).text
    assert len(page) < 10_000
    assert "javascript:" not in page
    assert "data:text" not in page


async def test_what_is_over_has_no_button(house: House) -> None:
    lee, _ = await links(house)
    await house.signal(make.forecast(2, Level.EASING))
    await house.settle()
    page = (await house.http.get(lee)).text
    assert "<button" not in page
    assert "it eased on its own" in page
    assert (await house.http.post(lee)).status_code == 409


@pytest.mark.parametrize("change", ["deleted", "of another brand"])
async def test_a_link_ends_with_its_endpoint(house: House, change: str) -> None:
    lee, front = await links(house)
    key = {"authorization": f"Bearer {KEY}"}
    if change == "deleted":
        answer = await house.http.delete("/v1/endpoints/lee-push?even_if_named=true", headers=key)
        assert answer.status_code == 204
    else:
        answer = await house.http.patch("/v1/endpoints/lee-push", json={"brands": ["other"]}, headers=key)
        assert answer.status_code == 200, answer.text
    assert (await house.http.get(lee)).status_code == 404
    assert (await house.http.post(lee, data={"by": "lee"})).status_code == 404
    assert await acknowledged(house) is None
    assert (await house.http.get(front)).status_code == 200


async def test_no_record_of_a_delivery_shows_the_link(house: House) -> None:
    async def echo(got: Got, writer: Any) -> None:
        await receiver.status(200, body=got.raw)(got, writer)

    house.receiver.answers["/lee-push"] = echo
    lee, _ = await links(house)
    house.http.headers["authorization"] = f"Bearer {KEY}"
    shown = ""
    for one in await house.deliveries():
        shown += (await house.http.get(f"/v1/deliveries/{one['id']}")).text
    assert "/acknowledge/***" in shown, "what the receiver answered is kept"
    assert lee.rpartition("/")[2] not in shown
