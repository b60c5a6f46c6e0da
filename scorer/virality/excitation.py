"""The sums by which a conversation excites itself: how many of those who heard of it have not reacted yet. Pure."""

from __future__ import annotations

from math import exp
from typing import Final

import msgspec

KERNEL_SECONDS: Final = (600.0, 3_600.0, 20_000.0, 120_000.0, 1_000_000.0)
KERNEL_WEIGHTS: Final = (0.436, 0.152, 0.172, 0.042, 0.198)
"""How long followers take to react: the reaction-time kernel of SEISMIC (Zhao et al., KDD 2015: a power law with exponent
1.242 after 300 s), as a sum of exponentials that differs from it by at most 0.02. A sum of exponentials can be updated event
by event, a power law cannot."""


class Excitation(msgspec.Struct, array_like=True):
    """The sums that a self-exciting estimate needs, at the time of the newest event.

    `reach` is the followers of all voices, `events` the number of engagements, `waiting[j]` the followers who have not reacted
    yet by the j-th exponential of the kernel.
    """

    reach: float = 0.0
    events: float = 0.0
    waiting: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(KERNEL_SECONDS))

    def add(self, reach: float, events: float, late: float, velocity: bool) -> None:
        """Add a voice that spoke `late` seconds before the newest event. Without `velocity` nobody is expected to react now."""
        self.reach += reach
        self.events += events
        if not velocity:
            return
        if late:
            self.waiting = [w + reach * exp(-late / tau) for w, tau in zip(self.waiting, KERNEL_SECONDS, strict=True)]
        else:
            self.waiting = [w + reach for w in self.waiting]
