"""Makes one attempt over HTTP: a request to a guarded address, bounded in time and size.

Only 2xx is success; a redirect is a failure. The status decides the attempt. A body that stalls or never ends changes
nothing: it is read up to 4 KiB for the record, then dropped with its connection.

The time limit begins with the request, which waits for nothing of ours before. If this process itself was late (it was
suspended, or had too much to do), the answer may be there already, so it is looked for once more.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final, NamedTuple

import httpcore2

from alerter.notify.attempt import Result
from alerter.notify.connections import Connections
from alerter.notify.retries import parse_retry_after
from alerter.states import AttemptOutcome
from services.base.egress import Blocked, GuardedBackend

TIMEOUT_SECONDS: Final = 15.0
"""Of the whole attempt, up to the status, including resolving the name."""
BODY_SECONDS: Final = 2.0
KEPT_BODY_BYTES: Final = 4096
LATE_SECONDS: Final = 0.25
"""A time limit that is noticed this much too late says that this process was late, and little of the receiver."""
SECOND_LOOK_SECONDS: Final = 0.5
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and where to."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"
    answer_bytes: int = KEPT_BODY_BYTES
    """How much of the answer is read. What is more is dropped with its connection."""
    only_once: bool = False
    """It must not arrive twice, so it never uses a connection that the receiver may be closing."""


class Answered(NamedTuple):
    """The result of a request, and the beginning of the answer's body."""

    result: Result
    body: bytes = b""


class HttpSender:
    """Makes requests. `wall` returns real seconds since 1970, for a `Retry-After` that is a date."""

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
        self._connections = Connections(backend, tls)

    async def send(self, request: Request) -> Result:
        """Make one attempt. Never raises because of what the receiver does."""
        return (await self.ask(request)).result

    async def ask(self, request: Request) -> Answered:
        """Make one attempt, and return what was answered. Never raises because of what the receiver does."""
        began = perf_counter()
        body = b""
        try:
            async with _patience(self.timeout_seconds) as answered:
                result, body = await self._sent(request, answered)
        except (TimeoutError, httpcore2.TimeoutException):
            result = Result(AttemptOutcome.TIMEOUT, detail=f"no answer within {self.timeout_seconds:g} s")
        except Blocked as error:
            result = Result(AttemptOutcome.BLOCKED, detail=str(error))
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, OSError) as error:
            result = Result(AttemptOutcome.UNREACHABLE, detail=f"{type(error).__name__}: {error}"[:500])
        return Answered(replace(result, seconds=perf_counter() - began), body)

    async def _sent(self, request: Request, answered: Callable[[], None]) -> Answered:
        origin = httpcore2.URL(request.url).origin
        kept = None if request.only_once else await self._connections.kept(origin)
        if kept is not None:
            try:
                return await self._exchange(origin, kept, request, answered)
            except (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError):
                pass  # The receiver had closed a connection that we kept open: that is no failure of the receiver.
        return await self._exchange(origin, self._connections.opened(origin), request, answered)

    async def _exchange(
        self,
        origin: httpcore2.Origin,
        connection: httpcore2.AsyncHTTPConnection,
        request: Request,
        answered: Callable[[], None],
    ) -> Answered:
        headers = {
            "content-type": "application/json",
            "user-agent": "Firebreak-Webhooks/1",
            "content-length": str(len(request.body)),
            **request.headers,
        }
        try:
            async with connection.stream(
                request.method, request.url, headers=list(headers.items()), content=request.body
            ) as response:
                answered()  # the status decides; what follows has its own, shorter bound
                return await self._judge(response, request.answer_bytes)
        finally:
            await self._connections.keep(origin, connection)

    async def _judge(self, response: httpcore2.Response, most: int) -> Answered:
        status = response.status
        body = await _beginning(response, most)
        text = body[:KEPT_BODY_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
        if 200 <= status < 300:
            return Answered(Result(AttemptOutcome.DELIVERED, status, text), body)
        if status == _GONE:
            return Answered(Result(AttemptOutcome.GONE, status, text), body)
        named = {name.lower(): value for name, value in response.headers}
        asked = named.get(b"retry-after")
        retry_after = parse_retry_after(asked.decode("latin-1") if asked else None, self._wall())
        return Answered(Result(AttemptOutcome.REFUSED, status, text, retry_after), body)

    async def close(self) -> None:
        await self._connections.close()


async def _beginning(response: httpcore2.Response, most: int) -> bytes:
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async with aclosing(response.aiter_stream()) as chunks:
                async for chunk in chunks:
                    kept += chunk
                    if len(kept) >= most:
                        break
    except (TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass
    return bytes(kept[:most])


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[Callable[[], None]]:
    """Raises `TimeoutError` in what takes longer than `seconds`, unless the function that it yields was called."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    async with asyncio.timeout(None) as limit:

        def over() -> None:
            late = loop.time() - ends > LATE_SECONDS
            limit.reschedule(loop.time() + (SECOND_LOOK_SECONDS if late else 0.0))

        timer = loop.call_at(ends, over)

        def answered() -> None:
            timer.cancel()
            limit.reschedule(None)

        try:
            yield answered
        finally:
            timer.cancel()
