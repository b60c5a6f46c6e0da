"""Turns the network's numbers into probabilities that mean what they say, and probabilities into decisions.

A sentiment's three logits and the complaint's are joined by one small linear map (vector scaling with a term for the
complaint: Guo et al., 2017), fitted on posts that were kept back; a complaint's probability gets a slope and an offset
(Platt, 1999). The map is fitted with every class weighing the same: a brand's stream lies somewhere between the neutral
calm of a sample of all posts and the nine-in-ten anger of a bad night, and probabilities for an even mix are right in
the middle of that. So the label is always the likeliest class, and macro recall and calibration want the same thing.
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
    """`sentiment` [3, 4] maps (negative, neutral, positive, complaint logit) to logits; `offset` [3] is added.
    `severity_offset` is added to the logits of the severities. Below `unsure` for the likeliest class, abstain."""

    sentiment: tuple[tuple[float, float, float, float], ...] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    complaint_slope: float = 1.0
    complaint_offset: float = 0.0
    severity_offset: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    unsure: float = 0.40

    def moods(self, sentiment: npt.ArrayLike, complaint: npt.ArrayLike) -> Array:
        """Logits [texts, 3] and complaint margins [texts] (yes minus no) to probabilities [texts, 3]."""
        joined = np.concatenate([np.asarray(sentiment, np.float64), np.asarray(complaint, np.float64)[:, None]], axis=1)
        return softmax(joined @ np.asarray(self.sentiment, np.float64).T + np.asarray(self.offset, np.float64))

    def complaints(self, margin: npt.ArrayLike) -> Array:
        """Margins [texts] to probabilities [texts]."""
        scaled: Array = self.complaint_slope * np.asarray(margin, np.float64) + self.complaint_offset
        return np.asarray(1.0 / (1.0 + np.exp(-scaled)))

    def read(self, sentiment: npt.ArrayLike, complaint: npt.ArrayLike, severity: npt.ArrayLike) -> list[Reading]:
        """Logits [texts, 3], [texts, 2], [texts, 5] to readings. A text that is no complaint has severity 0, one that
        is has at least 1."""
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
    """Reads what `save` wrote. Raises `ConfigError` naming the file when it cannot."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Calibration)}
        if stored.keys() - known:
            raise ValueError(f"unknown: {', '.join(sorted(stored.keys() - known))}")
        stored = {name: _as_tuple(value) for name, value in stored.items()}
        return Calibration(**stored)
    except (OSError, ValueError, TypeError, AttributeError) as trouble:
        raise ConfigError(f"{path}: {trouble}") from trouble


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(one) for one in value) if isinstance(value, list) else value


def softmax(logits: Array) -> Array:
    """Row-wise."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def expected_calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike, bins: int = ECE_BINS) -> float:
    """How far confidence and accuracy of the likeliest class differ on average, over `bins` even bins of confidence
    (Naeini et al., 2015). Probabilities [texts, classes], truth [texts] as indices."""
    shares, right_class = np.asarray(probabilities, np.float64), np.asarray(truth)
    confidence = shares.max(axis=1)
    right = (shares.argmax(axis=1) == right_class).astype(np.float64)
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps = [abs((confidence[place == b] - right[place == b]).sum()) for b in range(bins)]
    return float(sum(gaps) / max(1, len(right)))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which probabilities on a brand calls a post negative, and a complaint. A brand that pages on every grumble
    lowers them, one that drowns in grumbles raises them."""

    negative: float = 0.5
    complaint: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("negative", self.negative), ("complaint", self.complaint)):
            if not 0.0 < value < 1.0:
                raise ConfigError(f"the threshold {name} must lie between 0 and 1, not {value}")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a post is negative for a brand, and why."""

    negative: bool
    reason: str


def decide(reading: Reading, thresholds: Thresholds) -> Decision:
    """A plain complaint is negative however politely it is put; what the model would rather not say is not negative."""
    if reading.abstain:
        return Decision(False, reading.abstain)
    if reading.negative >= thresholds.negative:
        return Decision(True, f"negative {reading.negative:.2f} >= {thresholds.negative:.2f}")
    leaning = reading.negative >= reading.positive
    if leaning and reading.complaint is not None and reading.complaint >= thresholds.complaint:
        return Decision(True, f"complaint {reading.complaint:.2f} >= {thresholds.complaint:.2f}")
    return Decision(False, f"negative {reading.negative:.2f} < {thresholds.negative:.2f}")
