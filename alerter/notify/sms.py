"""Text messages that come back: who signed them, what they say, and how they are answered. Pure.

Twilio signs what it sends with the account's token (SHA-1, says its documentation, over the URL and the fields in the order of
their names) and sends on to the person what we answer as TwiML. Other services prove themselves by a token of ours, and read
no answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from alerter.notify.buttons import CODE_DIGITS

MAX_TEXT_CHARS: Final = 1600
_SENDERS: Final = ("From", "from", "msisdn", "originator", "sender", "sourceAddress")
_TEXTS: Final = ("Body", "body", "text", "Text", "message", "content")
_IDS: Final = ("MessageSid", "SmsMessageSid", "message_uuid", "messageId", "MessageUUID", "message_id", "id")
"""How Twilio, Vonage, MessageBird, Sinch, Plivo and others call what we need, the surest first."""
_PORTS: Final = {"https": 443, "http": 80}
_CODE: Final = re.compile(rf"(?<!\d)(?:\d[ .-]?){{{CODE_DIGITS}}}(?!\d)")
_UNSENDABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML holds."""


class Ask(StrEnum):
    """What somebody asks for by a text message."""

    TAKE = "take"
    RESOLVE = "resolve"
    ESCALATE = "escalate"
    MORE = "more"


_WORDS: Final[Mapping[Ask, re.Pattern[str]]] = {
    Ask.TAKE: re.compile("(ok(ay)?|y(es)?|a(ck(nowledge)?)?|take|mine|i have it|ja|oui)?"),
    Ask.RESOLVE: re.compile("r|resolved?|over|done|closed?"),
    Ask.ESCALATE: re.compile("e|escalate|next"),
    Ask.MORE: re.compile(r"m|more|info|\?|what|details"),
}


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A text message that somebody sent us. `id` is the service's own: a repeated one changes nothing."""

    id: str
    sender: str
    """A number as `+447700900123`, or whatever else the service calls the sender."""
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a text asks for. Without a `code` it is about no incident that we could know."""

    code: str | None
    ask: Ask | None
    """`None` if the words around the code are none that we know."""


def signed_by_twilio(token: str, url: str, fields: Sequence[tuple[str, str]], signature: str) -> bool:
    """Returns True if Twilio signed this request to `url`. Its port may or may not be part of what was signed."""
    said = "".join(f"{name}{value}" for name, value in sorted(set(fields)))
    given = signature.encode("utf-8", "replace")
    right = [hmac.compare_digest(_sha1(token, one + said), given) for one in _with_and_without_port(url)]
    return any(right)


def _sha1(token: str, said: str) -> bytes:
    return base64.b64encode(hmac.new(token.encode(), said.encode("utf-8", "replace"), hashlib.sha1).digest())


def _with_and_without_port(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    host, port = parts.netloc.rpartition("@")[2], _PORTS.get(parts.scheme)
    if port is None:
        return (url,)
    bare = re.sub(r":\d+$", "", host)
    return (url, *(urlunsplit(parts._replace(netloc=one)) for one in (bare, f"{bare}:{port}") if one != host))


def message_of(fields: Mapping[str, Any], named: Mapping[str, Any]) -> TextMessage:
    """Returns the message in what a service sent. `named` are the endpoint's options. Raises `ValueError` if it is none."""
    found = [
        _field(fields, [named[option]] if named.get(option) else usual)
        for option, usual in (("sender_field", _SENDERS), ("text_field", _TEXTS), ("id_field", _IDS))
    ]
    sender, text, own = found
    if sender is None or text is None or own is None:
        missing = [name for name, one in zip(("sender", "text", "id"), found, strict=True) if one is None]
        raise ValueError(f"no text message: there is no field with its {' and '.join(missing)}")
    return TextMessage(own, number_of(sender), text[:MAX_TEXT_CHARS])


def _field(fields: Mapping[str, Any], paths: Sequence[str]) -> str | None:
    for path in paths:
        value: Any = fields
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return None


def number_of(sender: str) -> str:
    """Returns a number in one spelling, whichever the service uses. What is no number stays as it is."""
    plain = sender.strip()[:100].rpartition(":")[2]
    digits = re.sub(r"[\s().-]", "", plain)
    if not re.fullmatch(r"(\+|00)?[0-9]{6,15}", digits):
        return plain
    return "+" + digits.removeprefix("+").removeprefix("00")


def order_of(text: str) -> Order:
    """Returns what a text asks for: a code, with a word before or behind it."""
    found = _CODE.search(text)
    code = re.sub(r"\D", "", found[0]) if found else None
    rest = text if found is None else f"{text[: found.start()]} {text[found.end() :]}"
    word = " ".join(re.sub(r"[^\w\s?]", " ", rest).casefold().split())
    ask = next((one for one, words in _WORDS.items() if words.fullmatch(word)), None)
    return Order(code, ask)


def twiml(said: str | None) -> bytes:
    """Returns the answer that Twilio sends to the person, or one that sends nothing."""
    text = "" if said is None else f"<Message>{escape(_UNSENDABLE.sub('', said)[:MAX_TEXT_CHARS])}</Message>"
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{text}</Response>'.encode()
