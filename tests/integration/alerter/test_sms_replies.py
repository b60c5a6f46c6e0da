"""A text message that comes back takes the incident: signed as Twilio signs, or with a token, and answered in words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER = "+447700900123"
STRANGER = "+447700900999"
DANA = {
    "id": "dana",
    "name": "Dana Scully",
    "methods": ["dana-sms"],
    "zone": "Europe/Berlin",
    "known_as": [f"sms:{NUMBER}"],
}
LEE = {"id": "lee", "methods": ["lee-sms"]}
STEPS = [{"id": "default", "steps": [{"endpoints": ["dana-sms", "lee-sms"]}], "acknowledgement_minutes": 30}]
PATH = "/v1/inbound/sms/dana-sms"


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=[DANA, LEE], policies=STEPS))
    await made.receiver.start()
    async with made.running():
        for name in ("dana-sms", "lee-sms"):
            url = f"json://127.0.0.1:{made.receiver.port}/{name}"
            body = {"name": name, "kind": "apprise", "url": url, "inbound_secret": TOKEN}
            answer = await made.http.post("/v1/endpoints", json=body)
            assert answer.status_code == 201, answer.text
            assert TOKEN not in answer.text
        yield made


def signed(fields: Mapping[str, str], path: str = PATH, token: str = TOKEN) -> dict[str, str]:
    """As Twilio's documentation says it: the URL, then each field's name and value in the order of the names."""
    said = f"https://firebreak.example{path}" + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    made = hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(made).decode()}


async def twilio(house: House, text: str, sender: str = NUMBER, own: str = "SM1", **more: str) -> str:
    """Sends a text message as Twilio does. Returns what the person is answered."""
    house.http.headers.pop("authorization", None)
    fields = {"MessageSid": own, "AccountSid": "AC1", "From": sender, "To": "+4420", "Body": text, **more}
    answer = await house.http.post(PATH, data=fields, headers=signed(fields))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/xml")
    found = re.search(r"<Message>(.*)</Message>", answer.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


async def paged(house: House, **more: Any) -> dict[str, str]:
    """Opens an incident. Returns the code that each endpoint was sent."""
    await house.signal(make.forecast(**more))
    await house.settle()
    codes = {}
    for name in ("dana-sms", "lee-sms"):
        text = house.receiver.at(f"/{name}")[-1].body["message"]
        found = re.search(r"^To take it: reply (\d{6}) to this message$", text, re.MULTILINE)
        assert found is not None, text
        codes[name] = found[1]
    return codes


async def taken(house: House) -> Any:
    return (await _read(house, "select acknowledged_by from incidents"))[0][0]


async def _read(house: House, query: str) -> Any:
    return await house.alerter.database.read(lambda c: c.exec_driver_sql(query).all())


async def test_a_code_takes_the_incident_in_the_name_of_whose_number_it_is(house: House) -> None:
    codes = await paged(house)
    assert codes["dana-sms"] != codes["lee-sms"]
    assert await twilio(house, codes["dana-sms"]) == "OK, you have it until 10:30 Europe/Berlin."
    assert await taken(house) == "Dana Scully (SMS)"
    await house.settle()
    assert "Dana Scully (SMS) has it" in house.receiver.at("/lee-sms")[-1].body["message"]
    house.http.headers["authorization"] = f"Bearer {KEY}"
    (line,) = [
        one for one in (await house.http.get("/v1/audit")).json()["items"] if one["what"] == "incident.acknowledged"
    ]
    assert (line["actor"], line["detail"]) == ("dana-sms", {"by": "Dana Scully (SMS)"})


async def test_a_number_that_nobody_knows_acts_for_whom_the_code_was_sent_to_and_is_named(house: House) -> None:
    codes = await paged(house)
    assert (await twilio(house, codes["lee-sms"], STRANGER)).startswith("OK, you have it until 09:30 UTC")
    assert await taken(house) == "lee (lee-sms, from a number ending in 0999)"


async def test_words_before_the_code_do_what_they_say(house: House) -> None:
    code = (await paged(house))["dana-sms"]
    more = await twilio(house, f"more {code}")
    assert re.search(r"^SEV\d: ", more)
    assert "https://firebreak.example/acknowledge/" in more
    assert await taken(house) is None
    assert "next step is done" in await twilio(house, f"E {code}", own="SM2")
    assert "you have it" in await twilio(house, f"ok {code}", own="SM3")
    assert "it is over" in await twilio(house, f"r {code}", own="SM4")
    assert (await _read(house, "select state from incidents"))[0][0] == "resolved"
    again = await twilio(house, code, own="SM5")
    assert again == "Nothing to do any more: it is over since 10:00 Europe/Berlin, Dana Scully (SMS) said so."


async def test_a_message_that_is_sent_again_changes_nothing_and_is_answered(house: House) -> None:
    code = (await paged(house))["dana-sms"]
    await twilio(house, code)
    assert await twilio(house, code) == "That was heard already: you have it until 10:30 Europe/Berlin."
    await house.pass_time(31 * 60)
    assert await taken(house) is None, "the acknowledgement is over"
    assert await twilio(house, code) == "That was heard already. Nobody has it now."
    assert await taken(house) is None


@pytest.mark.parametrize("own", ["\x00", "\ud800", "\u00e9" * 300, "x" * 5000])
async def test_an_id_that_no_database_takes_is_one_like_any_other(house: House, own: str) -> None:
    code = (await paged(house))["dana-sms"]
    house.http.headers["authorization"] = f"Bearer {TOKEN}"
    body = json.dumps({"from": NUMBER, "text": code, "id": own})
    for said in ("OK, you have it", "That was heard already"):
        answer = await house.http.post(PATH, content=body, headers={"content-type": "application/json"})
        assert answer.json()["answer"].startswith(said)


async def test_what_is_no_code_says_so_kindly_and_then_nothing(house: House) -> None:
    codes = await paged(house)
    wrong = next(str(n) for n in range(100_000, 100_100) if str(n) not in codes.values())
    assert "no open incident" in await twilio(house, wrong, STRANGER)
    for text in ("hello", "resolve", "do not resolve " + codes["lee-sms"], "hello", "hello"):
        assert "Reply with the 6 digits" in await twilio(house, text, STRANGER)
    assert await twilio(house, "hello", STRANGER) == "", "two machines must not answer each other"
    for n in range(4):
        assert "no open incident" in await twilio(house, wrong, STRANGER, f"SM2{n}"), "no text without a code counts"
    assert await twilio(house, codes["lee-sms"], STRANGER, "SM3") == "", "whoever guesses is heard no more"
    assert await taken(house) is None
    assert "you have it" in await twilio(house, codes["dana-sms"], own="SM4"), "another number is heard as before"


async def test_nobody_acts_without_the_proof_and_never_by_a_get(house: House) -> None:
    codes = await paged(house)
    house.http.headers.pop("authorization")
    fields = {"MessageSid": "SM1", "From": NUMBER, "Body": codes["dana-sms"]}
    tries: list[tuple[str, dict[str, str]]] = [
        (PATH, {}),
        (PATH, signed(fields, token="f" * 32)),
        (PATH, signed({**fields, "Body": "111111"})),
        (PATH, signed(fields, path="/v1/inbound/sms/lee-sms")),
        (PATH, {"authorization": "Bearer " + "f" * 32}),
        (PATH, {"authorization": "Basic !!!"}),
        (PATH + "?token=wrong", {}),
        ("/v1/inbound/sms/nobody", signed(fields, path="/v1/inbound/sms/nobody")),
        (PATH, {**signed(fields, token="f" * 32), "authorization": f"Bearer {TOKEN}"}),
    ]
    for path, headers in tries:
        answer = await house.http.post(path, data=fields, headers=headers)
        assert answer.status_code == 401, (path, headers)
        assert TOKEN not in answer.text
    assert (await house.http.get(PATH, params={**fields, "token": TOKEN})).status_code == 405
    assert await taken(house) is None


@pytest.mark.parametrize("how", ["bearer", "basic", "address"])
async def test_another_service_proves_itself_by_a_token(house: House, how: str) -> None:
    code = (await paged(house))["dana-sms"]
    house.http.headers.pop("authorization")
    basic = base64.b64encode(f"vonage:{TOKEN}".encode()).decode()
    headers = {"bearer": {"authorization": f"Bearer {TOKEN}"}, "basic": {"authorization": f"Basic {basic}"}}.get(
        how, {}
    )
    body = {"msisdn": NUMBER.removeprefix("+"), "to": "4420", "messageId": "V1", "text": code, "type": "text"}
    path = PATH + (f"?token={TOKEN}" if how == "address" else "")
    answer = await house.http.post(path, json=body, headers=headers)
    assert answer.json() == {"answer": "OK, you have it until 10:30 Europe/Berlin."}
    assert await taken(house) == "Dana Scully (SMS)"
    for hostile in (b"", b"[]", b"{", b"[" * 100_000, b"\xff"):
        kind = {"content-type": "application/json"}
        answer = await house.http.post(path, content=hostile, headers=headers | kind)
        assert answer.status_code == 422, hostile[:10]


async def test_codes_of_endpoints_with_another_secret_are_not_taken_there(house: House) -> None:
    house.http.headers["authorization"] = f"Bearer {KEY}"
    url = f"json://127.0.0.1:{house.receiver.port}/other"
    other = {"name": "other", "kind": "apprise", "url": url, "inbound_secret": "f" * 32}
    assert (await house.http.post("/v1/endpoints", json=other)).status_code == 201
    code = (await paged(house))["dana-sms"]
    fields = {"MessageSid": "SM1", "From": NUMBER, "Body": code}
    path = "/v1/inbound/sms/other"
    answer = await house.http.post(path, data=fields, headers=signed(fields, path, "f" * 32))
    assert "no open incident" in answer.text
    assert await taken(house) is None


async def test_without_a_way_back_no_code_is_sent_and_none_by_mail(house: House) -> None:
    house.http.headers["authorization"] = f"Bearer {KEY}"
    mail = {"name": "mail", "kind": "apprise", "url": "mailto://u:p@example.com", "inbound_secret": TOKEN}
    answer = await house.http.post("/v1/endpoints", json=mail)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "body.inbound_secret")
    url = f"json://127.0.0.1:{house.receiver.port}/plain-sms"
    plain = {"name": "plain-sms", "kind": "apprise", "url": url, "subscribed": True}
    assert (await house.http.post("/v1/endpoints", json=plain)).status_code == 201
    await house.signal(make.forecast())
    await house.settle()
    assert "To take it" not in house.receiver.at("/plain-sms")[-1].body["message"]
    assert "To take it" in house.receiver.at("/dana-sms")[-1].body["message"]
