"""One attempt: a signed POST to a guarded address, bounded in time and size, and what came of it in a closed set of words.

Only 2xx is success. A redirect is a failure. Once the status is there the attempt is decided: a body that stalls or never
ends changes nothing, it is read up to 4 KiB for the record and dropped with its connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Final

import httpcore2

from alerter.notify import signing
from alerter.notify.egress import Blocked, GuardedBackend
from alerter.notify.retries import parse_retry_after

TIMEOUT_SECONDS: Final = 15.0
"""Of the whole attempt, resolving included."""
BODY_SECONDS: Final = 2.0
KEPT_BODY_BYTES: Final = 4096
MAX_CONNECTIONS: Final = 64
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410


class AttemptOutcome(StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    """An answer other than 2xx."""
    GONE = "gone"
    """410: the receiver wants nothing more, ever."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    """The address is not allowed."""


@dataclass(frozen=True, slots=True)
class Result:
    outcome: AttemptOutcome
    status: int | None = None
    detail: str = ""
    """The beginning of the answer's body, or what went wrong; never the request."""
    retry_after: float | None = None
    seconds: float = 0.0


class Sender:
    """Makes attempts. `wall` gives real seconds since 1970: receivers compare the signature's time with their own clock."""

    def __init__(
        self,
        backend: GuardedBackend,
        wall: Callable[[], float],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wall = wall
        self._timeout_seconds = timeout_seconds
        # No connection is kept: each attempt resolves and is checked anew, and pages are few.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, max_connections=MAX_CONNECTIONS, max_keepalive_connections=0, network_backend=backend
        )

    async def send(self, url: str, secrets: Sequence[str], delivery: str, body: bytes) -> Result:
        """Never raises for what the other side does."""
        began = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_seconds) as patience:
                result = await self._post(url, secrets, delivery, body, patience)
        except (TimeoutError, httpcore2.TimeoutException):
            result = Result(AttemptOutcome.TIMEOUT, detail=f"no answer within {self._timeout_seconds:g} s")
        except Blocked as error:
            result = Result(AttemptOutcome.BLOCKED, detail=str(error))
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, OSError) as error:
            result = Result(AttemptOutcome.UNREACHABLE, detail=f"{type(error).__name__}: {error}"[:500])
        return Result(result.outcome, result.status, result.detail, result.retry_after, perf_counter() - began)

    async def _post(
        self, url: str, secrets: Sequence[str], delivery: str, body: bytes, patience: asyncio.Timeout
    ) -> Result:
        timestamp = int(self._wall())
        headers = {
            "content-type": "application/json",
            "user-agent": "Firebreak-Webhooks/1",
            "content-length": str(len(body)),
            **signing.headers(secrets, delivery, timestamp, body),
        }
        async with self._pool.stream(
            "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": self._timeouts()}
        ) as response:
            patience.reschedule(None)  # the status decides; what follows has its own, shorter bound
            return await self._judge(response)

    def _timeouts(self) -> dict[str, float]:
        return dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_seconds)

    async def _judge(self, response: httpcore2.Response) -> Result:
        status = response.status
        text = await _beginning(response)
        if 200 <= status < 300:
            return Result(AttemptOutcome.DELIVERED, status, text)
        if status == _GONE:
            return Result(AttemptOutcome.GONE, status, text)
        retry_after = None
        if status in _SLOW_DOWN:
            named = {name.lower(): value for name, value in response.headers}
            asked = named.get(b"retry-after")
            retry_after = parse_retry_after(asked.decode("latin-1") if asked else None, self._wall())
        return Result(AttemptOutcome.REFUSED, status, text, retry_after)

    async def close(self) -> None:
        await self._pool.aclose()


async def _beginning(response: httpcore2.Response) -> str:
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async with aclosing(response.aiter_stream()) as chunks:
                async for chunk in chunks:
                    kept += chunk
                    if len(kept) >= KEPT_BODY_BYTES:
                        break
    except (TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass
    return bytes(kept[:KEPT_BODY_BYTES]).decode("utf-8", "replace").replace("\x00", "\ufffd")
