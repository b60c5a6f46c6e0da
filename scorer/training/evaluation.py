"""Measures forecasts on snapshots that their models were not trained on: `scorer.backtest.measure`, for arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts at one threshold, at most one for each cascade, before it crosses. `lead` gives the quartiles of the leads in
    minutes, `left` the median share of the line that was still to come."""

    threshold: float
    cascades: int
    crossing: int
    true: int
    false: int
    lead: tuple[float, float, float]
    left: float

    def __str__(self) -> str:
        precision = self.true / max(1, self.true + self.false)
        first, middle, last = self.lead
        return (
            f"at {self.threshold:.3f}: precision {precision:.3f}, recall {self.true}/{self.crossing}, "
            f"lead {middle:.0f} ({first:.0f}-{last:.0f}) min, {self.left:.2f} to come, {self.false} false of {self.cascades:,}"
        )


def alerts(
    cascade: Ints, seconds: Floats, size: Floats, probability: Floats, crossed: Floats, line: int, threshold: float
) -> Alerts:
    """The alerts at a threshold. `cascade`, `seconds`, `size` and `probability` have one entry for each snapshot, in order of
    time; `crossed` has one for each cascade, in seconds after the root, NaN where it never crosses."""
    over = np.flatnonzero(probability >= threshold)
    number, place = np.unique(cascade[over], return_index=True)
    first = over[place]
    does = ~np.isnan(crossed)
    true = does[number]
    leads = (crossed[number[true]] - seconds[first[true]]) / 60
    found = bool(true.any())
    lead = np.quantile(leads, [0.25, 0.5, 0.75]) if found else np.zeros(3)
    return Alerts(
        threshold=threshold,
        cascades=len(crossed),
        crossing=int(does.sum()),
        true=int(true.sum()),
        false=int((~true).sum()),
        lead=(float(lead[0]), float(lead[1]), float(lead[2])),
        left=float(np.median(1 - size[first[true]] / line)) if found else 0.0,
    )


def calibration_error(probability: Floats, label: Ints) -> float:
    """The expected calibration error over ten bins of equal width."""
    bins = np.minimum(BINS - 1, (probability * BINS).astype(np.int64))
    return float(sum(abs(probability[bins == n].sum() - label[bins == n].sum()) for n in range(BINS)) / len(label))


def size_error(size: Floats, final: Floats, growth: Floats, widen: Sequence[float]) -> tuple[float, float]:
    """The median absolute percentage error of the final size, and the share of cascades whose size the 80 % interval holds.
    `growth` [snapshots, 3] are the quantiles of log(final / size)."""
    low, median, high = (size * np.exp(np.maximum(0, growth[:, n] + widen[n])) for n in range(3))
    low, high = np.minimum(low, median), np.maximum(high, median)
    inside = (low - 0.5 <= final) & (final <= high + 0.5)
    return float(np.median(np.abs(median - final) / final)), float(inside.mean())
