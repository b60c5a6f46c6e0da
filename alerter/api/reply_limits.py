"""How often somebody may send a reply code that is none. In memory, and for each process of its own.

A code has six digits. Whoever sends from a number that nobody knows shares twenty wrong ones an hour with all others like
them, so that guessing finds nothing; a number that belongs to a responder is held up by nobody but itself. Whoever has used
theirs up is answered no more: two machines that answer each other's messages would cost money all night.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

OWN_WRONG: Final = 5
OWN_SECONDS: Final = 600.0
"""After so long one more is allowed."""
STRANGE_WRONG: Final = 20
STRANGE_SECONDS: Final = 180.0
MOST_SENDERS: Final = 10_000
"""Those that were wrong last are remembered."""


class ReplyLimits:
    """`monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._strange = _Bucket(STRANGE_WRONG, STRANGE_SECONDS, monotonic())
        self._own: OrderedDict[str, _Bucket] = OrderedDict()
        self._helped: OrderedDict[str, _Bucket] = OrderedDict()

    def may(self, sender: str, known: bool) -> bool:
        """Returns True if a code of this sender is looked at."""
        now = self._monotonic()
        own = self._own.get(sender)
        return (own is None or own.has(now)) and (known or self._strange.has(now))

    def may_help(self, sender: str) -> bool:
        """Returns True if a text without any code is answered, and counts it. It is no guess, so it holds up no code."""
        now = self._monotonic()
        helped = self._helped.pop(sender, None) or _Bucket(OWN_WRONG, OWN_SECONDS, now)
        self._helped[sender] = helped
        if len(self._helped) > MOST_SENDERS:
            self._helped.popitem(last=False)
        may = helped.has(now)
        helped.take(now)
        return may

    def wrong(self, sender: str, known: bool) -> None:
        """Count a code that was none of ours."""
        now = self._monotonic()
        own = self._own.pop(sender, None) or _Bucket(OWN_WRONG, OWN_SECONDS, now)
        self._own[sender] = own
        own.take(now)
        if not known:
            self._strange.take(now)
        if len(self._own) > MOST_SENDERS:
            self._own.popitem(last=False)


class _Bucket:
    """A number of tries that fills up again."""

    def __init__(self, most: int, seconds: float, now: float) -> None:
        self._most, self._seconds = most, seconds
        self._left, self._at = float(most), now

    def has(self, now: float) -> bool:
        self._left = min(self._most, self._left + max(0.0, now - self._at) / self._seconds)
        self._at = now
        return self._left >= 1

    def take(self, now: float) -> None:
        if self.has(now):
            self._left -= 1
