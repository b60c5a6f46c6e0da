"""Probabilities that mean what they say, and the decisions made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scorer.sentiment.calibration import (
    Calibration,
    Thresholds,
    decide,
    expected_calibration_error,
    load_calibration,
    softmax,
)
from scorer.sentiment.model import Reading
from services.base.errors import ConfigError


def test_without_a_fit_the_logits_are_left_alone() -> None:
    logits = np.array([[2.0, 0.0, -1.0]])
    assert Calibration().moods(logits, np.zeros(1)) == pytest.approx(softmax(logits))
    assert Calibration().complaints([0.0]) == pytest.approx([0.5])


def test_a_reading_holds_probabilities_and_a_severity_only_for_complaints() -> None:
    calm, angry = Calibration().read([[0, 5, 0], [5, 0, 0]], [[3, 0], [0, 3]], [[0, 0, 0, 0, 9], [9, 0, 0, 1, 0]])
    assert calm.negative + calm.neutral + calm.positive == pytest.approx(1.0)
    assert (calm.severity, angry.severity) == (0, 3)
    assert calm.complaint is not None
    assert angry.complaint is not None
    assert calm.complaint < 0.1 < 0.9 < angry.complaint


def test_a_reading_without_a_favourite_abstains_and_is_filled_all_the_same() -> None:
    (reading,) = Calibration(unsure=0.4).read([[0, 0, 0]], [[0, 0]], [[0, 0, 0, 0, 0]])
    assert reading.abstain == "unsure"
    assert reading.neutral == pytest.approx(1 / 3)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    fitted = Calibration(offset=(0.1, -0.2, 0.3), complaint_slope=1.5, unsure=0.45)
    fitted.save(tmp_path / "calibration.json")
    assert load_calibration(tmp_path / "calibration.json") == fitted


@pytest.mark.parametrize("content", ["", "{", '{"tempreature": 2}', "[]"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(ConfigError, match=r"calibration\.json"):
        load_calibration(tmp_path / "calibration.json")


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    sure = np.tile([0.9, 0.1, 0.0], (10, 1))
    assert expected_calibration_error(sure, np.array([0] * 9 + [1])) == pytest.approx(0.0)
    assert expected_calibration_error(sure, np.ones(10, int)) == pytest.approx(0.9)


def test_a_brand_sets_its_own_thresholds() -> None:
    reading = Reading(0.55, 0.40, 0.05, complaint=0.3)
    assert decide(reading, Thresholds()).negative
    assert not decide(reading, Thresholds(negative=0.7)).negative
    assert decide(reading, Thresholds(negative=0.7, complaint=0.25)).negative


def test_a_polite_complaint_counts_and_a_cheerful_one_does_not() -> None:
    assert decide(Reading(0.3, 0.6, 0.1, complaint=0.8), Thresholds()).reason == "complaint 0.80 >= 0.50"
    assert not decide(Reading(0.1, 0.2, 0.7, complaint=0.8), Thresholds()).negative


def test_what_abstains_is_not_called_negative() -> None:
    found = decide(Reading(0.9, 0.1, 0.0, abstain="language: th"), Thresholds())
    assert not found.negative
    assert found.reason == "language: th"


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 2.0])
def test_thresholds_lie_between_nothing_and_everything(value: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Thresholds(negative=value)
