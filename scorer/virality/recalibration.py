"""What a forecaster's probabilities turned out to be worth, learned as stories end: few numbers, no list of stories.

How popular the stories of a network are is not in the shape of a cascade: trees that were trained on other networks say twice
too much or too little. So what was said is set right by a logistic regression (Platt, 1999, online): three coefficients with a
prior that believes the forecaster, moved by each story that ended, by the extended Kalman step for a binomial outcome (West,
Harrison, Migon, JASA 1985). A story teaches by its claims: what was said of it when it had 8, 32, 128 ... engagements. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from typing import Final

import msgspec

PRIOR_VARIANCE: Final = (1.0, 0.09, 0.16)
"""Of the offset, of the slope less one, and of what a line further away adds (log line over size): wide for how popular a
network is, narrow for the rest."""
MEMORY_STORIES: Final = 1_000.0
"""A network changes: it is the last so many that count (discounting: West, Harrison, Migon)."""
CLAIM_WEIGHT: Final = 0.5
"""The claims of a story are about one outcome. Each weighs the same however many follow: stories that grow claim more, so a
share of their number would tell the outcome."""
LEAST_SLOPE: Final = 0.2
"""More must stay more, whatever was learned."""
MOST_SHIFT: Final = 1.0
"""Odds of a third, or three times as high, as much as two platforms were found to differ. Nobody tells us of alarms that were
heeded elsewhere than in the thread, and neither they nor a flood of small stories may silence the next."""
FIRST_CLAIM: Final = 8
CLAIM_GROWTH: Final = 4
LEAST_CLAIM: Final = 0.01
"""Of the crowd of stories that nobody would be told of there is nothing to learn that matters where somebody is."""
MOST_SAID: Final = 4.6
MOST_GROWTH: Final = 4.0
"""What is learned between 1 and 99 %, and of lines up to 55 times the size, is what is known beyond."""

_PAIRS: Final = tuple((i, j) for i in range(3) for j in range(i, 3))


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
        believed = log_odds(said)
        x = _known(believed, growth)
        shift = self._log_odds(x) - x[1]
        return _logistic(believed + max(-MOST_SHIFT, min(MOST_SHIFT, shift)))

    def learn(self, claims: Sequence[Claim], crossed: bool, weight: float = 1.0) -> None:
        """A story ended. `weight` is less than one where it is one of several that must end alike."""
        for claim in claims:
            self._learn(claim, crossed, weight * CLAIM_WEIGHT)

    def _log_odds(self, x: tuple[float, float, float]) -> float:
        offset, slope, further = self.mean
        return offset + max(LEAST_SLOPE, 1.0 + slope) * x[1] + further * x[2]

    def _learn(self, claim: Claim, crossed: bool, weight: float) -> None:
        x = _known(claim.said, claim.growth)
        p = _logistic(self._log_odds(x))
        information = weight * p * (1.0 - p)
        self._forget(4.0 * information)
        # A slope at its floor does not answer to what is claimed: moving it further down would only wind it up.
        held = 1.0 + self.mean[1] <= LEAST_SLOPE and (crossed - p) * x[1] < 0
        answers = (x[0], 0.0 if held else x[1], x[2])
        towards = [sum(c * one for c, one in zip(row, answers, strict=True)) for row in self.covariance]
        shrink = 1.0 + information * sum(t * one for t, one in zip(towards, answers, strict=True))
        step = weight * (crossed - p) / shrink
        self.mean = [mean + step * t for mean, t in zip(self.mean, towards, strict=True)]
        self._reshape(lambda i, j, c: c - information / shrink * towards[i] * towards[j])

    def _forget(self, information: float) -> None:
        """`information` is 1 for a claim of which anything could be said. What was learned `MEMORY_STORIES` ago weighs a third
        of the last; nothing is known less than before the first."""
        widest = MEMORY_STORIES / (MEMORY_STORIES - information)
        wider = [sqrt(min(widest, prior / self.covariance[i][i])) for i, prior in enumerate(PRIOR_VARIANCE)]
        self._reshape(lambda i, j, c: c * wider[i] * wider[j])

    def _reshape(self, of: Callable[[int, int, float], float]) -> None:
        """Each pair once: what rounding makes of the two would grow apart, story by story, until nothing is a variance."""
        for i, j in _PAIRS:
            self.covariance[i][j] = self.covariance[j][i] = of(i, j, self.covariance[i][j])


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


def _known(said: float, growth: float) -> tuple[float, float, float]:
    return 1.0, max(-MOST_SAID, min(MOST_SAID, said)), min(MOST_GROWTH, growth)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-x)) if x >= 0 else exp(x) / (1.0 + exp(x))
