"""Keeps connections open between requests, for each address apart. A request never waits for a connection.

Who may send at once is decided by `places`, before a request begins. So nothing here is shared between receivers that
one of them could use up: a request takes a connection that is idle, or opens one.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from typing import Final

import httpcore2

from services.base.egress import GuardedBackend

MAX_IDLE: Final = 128
"""Connections that are kept open without a request, all together. More are closed when their request ends."""
IDLE_SECONDS: Final = 15.0
"""Receivers commonly close an idle connection after a minute or less."""
PRUNE_SECONDS: Final = 5.0
TRUST_SECONDS: Final = 3600.0
"""How old the certificates that we trust may be. Reading them takes milliseconds, which each connection would pay."""

Place = tuple[bytes, bytes, int | None]


class Connections:
    """The open connections of one process. `tls` replaces the system's trust."""

    def __init__(self, backend: GuardedBackend, tls: ssl.SSLContext | None = None) -> None:
        # The backend bounds how old a connection may grow; its address was checked when it was opened.
        self._backend = backend
        self._tls = tls
        self._system_tls: tuple[float, ssl.SSLContext] | None = None
        self._idle: dict[Place, deque[httpcore2.AsyncHTTPConnection]] = {}
        self._count = 0
        self._pruned = time.monotonic()

    def opened(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        """Returns a new connection, which is opened by its first request."""
        tls = self._trusted() if origin.scheme == b"https" else None
        return httpcore2.AsyncHTTPConnection(
            origin, ssl_context=tls, keepalive_expiry=IDLE_SECONDS, network_backend=self._backend
        )

    async def kept(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection | None:
        """Returns a connection that is still open, or `None`."""
        await self._prune()
        idle = self._idle.get(_place(origin))
        while idle:
            connection = idle.pop()  # the one used last, so that the others age and are closed
            self._count -= 1
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def keep(self, origin: httpcore2.Origin, connection: httpcore2.AsyncHTTPConnection) -> None:
        """Keep a connection whose request ended, if it can be used again. Closes it otherwise."""
        if connection.is_idle() and not connection.is_closed() and self._count < MAX_IDLE:
            self._idle.setdefault(_place(origin), deque()).append(connection)
            self._count += 1
        else:
            await connection.aclose()

    async def _prune(self) -> None:
        """Close what has been idle for long, because nobody may ever ask for those addresses again."""
        now = time.monotonic()
        if now - self._pruned < PRUNE_SECONDS:
            return
        self._pruned = now
        for place, idle in list(self._idle.items()):
            while idle and idle[0].has_expired():
                self._count -= 1
                await idle.popleft().aclose()
            if not idle:
                self._idle.pop(place, None)

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is not None:
            return self._tls
        now = time.monotonic()
        if self._system_tls is None or now - self._system_tls[0] > TRUST_SECONDS:
            self._system_tls = (now, httpcore2.default_ssl_context())
        return self._system_tls[1]

    async def close(self) -> None:
        idle, self._idle, self._count = self._idle, {}, 0
        for connections in idle.values():
            for connection in connections:
                await connection.aclose()


def _place(origin: httpcore2.Origin) -> Place:
    return origin.scheme, origin.host, origin.port
