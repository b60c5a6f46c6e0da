"""The closed-form estimate of a self-exciting process: how many engagements are still to come, and how fast. Pure.

It is that of SEISMIC (Zhao et al., KDD 2015). The infectiousness p is the number of engagements per follower who had time to
react. Followers who have not reacted yet will do so with probability p, and each of them brings new followers. How long they
take is given by the kernel (`excitation.KERNEL_SECONDS`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scorer.virality.cascade import DEFAULT_REACH
from scorer.virality.excitation import KERNEL_SECONDS, KERNEL_WEIGHTS, Excitation

PRIOR_EVENTS: Final = 0.5
PRIOR_REACH: Final = 1_500.0
"""A Gamma prior on p that weighs as much as half an engagement among 1,500 followers: one early repost proves little."""
MOST_BRANCHING: Final = 0.9
"""Bound of the engagements that one engagement causes. With 1 or more a cascade would never end, and all recorded ones did."""
MODEL_SPREAD: Final = 0.7
"""The standard deviation of log(remaining) that is left however much data there is: the error of the model."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The engagements that are still to come within the horizon: their median (`remaining`), the standard deviation of their
    logarithm (`spread`), and their shares by exponential of the kernel (`weights`, which sum to 1)."""

    remaining: float
    spread: float
    weights: tuple[float, ...]


def outlook(sums: Excitation, since_newest: float, horizon: float) -> Outlook:
    """What is still to come from now, `since_newest` seconds after the newest event, until `horizon` seconds from now."""
    faded = [w * math.exp(-since_newest / tau) for w, tau in zip(sums.waiting, KERNEL_SECONDS, strict=True)]
    waiting = [weight * w for weight, w in zip(KERNEL_WEIGHTS, faded, strict=True)]
    reacted = max(0.0, sums.reach - sum(waiting))
    infectiousness = (sums.events + PRIOR_EVENTS) / (reacted + PRIOR_REACH)
    # Followers an average engagement brings; a root without engagements says nothing about those to come.
    brings = min(sums.reach / (sums.events + 1.0), 3 * DEFAULT_REACH)
    branching = min(MOST_BRANCHING, infectiousness * brings)
    within = [w * (1.0 - math.exp(-horizon / tau)) for w, tau in zip(waiting, KERNEL_SECONDS, strict=True)]
    total = sum(within)
    remaining = infectiousness * total / (1.0 - branching)
    weights = tuple(w / total for w in within) if total > 0 else tuple(0.0 for _ in within)
    spread = math.hypot(MODEL_SPREAD, 1.0 / math.sqrt(sums.events + PRIOR_EVENTS))
    return Outlook(remaining, spread, weights)


def probability_of(more: float, ahead: Outlook) -> float:
    """The probability that at least `more` engagements are still to come (log-normal around the median)."""
    if more <= 0:
        return 1.0
    if ahead.remaining <= 0:
        return 0.0
    return 0.5 * math.erfc((math.log(more) - math.log(ahead.remaining)) / (ahead.spread * math.sqrt(2.0)))


def quantile(ahead: Outlook, z: float) -> float:
    """The number of engagements still to come that lies `z` standard deviations (of the logarithm) from the median."""
    return ahead.remaining * math.exp(z * ahead.spread) if ahead.remaining > 0 else 0.0


def share_within(seconds: float, weights: tuple[float, ...]) -> float:
    """The share of what is still to come that will have come within `seconds`."""
    return sum(w * (1.0 - math.exp(-seconds / tau)) for w, tau in zip(weights, KERNEL_SECONDS, strict=True))


def seconds_until(more: float, total: float, weights: tuple[float, ...]) -> float | None:
    """In how many seconds `more` of the `total` engagements still to come will have come, found by bisection; `None` if there
    are not so many."""
    if more <= 0:
        return 0.0
    if total <= more:
        return None
    share = more / total
    low, high = 0.0, 40 * KERNEL_SECONDS[-1]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle, weights) < share else (low, middle)
    return high
