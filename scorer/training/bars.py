"""What the reading is held to: one table of figures on public and on written posts, each with the bar that it has to reach.

Posts that a model was trained on are left out: of sets that are learned from, only what is kept back is read. Everything goes
through `Readout`, as `firebreak read` gives it to anybody, so a text that the model does not read counts as it would there: its
figures are judged all the same, and the share that was read stands beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scorer.readout import CHUNK_TEXTS, AskedText, Readout
from scorer.sentiment.calibration import LABELS, expected_calibration_error
from scorer.sentiment.evaluate import f1, macro_f1, macro_recall
from scorer.sentiment.model import SentimentModel
from scorer.sentiment.text import spell
from scorer.training.corpora import is_held_out, read_rows

FALSE_ALARMS: Final = 0.05
"""The share of posts without danger at which the share of found dangers is stated."""

Row = dict[str, str]
Found = dict[str, Any]
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure: what it says, on how many texts, the share of them that was read, and what it has to reach. `most` is True
    where less is better."""

    what: str
    found: float
    texts: int
    read: float
    bar: float
    aim: float
    most: bool = False

    @property
    def reached(self) -> bool:
        return self.found <= self.bar if self.most else self.found >= self.bar


def measure_bars(model: SentimentModel, root: Path) -> Iterator[Bar]:
    """Yields the figures of all sets that are there, in the order of the table."""
    yield from _english(model, root)
    yield from _languages(model, root)
    yield from _written(model, root / "written")


def _english(model: SentimentModel, root: Path) -> Iterator[Bar]:
    for rows, found in _read_set(model, root, "tweeteval_sentiment/val"):
        truth, shares = _truth(rows), _shares(found)
        said, read = shares.argmax(1), _read(found)
        yield Bar("TweetEval validation, macro recall", macro_recall(truth, said), len(rows), read, 0.715, 0.730)
        yield Bar(
            "TweetEval validation, ECE",
            expected_calibration_error(shares, truth),
            len(rows),
            read,
            0.06,
            0.03,
            most=True,
        )
    for rows, found in _read_set(model, root, "airline/train"):
        said = _shares(found).argmax(1)
        yield Bar("airline, negative F1", f1(_truth(rows), said, 0), len(rows), _read(found), 0.87, 0.89)
    for rows, found in _read_set(model, root, "complaints/train", held_out=True):
        truth = np.array([int(row["complaint"]) for row in rows])
        said = (_complaints(found) >= 0.5).astype(np.int64)
        yield Bar("complaints, macro F1", macro_f1(truth, said), len(rows), _read(found), 0.89, 0.91)


def _languages(model: SentimentModel, root: Path) -> Iterator[Bar]:
    for file, held_out, what, bar, aim in (
        ("umsab_multilingual/val", False, "UMSAB, mean macro F1 of 8 languages", 0.67, 0.70),
        ("smsa_indonesian/train", True, "Indonesian (SmSA), macro F1", 0.84, 0.88),
        ("malay_twitter/train", False, "Malay, macro F1", 0.69, 0.73),
        ("wisesight_thai/val", False, "Thai (Wisesight), macro F1", 0.66, 0.70),
        ("nusax/val", False, "NusaX, mean macro F1 of 12 languages", 0.76, 0.80),
    ):
        for rows, found in _read_set(model, root, file, held_out=held_out):
            truth, said = _truth(rows), _shares(found).argmax(1)
            spoken = np.array([json.loads(row["extra"] or "{}").get("lang", "") for row in rows])
            figures = [macro_f1(truth[spoken == one], said[spoken == one]) for one in np.unique(spoken)]
            yield Bar(what, float(np.mean(figures)), len(rows), _read(found), bar, aim)


def _written(model: SentimentModel, folder: Path) -> Iterator[Bar]:
    for rows, found in _read_written(model, folder / "multilingual_complaints.csv"):
        yes = np.array([row["complaint"] == "1" for row in rows])
        negative = f1(_truth(rows), _shares(found).argmax(1), 0)
        score = rank_auc(_complaints(found), yes)
        yield Bar("written complaints, AUC", score, len(rows), _read(found), 0.90, 0.95)
        yield Bar("written complaints, negative F1", negative, len(rows), _read(found), 0.80, 0.88)
    for rows, found in _read_written(model, folder / "hazards.csv"):
        danger = np.array([row["label"] == "hazard" for row in rows])
        score = recall_at(_column(found, "hazard", "probability"), danger, FALSE_ALARMS)
        yield Bar("written hazards, recall at 5 % of decoys", score, len(rows), _read(found), 0.90, 0.97)
    for rows, found in _read_written(model, folder / "brand_words.csv"):
        about = np.array([int(row["about"]) for row in rows])
        meant = np.array([int(_meant(one, row["brand"]) >= 0.5) for one, row in zip(found, rows, strict=True)])
        yield Bar("word-named brands, F1 of meant", f1(about, meant, 1), len(rows), _read(found), 0.90, 0.96)
    for rows, found in _read_written(model, folder / "sarcasm.csv"):
        truth, said = _truth(rows), _shares(found).argmax(1)
        sarcastic = np.array([row["sarcastic"] == "1" for row in rows])
        praise = truth == LABELS.index("positive")
        yield _rate("sarcastic complaints read negative", said[sarcastic] == 0, found, 0.60, 0.80)
        yield _rate("praise, also in slang, read positive", said[praise] == LABELS.index("positive"), found, 0.93, 0.95)


def _rate(what: str, right: Mask, found: Sequence[Found], bar: float, aim: float) -> Bar:
    return Bar(what, float(right.mean()), len(right), _read(found), bar, aim)


def _read_set(
    model: SentimentModel, root: Path, name: str, *, held_out: bool = False
) -> Iterator[tuple[list[Row], list[Found]]]:
    """Yields the rows of a set with what is read in them, if the set is there; `held_out`: only those that are kept back."""
    path = root / f"{name}.csv.gz"
    if path.is_file():
        rows = [row for row in read_rows(path) if row["text"]]
        if held_out:
            rows = [row for row in rows if is_held_out(spell(row["text"]))]
        yield rows, read_rows_of(Readout(model), rows)


def _read_written(model: SentimentModel, path: Path) -> Iterator[tuple[list[Row], list[Found]]]:
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        # Its brands are made up but for those that stand in a column; which language it is, the reader has to find out.
        brands = dict.fromkeys(row["brand"] for row in rows if row.get("brand"))
        yield rows, read_rows_of(Readout(model, brands), rows)


def read_rows_of(readout: Readout, rows: Sequence[Row]) -> list[Found]:
    """What is read in the text of each row, asked about the brand that it names."""
    asked = [AskedText(row["text"], brand=row.get("brand") or None) for row in rows]
    return [one for at in range(0, len(asked), CHUNK_TEXTS) for one in readout.read(asked[at : at + CHUNK_TEXTS])]


def _truth(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    return np.array([LABELS.index(row["label"]) for row in rows])


def _shares(found: Sequence[Found]) -> Scores:
    return np.array([[one["sentiment"][label] for label in LABELS] for one in found])


def _complaints(found: Sequence[Found]) -> Scores:
    """The probabilities of a complaint; 0 where the model tells none."""
    return np.array([one["complaint"] or 0.0 for one in found])


def _column(found: Sequence[Found], outer: str, inner: str) -> Scores:
    return np.array([one[outer][inner] for one in found])


def _meant(found: Found, brand: str) -> float:
    return max((about["meant"] for about in found["brands"] if about["brand"] == brand), default=0.0)


def _read(found: Sequence[Found]) -> float:
    return float(np.mean([one["read"] for one in found]))


def rank_auc(score: Scores, positive: Mask) -> float:
    """The probability that a positive has a higher score than a negative; ties count half (Hanley & McNeil, 1982)."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    many, few = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - many * (many + 1) / 2) / max(1, many * few))


def recall_at(score: Scores, positive: Mask, false_alarms: float) -> float:
    """The share of positives above the lowest threshold that at most this share of negatives is above."""
    others = np.sort(score[~positive])[::-1]
    allowed = int(false_alarms * len(others))
    threshold = others[allowed] if allowed < len(others) else -np.inf
    return float((score[positive] > threshold).mean())
