"""Turns the logits of the network into calibrated probabilities, and probabilities into decisions.

The three logits of sentiment and the one of complaint go through a small linear map (vector scaling with a term for the
complaint: Guo et al., 2017), which was fitted on posts that were kept back. The probability of a complaint gets a slope and an
offset (Platt, 1999). In the fit every class has the same weight: the posts about a brand are something between all posts,
which are mostly neutral, and a bad night with nine angry posts in ten, and an even mix lies in the middle. So the label is
always the likeliest class, and macro recall and calibration ask for the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.sentiment.model import Reading
from services.base.errors import ConfigError

Array = npt.NDArray[np.float64]

LABELS = ("negative", "neutral", "positive")
ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers of a fit. `sentiment` [3, 4] maps the logits (negative, neutral, positive, complaint) to three logits, to
    which `offset` [3] is added. `severity_offset` is added to the logits of the severities. The model abstains where the
    likeliest class has a probability below `unsure`."""

    sentiment: tuple[tuple[float, float, float, float], ...] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    complaint_slope: float = 1.0
    complaint_offset: float = 0.0
    severity_offset: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    unsure: float = 0.40

    def moods(self, sentiment: npt.ArrayLike, complaint: npt.ArrayLike) -> Array:
        """Turns logits [texts, 3] and complaint margins [texts] (yes minus no) into probabilities [texts, 3]."""
        joined = np.concatenate([np.asarray(sentiment, np.float64), np.asarray(complaint, np.float64)[:, None]], axis=1)
        return softmax(joined @ np.asarray(self.sentiment, np.float64).T + np.asarray(self.offset, np.float64))

    def complaints(self, margin: npt.ArrayLike) -> Array:
        """Turns complaint margins [texts] into probabilities [texts]."""
        scaled: Array = self.complaint_slope * np.asarray(margin, np.float64) + self.complaint_offset
        return np.asarray(1.0 / (1.0 + np.exp(-scaled)))

    def read(self, sentiment: npt.ArrayLike, complaint: npt.ArrayLike, severity: npt.ArrayLike) -> list[Reading]:
        """Turns the logits of sentiment [texts, 3], complaint [texts, 2] and severity [texts, 5] into readings. A complaint has
        at least severity 1, any other text severity 0."""
        pair = np.asarray(complaint, np.float64)
        margin = pair[:, 1] - pair[:, 0]
        moods, complaints = self.moods(sentiment, margin), self.complaints(margin)
        grades = np.asarray(severity, np.float64) + np.asarray(self.severity_offset)
        worst = 1 + grades[:, 1:].argmax(axis=1)
        readings = []
        for row, yes, grade in zip(moods, complaints, worst, strict=True):
            negative, neutral, positive = map(float, row)
            abstain = "unsure" if row.max() < self.unsure else None
            readings.append(Reading(negative, neutral, positive, float(yes), int(grade) if yes >= 0.5 else 0, abstain))
        return readings

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def load_calibration(path: Path) -> Calibration:
    """Reads what `save` wrote. Raises `ConfigError`, which names the file, if it cannot be read."""
    try:
        return calibration_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as trouble:
        raise ConfigError(f"{path}: {trouble}") from trouble


def calibration_of(stored: dict[str, Any]) -> Calibration:
    """The calibration that `asdict` made this of. Raises `ValueError` or `TypeError` if it is none."""
    known = {field.name for field in fields(Calibration)}
    if stored.keys() - known:
        raise ValueError(f"unknown: {', '.join(sorted(stored.keys() - known))}")
    return Calibration(**{name: _as_tuple(value) for name, value in stored.items()})


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(one) for one in value) if isinstance(value, list) else value


def softmax(logits: Array) -> Array:
    """The probabilities of each row of logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def expected_calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = ECE_BINS) -> float:
    """The average difference between the confidence in the likeliest class and how often it is right, over `bins` bins of
    confidence of equal width (Naeini et al., 2015). Takes probabilities [texts, classes] and true classes [texts]."""
    shares, right_class = np.asarray(probabilities, np.float64), np.asarray(truth)
    confidence = shares.max(axis=1)
    right = (shares.argmax(axis=1) == right_class).astype(np.float64)
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps = [abs((confidence[place == b] - right[place == b]).sum()) for b in range(bins)]
    return float(sum(gaps) / max(1, len(right)))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities from which on a post counts as negative, and as a complaint. A brand that is told too much raises
    them, one that is told too little lowers them."""

    negative: float = 0.5
    complaint: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("negative", self.negative), ("complaint", self.complaint)):
            if not 0.0 < value < 1.0:
                raise ConfigError(f"the threshold {name} must lie between 0 and 1, not {value}")


@dataclass(frozen=True, slots=True)
class Decision:
    """True or False for a post that is negative or not, and why."""

    negative: bool
    reason: str


def decide(reading: Reading, thresholds: Thresholds) -> Decision:
    """Decides if a post is negative. A plain complaint is, however polite; a post on which the model abstains is not."""
    if reading.abstain:
        return Decision(False, reading.abstain)
    if reading.negative >= thresholds.negative:
        return Decision(True, f"negative {reading.negative:.2f} >= {thresholds.negative:.2f}")
    leaning = reading.negative >= reading.positive
    if leaning and reading.complaint is not None and reading.complaint >= thresholds.complaint:
        return Decision(True, f"complaint {reading.complaint:.2f} >= {thresholds.complaint:.2f}")
    return Decision(False, f"negative {reading.negative:.2f} < {thresholds.negative:.2f}")
