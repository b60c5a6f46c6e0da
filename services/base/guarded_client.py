"""An HTTP client whose every connection goes through the guard of `egress`: also those of WebSockets, and those to where a
redirect or a link in foreign text leads. It asks no proxy of the environment, which would resolve names unseen by the guard.
"""

from __future__ import annotations

from typing import Final

import httpcore2
import httpx2

from services.base.egress import GuardedBackend

TIMEOUT: Final = httpx2.Timeout(20.0, connect=10.0)
MAX_CONNECTIONS: Final = 200
MAX_IDLE: Final = 40


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The transport of `httpx2` over connections that are checked. It offers no place for a backend of ours, so its pool is
    replaced by one that does."""

    def __init__(self, backend: GuardedBackend) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpcore2.default_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=15.0,
            network_backend=backend,
        )


def guarded_client(backend: GuardedBackend, *, follow_redirects: bool = False) -> httpx2.AsyncClient:
    """Raises `httpx2.ConnectError` from its requests where an address is not allowed."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(backend), timeout=TIMEOUT, follow_redirects=follow_redirects, trust_env=False
    )
