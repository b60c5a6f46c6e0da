"""The learned forecaster: boosted trees over the shape of a cascade, and the closed form for what they cannot know. Pure.

Three things come together, because each alone does worse (Mishra et al., CIKM 2016, found the same of features and Hawkes
processes):
  trees        the probability to cross a line and the quantiles of the final size, from `features`; they were trained on
               recorded cascades (`scorer.training.virality`) without numbers of followers
  loud voice   after an engagement by a very large account the closed form estimates what its readers may bring, and raises
               the probability at once, long before the shape of the cascade shows it
  people only  the second probability, without accounts that look automated: as if the line were further away, by what these
               accounts brought
"""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Final

import msgspec

from scorer import manifest
from scorer.virality import hawkes
from scorer.virality.cascade import Cascade
from scorer.virality.excitation import KERNEL_SECONDS, KERNEL_WEIGHTS
from scorer.virality.features import LINE_FEATURES, NAMES, shape_of, with_line
from scorer.virality.forecast import (
    IMMINENT_WITHIN_SECONDS,
    Z80,
    Crossing,
    Prediction,
    ahead_of,
    more_until,
)
from scorer.virality.trees import FlatEnsemble, grown
from services.base.errors import Damaged
from services.contracts.signal import Line

LOUD_SPREAD: Final = 1.0
"""The standard deviation of the logarithm of what a loud voice brings: far more than that of a crowd."""
LOUD_SHARE: Final = 0.5
"""How often a follower of a very large account reacts, compared with others: half as often."""
FILE: Final = "virality.json"
MOST_LOGIT: Final = 30.0
"""Bound of the log-odds, so that their exponential is finite."""


class Weights(msgspec.Struct):
    """The trees as they are shipped, with the names of the features they were made for."""

    name: str
    features: list[str]
    crosses: FlatEnsemble
    sizes: list[FlatEnsemble]
    """The trees for the 10 %, 50 % and 90 % quantiles of log(final size / present size)."""
    widen: list[float]
    """What is added to each of the three quantiles, so that the interval holds 80 % of cascades that were not trained on."""


def shipped() -> LearnedForecaster:
    """The forecaster with the weights that come with the code. They are read once, when a process starts. Raises `Damaged` if
    they are not those that were made."""
    folder = files("scorer.virality") / "weights"
    manifest.verify(folder, FILE)
    return LearnedForecaster.of((folder / FILE).read_bytes())


class LearnedForecaster:
    """A `Forecaster` by trained weights."""

    def __init__(self, weights: Weights) -> None:
        """Raises `Damaged` if the weights were made for other features."""
        if tuple(weights.features) != NAMES:
            raise Damaged(f"weights {weights.name!r} were made for other features: run `make train-virality`")
        self.name = weights.name
        self._crosses = grown(weights.crosses, len(NAMES))
        self._low, self._median, self._high = (grown(trees, len(NAMES) - LINE_FEATURES) for trees in weights.sizes)
        self._widen = tuple(weights.widen)

    @classmethod
    def of(cls, content: bytes) -> LearnedForecaster:
        """The forecaster with the weights in a file's `content` (JSON). Raises `Damaged` as the constructor does."""
        return cls(msgspec.json.decode(content, type=Weights))

    def probability(self, cascade: Cascade, line: Line, now: float, horizon: float) -> float:
        more = more_until(line, cascade.everyone, float(cascade.engagements))
        return self._probability(cascade, shape_of(cascade, now, horizon), more, now)

    def predict(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Prediction:
        seen = float(cascade.engagements)
        more = more_until(line, cascade.everyone, seen)
        shape = shape_of(cascade, now, horizon)
        probability = self._probability(cascade, shape, more, now)
        ahead = ahead_of(cascade, cascade.everyone, now, horizon)
        without = probability
        if cascade.automated:
            humans = cascade.humans
            people = ahead_of(cascade, humans, now, horizon)
            slower = people.remaining / ahead.remaining if ahead.remaining > 0 else 1.0
            needed = more_until(line, humans, humans.events) / max(1e-6, min(1.0, slower))
            without = min(probability, self._probability(cascade, shape, needed, now))
        low, median, high = self._sizes(cascade, shape, now)
        share = hawkes.share_within(IMMINENT_WITHIN_SECONDS, ahead.weights)
        return Prediction(
            low=low,
            median=median,
            high=high,
            probability=probability,
            without_automation=without,
            soon=(median - seen) * share >= more,
        )

    def crossing(self, cascade: Cascade, line: Line, now: float, horizon: float) -> Crossing:
        """The trees say how much is still to come, the closed form how it is spread over time."""
        seen = float(cascade.engagements)
        more = more_until(line, cascade.everyone, seen)
        weights = ahead_of(cascade, cascade.everyone, now, horizon).weights
        low, median, high = self._sizes(cascade, shape_of(cascade, now, horizon), now)
        crossing = Crossing(*(hawkes.seconds_until(more, size - seen, weights) for size in (high, median, low)))
        return crossing.until(cascade.begins + horizon - now)

    def _probability(self, cascade: Cascade, shape: list[float], more: float, now: float) -> float:
        if more <= 0:
            return 1.0
        if math.isinf(more):
            return 0.0
        logit = self._crosses(with_line(shape, float(cascade.engagements), more))
        crowd = 1.0 / (1.0 + math.exp(-max(-MOST_LOGIT, min(MOST_LOGIT, logit))))
        if not cascade.loud[0]:
            return crowd
        return 1.0 - (1.0 - crowd) * (1.0 - _passes(more, loud_outlook(cascade, now)))

    def _sizes(self, cascade: Cascade, shape: list[float], now: float) -> tuple[float, float, float]:
        """The low, median and high final size: never below the present size, and never out of order."""
        seen = float(cascade.engagements)
        base = max(1.0, seen)
        low, median, high = (
            base * math.exp(max(0.0, trees(shape) + wider))
            for trees, wider in zip((self._low, self._median, self._high), self._widen, strict=True)
        )
        extra = loud_outlook(cascade, now) if cascade.loud[0] else 0.0
        low = max(seen, min(low, median))
        median = max(low, median + extra)
        return low, median, max(median, high + extra * math.exp(Z80 * LOUD_SPREAD))


def loud_outlook(cascade: Cascade, now: float) -> float:
    """The median of the engagements that the followers of the loudest recent voice may still bring, by the closed form."""
    followers, at = cascade.loud
    passed = max(0.0, now - at)
    waiting = sum(w * math.exp(-passed / tau) for w, tau in zip(KERNEL_WEIGHTS, KERNEL_SECONDS, strict=True))
    everyone = cascade.everyone
    # How many readers react is taken from before the loud voice spoke, and corrected by those of its own who have been
    # reached and brought nothing.
    heard = followers * (1.0 - waiting)
    others = max(
        0.0, everyone.reach - followers - sum(map(_times, KERNEL_WEIGHTS, everyone.waiting)) + followers * waiting
    )
    infectiousness = (everyone.events + hawkes.PRIOR_EVENTS) / (others + heard + hawkes.PRIOR_REACH)
    return LOUD_SHARE * infectiousness * followers * waiting


def _times(a: float, b: float) -> float:
    return a * b


def _passes(more: float, expected: float) -> float:
    if expected <= 0:
        return 0.0
    return 0.5 * math.erfc(math.log(more / expected) / (LOUD_SPREAD * math.sqrt(2.0)))


assert LINE_FEATURES == 2, "with_line puts two features before the shape"
