"""The features of the learned forecaster: shapes and ratios, never a platform, the size of a brand or a number of followers.

Everything is relative to the cascade's own size and age, so that a line of 50 and one of 50,000 look alike. Followers are left
out on purpose: whether a network tells their number gives away which network it is, and so how popular its recorded posts
were. `learned.LearnedForecaster` adds a loud voice by the closed form instead. What says the most is when the first engagements
came and how many come now (Mishra et al., CIKM 2016; Cheng et al., WWW 2014). Pure, and cheap because called often.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

from scorer.virality.cascade import RATE_SECONDS, Cascade
from scorer.virality.excitation import KERNEL_WEIGHTS

NAMES: Final = (
    "growth_needed", "need_by_outlook", "size", "age", "time_left",
    "rate_600", "rate_3600", "rate_20000", "rate_120000", "from_peak", "silence",
    "last_half", "last_quarters", "last_eighths", "early_4", "early_16", "outlook",
)  # fmt: skip
LINE_FEATURES: Final = 2
"""The first two depend on the line; a model of the final size sees only the others."""
SOFT_SECONDS: Final = 30.0
"""Added to a time before its logarithm is taken: differences within half a minute mean nothing."""
LEAST: Final = 1e-3
"""Added to a ratio before its logarithm is taken."""


def shape_of(cascade: Cascade, now: float, horizon: float) -> list[float]:
    """The features that do not depend on a line, at `now` (epoch seconds). `horizon` is in seconds from the beginning of the
    cascade."""
    count = cascade.engagements or 1
    age = now - cascade.begins
    if age < 1.0:
        age = 1.0
    gap = now - cascade.newest
    if gap < 0.0:
        gap = 0.0
    left = cascade.begins + horizon - now
    if left < 1.0:
        left = 1.0
    mean = count / age
    relative: list[float] = []
    waiting = coming = 0.0
    first = 0.0
    for decayed, tau, weight in zip(cascade.rates, RATE_SECONDS, KERNEL_WEIGHTS, strict=True):
        current = decayed * exp(-gap / tau)
        if not relative:
            first = current
        # An exponential window is not full before a few of its lengths have passed.
        relative.append(log(current / (tau * (1.0 - exp(-age / tau))) / mean + LEAST))
        pending = weight * current
        waiting += pending
        coming += pending * (1.0 - exp(-left / tau))
    # The closed form with every voice alike: those who reacted brought `count`, those who have not will bring as many each.
    branching = count / (count - waiting + 1.5)
    if branching > 0.95:
        branching = 0.95
    outlook = log(branching * coming / (1.0 - branching) / count + LEAST)
    peak = cascade.peak_rate * RATE_SECONDS[0]
    marks = cascade.doublings
    reached = len(marks)
    return [
        log(count),
        log(age + SOFT_SECONDS),
        log(left),
        *relative[:4],
        log((first + LEAST) / (peak + LEAST)),
        log((gap + SOFT_SECONDS) / (age / count + SOFT_SECONDS)),
        *_last(cascade, count, age),
        log((marks[2] + SOFT_SECONDS) / (age + SOFT_SECONDS)) if reached > 2 else 0.0,
        log((marks[4] + SOFT_SECONDS) / (age + SOFT_SECONDS)) if reached > 4 else 0.0,
        outlook,
    ]


def with_line(shape: list[float], count: float, more: float) -> list[float]:
    """All features, for a cascade of `count` engagements whose line is `more` engagements away."""
    growth = log(more / (max(1.0, count)) + LEAST)
    return [growth, growth - shape[-1], *shape]


def _last(cascade: Cascade, count: int, age: float) -> tuple[float, float, float]:
    """How long the last half, three quarters and seven eighths of the engagements took, as shares of the age."""
    marks = cascade.doublings
    if not marks:
        return 0.0, 0.0, 0.0
    # `count` lies between two powers of two; so do its half, quarter and eighth, at the same fraction of the way.
    top = len(marks) - 1
    fraction = count / (1 << top) - 1.0
    shares = []
    for back in (1, 2, 3):
        low = top - back
        if low < 0:
            shares.append(1.0)
            continue
        at = marks[low] + fraction * (marks[low + 1] - marks[low])
        share = 1.0 - at / age
        shares.append(max(0.0, share))
    return shares[0], shares[1], shares[2]
