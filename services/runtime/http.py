"""The process's HTTP server: health and readiness of everything in it, and the routes its services mount.

uvicorn must not take the signals: by default it ends the process on SIGTERM before the other tasks have drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from services.base.errors import ConfigError
from services.base.metrics import FloorMetrics
from services.runtime.connections import LAST_LOOK_SECONDS, BoundedConnection, Limits
from services.runtime.lifecycle import Service
from services.runtime.reference import mount_reference

DRAIN_SECONDS: Final = 5


def application(
    services: Sequence[Service],
    metrics: FloorMetrics,
    waiting: Callable[[], str | None],
    shown: Callable[[], dict[str, Any]],
) -> FastAPI:
    """Returns the application of a process. `waiting()` returns what the process still waits for before its services start,
    or `None` once they have started; `shown()` what readiness says besides."""
    app = FastAPI(
        title="Firebreak",
        summary="Hears the complaint that is about to go viral and gets a human to it in time.",
        version="1",
        openapi_url=None,
        docs_url=None,  # FastAPI's page loads its script from another host
        redoc_url=None,
        redirect_slashes=False,  # such a redirect leads to the host that the request names
    )

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody reads it: the client left, or was closed because it was too slow

    @app.get("/healthz", tags=["operation"], summary="Whether every service makes progress")
    async def healthz() -> JSONResponse:
        states = {service.name: service.live() for service in services}
        for name, state in states.items():
            metrics.live.labels(name).set(state.ok)
        ok = all(state.ok for state in states.values())
        return JSONResponse({n: {"ok": s.ok, **s.detail} for n, s in states.items()}, 200 if ok else 503)

    @app.get("/readyz", tags=["operation"], summary="Whether every service can do its work now")
    async def readyz() -> JSONResponse:
        if (why := waiting()) is not None:
            return JSONResponse({"waiting": why}, 503)
        states = {service.name: service.ready() for service in services}
        for name, state in states.items():
            metrics.ready.labels(name).set(state.ok)
        ok = all(state.ok for state in states.values())
        body = {n: {"ok": s.ok, **s.detail} for n, s in states.items()}
        return JSONResponse({**body, **shown()}, 200 if ok else 503)

    @app.get("/idlez", tags=["operation"], summary="Whether nothing is left to do now; for drills")
    async def idlez() -> JSONResponse:
        states = {service.name: waiting() is None and await service.idle() for service in services}
        return JSONResponse(states, 200 if all(states.values()) else 503)

    for service in services:
        service.mount(app)
    mount_reference(app)
    return app


class Server(uvicorn.Server):
    """Serves on a socket that is bound before it starts, every connection within `limits`, and leaves signals alone."""

    def __init__(self, app: FastAPI, host: str, port: int, limits: Limits | None = None) -> None:
        self._draining = False
        connection = partial(BoundedConnection, limits or Limits(), lambda: self._draining)
        super().__init__(
            uvicorn.Config(
                app,
                http=connection,  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Named as TCP, or asyncio leaves Nagle's algorithm on, and a body that follows its headers waits 40 ms for an answer.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(1024)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen on {host} port {port}: {error.strerror}; set FIREBREAK_HOST and FIREBREAK_PORT"
            ) from error
        bound = self._socket.getsockname()
        self.url = f"http://{'[' + bound[0] + ']' if ':' in bound[0] else bound[0]}:{bound[1]}"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_until_stopped(self) -> None:
        try:
            await self.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    def drain(self) -> None:
        """From now on every answer says that the connection ends with it."""
        self._draining = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(LAST_LOOK_SECONDS)  # what lies in a socket already is answered, and not reset
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.drain()
        self.should_exit = True
