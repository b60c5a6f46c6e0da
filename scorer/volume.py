"""How many posts each brand had in which minute, and how many of them were negative: what a share is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from scorer.signals import Signals
from services.stream.state import KeyedState

STATE_VERSION: Final = 1
MINUTE: Final = 60.0
SETTLE_SECONDS: Final = 10.0
"""A minute is told this long after it ended: posts of one minute arrive a little late."""


class Minute(msgspec.Struct, array_like=True):
    minute: float
    opened: int
    """Offset of its first post: tells a minute that was reopened by a late post from the first telling."""
    posts: int = 0
    scored: int = 0
    negative: int = 0
    abstained: int = 0


class Volumes:
    """Open minutes by brand, in the lane's state."""

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._open = KeyedState("v:", Minute, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._open.restore(entries)

    def count(
        self, brand: str, at: float, offset: int, *, scored: bool, negative: bool, abstained: bool, signals: Signals
    ) -> None:
        """A post that is older than the open minute counts in the open one: a told minute is never told again."""
        minute = at // MINUTE * MINUTE
        now = self._open.get(brand)
        if now is not None and minute > now.minute:
            signals.volume(brand, self._lane, now)
            now = None
        if now is None:
            now = Minute(minute, offset)
        now.posts += 1
        now.scored += scored
        now.negative += negative
        now.abstained += abstained
        self._open.put(brand, now, now.minute + MINUTE + SETTLE_SECONDS)

    def next_due(self) -> float | None:
        return self._open.next_due()

    def fire(self, now: float, signals: Signals) -> None:
        for brand in self._open.pop_due(now):
            minute = self._open.get(brand)
            if minute is not None:
                signals.volume(brand, self._lane, minute)
            self._open.delete(brand)

    def changes(self) -> dict[str, bytes | None]:
        return self._open.changes()
