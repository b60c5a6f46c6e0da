"""The figures are those of the textbooks, and anyone can compute them again from the predictions."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.sentiment import choose
from scorer.sentiment.evaluate import evaluate, f1, macro_f1, macro_recall, read_labelled
from scorer.sentiment.model import Reading, SentimentModel
from services.base.errors import ConfigError

ROWS = [
    {"text": "bad", "label": "negative", "complaint": "1", "severity": "4"},
    {"text": "bad", "label": "neutral", "complaint": "1", "severity": "2"},
    {"text": "good\nday", "label": "positive", "complaint": "0", "severity": "0"},
    {"text": "so, so", "label": "neutral", "complaint": "0", "severity": ""},
]


class Words:
    name = "words"
    degraded = False

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        assert len(texts) == len(languages)
        moods = {"bad": Reading(0.8, 0.1, 0.1, 0.9, 4), "good\nday": Reading(0.0, 0.2, 0.8, 0.1, 0)}
        return [moods.get(text, Reading(0.3, 0.4, 0.3, 0.2, 0, "unsure")) for text in texts]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "posts.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return path


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(_: str | None) -> SentimentModel:
        return Words()

    monkeypatch.setattr(choose, "choose", chosen)


def test_the_figures_are_those_of_the_textbooks() -> None:
    truth, said = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    assert macro_recall(truth, said) == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert f1(truth, said, 0) == pytest.approx(0.5)
    assert macro_f1(truth, said) == pytest.approx((0.5 + 0.8 + 0.0) / 3)
    assert f1(truth, said, 3) == 0.0


def test_a_file_gives_the_figures_that_its_labels_allow(file: Path) -> None:
    found = evaluate(Words(), list(read_labelled(file)))
    assert found.figures["n"] == 4
    assert found.figures["abstained"] == 1
    assert found.figures["accuracy"] == pytest.approx(0.75)
    assert found.figures["macro_recall"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found.figures["complaint_f1"] == 1.0
    assert found.figures["severity_macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert found.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_labels_that_are_not_there_give_no_figures(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("text\nbad\n")
    assert set(evaluate(Words(), list(read_labelled(path))).figures) == {"n", "abstained"}


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("words\nbad\n")
    with pytest.raises(ConfigError, match="no column `text`"):
        list(read_labelled(path))
    with pytest.raises(ConfigError, match=r"absent\.csv"):
        list(read_labelled(tmp_path / "absent.csv"))


@pytest.mark.usefixtures("words")
def test_the_command_prints_json_with_the_public_names(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(app, ["evaluate", "sentiment", str(file), "--json", "--predictions", str(out)])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    names = "n accuracy macro_recall macro_f1 negative_f1 complaint_macro_f1 complaint_f1 severity_macro_f1 ece"
    assert set(names.split()) <= set(figures)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["sentiment", "negative", "neutral", "positive", "complaint", "severity", "abstain"]
    assert [row["sentiment"] for row in rows] == ["negative", "negative", "positive", "neutral"]
    assert [row["abstain"] for row in rows] == ["", "", "", "unsure"]
    right = np.mean([row["sentiment"] == truth["label"] for row, truth in zip(rows, ROWS, strict=True)])
    assert right == pytest.approx(figures["accuracy"])


@pytest.mark.usefixtures("words")
def test_people_get_tables(file: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "sentiment", str(file)])
    assert result.exit_code == 0, result.output
    assert "macro_recall" in result.output
    assert "confusion" in result.output
    quick = CliRunner().invoke(app, ["score", "bad", "[red]other"])
    assert "negative" in quick.output
    assert "[red]ot" in quick.output


def test_a_wrong_file_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "sentiment", str(tmp_path / "absent.csv")])
    assert result.exit_code == 2
