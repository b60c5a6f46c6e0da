"""Makes one attempt over HTTP: a POST to a guarded address, bounded in time and size.

Only 2xx is success; a redirect is a failure. The status decides the attempt. A body that stalls or never ends changes
nothing: it is read up to 4 KiB for the record, then dropped with its connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final

import httpcore2

from alerter.notify.attempt import Result
from alerter.notify.egress import Blocked, GuardedBackend, opened
from alerter.notify.retries import parse_retry_after
from alerter.states import AttemptOutcome

TIMEOUT_SECONDS: Final = 15.0
"""Of the whole attempt, up to the status, including resolving the name."""
BODY_SECONDS: Final = 2.0
KEPT_BODY_BYTES: Final = 4096
MAX_CONNECTIONS: Final = 160
IDLE_SECONDS: Final = 15.0
"""Receivers commonly close an idle connection after a minute or less."""
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Request:
    """What to post, and where to."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpSender:
    """Makes POST requests. `wall` returns real seconds since 1970, for a `Retry-After` that is a date."""

    def __init__(
        self,
        backend: GuardedBackend,
        wall: Callable[[], float],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wall = wall
        self.timeout_seconds = timeout_seconds
        # The backend bounds how old a connection may grow; its address was checked when it was opened.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=backend,
        )

    async def send(self, request: Request) -> Result:
        """Make one attempt. Never raises because of what the receiver does."""
        began = perf_counter()
        try:
            async with asyncio.timeout(self.timeout_seconds) as patience:
                made: list[str] = []
                opened.set(made)
                try:
                    result = await self._exchange(request, patience)
                except (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError):
                    if made:
                        raise
                    # The receiver had closed a connection that we kept open: that is no failure of the receiver.
                    result = await self._exchange(request, patience)
        except (TimeoutError, httpcore2.TimeoutException):
            result = Result(AttemptOutcome.TIMEOUT, detail=f"no answer within {self.timeout_seconds:g} s")
        except Blocked as error:
            result = Result(AttemptOutcome.BLOCKED, detail=str(error))
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, OSError) as error:
            result = Result(AttemptOutcome.UNREACHABLE, detail=f"{type(error).__name__}: {error}"[:500])
        return replace(result, seconds=perf_counter() - began)

    async def _exchange(self, request: Request, patience: asyncio.Timeout) -> Result:
        headers = {
            "content-type": "application/json",
            "user-agent": "Firebreak-Webhooks/1",
            "content-length": str(len(request.body)),
            **request.headers,
        }
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self.timeout_seconds)
        async with self._pool.stream(
            "POST",
            request.url,
            headers=list(headers.items()),
            content=request.body,
            extensions={"timeout": timeouts},
        ) as response:
            patience.reschedule(None)  # the status decides; what follows has its own, shorter bound
            return await self._judge(response)

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
