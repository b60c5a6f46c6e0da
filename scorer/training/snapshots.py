"""Recorded cascades as arrays of looks: what production would have seen and when, and what it would have stated there.

They are folded by the code that runs in production (`scorer.virality.cascade`) and looked at whenever it would look; and at
each of `CHECK_SECONDS` whether or not anything happened, because silence must be learned too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from scorer.backtest.hindsight import Hindsight
from scorer.backtest.recorded import EPOCH, Recorded, kind_of, opened, read
from scorer.backtest.replay import CHECK_SECONDS
from scorer.virality.features import LEAST, shape_of
from scorer.virality.forecast import MIN_ENGAGEMENTS, moved_enough
from scorer.virality.recalibration import Claim, Recalibration, claim_of, growth_to

HORIZON_SECONDS: Final = 72 * 3600.0
FOLDS: Final = 4
MEASURED_LINE: Final = 500
LINES: Final = (100, MEASURED_LINE)

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Times = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Looks:
    """Every look at every cascade of one set: `shapes`, and by row the cascade, the seconds, the size, whether it was a
    check; by cascade the final size, when it crossed each of `LINES` (NaN: never), its root time (epoch seconds, 0: not known)
    and its fold."""

    name: str
    shapes: Floats
    cascade: Ints
    seconds: Floats
    size: Floats
    check: Ints
    final: Floats
    crossed: dict[int, Floats]
    begin: Times
    fold: Ints


def look(name: str, path: Path) -> Looks:
    shapes: list[list[float]] = []
    rows: list[tuple[int, float, int, int]] = []
    recordings = list(read([path]))
    for number, recorded in enumerate(recordings):
        for seconds, size, check, shape in _looks(recorded):
            shapes.append(shape)
            rows.append((number, seconds, size, check))
    table = np.array(rows, dtype=np.float64)
    times = np.array([recorded.root_time or 0.0 for recorded in recordings])
    # Where a set has no times, its folds are drawn by lot.
    keys = times if times.any() else np.random.default_rng(1).permutation(len(recordings))
    fold = np.empty(len(recordings), dtype=np.int64)
    fold[np.argsort(keys, kind="stable")] = np.arange(len(recordings)) * FOLDS // len(recordings)
    final = np.array([recorded.size_within(HORIZON_SECONDS) for recorded in recordings], dtype=np.float32)
    crossed = {
        line: np.array(
            [recorded.crossing(line, HORIZON_SECONDS) or np.nan for recorded in recordings], dtype=np.float32
        )
        for line in LINES
    }
    return Looks(
        name=name,
        shapes=np.array(shapes, dtype=np.float32),
        cascade=table[:, 0].astype(np.int64),
        seconds=table[:, 1].astype(np.float32),
        size=table[:, 2].astype(np.float32),
        check=table[:, 3].astype(np.int64),
        final=final,
        crossed=crossed,
        begin=times,
        fold=fold,
    )


def _looks(recorded: Recorded) -> list[tuple[float, int, int, list[float]]]:
    cascade = opened(recorded, EPOCH)
    checks = list(CHECK_SECONDS)
    found: list[tuple[float, int, int, list[float]]] = []

    def check_until(seconds: float) -> None:
        while checks and checks[0] < seconds:
            at = checks.pop(0)
            found.append((at, cascade.engagements, 1, shape_of(cascade, EPOCH + at, HORIZON_SECONDS)))

    for event in recorded.events[1:]:
        check_until(event.delay)
        if event.delay > HORIZON_SECONDS:
            break
        now = EPOCH + event.delay
        cascade.add_engagement(kind_of(event.kind), now, event.followers, human=True, velocity=True)
        if cascade.engagements >= MIN_ENGAGEMENTS and moved_enough(cascade, now):
            # As if the story were likely: the model must know every look that production may take.
            cascade.looked = (cascade.engagements, cascade.everyone.reach, now, 1.0)
            found.append((event.delay, cascade.engagements, 0, shape_of(cascade, now, HORIZON_SECONDS)))
    check_until(HORIZON_SECONDS)
    return found


def lined(shapes: Floats, size: Floats, line: Floats) -> Floats:
    """`features.with_line`, for many at once."""
    growth = np.log((line - size) / np.maximum(size, 1) + LEAST)
    return np.column_stack([growth, growth - shapes[:, -1], shapes]).astype(np.float32)


def streamed(looks: Looks, margin: Floats, line: int) -> Floats:
    """The probabilities that `scorer.backtest.replay` would state: set right by what the cascades before came to."""
    said = np.asarray(1 / (1 + np.exp(-margin)), dtype=np.float64)
    stated = said.copy()
    hindsight = Hindsight(HORIZON_SECONDS)
    ends = np.searchsorted(looks.cascade, np.arange(len(looks.final)), side="right")
    starts = np.searchsorted(looks.cascade, np.arange(len(looks.final)))
    for number in np.argsort(looks.begin, kind="stable"):
        begin = float(looks.begin[number])
        hindsight.begin(begin)
        known = hindsight.known.learned().get(looks.name) or Recalibration()
        claims: list[Claim] = []
        for row in range(starts[number], ends[number]):
            size = int(looks.size[row])
            if size >= line:
                continue
            growth = growth_to(line - size, size)
            p = float(said[row])
            if not looks.check[row] and (claim := claim_of(p, growth, size, claims)) is not None:
                claims.append(claim)
            stated[row] = known.probability(p, growth)
        crossed = not math.isnan(looks.crossed[line][number])
        hindsight.end(begin or None, looks.name, claims, crossed=crossed)
    return np.asarray(stated, dtype=np.float32)


def before_last(looks: Looks) -> Looks:
    """Without the last fold; the others are cut anew, in the same order."""
    rest = part_of(looks, looks.fold < FOLDS - 1)
    rank = np.argsort(np.argsort(rest.fold, kind="stable"), kind="stable")
    return replace(rest, fold=rank * FOLDS // max(1, len(rank)))


def part_of(looks: Looks, cascades: Bools) -> Looks:
    rows = cascades[looks.cascade]
    place = np.cumsum(cascades) - 1
    return Looks(
        name=looks.name,
        shapes=looks.shapes[rows],
        cascade=place[looks.cascade[rows]],
        seconds=looks.seconds[rows],
        size=looks.size[rows],
        check=looks.check[rows],
        final=looks.final[cascades],
        crossed={line: seconds[cascades] for line, seconds in looks.crossed.items()},
        begin=looks.begin[cascades],
        fold=looks.fold[cascades],
    )
