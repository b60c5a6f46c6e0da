"""Measures what forecasts were worth: alerts with their lead, calibration, coverage, error of the size. Pure.

An alert is the first forecast before the line is crossed whose score reaches the threshold; a cascade has at most one. It is
true if the cascade crosses within the horizon. A cascade that crossed without an alert before is missed, however close its
score came.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, Final

from scorer.backtest.recorded import Recorded
from scorer.backtest.replay import CHECK_SECONDS, RIVALS, Look
from scorer.virality.forecast import IMMINENT_AT, LIKELY_AT, WATCH_AT

PRECISIONS: Final = (0.5, 0.7, 0.8, 0.9)
CALIBRATED_SECONDS: Final = (600.0, 1_800.0, 3_600.0)
BINS: Final = 10
OURS: Final = "firebreak"
SHIPPED: Final = {"watch": WATCH_AT, "likely": LIKELY_AT, "imminent": IMMINENT_AT}


@dataclass(slots=True)
class Track:
    """Each new highest value of one score in one cascade: only such a value can be the first to reach a threshold."""

    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    observed: list[int] = field(default_factory=list)

    def add(self, score: float, seconds: float, observed: int) -> None:
        """Take the score `seconds` after the root, when `observed` engagements had come."""
        if not self.scores or score > self.scores[-1]:
            self.scores.append(score)
            self.seconds.append(seconds)
            self.observed.append(observed)


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """One cascade: its final size, when it crossed the line (seconds after the root), and its tracks by name of the score."""

    cascade_id: str
    final: int
    crossed_at: float | None
    tracks: dict[str, Track]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How one score does at one threshold. Leads are in minutes before the crossing. `left` is the share of the line that was
    still to come at the alert, `left_of_final` that of the final size (both medians)."""

    threshold: float
    alerts: int
    true: int
    precision: float | None
    recall: float | None
    lead_q25: float | None
    lead_median: float | None
    lead_q75: float | None
    left: float | None
    left_of_final: float | None
    false: int
    false_per_1000: float


class Measured:
    """Takes cascades one by one, and keeps what the figures need of each: little more than its tracks."""

    def __init__(self, line: int, horizon: float) -> None:
        self.line = line
        self.horizon = horizon
        self.outcomes: list[BacktestResult] = []
        self._calibration: dict[float, list[tuple[float, bool]]] = defaultdict(list)
        self._sizes: dict[float, list[tuple[float, float, float, int]]] = defaultdict(list)

    def add(self, recorded: Recorded, looks: Sequence[Look]) -> None:
        """Take a cascade with all forecasts that were made of it."""
        final = recorded.size_within(self.horizon)
        crossed_at = recorded.crossing(self.line, self.horizon)
        tracks = {name: Track() for name in (OURS, *RIVALS)}
        for look in looks:
            before = look.observed < self.line
            if look.check:
                if look.seconds in CALIBRATED_SECONDS and before:
                    self._calibration[look.seconds].append((look.probability, crossed_at is not None))
                if look.evidence:
                    self._sizes[look.seconds].append((look.low, look.predicted, look.high, final))
            if before and look.evidence:
                tracks[OURS].add(look.probability, look.seconds, look.observed)
                for name, score in zip(RIVALS, look.rivals, strict=True):
                    tracks[name].add(score, look.seconds, look.observed)
        self.outcomes.append(BacktestResult(recorded.cascade_id, final, crossed_at, tracks))

    def at(self, name: str, threshold: float) -> OperatingPoint:
        """How the score called `name` does at a threshold."""
        leads, left, of_final = [], [], []
        alerts = false = 0
        crossing = sum(outcome.crossed_at is not None for outcome in self.outcomes)
        for outcome in self.outcomes:
            track = outcome.tracks[name]
            place = bisect_left(track.scores, threshold)
            if place == len(track.scores):
                continue
            alerts += 1
            if outcome.crossed_at is None:
                false += 1
                continue
            leads.append((outcome.crossed_at - track.seconds[place]) / 60)
            left.append(1 - track.observed[place] / self.line)
            of_final.append(1 - track.observed[place] / outcome.final)
        quarters = quantiles(leads, n=4) if len(leads) > 1 else (leads * 3 if leads else [None] * 3)
        return OperatingPoint(
            threshold=threshold,
            alerts=alerts,
            true=len(leads),
            precision=len(leads) / alerts if alerts else None,
            recall=len(leads) / crossing if crossing else None,
            lead_q25=quarters[0],
            lead_median=quarters[1],
            lead_q75=quarters[2],
            left=median(left) if left else None,
            left_of_final=median(of_final) if of_final else None,
            false=false,
            false_per_1000=1000 * false / max(1, len(self.outcomes)),
        )

    def leads(self, threshold: float) -> list[float]:
        """The minutes from the alert to the crossing, for each true alert of ours."""
        found = []
        for outcome in self.outcomes:
            track = outcome.tracks[OURS]
            place = bisect_left(track.scores, threshold)
            if outcome.crossed_at is not None and place < len(track.scores):
                found.append((outcome.crossed_at - track.seconds[place]) / 60)
        return found

    def operating_point(self, name: str, precision: float) -> OperatingPoint | None:
        """How a score does at the lowest threshold that reaches this precision; `None` if none does.

        The threshold is chosen on the very cascades that it is then measured on, which flatters every score alike.
        """
        highest = sorted(
            (
                (outcome.tracks[name].scores[-1], outcome.crossed_at is not None)
                for outcome in self.outcomes
                if outcome.tracks[name].scores
            ),
            reverse=True,
        )
        best: float | None = None
        true = 0
        for number, (score, crossed) in enumerate(highest, 1):
            true += crossed
            tied = number < len(highest) and highest[number][0] == score
            if not tied and true / number >= precision:
                best = score
        return None if best is None else self.at(name, best)

    def calibration(self, seconds: float | None = None) -> dict[str, Any]:
        """Brier score, expected calibration error and the reliability table of our probabilities: at the check so many
        `seconds` after the root, or at all checks."""
        pairs = [p for at in CALIBRATED_SECONDS if seconds in {None, at} for p in self._calibration[at]]
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
        for p, crossed in pairs:
            bins[min(BINS - 1, int(p * BINS))].append((p, crossed))
        table = [
            {"said": sum(p for p, _ in one) / len(one), "was": sum(c for _, c in one) / len(one), "cascades": len(one)}
            for one in bins
            if one
        ]
        total = max(1, len(pairs))
        return {
            "cascades": len(pairs),
            "brier": sum((p - crossed) ** 2 for p, crossed in pairs) / total,
            "ece": sum(abs(row["said"] - row["was"]) * row["cascades"] for row in table) / total,
            "table": table,
        }

    def sizes(self, seconds: float) -> dict[str, float | int | None]:
        """The median absolute percentage error of the final size that was forecast after so many `seconds`, and the share of
        cascades whose size the 80 % interval held."""
        found = [one for one in self._sizes[seconds] if one[3] > 0]
        if not found:
            return {"cascades": 0, "median_ape": None, "coverage": None}
        return {
            "cascades": len(found),
            "median_ape": median(abs(predicted - final) / final for _, predicted, _, final in found),
            "coverage": sum(low - 0.5 <= final <= high + 0.5 for low, _, high, final in found) / len(found),
        }

    def summary(self) -> dict[str, Any]:
        """All figures, as they are written to JSON."""
        crossing = sum(outcome.crossed_at is not None for outcome in self.outcomes)
        return {
            "line": self.line,
            "horizon_seconds": self.horizon,
            "cascades": len(self.outcomes),
            "crossing": crossing,
            "shipped": {level: asdict(self.at(OURS, threshold)) for level, threshold in SHIPPED.items()},
            "operating_points": {
                name: {
                    str(precision): None if (point := self.operating_point(name, precision)) is None else asdict(point)
                    for precision in PRECISIONS
                }
                for name in (OURS, *RIVALS)
            },
            "calibration": {
                "all": self.calibration(),
                **{f"{at / 60:.0f} min": self.calibration(at) for at in CALIBRATED_SECONDS},
            },
            "final_size": {f"{at / 60:.0f} min": self.sizes(at) for at in CHECK_SECONDS},
        }
