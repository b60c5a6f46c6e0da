"""Fits the probabilities of a served model on posts that were kept back, and writes its `calibration.json`.

These are small convex problems, solved by Newton's method: logistic regressions in which every class has the same weight,
with a prior that leaves the logits as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from scorer import manifest
from scorer.sentiment.calibration import Calibration, expected_calibration_error, softmax
from scorer.sentiment.onnx import FILES, Logits, OnnxModel
from scorer.training.corpora import SENTIMENT, VALIDATION, Example

Array = npt.NDArray[np.float64]
Row = tuple[float, float, float, float]
Pair = tuple[Array, npt.NDArray[np.int64]]

PULL = 5.0
"""How many examples the prior weighs, which holds the map near the bare logits."""
SET_SHARES = {VALIDATION: 0.85}
"""The share of the weight that a set has; all others have the same share of the rest."""
STEPS = 60
STILL = 1e-8
"""Newton's method ends when no coefficient moves by more than this."""


def fit(model: OnnxModel, kept: dict[str, list[Example]], unsure: float) -> tuple[Calibration, dict[str, float]]:
    """A calibration that is fitted on `kept`, and its calibration errors: on the same posts, and on halves that it was not
    fitted on."""
    logits = {name: model.logits([example.text for example in examples]) for name, examples in kept.items()}
    moods, weights = _moods(kept, logits)
    mapped, offset = fit_map(moods[0], moods[1], weights)
    margins, answers = complaint_margins(kept, logits)
    slope, shift = fit_line(margins, answers)
    grades = fit_severities(kept, logits)
    calibration = Calibration(
        map_rows(mapped),
        (float(offset[0]), float(offset[1]), float(offset[2])),
        slope,
        shift,
        grades,
        unsure,
    )
    return calibration, _figures(moods, weights, margins, answers, calibration)


def map_rows(mapped: Array) -> tuple[Row, Row, Row]:
    """A map [3, 4] as a calibration holds it."""
    rows = [(float(a), float(b), float(c), float(d)) for a, b, c, d in mapped]
    return rows[0], rows[1], rows[2]


def fit_map(
    features: Array, truth: npt.NDArray[np.int64], weights: Array, pull_of: float = PULL
) -> tuple[Array, Array]:
    """A multinomial logistic regression, by damped Newton steps from the bare logits, to which the map is held as if by
    `pull_of` examples. Returns the map [3, features] and the offset [3]."""
    rows, width = features.shape
    extended = np.concatenate([features, np.ones((rows, 1))], axis=1)
    start = np.zeros((len(SENTIMENT), width + 1))
    start[:, : len(SENTIMENT)] = np.eye(len(SENTIMENT))
    pull = np.full(width + 1, pull_of / rows)
    pull[-1] = 1e-4
    weights = weights / weights.sum()
    mapped, hot = start.copy(), np.eye(len(SENTIMENT))[truth]

    def loss(tried: Array) -> float:
        right = softmax(extended @ tried.T)[np.arange(rows), truth]
        return float(-(weights * np.log(np.maximum(right, 1e-300))).sum() + 0.5 * (pull * (tried - start) ** 2).sum())

    for _ in range(STEPS):
        shares = softmax(extended @ mapped.T)
        slope = ((shares - hot) * weights[:, None]).T @ extended + pull * (mapped - start)
        bend = np.zeros((slope.size, slope.size))
        for a in range(len(SENTIMENT)):
            for b in range(len(SENTIMENT)):
                cross = weights * shares[:, a] * ((a == b) - shares[:, b])
                block = (extended * cross[:, None]).T @ extended
                bend[a * (width + 1) : (a + 1) * (width + 1), b * (width + 1) : (b + 1) * (width + 1)] = block
        bend += np.diag(np.tile(pull, len(SENTIMENT)))
        step = np.linalg.solve(bend, slope.reshape(-1)).reshape(slope.shape)
        # A whole step may jump over the valley where nearly all texts are far from their border.
        while np.abs(step).max() > STILL and loss(mapped - step) > loss(mapped):
            step = step / 2
        mapped = mapped - step
        if np.abs(step).max() <= STILL:
            break
    return mapped[:, :-1], mapped[:, -1]


def fit_line(margins: Array, answers: npt.NDArray[np.int64]) -> tuple[float, float]:
    """The slope and offset of a logistic curve (Platt, 1999), in which both classes have the same weight."""
    weights = np.where(answers == 1, 0.5 / max(1, answers.sum()), 0.5 / max(1, (1 - answers).sum()))
    line = np.array([1.0, 0.0])
    x = np.stack([margins, np.ones_like(margins)], axis=1)
    for _ in range(STEPS):
        shares = 1 / (1 + np.exp(-x @ line))
        slope = x.T @ (weights * (shares - answers))
        bend = (x * (weights * shares * (1 - shares))[:, None]).T @ x + 1e-9 * np.eye(2)
        line = line - np.linalg.solve(bend, slope)
    return float(line[0]), float(line[1])


def _moods(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> tuple[Pair, Array]:
    features, truths, weights = [], [], []
    for name, examples in kept.items():
        rows = [i for i, example in enumerate(examples) if "sentiment" in example.labels]
        if not rows:
            continue
        truth = np.array([examples[i].labels["sentiment"] for i in rows])
        pair = logits[name]["complaint"][rows].astype(np.float64)
        features.append(np.column_stack([logits[name]["sentiment"][rows].astype(np.float64), pair[:, 1] - pair[:, 0]]))
        truths.append(truth)
        share = SET_SHARES.get(name, (1 - sum(SET_SHARES.values())) / max(1, len(kept) - len(SET_SHARES)))
        # Within a set every class weighs the same.
        weights.append(share / np.bincount(truth, minlength=len(SENTIMENT))[truth] / len(np.unique(truth)))
    return (np.concatenate(features), np.concatenate(truths)), np.concatenate(weights)


def complaint_margins(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> Pair:
    """The margins (yes minus no) and answers of all posts that are labelled as a complaint or as none."""
    margins, answers = [], []
    for name, examples in kept.items():
        rows = [i for i, example in enumerate(examples) if "complaint" in example.labels]
        if rows:
            pair = logits[name]["complaint"][rows].astype(np.float64)
            margins.append(pair[:, 1] - pair[:, 0])
            answers.append(np.array([examples[i].labels["complaint"] for i in rows]))
    return np.concatenate(margins), np.concatenate(answers)


def fit_severities(
    kept: dict[str, list[Example]], logits: dict[str, Logits]
) -> tuple[float, float, float, float, float]:
    """What is added to the logits of the severities so that true complaints get the best macro F1, found for one severity
    after the other."""
    rows = [
        (logits[name]["severity"][i], example.labels["severity"])
        for name, examples in kept.items()
        for i, example in enumerate(examples)
        if example.labels.get("severity", 0) > 0
    ]
    scores = np.array([row for row, _ in rows], np.float64)[:, 1:]
    truth = np.array([grade for _, grade in rows]) - 1
    offset = np.zeros(4)
    for _ in range(3):
        for grade in range(4):
            tries = np.linspace(-1.0, 1.0, 21)
            scored = [_macro_f1(truth, (scores + offset + t * np.eye(4)[grade]).argmax(1)) for t in tries]
            offset[grade] += tries[int(np.argmax(scored))]
    return (0.0, float(offset[0]), float(offset[1]), float(offset[2]), float(offset[3]))


def _macro_f1(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]) -> float:
    classes = np.unique(truth)
    hits = [2 * ((truth == c) & (guess == c)).sum() / max(1, (truth == c).sum() + (guess == c).sum()) for c in classes]
    return float(np.mean(hits))


def _figures(
    moods: Pair, weights: Array, margins: Array, answers: npt.NDArray[np.int64], c: Calibration
) -> dict[str, float]:
    features, truth = moods
    halves = []
    for half in (0, 1):
        seen = np.arange(len(truth)) % 2 == half
        mapped, offset = fit_map(features[seen], truth[seen], weights[seen])
        halves.append(expected_calibration_error(softmax(features[~seen] @ mapped.T + offset), truth[~seen]))
    yes = c.complaints(margins)
    bare = softmax(features[:, :3])
    return {
        "sentiment ece, bare logits": expected_calibration_error(bare, truth),
        "sentiment ece": expected_calibration_error(c.moods(features[:, :3], features[:, 3]), truth),
        "sentiment ece, halves not fitted on": float(np.mean(halves)),
        "complaint ece": expected_calibration_error(np.stack([1 - yes, yes], axis=1), answers),
    }


def write(directory: Path, kept: dict[str, list[Example]], unsure: float) -> dict[str, float]:
    """Fits the model in `directory`, writes its calibration there, and returns the figures of `fit`."""
    (directory / manifest.NAME).unlink(missing_ok=True)  # of the model before this one
    Calibration().save(directory / "calibration.json")
    calibration, figures = fit(OnnxModel(directory), kept, unsure)
    calibration.save(directory / "calibration.json")
    manifest.write(directory, *FILES)
    return figures
