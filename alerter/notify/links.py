"""Makes and checks the signed links with which the people who were told acknowledge an incident in one click. Pure.

A link is valid for one incident and one endpoint, for a day. GET shows a page and POST acts, because chat programs open
every link that they are sent. The link allows nothing else: it names no brand, and nobody can make or extend one
without the installation's key.
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
_ACKNOWLEDGE: Final = b"acknowledge"
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

    def read(self, token: str, now: datetime) -> Ticket:
        """Returns what a link is for. Raises `BadLink`, or `Expired` if it is too old."""
        try:
            incident, endpoint, ends = self.check(_ACKNOWLEDGE, token).split(".")
        except ValueError as error:
            raise BadLink("this is not one of our links") from error
        if now.timestamp() > int(ends):
            raise Expired("this link has expired")
        return Ticket(incident, endpoint)

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
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
