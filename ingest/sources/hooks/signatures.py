"""Who sent a request: the ways in which networks sign what they send. Pure: the clock is handed in.

Every check is over the bytes as they came, before anything is parsed, and in a time that tells nothing of the secret. A failed
check says that it failed, and never how near the caller was. All of the secrets are tried, so that one can be replaced while
both are in use.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from ingest.sources.base import Received, Refused
from ingest.sources.hooks.items import instant
from services.base.errors import ConfigError
from services.config.connectors.signing import Algorithm, Encoding

MOST_SIGNATURES: Final = 10
"""So many of a list of signatures are looked at: each costs a comparison, and a sender needs two."""
MOST_CHARS: Final = 1000
"""A longer signature is none."""
STANDARD_PREFIX: Final = "whsec_"


class Signature(Protocol):
    """A way to tell that a request comes from who knows the secret."""

    def check(self, request: Received, now: datetime) -> None:
        """Raises `Refused` if the request was not signed with one of the secrets, or so long ago that it may be a replay."""


@dataclass(frozen=True, slots=True, repr=False)
class Shared:
    """The secret itself comes with the request: as `Authorization: Bearer`, as a header of its own, or as a parameter of the
    address, for systems that can send nothing else."""

    secrets: Sequence[str]
    header: str = "authorization"
    parameter: str | None = None

    def check(self, request: Received, now: datetime) -> None:  # noqa: ARG002
        shown = request.headers.get(self.header.lower(), "")
        scheme, _, rest = shown.partition(" ")
        if self.header.lower() == "authorization":
            shown = rest.strip() if scheme.lower() == "bearer" else ""
        offered = [shown.encode("latin-1", "replace")]
        if self.parameter is not None:
            offered.append(request.query.get(self.parameter, "").encode("utf-8", "replace"))
        # By their hashes: a comparison of different lengths would end early.
        known = [_digest(secret.encode()) for secret in self.secrets]
        found = [hmac.compare_digest(one, _digest(other)) for one in known for other in offered if other]
        if not any(found):
            raise Refused("the secret is missing or wrong")


@dataclass(frozen=True, slots=True, repr=False)
class Hmac:
    """A header holds an HMAC of the body; with `time_header`, of the time, `between` and the body."""

    secrets: Sequence[str]
    header: str
    algorithm: Algorithm = Algorithm.SHA256
    encoding: Encoding = Encoding.HEX
    prefix: str = ""
    time_header: str | None = None
    between: str = "."
    tolerance_seconds: float = 300.0

    def check(self, request: Received, now: datetime) -> None:
        shown = request.headers.get(self.header.lower(), "").strip()
        signed = request.body
        stamp = None
        if self.time_header is not None:
            stamp = request.headers.get(self.time_header.lower(), "").strip()
            signed = f"{stamp}{self.between}".encode("utf-8", "replace") + signed
        given = _decoded(shown[len(self.prefix) :], self.encoding) if shown.startswith(self.prefix) else None
        _match(self.secrets, self.algorithm, signed, [given])
        if stamp is not None:
            _recent(stamp, now, self.tolerance_seconds)


@dataclass(frozen=True, slots=True, repr=False)
class Pairs:
    """One header holds the time and the signature: `t=1733000000,s=...`. Signed are the time, a dot and the body."""

    secrets: Sequence[str]
    header: str
    stamp_name: str = "t"
    proof: str = "s"
    tolerance_seconds: float = 300.0

    def check(self, request: Received, now: datetime) -> None:
        shown = request.headers.get(self.header.lower(), "")[:MOST_CHARS]
        pairs = [pair.strip().partition("=")[::2] for pair in shown.split(",")]
        stamp = next((value for name, value in pairs if name == self.stamp_name), "")
        signatures = [value for name, value in pairs if name == self.proof][:MOST_SIGNATURES]
        signed = f"{stamp}.".encode("utf-8", "replace") + request.body
        given = [_decoded(value, Encoding.HEX) for value in signatures]
        _match(self.secrets, Algorithm.SHA256, signed, given)
        _recent(stamp, now, self.tolerance_seconds)


@dataclass(frozen=True, slots=True, repr=False)
class Standard:
    """Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` a list of `v1,` signatures."""

    secrets: Sequence[str]
    tolerance_seconds: float = 300.0

    def __post_init__(self) -> None:
        for secret in self.secrets:
            _key(secret)

    def check(self, request: Received, now: datetime) -> None:
        name, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        shown = request.headers.get("webhook-signature", "")[: MOST_CHARS * 4].split()
        given = [_decoded(part[3:], Encoding.BASE64) for part in shown if part.startswith("v1,")][:MOST_SIGNATURES]
        signed = f"{name}.{stamp}.".encode("utf-8", "replace") + request.body
        keys = [_key(secret) for secret in self.secrets]
        if not name:
            raise Refused(_WRONG)
        _match(keys, Algorithm.SHA256, signed, given)
        _recent(stamp, now, self.tolerance_seconds)


_WRONG: Final = "the signature is missing or wrong"


def _match(
    secrets: Sequence[str] | Sequence[bytes], algorithm: Algorithm, signed: bytes, given: Sequence[bytes | None]
) -> None:
    """Raises `Refused` if none of the signatures `given` was made with any of the secrets."""
    found = False
    for secret in secrets:
        key = secret.encode() if isinstance(secret, str) else secret
        right = hmac.new(key, signed, algorithm.value).digest()
        for signature in given:
            found |= hmac.compare_digest(right, signature or b"")
    if not found:
        raise Refused(_WRONG)


def _recent(stamp: str, now: datetime, tolerance: float) -> None:
    """Raises `Refused` if the request was signed too long ago, or lies too far ahead of our clock."""
    sent = instant(stamp)
    if sent is None or abs((now - sent).total_seconds()) > tolerance:
        raise Refused("it was signed too long ago, or the clocks differ")


def _decoded(written: str, encoding: Encoding) -> bytes | None:
    """The bytes of a signature; `None` if it is not written as it should be."""
    if len(written) > MOST_CHARS:
        return None
    try:
        if encoding is Encoding.HEX:
            return binascii.unhexlify(written)
        return base64.b64decode(written, validate=True)
    except ValueError:
        return None


def _key(secret: str) -> bytes:
    """The key of a Standard Webhooks secret: base64, with or without `whsec_`. Raises `ConfigError` if it is not."""
    written = secret.removeprefix(STANDARD_PREFIX)
    try:
        key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
    except ValueError:
        raise ConfigError(f"the secret of Standard Webhooks is not base64 after {STANDARD_PREFIX!r}") from None
    if not key:
        raise ConfigError("the secret of Standard Webhooks is empty")
    return key


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
