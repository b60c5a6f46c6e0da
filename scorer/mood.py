"""How negative the audience of an account usually is: what the mood of a conversation is compared with.

It is learned from conversations that are over, from at most `MOST_READINGS` replies and quotes of each, and never from a story
of which somebody was told. So no pile-on makes itself the usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from scorer.virality.cascade import Cascade
from services.config.model import Brand
from services.stream.state import KeyedState

STATE_VERSION: Final = 1
MOST_READINGS: Final = 50
MEMORY_READINGS: Final = 2_000.0
"""Older replies and quotes fade, so that all of them together weigh at most so many."""
PRIOR_READINGS: Final = 20.0
"""The share that is configured for a brand weighs as much as so many replies that were read."""


class UsualMood(msgspec.Struct, array_like=True):
    """The replies and quotes that were read under one account's conversations, and how many were negative."""

    scored: float = 0.0
    negative: float = 0.0


class Moods:
    """The usual moods by brand and account, in the lane's state. Every lane learns from the conversations it sees."""

    def __init__(self) -> None:
        self._usual = KeyedState("m:", UsualMood, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._usual.restore(entries)

    def learn(self, cascade: Cascade) -> None:
        """Learn from a conversation that is over."""
        if not cascade.scored or cascade.told:
            return
        readings = min(MOST_READINGS, cascade.scored)
        share = cascade.negative / cascade.scored
        for brand in cascade.brands:
            key = _key(brand, cascade)
            usual = self._usual.get(key) or UsualMood()
            keep = min(1.0, MEMORY_READINGS / (usual.scored + readings))
            usual.scored = (usual.scored + readings) * keep
            usual.negative = (usual.negative + readings * share) * keep
            self._usual.put(key, usual, None)

    def share(self, brand: Brand, cascade: Cascade) -> float:
        """The negative share that is usual for the brand's account: the configured one, until enough was read."""
        usual = self._usual.get(_key(brand.id, cascade)) or UsualMood()
        return (usual.negative + PRIOR_READINGS * brand.usual_negative_share) / (usual.scored + PRIOR_READINGS)

    def changes(self) -> dict[str, bytes | None]:
        return self._usual.changes()


def _key(brand: str, cascade: Cascade) -> str:
    return f"{brand} {cascade.account or cascade.network}"
