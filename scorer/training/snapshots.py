"""Recorded cascades as arrays of snapshots: what production would have seen whenever it would have made a forecast.

Cascades are folded by the code that runs in production (`scorer.virality.cascade`). A snapshot is taken whenever that would
make a forecast, and at each of `CHECK_SECONDS` whether or not anything happened, because silence must be learned too.
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
class Snapshots:
    """All snapshots of all cascades of one set.

    One entry for each snapshot: its features (`shapes`), its `cascade` (a number), the `seconds` since the root, the `size`
    then, and whether it was a `check` (1) or a forecast (0). One entry for each cascade: its `final` size, when it `crossed`
    each of `LINES` (NaN: never), its root time `begin` (epoch seconds, 0: not known) and its `fold`.
    """

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


def take_snapshots(name: str, path: Path) -> Snapshots:
    """The snapshots of all cascades in a file; `name` is that of their set."""
    shapes: list[list[float]] = []
    rows: list[tuple[int, float, int, int]] = []
    recordings = list(read([path]))
    for number, recorded in enumerate(recordings):
        for seconds, size, check, shape in _snapshots_of(recorded):
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
    return Snapshots(
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


def _snapshots_of(recorded: Recorded) -> list[tuple[float, int, int, list[float]]]:
    """The snapshots of one cascade, as (seconds, size, check, shape)."""
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
            # As if the story were likely to cross: the model must know every forecast that production may make.
            cascade.looked = (cascade.engagements, cascade.everyone.reach, now, 1.0)
            found.append((event.delay, cascade.engagements, 0, shape_of(cascade, now, HORIZON_SECONDS)))
    check_until(HORIZON_SECONDS)
    return found


def lined(shapes: Floats, size: Floats, line: Floats) -> Floats:
    """`features.with_line` for many snapshots at once."""
    growth = np.log((line - size) / np.maximum(size, 1) + LEAST)
    return np.column_stack([growth, growth - shapes[:, -1], shapes]).astype(np.float32)


def streamed(snapshots: Snapshots, margin: Floats, line: int) -> Floats:
    """The probabilities that `scorer.backtest.replay` would state: corrected by how the cascades before ended. `margin` are the
    log-odds of the trees."""
    said = np.asarray(1 / (1 + np.exp(-margin)), dtype=np.float64)
    stated = said.copy()
    hindsight = Hindsight(HORIZON_SECONDS)
    ends = np.searchsorted(snapshots.cascade, np.arange(len(snapshots.final)), side="right")
    starts = np.searchsorted(snapshots.cascade, np.arange(len(snapshots.final)))
    for number in np.argsort(snapshots.begin, kind="stable"):
        begin = float(snapshots.begin[number])
        hindsight.begin(begin)
        known = hindsight.known.learned().get(snapshots.name) or Recalibration()
        claims: list[Claim] = []
        for row in range(starts[number], ends[number]):
            size = int(snapshots.size[row])
            if size >= line:
                continue
            growth = growth_to(line - size, size)
            p = float(said[row])
            if not snapshots.check[row] and (claim := claim_of(p, growth, size, claims)) is not None:
                claims.append(claim)
            stated[row] = known.probability(p, growth)
        crossed = not math.isnan(snapshots.crossed[line][number])
        hindsight.end(begin or None, snapshots.name, claims, crossed=crossed)
    return np.asarray(stated, dtype=np.float32)


def before_last(snapshots: Snapshots) -> Snapshots:
    """The snapshots without those of the last fold. The others are divided into folds again, in the same order."""
    rest = part_of(snapshots, snapshots.fold < FOLDS - 1)
    rank = np.argsort(np.argsort(rest.fold, kind="stable"), kind="stable")
    return replace(rest, fold=rank * FOLDS // max(1, len(rank)))


def part_of(snapshots: Snapshots, cascades: Bools) -> Snapshots:
    """The snapshots of the chosen cascades alone."""
    rows = cascades[snapshots.cascade]
    place = np.cumsum(cascades) - 1
    return Snapshots(
        name=snapshots.name,
        shapes=snapshots.shapes[rows],
        cascade=place[snapshots.cascade[rows]],
        seconds=snapshots.seconds[rows],
        size=snapshots.size[rows],
        check=snapshots.check[rows],
        final=snapshots.final[cascades],
        crossed={line: seconds[cascades] for line, seconds in snapshots.crossed.items()},
        begin=snapshots.begin[cascades],
        fold=snapshots.fold[cascades],
    )
