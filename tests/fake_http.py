"""The server under every fake network that is reached over HTTP or WebSockets: real sockets, in the event loop of the test,
with the ways in which a server goes wrong.

A network hands in its routes (`starlette.routing.Route` and `WebSocketRoute`) and says what its errors look like. Each request
is noted in `requests` before anything goes wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

RETRY_AFTER: Final = "120"


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the signals belong to the tests


class FakeServer:
    """One server at one address, which it keeps while it is away."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.requests: list[Request] = []
        self.refusal: Callable[[Request], Response] | None = None
        """Answers instead of the routes, while it is set: 401, 429, or a page of a proxy."""
        self._app: ASGIApp = Starlette(routes=list(routes))
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; also after `away`."""
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self._answer, log_config=None, lifespan="off", interface="asgi3", timeout_graceful_shutdown=0
        )
        self._server = _Quiet(config)
        self._serving = asyncio.create_task(self._server.serve([taken]), name="fake-server")
        while not self._server.started:
            await asyncio.sleep(0.001)

    async def away(self) -> None:
        """Cut every connection, and let nobody in."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = self._server.force_exit = True
        self.cut()
        await self._serving
        self._server = self._serving = None

    def cut(self) -> None:
        """Cut every connection, in the middle of whatever it was doing; new ones are let in."""
        if self._server is not None:
            for connection in list(self._server.server_state.connections):
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()

    async def close(self) -> None:
        await self.away()

    def storm(self) -> None:
        self.refuse(429, {"Retry-After": RETRY_AFTER})

    def refuse(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"{}") -> None:
        """Answer everything like this."""
        self.refusal = lambda _: Response(body, status, headers, media_type="application/json")

    def mend(self) -> None:
        self.refusal = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return
        request = Request(scope if scope["type"] == "http" else {**scope, "type": "http", "method": "GET"})
        self.requests.append(request)
        if self.refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self.refusal(request)(scope, receive, send)
        else:
            await receive()
            await self._deny(self.refusal(request), send)

    @staticmethod
    async def _deny(response: Response, send: Send) -> None:
        """Answer a handshake with a status, as servers do, instead of closing it after it was accepted."""
        start: dict[str, Any] = {"status": response.status_code, "headers": response.raw_headers}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": response.body})


@contextlib.asynccontextmanager
async def fake_server(routes: Sequence[BaseRoute]) -> AsyncIterator[FakeServer]:
    server = FakeServer(routes)
    await server.start()
    try:
        yield server
    finally:
        await server.close()
