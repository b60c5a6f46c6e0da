"""Trains `scorer/virality/weights/virality.json` on recorded cascades, and measures what it is worth (`make train-virality`).

Each snapshot of a recorded cascade (`scorer.training.snapshots`) becomes training rows: its shape, with lines at many distances
from its size. Folds are contiguous in time. The widening of intervals and the thresholds are measured on cascades
that the model was not trained on, in the order in which they began, while probabilities are corrected by those that ended
before (`scorer.recalibration_state`), as in production. Needs the extra `training`. It takes a few minutes on one thread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from scorer import manifest
from scorer.backtest.measure import CALIBRATED_SECONDS, SHIPPED
from scorer.backtest.replay import CHECK_SECONDS
from scorer.training.evaluation import Alerts, alerts, calibration_error, size_error
from scorer.training.snapshots import (
    FOLDS,
    LINES,
    MEASURED_LINE,
    Floats,
    Ints,
    Snapshots,
    before_last,
    lined,
    part_of,
    streamed,
    take_snapshots,
)
from scorer.virality.features import NAMES
from scorer.virality.forecast import MIN_ENGAGEMENTS

SETS: Final = (
    "twitter15_16", "ced_weibo", "auspol", "liang2021", "uc3m_brands", "tideh", "mendoza2023", "weibo_sample",
)  # fmt: skip
"""The sets to train on. None is under the GPL or for non-commercial use only; the model card states the licences."""
SUBSAMPLE: Final = 0.2
SMALL_SET: Final = 20_000
SMALL_SUBSAMPLE: Final = 0.6
"""The share of snapshots that become rows: a larger one for sets with at most `SMALL_SET` snapshots. Snapshots of the same
cascade are much alike, so what counts is the number of cascades."""
ORDINARY: Final = frozenset({"auspol", "liang2021", "uc3m_brands"})
ORDINARY_WEIGHT: Final = 2.0
"""The weight of the sets that hold ordinary cascades, which are rare among the recorded ones and by far the most frequent in
production. It halves the false alarms at a line of 100. A weight of 4 spares no further one, and costs calibration."""
COMPLETE_FROM: Final = {"twitter15_16": 200, "ced_weibo": 150, "tideh": 2_000}
"""These sets hold only cascades that became popular, with at least about so many engagements. How seldom a cascade stays below
that size can therefore not be learned from them, and no row of theirs has a line below it. Without this rule they caused half
of the false alarms at a line of 100."""
GROWN_SHARE: Final = 0.05
"""For the same reason they teach nothing about the final size of a cascade that is smaller than this share of that size: only
those small cascades that grew are in them."""
LEAST_SIZE: Final = 3
"""Smaller snapshots are left out."""
FARTHEST: Final = 60.0
"""Some lines are drawn log-uniformly up to so many times the present size, others near the final size."""
QUANTILES: Final = (0.1, 0.5, 0.9)
PARAMETERS: Final[dict[str, Any]] = {"early_stopping": False, "random_state": 0}
CROSSING_PARAMETERS: Final[dict[str, Any]] = PARAMETERS | {
    "max_iter": 60, "max_leaf_nodes": 63, "learning_rate": 0.12, "min_samples_leaf": 400, "max_features": 0.5,
    "l2_regularization": 5.0,
}  # fmt: skip
"""Each split sees half of the features, so that the probability jumps less from one forecast of a story to the next. That
matters, because the highest one pages somebody."""
SIZE_PARAMETERS: Final[dict[str, Any]] = PARAMETERS | {
    "max_iter": 50, "max_leaf_nodes": 15, "learning_rate": 0.15, "min_samples_leaf": 200,
}  # fmt: skip
PRECISIONS: Final = (0.5, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Features, target and weight of each row."""

    x: Floats
    y: Floats
    weight: Floats


def drawn(sets: Sequence[Snapshots], without: int | None, seed: int = 0) -> tuple[TrainingRows, TrainingRows]:
    """The rows for the crossing and for the final size, from all folds but `without`. A snapshot weighs one over the square
    root of the number of snapshots of its cascade."""
    rng = np.random.default_rng(seed)
    crossing, sizes = [], []
    for snapshots in sets:
        kept = (snapshots.fold[snapshots.cascade] != without) & (snapshots.size >= LEAST_SIZE)
        share = SUBSAMPLE if len(kept) > SMALL_SET else SMALL_SUBSAMPLE
        kept &= (rng.random(len(kept)) < share) | (snapshots.check == 1)
        shapes, size, cascade = snapshots.shapes[kept], snapshots.size[kept], snapshots.cascade[kept]
        final = np.maximum(snapshots.final[cascade], size)
        weight = 1 / np.sqrt(np.bincount(cascade, minlength=len(snapshots.final))[cascade])
        weight *= ORDINARY_WEIGHT if snapshots.name in ORDINARY else 1.0
        complete = COMPLETE_FROM.get(snapshots.name, 0)
        grown = size >= complete * GROWN_SHARE
        sizes.append((shapes[grown], np.log(final[grown] / size[grown]), weight[grown]))
        nearest = np.maximum(size, complete)
        far = [nearest * np.exp(rng.uniform(np.log(1.02), np.log(FARTHEST), len(size))) for _ in range(2)]
        near = final * np.exp(rng.normal(0, 0.5, len(size)))
        for line in (*far, near, np.full(len(size), 500.0), np.full(len(size), 100.0)):
            ahead = np.maximum(size + 1, np.round(line)).astype(np.float32)
            known = ahead >= complete
            rows = lined(shapes[known], size[known], ahead[known]), final[known] >= ahead[known], weight[known]
            crossing.append(rows)
    return TrainingRows(*map(np.concatenate, zip(*crossing, strict=True))), TrainingRows(
        *map(np.concatenate, zip(*sizes, strict=True))
    )


def fit_crossing(rows: TrainingRows) -> Any:
    """The trees for the probability to cross a line, which never rises when the line is further away."""
    falls_with_the_line = [-1, -1] + [0] * (len(NAMES) - 2)
    model = HistGradientBoostingClassifier(**CROSSING_PARAMETERS, monotonic_cst=falls_with_the_line)
    return model.fit(rows.x, rows.y, rows.weight)


def fit_sizes(rows: TrainingRows) -> list[Any]:
    """The trees for each of `QUANTILES` of log(final size / present size)."""
    thin = np.random.default_rng(2).random(len(rows.y)) < 0.6
    x, y, weight = rows.x[thin], rows.y[thin], rows.weight[thin]
    return [
        HistGradientBoostingRegressor(loss="quantile", quantile=q, **SIZE_PARAMETERS).fit(x, y, weight)
        for q in QUANTILES
    ]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What models say of snapshots that they were not trained on: log-odds by set and line, and quantiles of log growth by
    set."""

    margin: dict[tuple[str, int], Floats]
    growth: dict[str, Floats]


def cross_fitted(sets: Sequence[Snapshots], lines: Sequence[int], say: Any) -> OutOfFold:
    """What models say of each fold that were trained on all the others."""
    margin = {
        (snapshots.name, line): np.full(len(snapshots.size), 50.0, np.float32) for snapshots in sets for line in lines
    }
    growth = {snapshots.name: np.zeros((len(snapshots.size), 3), np.float32) for snapshots in sets}
    for fold in range(FOLDS):
        crossing_rows, size_rows = drawn(sets, fold)
        crossing, sizes = fit_crossing(crossing_rows), fit_sizes(size_rows)
        say(f"fold {fold + 1} of {FOLDS}: {len(crossing_rows.y):,} rows")
        for snapshots in sets:
            out = snapshots.fold[snapshots.cascade] == fold
            if not out.any():
                continue
            growth[snapshots.name][out] = np.column_stack([model.predict(snapshots.shapes[out]) for model in sizes])
            for line in lines:
                ahead = out & (snapshots.size < line)
                x = lined(snapshots.shapes[ahead], snapshots.size[ahead], np.full(int(ahead.sum()), line, np.float32))
                margin[snapshots.name, line][ahead] = crossing.decision_function(x)
    return OutOfFold(margin, growth)


def widened(sets: Sequence[Snapshots], unseen: OutOfFold) -> list[float]:
    """What is added to each quantile of log growth so that it is true to its name on cascades that were not trained on."""
    wrong: list[Floats] = []
    for snapshots in sets:
        kept = (snapshots.check == 1) & (snapshots.size >= MIN_ENGAGEMENTS)
        actual = np.log(
            np.maximum(snapshots.final[snapshots.cascade[kept]], snapshots.size[kept]) / snapshots.size[kept]
        )
        wrong.append(actual[:, None] - unseen.growth[snapshots.name][kept])
    errors = np.concatenate(wrong)
    # The median stays what it is; the ends move. A growth of zero is an atom that no shift may jump over.
    low, high = (float(np.quantile(errors[:, column], QUANTILES[column])) for column in (0, 2))
    return [min(0.0, low), 0.0, max(0.0, high)]


def frozen(snapshots: Snapshots, probability: Floats, line: int) -> dict[float, float]:
    """By precision, the lowest threshold that reaches it, where each cascade alerts at most once, before it crosses."""
    counted = (snapshots.size < line) & (snapshots.size >= MIN_ENGAGEMENTS) & (snapshots.check == 0)
    highest = np.zeros(len(snapshots.final), np.float32)
    np.maximum.at(highest, snapshots.cascade[counted], probability[counted])
    found: dict[float, float] = {}
    for threshold in np.arange(0.97, 0.03, -0.005):
        alerts = highest >= threshold
        if alerts.sum() < 20:
            continue
        precision = float((snapshots.final[alerts] >= line).mean())
        for wanted in PRECISIONS:
            if precision >= wanted:
                found[wanted] = round(float(threshold), 3)
    return found


def report(sets: Sequence[Snapshots], unseen: OutOfFold, widen: Sequence[float], say: Any) -> None:
    """Say every figure of the model card that can be measured on cascades which were not trained on."""
    mixed: list[tuple[Floats, Ints]] = []
    for snapshots in sets:
        stated = {line: streamed(snapshots, unseen.margin[snapshots.name, line], line) for line in LINES}
        for line in LINES:
            thresholds = set(SHIPPED.values())
            if line == MEASURED_LINE:
                thresholds |= set(frozen(snapshots, stated[line], line).values())
            for threshold in sorted(thresholds):
                say(f"{snapshots.name}, line {line}, {_alerts(snapshots, stated[line], line, threshold)}")
        for fold in range(FOLDS):
            part = part_of(snapshots, snapshots.fold == fold)
            p = stated[MEASURED_LINE][snapshots.fold[snapshots.cascade] == fold]
            for precision, threshold in frozen(part, p, MEASURED_LINE).items():
                found = _alerts(part, p, MEASURED_LINE, threshold)
                say(f"{snapshots.name}, quarter {fold + 1}, precision {precision}: {found}")
        p = stated[MEASURED_LINE]
        checks = (snapshots.check == 1) & (snapshots.size < MEASURED_LINE) & (snapshots.seconds <= 3_600)
        label = (snapshots.final[snapshots.cascade] >= MEASURED_LINE).astype(np.int64)
        mixed.append((p[checks], label[checks]))
        say(f"{snapshots.name}, calibration error {calibration_error(*mixed[-1]):.3f}")
        for seconds in CHECK_SECONDS:
            at = (snapshots.check == 1) & (snapshots.seconds == seconds)
            if seconds <= 3_600 and (at & checks).any():
                say(f"  after {seconds / 60:.0f} min: {calibration_error(p[at & checks], label[at & checks]):.3f}")
            at &= snapshots.size >= MIN_ENGAGEMENTS
            if at.any():
                error, held = size_error(
                    snapshots.size[at], snapshots.final[snapshots.cascade[at]], unseen.growth[snapshots.name][at], widen
                )
                say(f"  after {seconds / 60:.0f} min: size off by {error:.3f} (median), interval holds {held:.1%}")
    both = tuple(np.concatenate(part) for part in zip(*mixed, strict=True))
    say(f"all mixed, calibration error {calibration_error(both[0], both[1]):.3f}")


def _alerts(snapshots: Snapshots, probability: Floats, line: int, threshold: float) -> Alerts:
    """The alerts that production would have given before the line was crossed."""
    told = np.flatnonzero((snapshots.size < line) & (snapshots.size >= MIN_ENGAGEMENTS) & (snapshots.check == 0))
    rows = snapshots.cascade[told], snapshots.seconds[told], snapshots.size[told], probability[told]
    return alerts(*rows, snapshots.crossed[line], line, threshold)


def away(snapshots: Snapshots, crossing: Any, say: Any) -> None:
    """Say how good the probabilities are on a platform that was not trained on, before and after they are corrected."""
    ahead = snapshots.size < MEASURED_LINE
    line = np.full(int(ahead.sum()), MEASURED_LINE, np.float32)
    margin = np.full(len(snapshots.size), 50.0, np.float32)
    margin[ahead] = crossing.decision_function(lined(snapshots.shapes[ahead], snapshots.size[ahead], line))
    label = (snapshots.final[snapshots.cascade] >= MEASURED_LINE).astype(np.int64)
    for how, p in (("as said", 1 / (1 + np.exp(-margin))), ("as stated", streamed(snapshots, margin, MEASURED_LINE))):
        for until in (*CALIBRATED_SECONDS, None):
            at = (
                ahead
                & (snapshots.check == 1)
                & ((snapshots.seconds == until) if until else (snapshots.seconds <= 3_600))
            )
            say(
                f"{snapshots.name}, left out, {how}, after {until or 'any'} s: calibration error "
                f"{calibration_error(p[at], label[at]):.3f}, said {p[at].mean():.3f}, was {label[at].mean():.3f}"
            )


def flat(model: Any) -> dict[str, Any]:
    """The trees of a fitted model in the form that `scorer.virality.trees` reads."""
    trees = []
    for (predictor,) in model._predictors:  # noqa: SLF001 - there is no public way to the nodes
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        trees.append(
            [
                [int(f) for f in np.where(leaf, -1, nodes["feature_idx"])],
                [round(float(v), 6) for v in np.where(leaf, nodes["value"], nodes["num_threshold"])],
                [int(v) for v in nodes["left"]],
                [int(v) for v in nodes["right"]],
            ]
        )
    return {"baseline": float(np.ravel(model._baseline_prediction)[0]), "trees": trees}  # noqa: SLF001


def main(
    folder: Annotated[Path, typer.Argument(help="holds cascades_NAME/cascades.jsonl.gz for each training set")],
    out: Annotated[Path, typer.Option(help="where the weights go")] = Path("scorer/virality/weights/virality.json"),
    leave: Annotated[list[str] | None, typer.Option(help="a set to leave out: how far it travels")] = None,
    until: Annotated[bool, typer.Option("--until-last-fold", help="leave the last fold out, to be measured")] = False,
) -> None:
    """Train, freeze the thresholds and write the weights."""
    names = [name for name in SETS if name not in (leave or [])]
    sets = [take_snapshots(name, folder / f"cascades_{name}" / "cascades.jsonl.gz") for name in names]
    if until:
        sets = [before_last(snapshots) for snapshots in sets]
    unseen = cross_fitted(sets, LINES, typer.echo)
    widen = widened(sets, unseen)
    typer.echo(f"quantiles are widened by {widen}")
    for snapshots in sets:
        if snapshots.name in {"twitter15_16", "ced_weibo"}:
            p = streamed(snapshots, unseen.margin[snapshots.name, MEASURED_LINE], MEASURED_LINE)
            typer.echo(f"{snapshots.name}: threshold by precision {frozen(snapshots, p, MEASURED_LINE)}")
    report(sets, unseen, widen, typer.echo)
    crossing_rows, size_rows = drawn(sets, None)
    crossing = fit_crossing(crossing_rows)
    for name in leave or []:
        away(take_snapshots(name, folder / f"cascades_{name}" / "cascades.jsonl.gz"), crossing, typer.echo)
    weights = {
        "name": "firebreak-virality-2",
        "features": list(NAMES),
        "crosses": flat(crossing),
        "sizes": [flat(model) for model in fit_sizes(size_rows)],
        "widen": widen,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(weights, separators=(",", ":")) + "\n")
    manifest.write(out.parent, out.name)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
