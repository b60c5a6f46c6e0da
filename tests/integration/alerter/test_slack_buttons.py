"""Buttons in Slack: signed with the time as Slack's documentation says, and answered to the person who pressed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
DANA = {"id": "dana", "name": "Dana Scully", "methods": ["channel"], "known_as": ["slack:U2147483697"]}
STEPS = [{"id": "default", "steps": [{"endpoints": ["channel"]}], "acknowledgement_minutes": 30}]
PATH = "/v1/inbound/slack/channel"


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=[DANA], policies=STEPS))
    await made.receiver.start()
    async with made.running():
        await made.http.post(
            "/v1/endpoints",
            json={
                "name": "channel",
                "kind": "slack",
                "url": made.receiver.url("/channel"),
                "per_second": 1000,
                "inbound_secret": SECRET,
            },
        )
        yield made


def shown(house: House) -> dict[str, dict[str, Any]]:
    """The buttons of the newest message."""
    blocks = house.receiver.at("/channel")[-1].body["blocks"]
    rows = [block["elements"] for block in blocks if block["type"] == "actions"]
    return {one["text"]["text"]: one for row in rows for one in row}


def signature(body: str, at: float, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(at))
    made = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return kind | {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={made}"}


def payload(house: House, button: dict[str, Any], trigger: str = "13345224609.1", **user: str) -> str:
    who: dict[str, str] = {"id": "U2147483697", "username": "dana", "name": "dana", "team_id": "T1"} | user
    action = {key: button[key] for key in ("action_id", "value") if key in button}
    said: dict[str, Any] = {
        "type": "block_actions",
        "user": who,
        "trigger_id": trigger,
        "response_url": house.receiver.url("/actions/1"),
        "actions": [{**action, "type": "button", "action_ts": "1548426417.840180"}],
    }
    return urlencode({"payload": json.dumps(said)})


async def press(house: House, body: str, headers: Mapping[str, str] | None = None) -> int:
    house.http.headers.pop("authorization", None)
    given = signature(body, time.time()) if headers is None else headers
    raw = {name.encode(): value.encode() for name, value in given.items()}
    answer = await house.http.post(PATH, content=body, headers=raw)
    house.http.headers["authorization"] = f"Bearer {KEY}"
    await house.settle()
    return answer.status_code


def answers(house: House) -> list[str]:
    return [one.body["text"] for one in house.receiver.at("/actions/1")]


async def test_taking_putting_off_and_escalating_work_and_the_person_reads_what_became_of_it(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    buttons = shown(house)
    (incident,) = await house.incidents()
    assert {"I have it", "Escalate now", "Page somebody"} <= buttons.keys()
    assert ("Snooze 30 min" in buttons) is (incident["severity"] > 1)
    assert buttons["Page somebody"]["url"] == "https://firebreak.example/console/page"
    assert await press(house, payload(house, buttons["I have it"], "t1")) == 200
    assert (await house.incidents())[0]["acknowledged_by"] == "Dana Scully (Slack)"
    assert {"I take it over", "It is over"} <= shown(house).keys()
    await press(house, payload(house, buttons["Escalate now"], "t2"))
    assert (await house.incidents())[0]["acknowledged_by"] is None
    if "Snooze 30 min" in buttons:
        await press(house, payload(house, buttons["Snooze 30 min"], "t3"))
        assert (await house.incidents())[0]["snoozed_by"] == "Dana Scully (Slack)"
    await press(house, payload(house, {**buttons["I have it"]}, "t1"))
    said = answers(house)
    assert said[0] == "OK, you have it until 09:30 UTC."
    assert said[1].startswith("OK, the next step is done now")
    assert said[-1].startswith("That was heard already")
    await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "lee"})
    await house.settle()
    await press(house, payload(house, buttons["I have it"], "t4"))
    assert answers(house)[-1].startswith("Nothing to do any more: it is over")
    assert "I have it" not in shown(house)


async def test_what_slack_did_not_sign_just_now_changes_nothing(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    body, now = payload(house, shown(house)["I have it"]), time.time()
    tries: list[dict[str, str]] = [
        {},
        signature(body, now, "another secret of the same kind"),
        signature(body + " ", now),
        signature(body, now - 400),
        signature(body, now + 400),
        signature(body, now) | {"x-slack-request-timestamp": "\u0661"},
        signature(body, now) | {"x-slack-request-timestamp": "9" * 30},
    ]
    for headers in tries:
        assert await press(house, body, headers) == 401
    assert (await house.http.get(PATH)).status_code == 405
    assert (await house.incidents())[0]["acknowledged_by"] is None
    for hostile in ("payload=", "payload=%5B%5D", "x=1", "payload=" + "%5B" * 5000):
        assert await press(house, hostile) == 422


async def test_a_forged_button_a_link_and_a_strange_address_do_nothing(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    buttons = shown(house)
    forged = {**buttons["I have it"], "value": "a" + "0" * 54}
    assert await press(house, payload(house, forged, "t1")) == 200
    assert answers(house) == ["This is not one of our buttons"]
    assert await press(house, payload(house, buttons["Page somebody"], "t2")) == 200
    assert (await house.incidents())[0]["acknowledged_by"] is None
    body = payload(house, buttons["I have it"], "t3").replace(f"127.0.0.1%3A{house.receiver.port}", "127.0.0.2%3A9")
    assert await press(house, body) == 200
    assert len(answers(house)) == 1, "nothing is sent to another host"
    assert (await house.incidents())[0]["acknowledged_by"] == "Dana Scully (Slack)"


async def test_somebody_whom_no_responder_is_known_as_is_named_in_quotes(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await press(house, payload(house, shown(house)["I have it"], id="U9", name="Dana Scully"))
    assert (await house.incidents())[0]["acknowledged_by"] == "\u201cDana Scully\u201d (Slack)"
