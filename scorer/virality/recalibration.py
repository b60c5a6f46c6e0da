"""What a forecaster's probabilities turned out to be worth, learned as stories end: few numbers, no list of stories.

How popular the stories of a network are is not in the shape of a cascade: trees that were trained on other networks say twice
too much or too little. So what was said is set right by a logistic regression (Platt, 1999, online): three coefficients with a
prior that believes the forecaster, moved by each story that ended, by the extended Kalman step for a binomial outcome (West,
Harrison, Migon, JASA 1985). A story teaches by its claims: what was said of it when it had 8, 32, 128 ... engagements. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import Final

import msgspec

PRIOR_VARIANCE: Final = (1.0, 0.09, 0.16)
"""Of the offset, of the slope less one, and of what a line further away adds (log line over size): wide for how popular a
network is, narrow for the rest."""
MEMORY_STORIES: Final = 1_000.0
"""A network changes: it is the last so many that count (discounting: West, Harrison, Migon)."""
LEAST_SLOPE: Final = 0.2
"""More must stay more, whatever was learned."""
MOST_LOG_ODDS: Final = 30.0
FIRST_CLAIM: Final = 8
CLAIM_GROWTH: Final = 4
LEAST_CLAIM: Final = 0.01
"""Of the crowd of stories that nobody would be told of there is nothing to learn that matters where somebody is."""


class Claim(msgspec.Struct, array_like=True):
    """What the forecaster said (log-odds) of a story of `size` engagements, the line `growth` away (`growth_to`)."""

    said: float
    growth: float
    size: int


class Recalibration(msgspec.Struct, array_like=True):
    """Coefficients of (1, said, growth) that are added to what was said, and their covariance, row by row."""

    mean: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
    covariance: list[list[float]] = msgspec.field(
        default_factory=lambda: [[v if i == j else 0.0 for j in range(3)] for i, v in enumerate(PRIOR_VARIANCE)]
    )

    def probability(self, said: float, growth: float) -> float:
        """What `said` (a probability) is worth. 0 and 1 are no forecasts and stay."""
        if not 0.0 < said < 1.0:
            return said
        return _logistic(self._log_odds(log_odds(said), growth))

    def learn(self, claims: Sequence[Claim], crossed: bool) -> None:
        """A story ended. Its claims are about one outcome, so together they weigh as one."""
        if not claims:
            return
        self._forget()
        for claim in claims:
            self._learn(claim, crossed, 1.0 / len(claims))

    def _forget(self) -> None:
        """A story of `MEMORY_STORIES` ago weighs a third of the last; nothing is known less than before the first."""
        widest = MEMORY_STORIES / (MEMORY_STORIES - 1.0)
        wider = [sqrt(min(widest, prior / self.covariance[i][i])) for i, prior in enumerate(PRIOR_VARIANCE)]
        self.covariance = [
            [c * wi * wj for c, wj in zip(row, wider, strict=True)]
            for row, wi in zip(self.covariance, wider, strict=True)
        ]

    def _log_odds(self, said: float, growth: float) -> float:
        offset, slope, further = self.mean
        return offset + max(LEAST_SLOPE, 1.0 + slope) * said + further * growth

    def _learn(self, claim: Claim, crossed: bool, weight: float) -> None:
        x = (1.0, claim.said, claim.growth)
        p = _logistic(self._log_odds(claim.said, claim.growth))
        towards = [sum(c * one for c, one in zip(row, x, strict=True)) for row in self.covariance]
        information = weight * p * (1.0 - p)
        shrink = 1.0 + information * sum(t * one for t, one in zip(towards, x, strict=True))
        step = weight * (crossed - p) / shrink
        self.mean = [mean + step * t for mean, t in zip(self.mean, towards, strict=True)]
        self.covariance = [
            [c - information / shrink * ti * tj for c, tj in zip(row, towards, strict=True)]
            for row, ti in zip(self.covariance, towards, strict=True)
        ]


def growth_to(more: float, size: float) -> float:
    """How far a line that is `more` engagements away is from `size`."""
    return log(1.0 + more / max(1.0, size))


def claim_of(said: float, growth: float, size: int, before: Sequence[Claim]) -> Claim | None:
    """What is said (a probability) of a story of `size` now, if it is to be remembered beside what was claimed `before`."""
    due = before[-1].size * CLAIM_GROWTH if before else FIRST_CLAIM
    if size < due or not LEAST_CLAIM <= said < 1.0:
        return None
    return Claim(log_odds(said), growth, size)


def log_odds(probability: float) -> float:
    bounded = min(1.0 - 1e-12, max(1e-12, probability))
    return log(bounded / (1.0 - bounded))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, x))))
