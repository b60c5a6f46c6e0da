"""Makes sure that no request of ours reaches an address that the operator did not allow: webhooks, and what sources fetch.

A name is resolved once, *all* its addresses are checked, and the connection goes to a checked address: a name that
resolves differently the second time gains nothing. One bad address among good ones refuses them all, because no honest
name has both. The certificate is still checked against the name in the URL. Redirects are never followed. An open
connection is used for a minute at most; then the name is resolved and its addresses are checked again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore2

from services.base.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_CHARS: Final = 2000
LIFETIME_SECONDS: Final = 60.0
"""How long a connection is used: after that we notice that a name moved, or is no longer allowed."""
MAX_LOOKUPS: Final = 512
"""Names that are looked up at once. Each has a thread; attempts in flight are fewer, so only hanging names get there."""
MAX_ADDRESSES: Final = 16
"""How many addresses of a name are looked at; each would be tried in turn. No webhook endpoint has more."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\.?$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?",
    re.IGNORECASE,
)
"""A name of the DNS, or an IPv4 address in any of its forms."""

_REFUSED: Final[tuple[tuple[str, str], ...]] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmark"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_REFUSED_NETWORKS: Final = tuple((ipaddress.ip_network(block), why) for block, why in _REFUSED)
_GLOBAL_IPV6: Final = ipaddress.ip_network("2000::/3")


class Blocked(httpcore2.ConnectError):
    """The address is not allowed. The message is for the operator and names it."""


class BadTarget(ValueError):
    """We cannot be sent to this URL."""


def allowed_networks(text: str) -> tuple[Network, ...]:
    """Returns the CIDR blocks of `settings.egress_allow`. Raises `ConfigError` if one is malformed."""
    try:
        return tuple(ipaddress.ip_network(block.strip()) for block in text.split(",") if block.strip())
    except ValueError as error:
        raise ConfigError(f"FIREBREAK_EGRESS_ALLOW: {error}") from error


def refusal(address: str, allowed: Iterable[Network]) -> str | None:
    """Returns why this address is not allowed, or `None` if it is."""
    try:
        parsed: Address = ipaddress.ip_address(address)
    except ValueError:
        return "not an IP address"
    if any(parsed.version == network.version and parsed in network for network in allowed):
        return None
    for network, why in _REFUSED_NETWORKS:
        if parsed.version == network.version and parsed in network:
            return why
    if parsed.version == 6 and parsed not in _GLOBAL_IPV6:
        return "not global"
    return None if parsed.is_global else "not global"


def check_url(url: str, allowed: Iterable[Network]) -> None:
    """Raises `BadTarget` if the URL alone shows that it cannot be an endpoint. Names are checked once resolved."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise BadTarget(f"must be at most {MAX_URL_CHARS} ASCII characters without spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise BadTarget("is not a URL") from error
    if parts.scheme not in ("http", "https"):
        raise BadTarget("must begin with https:// or http://")
    if not host:
        raise BadTarget("has no host")
    if ":" not in host and not _HOST.fullmatch(host):
        raise BadTarget("has a host that cannot be one")
    if "@" in parts.netloc:
        raise BadTarget("must not contain a user name or password")
    if parts.fragment or "\\" in url:
        raise BadTarget("must not contain a fragment or a backslash")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    why = refusal(host, allowed)
    if why is not None:
        raise BadTarget(f"leads to an address that is not allowed ({why}); FIREBREAK_EGRESS_ALLOW can allow it")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Returns the addresses of a name, by the system's resolver."""
    return await _LOOKUPS.addresses(host, port)


class _Lookups:
    """Each name is looked up by a thread of its own, so that a name that hangs holds up no other.

    The loop's own lookups share four threads, and a hanging one cannot be ended. Whoever asks for a name that is being
    looked up waits for the same answer.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[Sequence[str]]] = {}
        self._lock = threading.Lock()

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Raises `OSError` if the name has no address, or too many names hang."""
        with self._lock:
            found = self._running.get((host, port))
            if found is None:
                if len(self._running) >= MAX_LOOKUPS:
                    raise OSError(f"{MAX_LOOKUPS} names are being looked up already")
                found = self._running[host, port] = Future()
                # A daemon: a process that ends does not wait for it.
                thread = threading.Thread(target=self._look_up, args=(host, port, found), name="dns", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the system grants no more threads
                    del self._running[host, port]
                    raise OSError(str(error)) from None
        # Shielded, since others may wait for the same answer.
        return await asyncio.shield(asyncio.wrap_future(found))

    def _look_up(self, host: str, port: int, found: Future[Sequence[str]]) -> None:
        try:
            answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome: Sequence[str] | Exception = list(dict.fromkeys(str(place[4][0]) for place in answer))
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            outcome = error
        with self._lock:
            del self._running[host, port]
        if isinstance(outcome, Exception):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)


_LOOKUPS: Final = _Lookups()


class Aging(httpcore2.AsyncNetworkStream):
    """A connection that looks closed by the other side once it is old, so that the pool uses it no more."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, born: float) -> None:
        self._stream = stream
        self._born = born

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return Aging(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._born)
        except BaseException:
            # A handshake that is given up: nobody else knows of this connection, and it would stay open for ever.
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and time.monotonic() - self._born > LIFETIME_SECONDS:
            return True
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections only to checked addresses. Raises `Blocked` for a name with an address that is not allowed."""

    def __init__(self, allowed: Sequence[Network], resolver: Resolver = resolve) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolver
        self._open = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._checked(host, port)
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = await self._open.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
                continue
            return Aging(stream, time.monotonic())
        assert failure is not None
        raise failure

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = list(await self._resolve(host, port))[:MAX_ADDRESSES]
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        if not addresses:
            raise httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            why = refusal(address, self._allowed)
            if why is not None:
                raise Blocked(f"{host} leads to {address}, which is not allowed ({why})")
        return addresses

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
