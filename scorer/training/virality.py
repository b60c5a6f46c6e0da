"""Makes `scorer/virality/weights/virality.json` from recorded cascades, and says what it is worth (`make train-virality`).

Each look at a recorded cascade (`scorer.training.snapshots`) becomes training rows: its shape then, with lines drawn widely
relative to its size. Folds are contiguous in time; widening and thresholds come from cascades that the model in question
did not see, streamed in the order in which they began, each teaching the later ones how much to believe
(`scorer.recalibration_state`), as in production. Needs the `training` extra. One thread is enough: a few minutes.
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

from scorer.backtest.measure import CALIBRATED_SECONDS, SHIPPED
from scorer.backtest.replay import CHECK_SECONDS
from scorer.training.evaluation import Alerts, alerts, calibration_error, size_error
from scorer.training.snapshots import (
    FOLDS,
    LINES,
    MEASURED_LINE,
    Floats,
    Ints,
    Looks,
    before_last,
    lined,
    look,
    part_of,
    streamed,
)
from scorer.virality.features import NAMES
from scorer.virality.forecast import MIN_ENGAGEMENTS

SETS: Final = (
    "twitter15_16", "ced_weibo", "auspol", "liang2021", "uc3m_brands", "tideh", "mendoza2023", "weibo_sample",
)  # fmt: skip
"""None of them GPL or non-commercial; licences as stated in the model card."""
SUBSAMPLE: Final = 0.2
SMALL_LOOKS: Final = 20_000
SMALL_SUBSAMPLE: Final = 0.6
"""Sets with few looks give more of them: looks of one cascade tell nearly the same, so what counts is how many cascades."""
ORDINARY: Final = frozenset({"auspol", "liang2021", "uc3m_brands"})
ORDINARY_WEIGHT: Final = 2.0
"""Ordinary cascades are rare among the recorded and nearly all there is in life: so half of the false alarms at a line of 100
go. Twice as much again spares none, and costs calibration."""
COMPLETE_FROM: Final = {"twitter15_16": 200, "ced_weibo": 150, "tideh": 2_000}
"""These sets hold what had become popular: that so few of theirs stayed below such a line is how they were made, so they teach
nothing about it. Half of the false alarms at a line of 100 came from believing them."""
GROWN_SHARE: Final = 0.05
"""Nor, while they were smaller than this share of it, about how large a small story becomes: theirs were those that grew."""
LEAST_SIZE: Final = 3
FARTHEST: Final = 60.0
"""Lines are drawn log-uniformly up to so many times the present size, besides those near the final one."""
QUANTILES: Final = (0.1, 0.5, 0.9)
PARAMETERS: Final[dict[str, Any]] = {"early_stopping": False, "random_state": 0}
CROSSING_PARAMETERS: Final[dict[str, Any]] = PARAMETERS | {
    "max_iter": 60, "max_leaf_nodes": 63, "learning_rate": 0.12, "min_samples_leaf": 400, "max_features": 0.5,
    "l2_regularization": 5.0,
}  # fmt: skip
"""Each split sees half of the features: what the looks of a story say then jumps less from one to the next, and it is their
highest that pages somebody."""
SIZE_PARAMETERS: Final[dict[str, Any]] = PARAMETERS | {
    "max_iter": 50, "max_leaf_nodes": 15, "learning_rate": 0.15, "min_samples_leaf": 200,
}  # fmt: skip
PRECISIONS: Final = (0.5, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Rows:
    x: Floats
    y: Floats
    weight: Floats


def drawn(sets: Sequence[Looks], without: int | None, seed: int = 0) -> tuple[Rows, Rows]:
    """Rows for the crossing and for the size, from all folds but one. A cascade weighs as the root of its looks."""
    rng = np.random.default_rng(seed)
    crossing, sizes = [], []
    for looks in sets:
        kept = (looks.fold[looks.cascade] != without) & (looks.size >= LEAST_SIZE)
        share = SUBSAMPLE if len(kept) > SMALL_LOOKS else SMALL_SUBSAMPLE
        kept &= (rng.random(len(kept)) < share) | (looks.check == 1)
        shapes, size, cascade = looks.shapes[kept], looks.size[kept], looks.cascade[kept]
        final = np.maximum(looks.final[cascade], size)
        weight = 1 / np.sqrt(np.bincount(cascade, minlength=len(looks.final))[cascade])
        weight *= ORDINARY_WEIGHT if looks.name in ORDINARY else 1.0
        complete = COMPLETE_FROM.get(looks.name, 0)
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
    return Rows(*map(np.concatenate, zip(*crossing, strict=True))), Rows(*map(np.concatenate, zip(*sizes, strict=True)))


def fit_crossing(rows: Rows) -> Any:
    falls_with_the_line = [-1, -1] + [0] * (len(NAMES) - 2)
    model = HistGradientBoostingClassifier(**CROSSING_PARAMETERS, monotonic_cst=falls_with_the_line)
    return model.fit(rows.x, rows.y, rows.weight)


def fit_sizes(rows: Rows) -> list[Any]:
    thin = np.random.default_rng(2).random(len(rows.y)) < 0.6
    x, y, weight = rows.x[thin], rows.y[thin], rows.weight[thin]
    return [
        HistGradientBoostingRegressor(loss="quantile", quantile=q, **SIZE_PARAMETERS).fit(x, y, weight)
        for q in QUANTILES
    ]


@dataclass(frozen=True, slots=True)
class Unseen:
    """What models say of looks that they were not trained on: raw log-odds for one line, and log growth by quantile."""

    margin: dict[tuple[str, int], Floats]
    growth: dict[str, Floats]


def cross_fitted(sets: Sequence[Looks], lines: Sequence[int], say: Any) -> Unseen:
    margin = {(looks.name, line): np.full(len(looks.size), 50.0, np.float32) for looks in sets for line in lines}
    growth = {looks.name: np.zeros((len(looks.size), 3), np.float32) for looks in sets}
    for fold in range(FOLDS):
        crossing_rows, size_rows = drawn(sets, fold)
        crossing, sizes = fit_crossing(crossing_rows), fit_sizes(size_rows)
        say(f"fold {fold + 1} of {FOLDS}: {len(crossing_rows.y):,} rows")
        for looks in sets:
            out = looks.fold[looks.cascade] == fold
            if not out.any():
                continue
            growth[looks.name][out] = np.column_stack([model.predict(looks.shapes[out]) for model in sizes])
            for line in lines:
                ahead = out & (looks.size < line)
                x = lined(looks.shapes[ahead], looks.size[ahead], np.full(int(ahead.sum()), line, np.float32))
                margin[looks.name, line][ahead] = crossing.decision_function(x)
    return Unseen(margin, growth)


def widened(sets: Sequence[Looks], unseen: Unseen) -> list[float]:
    """What to add to the quantiles of log growth so that each is what it says on cascades not seen in training."""
    wrong: list[Floats] = []
    for looks in sets:
        kept = (looks.check == 1) & (looks.size >= MIN_ENGAGEMENTS)
        actual = np.log(np.maximum(looks.final[looks.cascade[kept]], looks.size[kept]) / looks.size[kept])
        wrong.append(actual[:, None] - unseen.growth[looks.name][kept])
    errors = np.concatenate(wrong)
    # The median stays what it is; the ends move. A growth of zero is an atom that no shift may jump over.
    low, high = (float(np.quantile(errors[:, column], QUANTILES[column])) for column in (0, 2))
    return [min(0.0, low), 0.0, max(0.0, high)]


def frozen(looks: Looks, probability: Floats, line: int) -> dict[float, float]:
    """The lowest threshold that reaches each precision, a cascade alerting at most once, before it crosses."""
    counted = (looks.size < line) & (looks.size >= MIN_ENGAGEMENTS) & (looks.check == 0)
    highest = np.zeros(len(looks.final), np.float32)
    np.maximum.at(highest, looks.cascade[counted], probability[counted])
    found: dict[float, float] = {}
    for threshold in np.arange(0.97, 0.03, -0.005):
        alerts = highest >= threshold
        if alerts.sum() < 20:
            continue
        precision = float((looks.final[alerts] >= line).mean())
        for wanted in PRECISIONS:
            if precision >= wanted:
                found[wanted] = round(float(threshold), 3)
    return found


def report(sets: Sequence[Looks], unseen: Unseen, widen: Sequence[float], say: Any) -> None:
    """Every figure of the model card that cascades not seen in training can give, at the shipped thresholds."""
    mixed: list[tuple[Floats, Ints]] = []
    for looks in sets:
        stated = {line: streamed(looks, unseen.margin[looks.name, line], line) for line in LINES}
        for line in LINES:
            thresholds = set(SHIPPED.values())
            if line == MEASURED_LINE:
                thresholds |= set(frozen(looks, stated[line], line).values())
            for threshold in sorted(thresholds):
                say(f"{looks.name}, line {line}, {_alerts(looks, stated[line], line, threshold)}")
        for fold in range(FOLDS):
            part = part_of(looks, looks.fold == fold)
            p = stated[MEASURED_LINE][looks.fold[looks.cascade] == fold]
            for precision, threshold in frozen(part, p, MEASURED_LINE).items():
                found = _alerts(part, p, MEASURED_LINE, threshold)
                say(f"{looks.name}, quarter {fold + 1}, precision {precision}: {found}")
        p = stated[MEASURED_LINE]
        checks = (looks.check == 1) & (looks.size < MEASURED_LINE) & (looks.seconds <= 3_600)
        label = (looks.final[looks.cascade] >= MEASURED_LINE).astype(np.int64)
        mixed.append((p[checks], label[checks]))
        say(f"{looks.name}, calibration error {calibration_error(*mixed[-1]):.3f}")
        for seconds in CHECK_SECONDS:
            at = (looks.check == 1) & (looks.seconds == seconds)
            if seconds <= 3_600 and (at & checks).any():
                say(f"  after {seconds / 60:.0f} min: {calibration_error(p[at & checks], label[at & checks]):.3f}")
            at &= looks.size >= MIN_ENGAGEMENTS
            if at.any():
                error, held = size_error(
                    looks.size[at], looks.final[looks.cascade[at]], unseen.growth[looks.name][at], widen
                )
                say(f"  after {seconds / 60:.0f} min: size off by {error:.3f} (median), interval holds {held:.1%}")
    both = tuple(np.concatenate(part) for part in zip(*mixed, strict=True))
    say(f"all mixed, calibration error {calibration_error(both[0], both[1]):.3f}")


def _alerts(looks: Looks, probability: Floats, line: int, threshold: float) -> Alerts:
    """Of what production would have told, before the line is crossed."""
    told = np.flatnonzero((looks.size < line) & (looks.size >= MIN_ENGAGEMENTS) & (looks.check == 0))
    rows = looks.cascade[told], looks.seconds[told], looks.size[told], probability[told]
    return alerts(*rows, looks.crossed[line], line, threshold)


def away(looks: Looks, crossing: Any, say: Any) -> None:
    """How honest the probability is on a platform that was not trained on, as said and as stated after what was learned."""
    ahead = looks.size < MEASURED_LINE
    line = np.full(int(ahead.sum()), MEASURED_LINE, np.float32)
    margin = np.full(len(looks.size), 50.0, np.float32)
    margin[ahead] = crossing.decision_function(lined(looks.shapes[ahead], looks.size[ahead], line))
    label = (looks.final[looks.cascade] >= MEASURED_LINE).astype(np.int64)
    for how, p in (("as said", 1 / (1 + np.exp(-margin))), ("as stated", streamed(looks, margin, MEASURED_LINE))):
        for until in (*CALIBRATED_SECONDS, None):
            at = ahead & (looks.check == 1) & ((looks.seconds == until) if until else (looks.seconds <= 3_600))
            say(
                f"{looks.name}, left out, {how}, after {until or 'any'} s: calibration error "
                f"{calibration_error(p[at], label[at]):.3f}, said {p[at].mean():.3f}, was {label[at].mean():.3f}"
            )


def flat(model: Any) -> dict[str, Any]:
    """The trees of a fitted model, as `scorer.virality.trees` reads them."""
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
    sets = [look(name, folder / f"cascades_{name}" / "cascades.jsonl.gz") for name in names]
    if until:
        sets = [before_last(looks) for looks in sets]
    unseen = cross_fitted(sets, LINES, typer.echo)
    widen = widened(sets, unseen)
    typer.echo(f"quantiles are widened by {widen}")
    for looks in sets:
        if looks.name in {"twitter15_16", "ced_weibo"}:
            p = streamed(looks, unseen.margin[looks.name, MEASURED_LINE], MEASURED_LINE)
            typer.echo(f"{looks.name}: threshold by precision {frozen(looks, p, MEASURED_LINE)}")
    report(sets, unseen, widen, typer.echo)
    crossing_rows, size_rows = drawn(sets, None)
    crossing = fit_crossing(crossing_rows)
    for name in leave or []:
        away(look(name, folder / f"cascades_{name}" / "cascades.jsonl.gz"), crossing, typer.echo)
    weights = {
        "name": "firebreak-virality-2",
        "features": list(NAMES),
        "crosses": flat(crossing),
        "sizes": [flat(model) for model in fit_sizes(size_rows)],
        "widen": widen,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(weights, separators=(",", ":")) + "\n")
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
