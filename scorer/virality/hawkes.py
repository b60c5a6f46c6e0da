"""The closed-form estimate of a self-exciting process: how many engagements are still to come, and how fast.

After SEISMIC (Zhao et al., KDD 2015): the infectiousness p is engagements per follower that had time to react; those who
have not reacted yet will react with p, and each of them brings new followers. Kernel: `cascade.KERNEL_SECONDS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scorer.virality.cascade import DEFAULT_REACH, KERNEL_SECONDS, KERNEL_WEIGHTS, Excitation

PRIOR_EVENTS: Final = 0.5
PRIOR_REACH: Final = 1_500.0
"""A Gamma prior on p, worth half an engagement among 1,500 followers: one early repost proves little."""
MOST_BRANCHING: Final = 0.9
"""A process at or above 1 never ends; observed cascades do."""
MODEL_SPREAD: Final = 0.7
"""Standard deviation of log(remaining) that no amount of data takes away (model error)."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """`remaining` engagements (median) within the horizon, the standard deviation of their logarithm, and how the time of
    those that are still to come is spread: `weights` over `KERNEL_SECONDS`, summing to 1."""

    remaining: float
    spread: float
    weights: tuple[float, ...]


def outlook(sums: Excitation, since_newest: float, horizon: float) -> Outlook:
    """What is still to come `since_newest` seconds after the newest event, up to `horizon` seconds from now."""
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
    """P(at least `more` engagements are still to come): log-normal around the median."""
    if more <= 0:
        return 1.0
    if ahead.remaining <= 0:
        return 0.0
    return 0.5 * math.erfc((math.log(more) - math.log(ahead.remaining)) / (ahead.spread * math.sqrt(2.0)))


def quantile(ahead: Outlook, z: float) -> float:
    """The number still to come at `z` standard deviations of its logarithm."""
    return ahead.remaining * math.exp(z * ahead.spread) if ahead.remaining > 0 else 0.0


def share_within(seconds: float, weights: tuple[float, ...]) -> float:
    """The share of what is still to come that comes within `seconds`."""
    return sum(w * (1.0 - math.exp(-seconds / tau)) for w, tau in zip(weights, KERNEL_SECONDS, strict=True))


def seconds_until(more: float, total: float, weights: tuple[float, ...]) -> float | None:
    """When `more` of the `total` still to come will have come; `None` when they never do. Bisection on the mixture."""
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
