"""What X asks for, and what of it is to be paid: what was read once is free until the end of the UTC day.

Prices are those that X publishes (2026), in US dollars. What was paid is remembered by this process alone: after a restart the
same post is counted again, so the budget is kept rather too well.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date
from types import MappingProxyType
from typing import Final

from ingest.sources.base import Spend
from services.base.clock import Clock

PRICES: Final = MappingProxyType({"post": 0.005, "user": 0.010, "owned": 0.001, "counts": 0.005})
"""For one post, one user, one of an account's own posts or mentions, and one question for a number."""
POSTS_WITH_ONE: Final = 3
MOST_REMEMBERED: Final = 200_000
"""Further ones are paid each time."""


class Bill:
    """What a source has read today."""

    def __init__(self, spend: Spend, clock: Clock, *, authors: bool) -> None:
        self._spend = spend
        self._clock = clock
        self._authors = authors
        self._day: date | None = None
        self._read: set[tuple[str, str]] = set()
        self.paid = 0.0
        """Dollars, in this life of the source."""

    def price(self, posts: Collection[str], users: Collection[str] = ()) -> float:
        """What reading these would cost now."""
        self._turn()
        new_posts = sum(("post", post) not in self._read for post in posts)
        new_users = sum(("user", user) not in self._read for user in users) if self._authors else 0
        return new_posts * PRICES["post"] + new_users * PRICES["user"]

    def at_most(self, posts: int) -> float:
        """What so many posts that nobody has seen yet cost at most: each may reply to one and quote another."""
        return posts * POSTS_WITH_ONE * (PRICES["post"] + (PRICES["user"] if self._authors else 0.0))

    def may(self, dollars: float) -> bool:
        return self._spend.may(dollars)

    def affords(self, dollars: float) -> bool:
        """The same for what can be left undone: that it is too dear does not mean that nothing is left, and opens no gap."""
        if self._spend.may(dollars):
            return True
        self._spend.may(0.0)  # the purse says of the last question whether it is empty
        return False

    def share(self) -> float:
        return self._spend.share()

    def pay(self, posts: Collection[str], users: Collection[str] = ()) -> None:
        """Count what was read."""
        dollars = self.price(posts, users)
        if dollars:
            self._spend.paid(dollars)
            self.paid += dollars
        if len(self._read) < MOST_REMEMBERED:
            self._read |= {("post", post) for post in posts} | {("user", user) for user in users}

    def _turn(self) -> None:
        today = self._clock.now().astimezone(UTC).date()
        if today != self._day:
            self._day, self._read = today, set()
