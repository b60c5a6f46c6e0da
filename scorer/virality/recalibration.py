"""Corrects the probabilities of a forecaster by how the stories of a network really ended. Pure; it keeps a few numbers only.

How popular the stories of a network are cannot be seen in the shape of a cascade: probabilities of trees that were trained on
other networks are wrong by up to a factor of two. A logistic regression corrects them (Platt, 1999, but online). It has three
coefficients, whose prior believes the forecaster, and each story that ends moves them by the extended Kalman step for a
binomial outcome (West, Harrison, Migon, JASA 1985). What a story teaches are its claims: the probabilities that were given
when it had 8, 32, 128 ... engagements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from typing import Final

import msgspec

PRIOR_VARIANCE: Final = (1.0, 0.09, 0.16)
"""The variance of the prior for the offset, for the slope minus one, and for the growth that is still needed (`growth_to`).
How popular a network is, the offset, is left open; the other two are held close to what the forecaster says."""
MEMORY_STORIES: Final = 1_000.0
"""Networks change: what was learned so many stories ago has lost most of its weight (discounting: West, Harrison, Migon)."""
CLAIM_WEIGHT: Final = 0.5
"""How much each claim of a story weighs: less than one, because all of them are about the same outcome, and not a share of
their number, because stories that grow make more claims, so that their weights would give away the outcome."""
LEAST_SLOPE: Final = 0.2
"""Lower bound of the slope: a higher probability stays higher, whatever was learned."""
MOST_SHIFT: Final = 1.0
"""Bound of the correction in log-odds: odds become at most three times as high or as low, which is how far two platforms were
found to differ. Alarms that people heeded elsewhere than in the thread look false here; neither they nor a flood of small
stories may silence the next alarm."""
FIRST_CLAIM: Final = 8
CLAIM_GROWTH: Final = 4
"""The first claim of a story is made at 8 engagements, each further one at four times the size of the last."""
LEAST_CLAIM: Final = 0.01
"""Lower probabilities make no claim: nothing that matters can be learned from the many stories that nobody is told of."""
MOST_SAID: Final = 4.6
MOST_GROWTH: Final = 4.0
"""Bounds of what is learned from, in log-odds and in `growth_to`: between 1 % and 99 %, and lines up to 55 times the size.
Beyond them the correction stays what it is at the bound."""

_PAIRS: Final = tuple((i, j) for i in range(3) for j in range(i, 3))


class Claim(msgspec.Struct, array_like=True):
    """What the forecaster said (log-odds) when a story had `size` engagements and its line was `growth` away (`growth_to`)."""

    said: float
    growth: float
    size: int


class Recalibration(msgspec.Struct, array_like=True):
    """The correction for one network: the coefficients of (1, said, growth), which are added to what the forecaster said, and
    their covariance."""

    mean: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
    covariance: list[list[float]] = msgspec.field(
        default_factory=lambda: [[v if i == j else 0.0 for j in range(3)] for i, v in enumerate(PRIOR_VARIANCE)]
    )

    def probability(self, said: float, growth: float) -> float:
        """The corrected probability where the forecaster `said` one. 0 and 1 are certain, and stay what they are."""
        if not 0.0 < said < 1.0:
            return said
        believed = log_odds(said)
        x = _known(believed, growth)
        shift = self._log_odds(x) - x[1]
        return _logistic(believed + max(-MOST_SHIFT, min(MOST_SHIFT, shift)))

    def learn(self, claims: Sequence[Claim], crossed: bool, weight: float = 1.0) -> None:
        """Learn from a story that ended. `weight` is less than one if the story counts for several brands."""
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
        """Let older stories count for less, before a claim is learned from.

        `information` is 1 for a claim whose outcome was entirely open, and less for one that was nearly certain. What was
        learned `MEMORY_STORIES` claims of 1 ago weighs about a third (1/e) of the newest. No coefficient becomes less certain
        than its prior.
        """
        widest = MEMORY_STORIES / (MEMORY_STORIES - information)
        wider = [sqrt(min(widest, prior / self.covariance[i][i])) for i, prior in enumerate(PRIOR_VARIANCE)]
        self._reshape(lambda i, j, c: c * wider[i] * wider[j])

    def _reshape(self, of: Callable[[int, int, float], float]) -> None:
        """Replace each entry of the covariance. The two halves are set together: rounding would make them grow apart, story by
        story, until the matrix is no covariance any more."""
        for i, j in _PAIRS:
            self.covariance[i][j] = self.covariance[j][i] = of(i, j, self.covariance[i][j])


def growth_to(more: float, size: float) -> float:
    """How far away a line is, for a story of `size` engagements that lacks `more`: the logarithm of how much it must grow."""
    return log(1.0 + more / max(1.0, size))


def claim_of(said: float, growth: float, size: int, before: Sequence[Claim]) -> Claim | None:
    """The claim that a story of `size` engagements makes now, where the forecaster's probability is `said`; `None` if no claim
    is due after those made `before`, or if nothing could be learned from it."""
    due = before[-1].size * CLAIM_GROWTH if before else FIRST_CLAIM
    if size < due or not LEAST_CLAIM <= said < 1.0:
        return None
    return Claim(log_odds(said), growth, size)


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), finite for 0 and 1 too."""
    bounded = min(1.0 - 1e-12, max(1e-12, probability))
    return log(bounded / (1.0 - bounded))


def _known(said: float, growth: float) -> tuple[float, float, float]:
    return 1.0, max(-MOST_SAID, min(MOST_SAID, said)), min(MOST_GROWTH, growth)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-x)) if x >= 0 else exp(x) / (1.0 + exp(x))
