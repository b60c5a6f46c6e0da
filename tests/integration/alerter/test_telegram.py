"""Telegram's Bot API: buttons that act, a message that says who has it, and a webhook that only Telegram knows the secret of.

There is no Telegram to be had here: a receiver answers as its documentation says, and keeps what it was sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from alerter.notify import telegram_outlet
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.receiver import Got, stall, status
from tests.unit.alerter import make

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
SECRET = "telegram-webhook-secret_1"
CHAT = "-1001234567890"
DANA = {"id": "dana", "name": "Dana Scully", "methods": ["chat"], "known_as": ["telegram:4711"]}
STEPS = [{"id": "default", "steps": [{"endpoints": ["chat"]}], "acknowledgement_minutes": 30}]


class BotApi:
    """Answers like Telegram: each message has a number, and the answer repeats it."""

    def __init__(self, house: House) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.refuses: dict[str, tuple[int, str]] = {}
        for method in ("sendMessage", "editMessageText", "editMessageReplyMarkup"):
            house.receiver.answers[f"/bot{TOKEN}/{method}"] = self._answer(method)

    def _answer(self, method: str) -> Any:
        async def say(got: Got, writer: asyncio.StreamWriter) -> None:
            if method in self.refuses:
                code, why = self.refuses[method]
                more = {"retry_after": 35} if code == 429 else {}
                said = {"ok": False, "error_code": code, "description": why, "parameters": more}
                await status(code, body=json.dumps(said).encode())(got, writer)
                return
            self.calls.append((method, got.body))
            number = 100 + len(self.calls)
            said = {"ok": True, "result": {"message_id": number, "chat": {"id": int(CHAT)}, "text": "x" * 5000}}
            await status(200, body=json.dumps(said).encode())(got, writer)

        return say

    def of(self, method: str) -> list[Any]:
        return [body for name, body in self.calls if name == method]


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=[DANA], policies=STEPS))
    await made.receiver.start()
    async with made.running():
        yield made


async def joined(house: House, **more: Any) -> BotApi:
    api = BotApi(house)
    url = house.receiver.url("")
    body = {"name": "chat", "kind": "telegram", "url": url, "key": TOKEN, "options": {"chat": CHAT}, "per_second": 1000}
    answer = await house.http.post("/v1/endpoints", json=body | more)
    assert answer.status_code == 201, answer.text
    assert TOKEN not in answer.text
    return api


async def opened(house: House, **more: Any) -> Any:
    await house.signal(make.forecast(**more))
    await house.settle()
    (incident,) = await house.incidents()
    return incident


def buttons(message: Any) -> dict[str, str]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return {one["text"]: one.get("callback_data") or one["url"] for row in rows for one in row}


def pressed(data: str, update: int = 1, user: int = 4711, **person: Any) -> dict[str, Any]:
    who = {"id": user, "is_bot": False, "first_name": "D.", "username": "dana_s"} | person
    message = {"message_id": 101, "date": 1, "chat": {"id": int(CHAT), "type": "supergroup"}}
    query = {"id": f"q{update}", "from": who, "message": message, "chat_instance": "1", "data": data}
    return {"update_id": update, "callback_query": query}


async def press(house: House, body: dict[str, Any], secret: str | None = SECRET) -> Any:
    house.http.headers.pop("authorization", None)
    headers = {} if secret is None else {b"x-telegram-bot-api-secret-token": secret.encode()}
    answer = await house.http.post("/v1/inbound/telegram/chat", json=body, headers=headers)
    house.http.headers["authorization"] = f"Bearer {KEY}"
    await house.settle()
    return answer


async def test_a_button_takes_it_and_the_message_says_who_has_it(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    await opened(house)
    (page,) = api.of("sendMessage")
    assert (page["chat_id"], page["disable_notification"]) == (CHAT, False)
    assert "parse_mode" not in page, "nothing of it is markup"
    shown = buttons(page)
    assert {"I have it", "Escalate now"} <= shown.keys()
    assert all(len(data.encode()) <= 64 for name, data in shown.items() if not data.startswith("https://"))
    answer = (await press(house, pressed(shown["I have it"]))).json()
    assert (answer["method"], answer["callback_query_id"]) == ("answerCallbackQuery", "q1")
    assert answer["text"] == "OK, you have it until 09:30 UTC."
    (incident,) = await house.incidents()
    assert incident["acknowledged_by"] == "Dana Scully (Telegram)"
    news = api.of("sendMessage")[-1]
    assert news["disable_notification"] is True, "nobody is woken to hear that somebody has it"
    assert news["reply_parameters"] == {"message_id": 101, "allow_sending_without_reply": True}
    assert "I take it over" in buttons(news)
    (edit,) = api.of("editMessageText")
    assert edit["message_id"] == 101
    assert "Dana Scully (Telegram) has it" in edit["text"]
    assert "reply_markup" not in edit, "whoever scrolls back cannot press what is old"
    await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "dana"})
    await house.settle()
    assert [body["message_id"] for body in api.of("editMessageText")] == [101, 102]
    assert not {"I have it", "I take it over"} & buttons(api.of("sendMessage")[-1]).keys()


async def test_each_button_does_what_it_says_and_what_is_over_says_so(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    incident = await opened(house)
    shown = buttons(api.of("sendMessage")[0])
    if incident["severity"] > 1:
        said = (await press(house, pressed(shown["Snooze 30 min"], 1))).json()["text"]
        assert said.startswith("OK, nobody is told of it until ")
    assert "next step" in (await press(house, pressed(shown["Escalate now"], 2))).json()["text"]
    await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "lee"})
    await house.settle()
    late = (await press(house, pressed(shown["I have it"], 3))).json()
    assert late["text"].startswith("Nothing to do any more: it is over since ")
    assert late["show_alert"] is True


async def test_an_update_that_is_sent_again_changes_nothing(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    await opened(house)
    data = buttons(api.of("sendMessage")[0])["I have it"]
    await press(house, pressed(data))
    await house.pass_time(31 * 60)
    assert (await house.incidents())[0]["acknowledged_by"] is None
    assert "heard already" in (await press(house, pressed(data))).json()["text"]
    assert (await house.incidents())[0]["acknowledged_by"] is None


async def test_a_name_that_somebody_gave_themselves_is_marked_as_such(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    await opened(house)
    data = buttons(api.of("sendMessage")[0])["I have it"]
    await press(house, pressed(data, user=9, first_name="Dana Scully", last_name="\u202e(x)"))
    (incident,) = await house.incidents()
    assert incident["acknowledged_by"] == "\u201cDana Scully (x)\u201d (Telegram)"


async def test_nobody_but_telegram_is_heard_and_no_button_that_we_did_not_make(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    await opened(house)
    data = buttons(api.of("sendMessage")[0])["I have it"]
    for secret in (None, "", "wrong", "\u00e9"):
        assert (await press(house, pressed(data), secret)).status_code == 401
    for forged in ("", "a", data[:-1], "r" + data[1:], data + "x", "a" * 64):
        answer = await press(house, pressed(forged))
        assert answer.json()["text"] == "This is not one of our buttons"
    for other in ({"update_id": 7, "message": {"text": "hello"}}, {"update_id": 8, "callback_query": []}):
        assert (await press(house, other)).status_code == 204
    bad: list[dict[str, Any]] = [{}, {"update_id": "x"}, {"callback_query": {}}]
    for hostile in bad:
        assert (await press(house, hostile)).status_code == 422
    for raw in (b"", b"{", b'{"update_id": 1e999}', b"[" * 100_000, b"\xff"):
        headers = {"x-telegram-bot-api-secret-token": SECRET}
        assert (await house.http.post("/v1/inbound/telegram/chat", content=raw, headers=headers)).status_code == 422
    assert (await press(house, pressed(data[:-1] + "x", update=10**400))).status_code == 200
    assert (await house.http.get("/v1/inbound/telegram/chat")).status_code == 405
    assert (await house.incidents())[0]["acknowledged_by"] is None


async def test_without_a_way_back_its_buttons_open_the_pages(house: House) -> None:
    api = await joined(house)
    await opened(house)
    shown = buttons(api.of("sendMessage")[0])
    assert shown["I have it"].startswith("https://firebreak.example/acknowledge/")
    assert "Escalate now" not in shown


async def test_a_page_that_gets_worse_has_buttons_in_one_place_only(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    incident = await opened(house)
    await house.http.post(f"/v1/incidents/{incident['id']}/escalate", json={"by": "lee"})
    await house.settle()
    assert len(api.of("sendMessage")) == 2
    assert [body["message_id"] for body in api.of("editMessageReplyMarkup")] == [101]
    assert api.of("editMessageText") == []


async def test_what_telegram_refuses_is_tried_again_and_shows_no_token(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    api.refuses["sendMessage"] = (429, f"Too Many Requests: retry after 35 {TOKEN}")
    await opened(house)
    (delivery,) = await house.deliveries()
    assert delivery["state"] == "pending"
    assert "Too Many Requests" in delivery["attempts"][0]["detail"]
    assert TOKEN not in json.dumps(delivery)
    api.refuses.clear()
    await house.pass_time(120, step=5)
    (delivery,) = await house.deliveries()
    assert (delivery["state"], delivery["attempts"][-1]["detail"]) == ("delivered", "message 101")


async def test_an_old_message_that_cannot_be_changed_holds_nothing_up(house: House) -> None:
    api = await joined(house, inbound_secret=SECRET)
    incident = await opened(house)
    api.refuses["editMessageText"] = (400, "Bad Request: message can't be edited")
    await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "lee"})
    await house.settle()
    assert [one["state"] for one in await house.deliveries()] == ["delivered", "delivered"]
    assert len(api.of("sendMessage")) == 2


async def test_a_change_that_telegram_never_answers_does_not_keep_the_page_from_being_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_outlet, "CHANGE_SECONDS", 0.05)
    api = await joined(house, inbound_secret=SECRET)
    incident = await opened(house)
    house.receiver.answers[f"/bot{TOKEN}/editMessageText"] = stall
    await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "lee"})
    await house.settle()
    assert [one["state"] for one in await house.deliveries()] == ["delivered", "delivered"]
    assert len(api.of("sendMessage")) == 2


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"key": "short"}, "body.key"),
        ({"key": None}, "body.key"),
        ({"options": {}}, "body.options.chat"),
        ({"options": {"chat": "a chat"}}, "body.options.chat"),
    ],
)
async def test_a_chat_that_cannot_be_one_is_refused_with_the_field(house: House, more: dict[str, Any], at: str) -> None:
    body = {"name": "chat", "kind": "telegram", "key": TOKEN, "options": {"chat": CHAT}} | more
    answer = await house.http.post("/v1/endpoints", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at)
