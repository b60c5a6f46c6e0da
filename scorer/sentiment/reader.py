"""Reads posts of many languages with one network, and says of which of them it knows how well it does.

A language is claimed only if posts in it that were kept back were read well enough (`scorer.training.reader_fit`, which says
what that is); on any other the figures are given, and the reading abstains. Each claimed language has a calibration of its own,
because what annotators call neutral differs from one to the next. The network also reads for danger, whatever the words. That
is told only where it is very sure, because it pages people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scorer.sentiment.calibration import Calibration, calibration_of, softmax
from scorer.sentiment.model import Danger, DangerKind, Reading
from scorer.sentiment.onnx import NO_TEXT, Count, OnnxNetwork
from scorer.sentiment.text import spell
from services.base.errors import ConfigError

SHIPPED: Final = Path(__file__).with_name("weights") / "reader"
FILES: Final = ("model.onnx", "tokenizer.json", "languages.json", "model.json")
HEADS: Final = ("sentiment", "complaint", "severity", "hazard")
KINDS: Final = tuple(DangerKind)
"""What the head of danger tells apart, in its order, after `none`."""
LEAST_SHARE: Final = 1e-6
"""The least share of a severity, so that it has a logarithm."""


@dataclass(frozen=True, slots=True)
class Languages:
    """How the logits of the network are read: by a calibration for each claimed language, and by a common one (`any`) for all
    others. A danger from the probability `sure` on is told."""

    claimed: dict[str, Calibration]
    any: Calibration
    sure: float


def load_languages(path: Path) -> Languages:
    """Reads what `scorer.training.reader_fit` wrote. Raises `ConfigError`, which names the file, if it cannot be read."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        claimed = {code: calibration_of(one["calibration"]) for code, one in stored["claimed"].items()}
        return Languages(claimed, calibration_of(stored["any"]), float(stored["sure"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as trouble:
        raise ConfigError(f"{path}: {trouble!r}") from trouble


class Reader:
    """Reads with the files of a directory. `truncated` and what is raised: as in `OnnxNetwork`."""

    def __init__(
        self, directory: Path = SHIPPED, *, workers: int | None = None, truncated: Count = lambda _: None
    ) -> None:
        self._network = OnnxNetwork(directory, HEADS, files=FILES, workers=workers, truncated=truncated)
        self._languages = load_languages(directory / "languages.json")

    @property
    def name(self) -> str:
        return self._network.name

    @property
    def claimed(self) -> frozenset[str]:
        """The languages that are read (ISO 639 codes)."""
        return frozenset(self._languages.claimed)

    def judge(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order, as its language is read: by the calibration of all languages, and without saying
        danger, where that is not claimed."""
        if not texts:
            return []
        logits = self.logits(texts)
        severity = np.log(np.maximum(grade_shares(logits["severity"]), LEAST_SHARE))
        dangers = softmax(logits["hazard"].astype(np.float64))
        readings: list[Reading] = [NO_TEXT] * len(texts)
        for code in dict.fromkeys(languages):
            rows = [place for place, one in enumerate(languages) if one == code]
            calibration = self._languages.claimed.get(code or "")
            found = (calibration or self._languages.any).read(
                logits["sentiment"][rows], logits["complaint"][rows], severity[rows]
            )
            for place, reading in zip(rows, found, strict=True):
                danger = self._danger(dangers[place], claimed=calibration is not None)
                readings[place] = replace(reading, model=self.name, danger=danger)
        return readings

    def _danger(self, shares: npt.NDArray[np.float64], *, claimed: bool) -> Danger:
        probability = float(1 - shares[0])
        sure = claimed and probability >= self._languages.sure
        return Danger(KINDS[int(shares[1:].argmax())], probability, sure=sure)

    def logits(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The network's logits for texts as they were written. It knows emoji, which stay what they are."""
        return self._network.logits([spell(text, name_signs=False) for text in texts])


def grade_shares(worse: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The probability of each severity [texts, 5] from the logits of being worse than each but the last [texts, 4]."""
    above = 1 / (1 + np.exp(-np.asarray(worse, np.float64)))
    ends = np.ones((len(above), 1))
    return np.asarray(np.hstack([ends, above]) - np.hstack([above, 0 * ends]))
