"""How often somebody may try to sign in, by their address and all of them together.

Whoever really is on call is never kept out for long: an address waits ten seconds at most between two tries, and one that has
not failed lately gets a look whatever the others do. A key has so many random characters that no number of tries within these
bounds finds it; the bounds keep guesses from costing us anything, and make them seen.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

logger = structlog.get_logger()

OWN_TRIES: Final = 5
OWN_SECONDS: Final = 10.0
"""A try comes back after so long."""
ALL_TRIES: Final = 50
ALL_SECONDS: Final = 1.0
MAX_ADDRESSES: Final = 10_000
"""Those that tried last are remembered."""
IPV6_PREFIX: Final = 64
"""Whoever has one address of such a block has them all."""


class SignIn(StrEnum):
    """What became of a try: the label of a metric."""

    OK = "ok"
    WRONG = "wrong"
    THROTTLED = "throttled"


@dataclass(slots=True)
class _Tries:
    """A bucket of tries that fills up again."""

    most: int
    seconds: float
    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(self.most, self.left + max(0.0, now - self.at) / self.seconds)
        self.at = now

    @property
    def wait(self) -> float:
        """Seconds until there is one."""
        return max(0.0, 1 - self.left) * self.seconds


class SignIns:
    """The tries of all addresses. `count` is told what became of each; `monotonic` is in seconds."""

    def __init__(self, count: Callable[[SignIn], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._monotonic = monotonic
        self._all = _Tries(ALL_TRIES, ALL_SECONDS, ALL_TRIES, monotonic())
        self._own: OrderedDict[str, _Tries] = OrderedDict()

    def take(self, address: str) -> float:
        """Take a try before the key is looked at, so that many at once are no way around. Returns 0 if it may be looked at,
        otherwise the seconds to wait."""
        now, name = self._monotonic(), _block(address)
        own = self._own.pop(name, None) or _Tries(OWN_TRIES, OWN_SECONDS, OWN_TRIES, now)
        self._own[name] = own
        if len(self._own) > MAX_ADDRESSES:
            self._own.popitem(last=False)
        own.refill(now)
        self._all.refill(now)
        wait = own.wait
        if own.left < OWN_TRIES:  # it has failed lately
            wait = max(wait, self._all.wait)
        if wait > 0:
            self._note(SignIn.THROTTLED, address)
            return wait
        own.left -= 1
        self._all.left = max(0.0, self._all.left - 1)
        return 0.0

    def right(self, address: str) -> None:
        """The key was right: nothing of the address is held against it."""
        self._own.pop(_block(address), None)
        self._all.left = min(ALL_TRIES, self._all.left + 1)
        self._note(SignIn.OK, address)

    def wrong(self, address: str) -> None:
        """The key was wrong: the try stays taken."""
        self._note(SignIn.WRONG, address)

    def _note(self, what: SignIn, address: str) -> None:
        """Count it, and log whence it came: never the key, nor the name that somebody typed."""
        self._count(what)
        level = logging.INFO if what is SignIn.OK else logging.WARNING
        logger.log(level, "sign_in", outcome=what.value, address=address)


def _block(address: str) -> str:
    """The address, or the block of addresses that one holder has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
