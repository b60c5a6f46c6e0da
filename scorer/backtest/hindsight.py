"""Keeps the outcomes of recorded stories back until their horizon was over, so that only stories which begin later learn from
them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush

from scorer.recalibration_state import RecalibrationState
from scorer.virality.recalibration import Claim


class Hindsight:
    """Corrections that are learned while recorded stories are played, in the order of their root times (epoch seconds). The
    outcome of a story without a time is known to the next one."""

    def __init__(self, horizon: float) -> None:
        self.known = RecalibrationState()
        self._horizon = horizon
        self._ended: list[tuple[float, int, str, Sequence[Claim], bool]] = []
        self._stories = 0

    def begin(self, at: float) -> None:
        """A story begins: learn from those whose horizon was over by then."""
        while self._ended and self._ended[0][0] <= at:
            _, _, network, claims, crossed = heappop(self._ended)
            self.known.learn(network, claims, crossed=crossed)

    def end(self, root_time: float | None, network: str, claims: Sequence[Claim], *, crossed: bool) -> None:
        """A story is over: its outcome will be known when its horizon is over."""
        self._stories += 1
        over = -math.inf if root_time is None else root_time + self._horizon
        heappush(self._ended, (over, self._stories, network, claims, crossed))
