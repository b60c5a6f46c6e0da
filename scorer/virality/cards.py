"""The posts of a conversation that a person should see, as the lane's state keeps them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

CARDS: Final = 3
"""Posts of each kind that are kept for each conversation."""


class Card(msgspec.Struct, omit_defaults=True):
    """What people see of one post in an alert."""

    network: str
    post_id: str
    kind: str
    at: float
    author: str | None = None
    followers: int | None = None
    text: str | None = None
    language: str | None = None
    permalink: str | None = None
    reply_link: str | None = None
    account: str | None = None
    negative: float | None = None
    positive: float | None = None
    author_brand: str | None = None
    policy: str = "text_allowed"
    verified: bool | None = None
    own: bool = False
    """True if the brand wrote it."""
    author_id: str | None = None
    edited_at: float | None = None

    def weight(self, engagements: int) -> float:
        """How much a post with so many engagements of its own drives its story: an angry one up to three times as much."""
        return engagements * (0.5 + (self.negative or 0.0))


class EngagedReply(msgspec.Struct, array_like=True):
    """A reply, and how many engaged with it rather than with the root."""

    card: Card
    engagements: int = 0


def best(cards: list[Card], worth: Callable[[Card], float]) -> list[Card]:
    """The cards that are worth most, at most `CARDS`."""
    cards.sort(key=worth, reverse=True)
    return cards[:CARDS]
