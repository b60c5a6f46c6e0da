"""Fits the probabilities of the served reader language by language, says which languages it may claim, and how sure of a danger
it has to be; writes `languages.json`.

A language is claimed if at least `FEWEST` posts in it were kept back and the reader, with probabilities fitted on one half of
them and judged on the other, reaches `BAR`. Lines that we wrote ourselves prove nothing here: the hand that wrote them wrote
those that were learned, too. So a language of which only such lines are at hand is not claimed, however well they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scorer import manifest
from scorer.sentiment.calibration import Calibration, expected_calibration_error, softmax
from scorer.sentiment.evaluate import f1, macro_f1
from scorer.sentiment.reader import FILES, LEAST_SHARE, Reader, grade_shares
from scorer.training.corpora import Example
from scorer.training.fit import complaint_margins, fit_line, fit_map, fit_severities, map_rows
from scorer.training.reader_corpora import OWN, Folds

Array = npt.NDArray[np.float64]
Logits = dict[str, npt.NDArray[np.float32]]

FEWEST: Final = 95
"""Posts of a language that were kept back, below which it is not claimed."""
BAR: Final = 0.55
"""The macro F1 of three moods from which on a language is claimed. A guess has 0.33, the English network 0.73 on tweets and
0.55 on the hardest of the sets whose annotators it never learned from."""
NEGATIVE_BAR: Final = 0.60
"""And the F1 of its negative posts, which are what everything else hangs on."""
PULL: Final = 20.0
"""How many examples hold a calibration of few hundred near the bare logits."""
FALSE_ALARMS: Final = 0.001
"""At most so many ordinary posts of any set may be taken for danger."""
LEAST_SURE: Final = 0.90

LANGUAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "ar": ("umsab/arabic", "afrisenti/ary", "afrisenti/arq"),
    "de": ("umsab/german",),
    "es": ("umsab/spanish",),
    "fr": ("umsab/french",),
    "hi": ("umsab/hindi",),
    "it": ("umsab/italian",),
    "pt": ("umsab/portuguese", "afrisenti/por"),
    "id": ("smsa/indonesian", "nusax/indonesian"),
    "th": ("wisesight/thai",),
    "jv": ("nusax/javanese",),
    "su": ("nusax/sundanese",),
    "min": ("nusax/minangkabau",),
    "ace": ("nusax/acehnese",),
    "ban": ("nusax/balinese",),
    "bjn": ("nusax/banjarese",),
    "bug": ("nusax/buginese",),
    "mad": ("nusax/madurese",),
    "nij": ("nusax/ngaju",),
    "bbc": ("nusax/toba_batak",),
    "am": ("afrisenti/amh",),
    "ha": ("afrisenti/hau",),
    "ig": ("afrisenti/ibo",),
    "rw": ("afrisenti/kin",),
    "om": ("afrisenti/orm",),
    "pcm": ("afrisenti/pcm",),
    "sw": ("afrisenti/swa",),
    "ti": ("afrisenti/tir",),
    "ts": ("afrisenti/tso",),
    "tw": ("afrisenti/twi",),
    "yo": ("afrisenti/yor",),
    "ms": ("malay_twitter/unseen",),
}
"""By language (ISO 639), the folds that it is judged by."""
BORROWED: Final = {"ms": "id"}
"""Languages whose set may only be measured on, with the one whose calibration they get."""
ORDINARY: Final = ("umsab/", "smsa/", "nusax/", "wisesight/", "airline/", "tweeteval/")
"""Folds of ordinary posts, in which hardly anybody reports a danger."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the reader does in one language, on posts that its calibration was not fitted on."""

    texts: int
    macro_f1: float
    negative_f1: float
    negative_precision: float
    ece: float

    @property
    def claimed(self) -> bool:
        return self.texts >= FEWEST and self.macro_f1 >= BAR and self.negative_f1 >= NEGATIVE_BAR


def write(directory: Path, folds: Folds) -> dict[str, Any]:
    """Fits the reader in `directory` and writes its `languages.json` there. Returns what that holds, and the figures of the
    languages that are not claimed."""
    (directory / manifest.NAME).unlink(missing_ok=True)  # of the model before this one
    _save(directory, {"any": asdict(Calibration()), "claimed": {}, "sure": 1.0})
    reader = Reader(directory)
    logits = {name: reader.logits([one.text for one in examples]) for name, examples in folds.kept.items()}
    common = fit_common(folds.kept, logits)
    claimed: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for code, names in LANGUAGES.items():
        rows = [name for name in names if name in logits]
        if not rows:
            continue
        kept, said = {name: folds.kept[name] for name in rows}, {name: logits[name] for name in rows}
        other = BORROWED.get(code)
        fitted = fit_language(kept, said, common) if other is None else claimed.get(other, {}).get("fitted", common)
        judged = judge_halves(kept, said) if other is None else judge(kept, said, fitted)
        entry = {**asdict(judged), "sets": rows}
        if judged.claimed:
            claimed[code] = {**entry, "fitted": fitted}
        else:
            refused[code] = entry
    for entry in claimed.values():
        entry["calibration"] = asdict(entry.pop("fitted"))
    stored = {"any": asdict(common), "sure": surely(folds.kept, logits), "claimed": claimed}
    _save(directory, stored)
    manifest.write(directory, *FILES)
    return {**stored, "refused": refused}


def _save(directory: Path, stored: dict[str, Any]) -> None:
    (directory / "languages.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def fit_common(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> Calibration:
    """The calibration of languages that have none, and of what only English sets and our lines tell: complaint and severity."""
    told = {name: some for name, some in kept.items() if not name.startswith(f"{OWN}/") or name == f"{OWN}/all"}
    slope, offset = fit_line(*complaint_margins(told, logits))
    graded = {
        name: {**said, "severity": np.log(np.maximum(grade_shares(said["severity"]), LEAST_SHARE)).astype(np.float32)}
        for name, said in logits.items()
    }
    moods = {name: some for name, some in kept.items() if name.startswith(("umsab/", "smsa/", "wisesight/"))}
    rest = Calibration(complaint_slope=slope, complaint_offset=offset, severity_offset=fit_severities(told, graded))
    return fit_language(moods, logits, rest)


def fit_language(kept: dict[str, list[Example]], logits: dict[str, Logits], common: Calibration) -> Calibration:
    """The calibration of sentiment fitted on these folds, and the rest as in `common`."""
    features, truth, weights = _gather(kept, logits)
    mapped, offset = fit_map(features, truth, weights, PULL)
    return Calibration(
        map_rows(mapped),
        (float(offset[0]), float(offset[1]), float(offset[2])),
        common.complaint_slope,
        common.complaint_offset,
        common.severity_offset,
        common.unsure,
    )


def _gather(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> tuple[Array, npt.NDArray[np.int64], Array]:
    """Features, moods and weights of all posts of these folds; within a fold every class weighs the same."""
    features, truths, weights = [], [], []
    for name, examples in kept.items():
        truth = np.array([one.labels["sentiment"] for one in examples])
        pair = logits[name]["complaint"].astype(np.float64)
        features.append(np.column_stack([logits[name]["sentiment"].astype(np.float64), pair[:, 1] - pair[:, 0]]))
        truths.append(truth)
        weights.append(len(truth) / np.bincount(truth, minlength=3)[truth])
    return np.concatenate(features), np.concatenate(truths), np.concatenate(weights)


def judge_halves(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> Judged:
    """The figures of each half with the probabilities of the other."""
    features, truth, weights = _gather(kept, logits)
    shares = np.zeros((len(truth), 3))
    for half in (0, 1):
        seen = np.arange(len(truth)) % 2 == half
        mapped, offset = fit_map(features[seen], truth[seen], weights[seen], PULL)
        shares[~seen] = softmax(features[~seen] @ mapped.T + offset)
    return _judged(shares, truth)


def judge(kept: dict[str, list[Example]], logits: dict[str, Logits], calibration: Calibration) -> Judged:
    """The figures of these folds with a calibration that was fitted on others."""
    features, truth, _ = _gather(kept, logits)
    return _judged(calibration.moods(features[:, :3], features[:, 3]), truth)


def _judged(shares: Array, truth: npt.NDArray[np.int64]) -> Judged:
    said = shares.argmax(1)
    told = said == 0
    return Judged(
        len(truth),
        round(macro_f1(truth, said), 4),
        round(f1(truth, said, 0), 4),
        round(float((truth[told] == 0).mean()) if told.any() else 0.0, 4),
        round(expected_calibration_error(shares, truth), 4),
    )


def surely(kept: dict[str, list[Example]], logits: dict[str, Logits]) -> float:
    """The probability of a danger that at most `FALSE_ALARMS` of the ordinary posts of each set reach."""
    by_set: dict[str, list[Array]] = {}
    for name in kept:
        if name.startswith(ORDINARY):
            dangers = 1 - softmax(logits[name]["hazard"].astype(np.float64))[:, 0]
            by_set.setdefault(name.partition("/")[0], []).append(dangers)
    highest = [float(np.quantile(np.concatenate(parts), 1 - FALSE_ALARMS)) for parts in by_set.values()]
    return round(max([LEAST_SURE, *highest]), 4)
