"""Text messages that come back, in the words of the services' documentation and of people at night."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify import sms
from alerter.notify.sms import Ask, Order

TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
"""The example of Twilio's documentation, whose token is 12345."""
TWILIO_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_twilio_signs_as_in_the_example_of_its_documentation() -> None:
    assert sms.signed_by_twilio("12345", TWILIO_URL, TWILIO_FIELDS, TWILIO_SIGNATURE)
    assert sms.signed_by_twilio("12345", TWILIO_URL, TWILIO_FIELDS[::-1], TWILIO_SIGNATURE), "in whatever order"
    assert sms.signed_by_twilio(
        "12345", "https://mycompany.com:443/myapp.php?foo=1&bar=2", TWILIO_FIELDS, TWILIO_SIGNATURE
    )
    for token, url, fields, signature in (
        ("12346", TWILIO_URL, TWILIO_FIELDS, TWILIO_SIGNATURE),
        ("12345", TWILIO_URL + "1", TWILIO_FIELDS, TWILIO_SIGNATURE),
        ("12345", TWILIO_URL, TWILIO_FIELDS[1:], TWILIO_SIGNATURE),
        ("12345", TWILIO_URL, [*TWILIO_FIELDS, ("Body", "123456")], TWILIO_SIGNATURE),
        ("12345", TWILIO_URL, TWILIO_FIELDS, ""),
        ("12345", TWILIO_URL, TWILIO_FIELDS, "\u00e9"),
        ("12345", "no URL", TWILIO_FIELDS, TWILIO_SIGNATURE),
    ):
        assert not sms.signed_by_twilio(token, url, fields, signature)


VENDORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "twilio": ({"MessageSid": "SM1", "From": "+447700900123", "To": "+4420", "Body": "482913", "NumMedia": "0"}, {}),
    "vonage messages": (
        {"message_uuid": "SM1", "from": "447700900123", "to": "4420", "text": "482913", "channel": "sms"},
        {},
    ),
    "vonage sms": (
        {
            "msisdn": "447700900123",
            "to": "4420",
            "messageId": "SM1",
            "text": "482913",
            "type": "text",
            "keyword": "482913",
        },
        {},
    ),
    "messagebird": (
        {"id": "SM1", "originator": "447700900123", "recipient": "4420", "body": "482913", "reference": None},
        {},
    ),
    "sinch": ({"id": "SM1", "from": "447700900123", "to": "4420", "body": "482913", "type": "mo_text"}, {}),
    "plivo": ({"MessageUUID": "SM1", "From": "447700900123", "To": "4420", "Text": "482913", "Type": "sms"}, {}),
    "telnyx": (
        {"data": {"payload": {"id": "SM1", "from": {"phone_number": "+447700900123"}, "text": "482913"}}},
        {
            "sender_field": "data.payload.from.phone_number",
            "text_field": "data.payload.text",
            "id_field": "data.payload.id",
        },
    ),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_service_is_read_by_its_own_names_or_by_those_of_the_endpoint(vendor: str) -> None:
    fields, named = VENDORS[vendor]
    found = sms.message_of(fields, named)
    assert (found.id, found.sender, found.text) == ("SM1", "+447700900123", "482913")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"From": "+1"},
        {"Body": "482913"},
        {"From": {"a": 1}, "Body": [], "id": True},
        {"From": " ", "Body": "x", "id": "1"},
    ],
)
def test_what_is_no_text_message_is_refused_with_what_is_missing(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="there is no field with its"):
        sms.message_of(fields, {})


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+44 7700 900123", "+447700900123"),
        ("00447700900123", "+447700900123"),
        ("447700900123", "+447700900123"),
        ("whatsapp:+447700900123", "+447700900123"),
        ("(415) 867-5309", "+4158675309"),
        ("ACME", "ACME"),
        ("12345", "12345"),
    ],
)
def test_a_number_has_one_spelling(given: str, number: str) -> None:
    assert sms.number_of(given) == number


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("482913", Order("482913", Ask.TAKE)),
        (" 482 913\n", Order("482913", Ask.TAKE)),
        ("482-913.", Order("482913", Ask.TAKE)),
        ("OK 482913!", Order("482913", Ask.TAKE)),
        ("482913 I have it", Order("482913", Ask.TAKE)),
        ("Ack: 482913", Order("482913", Ask.TAKE)),
        ("r 482913", Order("482913", Ask.RESOLVE)),
        ("Resolve 482913", Order("482913", Ask.RESOLVE)),
        ("482913 RESOLVED.", Order("482913", Ask.RESOLVE)),
        ("e482913", Order("482913", Ask.ESCALATE)),
        ("more 482913", Order("482913", Ask.MORE)),
        ("482913?", Order("482913", Ask.MORE)),
        ("no 482913", Order("482913", None)),
        ("do not resolve 482913", Order("482913", None)),
        ('Liked "To take it: reply 482913 to this message"', Order("482913", None)),
        ("Your message 'reply 482913' could not be delivered", Order("482913", None)),
        ("resolve", Order(None, Ask.RESOLVE)),
        ("4829", Order(None, None)),
        ("4829131", Order(None, None)),
        ("+447700900123", Order(None, None)),
    ],
)
def test_what_people_write_at_night_is_understood_and_nothing_else_acts(text: str, order: Order) -> None:
    assert sms.order_of(text) == order


def answered(said: str | None) -> ET.Element:
    return ET.fromstring(sms.twiml(said))  # noqa: S314 - it is our own


@given(st.text(max_size=2000))
def test_an_answer_is_xml_that_every_reader_takes(said: str) -> None:
    (message,) = answered(said)
    assert message.tag == "Message"
    assert len(message.text or "") <= sms.MAX_TEXT_CHARS


def test_an_answer_may_be_nothing_at_all() -> None:
    assert list(answered(None)) == []
