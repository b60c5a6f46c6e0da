"""Judges a sentiment model on a labelled file: the figures that its labels allow, and the readings behind them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scorer.sentiment.calibration import LABELS, expected_calibration_error
from scorer.sentiment.model import Reading, SentimentModel
from services.base.errors import ConfigError

CHUNK_TEXTS = 512
_CODED = {"0": "negative", "1": "neutral", "2": "positive"}
"""The numbers that one public set of reviews has for its sentiments."""
PREDICTION_COLUMNS = ("sentiment", "negative", "neutral", "positive", "complaint", "severity", "abstain")

Truth = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One row of a file, with its labels; `None` for a label that it does not have."""

    text: str
    sentiment: int | None = None
    complaint: int | None = None
    severity: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`figures` by name, and `confusion[truth][said]`, the number of texts by true and by predicted sentiment."""

    figures: dict[str, float]
    confusion: list[list[int]]
    readings: list[Reading]


def read_labelled(path: Path) -> Iterator[Labelled]:
    """Yields the rows of a CSV file (gzipped or not) with the column `text` and any of `label`, `sentiment`, `complaint` and
    `severity`. A `title` becomes the beginning of the text. Raises `ConfigError` if the file cannot be read, or has no
    texts."""
    csv.field_size_limit(10_000_000)
    try:
        unpack = gzip.open if path.suffix == ".gz" else open
        with unpack(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if "text" not in (rows.fieldnames or ()):
                raise ConfigError(f"{path}: no column `text` in {rows.fieldnames}")
            for row in rows:
                text = " ".join(part for part in (row.get("title"), row["text"]) if part)
                yield Labelled(text, _mood(row), _grade(row, "complaint", 1), _grade(row, "severity", 4))
    except (OSError, UnicodeDecodeError, csv.Error) as trouble:
        raise ConfigError(f"{path}: {trouble}") from trouble


def _mood(row: dict[str, str]) -> int | None:
    label = (row.get("label") or row.get("sentiment") or "").strip().casefold()
    label = _CODED.get(label, label)
    return LABELS.index(label) if label in LABELS else None


def _grade(row: dict[str, str], column: str, highest: int) -> int | None:
    value = (row.get(column) or "").strip()
    return int(value) if value.isdigit() and int(value) <= highest else None


def label_of(reading: Reading) -> str:
    """The name of the likeliest sentiment."""
    return LABELS[int(np.argmax((reading.negative, reading.neutral, reading.positive)))]


def evaluate(
    model: SentimentModel, rows: Sequence[Labelled], advance: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """Reads all texts and compares the readings with the labels. Where the model abstains, the likeliest sentiment counts all
    the same. `advance` is told after each chunk how many texts were read."""
    readings: list[Reading] = []
    for start in range(0, len(rows), CHUNK_TEXTS):
        texts = [row.text for row in rows[start : start + CHUNK_TEXTS]]
        readings += model.read(texts, [None] * len(texts))
        advance(len(texts))
    figures: dict[str, float] = {"n": len(rows)}
    figures["abstained"] = sum(reading.abstain is not None for reading in readings)
    confusion: list[list[int]] = []
    pairs = [(row.sentiment, reading) for row, reading in zip(rows, readings, strict=True) if row.sentiment is not None]
    if pairs:
        truth = np.array([mood for mood, _ in pairs])
        shares = np.array([(one.negative, one.neutral, one.positive) for _, one in pairs])
        said = shares.argmax(axis=1)
        figures |= {
            "accuracy": float((truth == said).mean()),
            "macro_recall": macro_recall(truth, said),
            "macro_f1": macro_f1(truth, said),
            "negative_f1": f1(truth, said, LABELS.index("negative")),
            "ece": expected_calibration_error(shares, truth),
        }
        confusion = [[int(((truth == t) & (said == s)).sum()) for s in range(len(LABELS))] for t in range(len(LABELS))]
    complaints = [
        (row.complaint, reading.complaint >= 0.5)
        for row, reading in zip(rows, readings, strict=True)
        if row.complaint is not None and reading.complaint is not None
    ]
    if complaints:
        truth, said = (np.array(column, np.int64) for column in zip(*complaints, strict=True))
        figures |= {"complaint_macro_f1": macro_f1(truth, said), "complaint_f1": f1(truth, said, 1)}
    grades = [
        (row.severity, reading.severity)
        for row, reading in zip(rows, readings, strict=True)
        if row.severity is not None and reading.severity is not None
    ]
    if grades:
        truth, said = (np.array(column, np.int64) for column in zip(*grades, strict=True))
        figures["severity_macro_f1"] = macro_f1(truth, said)
    return Evaluation(figures, confusion, readings)


def f1(truth: Truth, said: Truth, which: int) -> float:
    """The F1 of one class; 0 if it occurs neither in the labels nor in the predictions."""
    both = int(((truth == which) & (said == which)).sum())
    return 2 * both / max(1, int((truth == which).sum() + (said == which).sum()))


def macro_f1(truth: Truth, said: Truth) -> float:
    """The mean F1 of the classes that occur in the labels."""
    return float(np.mean([f1(truth, said, int(which)) for which in np.unique(truth)]))


def macro_recall(truth: Truth, said: Truth) -> float:
    """The mean recall of the classes that occur in the labels."""
    return float(np.mean([(said[truth == which] == which).mean() for which in np.unique(truth)]))


def write_predictions(path: Path, readings: Sequence[Reading]) -> None:
    """Writes one row for each text, in order, so that anybody can compute the figures again."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(PREDICTION_COLUMNS)
        for one in readings:
            moods = (f"{share:.6f}" for share in (one.negative, one.neutral, one.positive))
            complaint = "" if one.complaint is None else f"{one.complaint:.6f}"
            severity = "" if one.severity is None else one.severity
            out.writerow([label_of(one), *moods, complaint, severity, one.abstain or ""])
