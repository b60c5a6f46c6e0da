"""ntfy: a push message whose button takes the incident from the phone, once, without opening anything.

No ntfy server can be had here, so a receiver takes what is published, and the tests hold it to the limits that ntfy's
documentation states. The button itself is pressed for real, as the phone would.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

DANA = {"id": "dana", "name": "Dana Scully", "methods": ["push"], "zone": "Europe/Berlin"}
STEPS = [{"id": "default", "steps": [{"endpoints": ["push"]}], "acknowledgement_minutes": 30}]
TOKEN = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=[DANA], policies=STEPS))
    await made.receiver.start()
    async with made.running():
        body = {"name": "push", "kind": "ntfy", "url": made.receiver.url("/on-call_1"), "key": TOKEN}
        answer = await made.http.post("/v1/endpoints", json=body)
        assert answer.status_code == 201, answer.text
        assert "on-call_1" not in answer.text, "whoever knows a topic reads it"
        yield made


def published(house: House) -> list[Any]:
    return [one.body for one in house.receiver.at("/")]


def action(message: Any, label: str) -> Any:
    return next(one for one in message["actions"] if one["label"] == label)


async def press(house: House, link: str, method: str = "POST") -> Any:
    house.http.headers.pop("authorization", None)
    answer = await house.http.request(method, urlsplit(link).path)
    house.http.headers["authorization"] = f"Bearer {KEY}"
    await house.settle()
    return answer


async def opened(house: House, **more: Any) -> Any:
    await house.signal(make.forecast(**more))
    await house.settle()
    return published(house)[-1]


async def test_a_push_message_wakes_by_its_severity_and_its_button_takes_it(house: House) -> None:
    page = await opened(house)
    (incident,) = await house.incidents()
    assert (page["topic"], page["priority"]) == ("on-call_1", {1: 5, 2: 4, 3: 3, 4: 3}[incident["severity"]])
    assert house.receiver.at("/")[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "By when: " in page["message"]
    assert page["click"] == action(page, "Open")["url"]
    button = action(page, "I have it")
    assert (button["action"], button["method"], button["clear"]) == ("http", "POST", True)
    answer = await press(house, button["url"])
    assert answer.status_code == 200
    assert "OK, you have it until 10:30 Europe/Berlin." in answer.text
    assert (await house.incidents())[0]["acknowledged_by"] == "Dana Scully (push)"
    news = published(house)[-1]
    assert news["priority"] == 2, "nobody is woken to hear that somebody has it"
    assert "I have it" not in [one["label"] for one in news.get("actions", [])]


async def test_a_button_counts_once_and_a_get_never(house: House) -> None:
    link = action(await opened(house), "I have it")["url"]
    for method in ("GET", "HEAD"):
        assert (await press(house, link, method)).status_code in (404, 405)
    assert (await house.incidents())[0]["acknowledged_by"] is None
    await press(house, link)
    await house.pass_time(31 * 60)
    assert (await house.incidents())[0]["acknowledged_by"] is None
    again = await press(house, link)
    assert (again.status_code, "heard already" in again.text) == (409, True)
    assert (await house.incidents())[0]["acknowledged_by"] is None, "whoever reads the topic later takes nothing by it"


async def test_what_is_over_or_forged_is_answered_in_words(house: House) -> None:
    page = await opened(house)
    link = action(page, "I have it")["url"]
    (incident,) = await house.incidents()
    for forged in (
        link[:-1],
        link + "x",
        link.replace("/once/", "/once/x"),
        page["click"].replace("acknowledge/", "acknowledge/once/"),
    ):
        answer = await press(house, forged)
        assert (answer.status_code, "not one of our links" in answer.text) == (404, True)
    await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "lee"})
    await house.settle()
    answer = await press(house, link)
    assert (answer.status_code, "Nothing to do any more: it is over" in answer.text) == (409, True)


async def test_a_long_page_stays_within_what_the_server_shows(house: House) -> None:
    long = "\u65e5\u672c\u8a9e" * 400
    await house.signal(make.forecast(root=make.card(text=long)))
    await house.settle()
    page = published(house)[-1]
    assert len(page["message"].encode()) <= 4096
    assert len(json.dumps(page, ensure_ascii=False).encode()) <= 8192
    assert len(page["actions"]) <= 3
    await house.http.post("/v1/endpoints/push/test")
    await house.settle()
    trial = published(house)[-1]
    assert "Call <duty manager> on +44" in trial["message"]
    assert trial["priority"] == 3, "a test rings"


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"url": "https://ntfy.example.com"}, "body.url"),
        ({"url": "https://ntfy.example.com/"}, "body.url"),
        ({"url": "https://ntfy.example.com/a topic"}, "body.url"),
        ({"url": "https://ntfy.example.com/topic?auth=x"}, "body.url"),
        ({"inbound_secret": "0123456789abcdef"}, "body.inbound_secret"),
        ({"key": "tk_1234567890", "auth": {"bearer": "x"}}, "body.headers.authorization"),
    ],
)
async def test_a_topic_that_cannot_be_one_is_refused_with_the_field(house: House, more: Any, at: str) -> None:
    body = {"name": "other", "kind": "ntfy", "url": "https://ntfy.example.com/topic"} | more
    answer = await house.http.post("/v1/endpoints", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at)
