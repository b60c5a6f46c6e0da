"""How many posts each brand had in which minute, and how many of them were negative: what a share is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from services.stream.state import KeyedState

STATE_VERSION: Final = 1
MINUTE: Final = 60.0
SETTLE_SECONDS: Final = 10.0
"""A minute is told so long after it ended, because posts of one minute arrive a little late."""


class Minute(msgspec.Struct, array_like=True):
    """Posts about one brand in the minute that begins at `minute` (epoch seconds)."""

    minute: float
    opened: int
    """Offset of its first post: what tells a minute that a late post opened again from the one that was told before."""
    posts: int = 0
    scored: int = 0
    negative: int = 0
    abstained: int = 0


class Volumes:
    """Open minutes by brand, in the lane's state."""

    def __init__(self) -> None:
        self._open = KeyedState("v:", Minute, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state."""
        self._open.restore(entries)

    def count(
        self, brand: str, at: float, offset: int, *, scored: bool, negative: bool, abstained: bool
    ) -> Minute | None:
        """Count a post of epoch second `at`. Returns the brand's minute that this post ended, if it ended one.

        A post that is older than the open minute counts in the open one: a minute that was told is never told again.
        """
        minute = at // MINUTE * MINUTE
        over, now = None, self._open.get(brand)
        if now is not None and minute > now.minute:
            over, now = now, None
        if now is None:
            now = Minute(minute, offset)
        now.posts += 1
        now.scored += scored
        now.negative += negative
        now.abstained += abstained
        self._open.put(brand, now, now.minute + MINUTE + SETTLE_SECONDS)
        return over

    def next_due(self) -> float | None:
        """When the earliest open minute ends, in epoch seconds."""
        return self._open.next_due()

    def pop_over(self, now: float) -> Iterator[tuple[str, Minute]]:
        """Close the minutes that are over at `now`; yields each with its brand."""
        for brand in self._open.pop_due(now):
            minute = self._open.get(brand)
            self._open.delete(brand)
            if minute is not None:
                yield brand, minute

    def changes(self) -> dict[str, bytes | None]:
        """What was put and deleted since the last call, as it is to be committed."""
        return self._open.changes()
