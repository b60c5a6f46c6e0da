"""Makes and checks the signed links with which the people who were told acknowledge an incident, or confirm a drill's test
page, in one click; and the codes by which they confirm a method. Pure.

A link is valid for one incident (or one person's part in a drill) and one endpoint, for a day. GET shows a page and POST acts,
because chat programs open every link that they are sent. The link allows nothing else: it names no brand, and nobody can make
or extend one without the installation's key. Links and codes are put into a message when it is sent: they stand in no outbox.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.contracts.incident import IncidentState

VALID: Final = timedelta(hours=24)
PATH: Final = "/acknowledge/"
CONFIRM_PATH: Final = "/confirm/"
TEST_PAGE: Final = "page.test"
"""The type of a drill's message."""
PAGE_OVER: Final = "page.over"
"""The type of the message that ends it where something would ring on."""
METHOD_CODE: Final = "method.code"
"""The type of a message with a code."""
CODE_DIGITS: Final = 6
_ACKNOWLEDGE: Final = b"acknowledge"
_CONFIRM: Final = b"confirm"
_CODE: Final = b"code"
_MAC_BYTES: Final = 16
MAX_TOKEN_CHARS: Final = 300


class BadLink(ValueError):
    """We did not make this link."""


class Expired(BadLink):
    """We made this link, but it has expired."""


@dataclass(frozen=True, slots=True)
class Ticket:
    incident: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class DrillTicket:
    drill: str
    responder: str
    endpoint: str


class LinkSigner:
    """Makes and checks links. `key` is the installation's; without it, or without a public URL, there are no links."""

    def __init__(self, public_url: str | None, key: bytes | None = None) -> None:
        self.base = None if not public_url else public_url.rstrip("/")
        self.key = key

    def acknowledge(self, incident: str, endpoint: str, made: datetime) -> str | None:
        """Returns the link for an endpoint, the same in every attempt of a delivery, or `None` without links."""
        if self.base is None or self.key is None:
            return None
        ends = int((made + VALID).timestamp())
        return f"{self.base}{PATH}{self.seal(_ACKNOWLEDGE, f'{incident}.{endpoint}.{ends}')}"

    def confirm(self, drill: str, responder: str, endpoint: str, made: datetime) -> str | None:
        """Returns the link by which a person confirms that a drill's page reached them there, or `None` without links."""
        if self.base is None or self.key is None:
            return None
        ends = int((made + VALID).timestamp())
        return f"{self.base}{CONFIRM_PATH}{self.seal(_CONFIRM, f'{drill}.{responder}.{endpoint}.{ends}')}"

    def read(self, token: str, now: datetime) -> Ticket:
        """Returns what a link is for. Raises `BadLink`, or `Expired` if it is too old."""
        return Ticket(*self._read(_ACKNOWLEDGE, token, 3, now))

    def read_confirm(self, token: str, now: datetime) -> DrillTicket:
        """Returns what a drill's link is for. Raises `BadLink`, or `Expired` if it is too old."""
        return DrillTicket(*self._read(_CONFIRM, token, 4, now))

    def _read(self, purpose: bytes, token: str, parts: int, now: datetime) -> list[str]:
        said = self.check(purpose, token).split(".")
        if len(said) != parts:
            raise BadLink("this is not one of our links")
        if now.timestamp() > int(said[-1]):
            raise Expired("this link has expired")
        return said[:-1]

    def code(self, delivery: str) -> str:
        """Returns the code that this delivery brings. Whoever does not get the message learns it nowhere."""
        number = int.from_bytes(self.mac_bytes(_CODE, delivery.encode("ascii"))) % 10**CODE_DIGITS
        return f"{number:0{CODE_DIGITS}d}"

    def seal(self, purpose: bytes, said: str) -> str:
        """Returns a token with this text, valid for this purpose only."""
        payload = said.encode("ascii")
        return f"{_encode(payload)}.{self.mac(purpose, payload)}"

    def check(self, purpose: bytes, token: str) -> str:
        """Returns the text of a token. Raises `BadLink` if we did not seal it for this purpose."""
        said = self.said(token)
        if not hmac.compare_digest(self.seal(purpose, said), token):
            raise BadLink("this is not one of our links")
        return said

    def said(self, token: str) -> str:
        """Returns the text of a token, which may be forged, to learn for which purpose to check. Raises `BadLink`."""
        try:
            if self.key is None or len(token) > MAX_TOKEN_CHARS or not token.isascii():
                raise BadLink("this is not one of our links")
            return _decode(token.split(".", maxsplit=1)[0]).decode("ascii")
        except (ValueError, binascii.Error) as error:
            raise BadLink("this is not one of our links") from error

    def mac(self, purpose: bytes, payload: bytes) -> str:
        """Returns what only we can say of this payload, as 22 characters."""
        return _encode(self.mac_bytes(purpose, payload))

    def mac_bytes(self, purpose: bytes, payload: bytes) -> bytes:
        """Returns what only we can say of this payload. There must be a key."""
        assert self.key is not None
        return hmac.new(self.key, purpose + b"\x00" + payload, hashlib.sha256).digest()[:_MAC_BYTES]

    def completed(self, kind: str, body: bytes, delivery: str, endpoint: str, made: datetime) -> bytes:
        """Returns the body of a message of this type as it is sent: with the link or the code that belongs into it."""
        if self.key is None:
            return body
        if kind.startswith("incident."):
            return self.stamped(body, endpoint, made)
        if kind not in (TEST_PAGE, METHOD_CODE):
            return body
        message = json.loads(body)
        data = message["data"]
        if kind == METHOD_CODE:
            data["code"] = self.code(delivery)
        elif (url := self.confirm(data["drill"], data["responder"], endpoint, made)) is not None:
            data["links"] = {"confirm": url}
        return _bytes(message)

    def stamped(self, body: bytes, endpoint: str, made: datetime) -> bytes:
        """Returns the body of a message about an incident with this endpoint's link, unless the incident is over."""
        if self.base is None or self.key is None:
            return body
        message = json.loads(body)
        if IncidentState(message["data"]["state"]).is_over:
            return body
        url = self.acknowledge(message["data"]["id"], endpoint, made)
        if url is None:
            return body
        message["data"]["links"]["acknowledge"] = url
        return _bytes(message)


def _bytes(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
