"""Links with which whoever was told can say "I have it" at once: signed, for one incident and one endpoint, for a day. Pure.

A GET shows and a POST acts: chat programs open every link that they are sent. The link is a key to one action, so it is short
of everything else: it names no brand, and nobody can make one, or prolong it, without the installation's own key.
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
    """Not one that we made."""


class Expired(BadLink):
    """One that we made, too long ago."""


@dataclass(frozen=True, slots=True)
class Ticket:
    incident: str
    endpoint: str


class LinkSigner:
    """`key` is the installation's, the same for all replicas; without it, or without a public URL, there are no links."""

    def __init__(self, public_url: str | None, key: bytes | None = None) -> None:
        self._base = None if not public_url else public_url.rstrip("/")
        self.key = key

    def acknowledge(self, incident: str, endpoint: str, made: datetime) -> str | None:
        """The same for the same delivery, however often it is tried."""
        if self._base is None or self.key is None:
            return None
        ends = int((made + VALID).timestamp())
        return f"{self._base}{PATH}{self.seal(_ACKNOWLEDGE, f'{incident}.{endpoint}.{ends}')}"

    def read(self, token: str, now: datetime) -> Ticket:
        """Raises `BadLink` or `Expired`."""
        try:
            incident, endpoint, ends = self.check(_ACKNOWLEDGE, token).split(".")
        except ValueError as error:
            raise BadLink("not a link of ours") from error
        if now.timestamp() > int(ends):
            raise Expired("this link has expired")
        return Ticket(incident, endpoint)

    def seal(self, purpose: bytes, said: str) -> str:
        """A token that says so, for this purpose and no other."""
        payload = said.encode("ascii")
        return f"{_encode(payload)}.{_encode(self._mac(purpose, payload))}"

    def check(self, purpose: bytes, token: str) -> str:
        """What the token says, if we sealed it for this purpose. Raises `BadLink`."""
        said = self.said(token)
        if not hmac.compare_digest(self.seal(purpose, said), token):
            raise BadLink("not a link of ours")
        return said

    def said(self, token: str) -> str:
        """What it claims, which may be needed to know for what it must be sealed. Raises `BadLink`."""
        try:
            if self.key is None or len(token) > MAX_TOKEN_CHARS or not token.isascii():
                raise BadLink("not a link of ours")
            return _decode(token.split(".", maxsplit=1)[0]).decode("ascii")
        except (ValueError, binascii.Error) as error:
            raise BadLink("not a link of ours") from error

    def _mac(self, purpose: bytes, payload: bytes) -> bytes:
        assert self.key is not None
        return hmac.new(self.key, purpose + b"\x00" + payload, hashlib.sha256).digest()[:_MAC_BYTES]

    def stamped(self, body: bytes, endpoint: str, made: datetime) -> bytes:
        """A message about an incident, with the link for this endpoint if somebody could still take the incident."""
        if self._base is None or self.key is None:
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
