"""What lets us into a network: a key that never changes, or a token that is asked for shortly before the last one ends. No
secret stands in any error.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ingest.sources.base import Away, Refused, SourceContext
from ingest.sources.polled.calls import decoded, fetched, retry_after
from services.base.clock import Clock, epoch
from services.base.errors import ConfigError

EARLY: Final = timedelta(seconds=60)
"""A token is asked for again so long before it ends."""
SHORTEST: Final = timedelta(seconds=30)
"""So long a token is used whatever it says, or a network that hands out ended ones would be asked with every call."""
P256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    lasts: timedelta


class FixedHeaders:
    """A key that is sent as it is, in a header: an address would stand in the logs of proxies."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    def forget(self) -> None:
        """There is no other."""


class TokenHeaders:
    """A bearer token, asked for when it is needed and by one caller at a time."""

    def __init__(
        self, clock: Clock, ask: Callable[[], Awaitable[Token]], also: Mapping[str, str] | None = None
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._also = dict(also or {})
        self._token = ""
        self._until: datetime | None = None
        self._one = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        async with self._one:
            now = self._clock.now()
            if self._until is None or now >= self._until:
                token = await self._ask()
                self._token, self._until = token.value, now + max(SHORTEST, token.lasts - EARLY)
            return {"authorization": f"Bearer {self._token}", **self._also}

    def forget(self) -> None:
        self._until = None


class _Granted(msgspec.Struct):
    access_token: str = ""
    expires_in: float = 3600
    error: str = ""


async def granted(
    context: SourceContext, name: str, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Token:
    """A token by OAuth 2. Raises `Refused` where it is denied (a revoked grant is a 400 at most networks), else `Away`."""
    status, answered, body = await fetched(context.http, f"{name}'s login", "POST", url, form=form, headers=headers)
    if status in (400, 401, 403):
        raise Refused(f"{name} hands out no token for our credentials ({status})")
    if status != 200:
        raise Away(f"{name}'s login answers {status}", retry_after(answered, context.clock.now()))
    answer = await decoded(body, _Granted, f"{name}'s login")
    if answer.error or not answer.access_token:  # Reddit says `200` and an error
        raise Refused(f"{name} hands out no token for our credentials")
    return Token(answer.access_token, timedelta(seconds=min(max(0.0, answer.expires_in), 30 * 86_400)))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class SigningKey:
    """Signs claims as a JSON Web Token: RS256 with an RSA key, ES256 with a key on the curve P-256."""

    def __init__(self, pem: str, secret: str) -> None:
        """Raises `ConfigError` if `pem` is no such key; `secret` names the variable."""
        try:
            # Environments often hold a line break as the two characters \n.
            key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigError(f"{secret} holds no private key that can be read (PEM, without a password)") from None
        if isinstance(key, rsa.RSAPrivateKey):
            self._algorithm = "RS256"
        elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            self._algorithm = "ES256"
        else:
            raise ConfigError(f"{secret} holds a key of another kind than RSA or P-256")
        self._key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = key

    def token(self, claims: Mapping[str, Any], key_id: str | None = None) -> str:
        header = {"alg": self._algorithm, "typ": "JWT", **({} if key_id is None else {"kid": key_id})}
        signed = f"{_part(header)}.{_part(claims)}"
        if isinstance(self._key, rsa.RSAPrivateKey):
            signature = self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        else:
            r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
            signature = r.to_bytes(P256_BYTES, "big") + s.to_bytes(P256_BYTES, "big")
        return f"{signed}.{_url_safe(signature)}"


def lifetime(clock: Clock, lasts: timedelta) -> dict[str, int]:
    """The claims that say from when to when a token is good."""
    now = int(epoch(clock.now()))
    return {"iat": now, "exp": now + int(lasts.total_seconds())}


def secret_of(context: SourceContext, name: str) -> str:
    """Raises `ConfigError` if the environment does not have it."""
    value = context.secrets.get(name, "").strip()
    if not value:
        variable = f"FIREBREAK_SOURCE_{context.options.name}_{name}".upper().replace("-", "_")
        raise ConfigError(f"the source {context.options.name!r} needs {variable} in the environment")
    return value


def _part(value: Mapping[str, Any]) -> str:
    return _url_safe(json.dumps(value, separators=(",", ":")).encode())


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
