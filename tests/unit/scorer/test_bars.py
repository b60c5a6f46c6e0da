"""What the reading is held to is measured as the textbooks say, on what nothing was learned from."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from scorer.cli import app
from scorer.sentiment import choose
from scorer.sentiment.model import Reading, SentimentModel
from scorer.sentiment.text import spell
from scorer.training.bars import Bar, measure_bars, rank_auc, recall_at
from scorer.training.corpora import is_held_out


class Knowing:
    """Reads the label that stands in the text, and reads nothing in `th`."""

    name = "knowing"
    degraded = False

    def __init__(self) -> None:
        self.texts: list[str] = []

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        assert len(texts) == len(languages)
        self.texts += texts
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Reading:
        shares = [0.8 if label in text else 0.1 for label in ("negative", "neutral", "positive")]
        foreign = "language: th" if "ไทย" in text else None
        return Reading(shares[0], shares[1], shares[2], 0.9 if "blame" in text else 0.1, 0, foreign)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unpack = gzip.open if path.suffix == ".gz" else open
    with unpack(path, "wt", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def mood(text: str, label: str, lang: str = "english") -> dict[str, str]:
    return {"text": text, "label": label, "extra": json.dumps({"lang": lang})}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    moods = [
        mood(f"a {label} day {number}", label) for number in range(4) for label in ("negative", "neutral", "positive")
    ]
    write(tmp_path / "tweeteval_sentiment/val.csv.gz", moods)
    write(tmp_path / "smsa_indonesian/train.csv.gz", moods * 1 + [mood(f"negative {n}", "negative") for n in range(90)])
    two = [
        mood("negative ไทย", "negative", "thai"),
        mood("positive ไทย", "positive", "thai"),
        mood("neutral", "positive", "x"),
    ]
    write(tmp_path / "umsab_multilingual/val.csv.gz", two)
    written = tmp_path / "written"
    write(
        written / "hazards.csv",
        [{"text": "the charger caught fire", "label": "hazard"}, {"text": "cot on fire", "label": "hazard"}]
        + [{"text": f"nice coffee {number}", "label": "none"} for number in range(40)],
    )
    write(
        written / "brand_words.csv",
        [
            {"text": "my Apple laptop is dead again", "brand": "Apple", "about": "1"},
            {"text": "an apple a day", "brand": "Apple", "about": "0"},
            {"text": "the delta of the river", "brand": "Delta", "about": "1"},
        ],
    )
    write(
        written / "sarcasm.csv",
        [
            {"text": "great, late again positive", "label": "negative", "sarcastic": "1"},
            {"text": "negative, thanks a lot", "label": "negative", "sarcastic": "1"},
            {"text": "this slaps, positive", "label": "positive", "sarcastic": "0"},
        ],
    )
    write(
        written / "multilingual_complaints.csv",
        [
            {"text": "negative blame", "label": "negative", "complaint": "1"},
            {"text": "negative", "label": "negative", "complaint": "0"},
        ],
    )
    return tmp_path


def test_every_set_that_is_there_gives_its_figures(data: Path) -> None:
    model = Knowing()
    found = {bar.what: bar for bar in measure_bars(model, data)}
    assert found["TweetEval validation, macro recall"].found == 1
    assert found["TweetEval validation, ECE"].found == pytest.approx(0.2)
    assert not found["TweetEval validation, ECE"].reached
    languages = found["UMSAB, mean macro F1 of 8 languages"]
    assert languages.found == pytest.approx((1 + 0) / 2)  # each language counts the same
    assert languages.read == pytest.approx(1 / 3)
    assert found["written hazards, recall at 5 % of decoys"].found == 1
    assert found["word-named brands, F1 of meant"].found == pytest.approx(2 / 3)
    assert found["sarcastic complaints read negative"].found == 0.5
    assert found["praise, also in slang, read positive"].found == 1
    assert found["written complaints, AUC"].found == 1
    assert "airline, negative F1" not in found


def test_of_a_set_that_is_learned_from_only_what_is_kept_back_is_read(data: Path) -> None:
    model = Knowing()
    (bar,) = [bar for bar in measure_bars(model, data) if "SmSA" in bar.what]
    assert 0 < bar.texts < 60
    learned = [text for text in model.texts if text.startswith("negative ") and text[9:].isdigit()]
    assert learned
    assert all(is_held_out(spell(text)) for text in learned)


def test_a_rank_is_that_of_the_textbooks() -> None:
    score = np.array([0.1, 0.4, 0.35, 0.8])
    assert rank_auc(score, np.array([False, False, True, True])) == pytest.approx(0.75)
    assert rank_auc(np.zeros(4), np.array([False, False, True, True])) == pytest.approx(0.5)


@pytest.mark.parametrize(("false_alarms", "recall"), [(0.0, 1 / 3), (0.25, 2 / 3), (0.5, 2 / 3), (1.0, 1.0)])
def test_recall_is_stated_at_a_share_of_false_alarms(false_alarms: float, recall: float) -> None:
    score = np.array([0.9, 0.6, 0.1, 0.8, 0.5, 0.4, 0.3])
    positive = np.array([True, True, True, False, False, False, False])
    assert recall_at(score, positive, false_alarms) == pytest.approx(recall)


def test_a_tie_with_a_decoy_finds_nothing() -> None:
    score = np.array([1.0, 1.0, 1.0])
    assert recall_at(score, np.array([True, True, False]), 0.05) == 0


def test_a_bar_is_reached_from_the_right_side() -> None:
    assert Bar("f", 0.7, 1, 1, 0.7, 0.8).reached
    assert not Bar("f", 0.69, 1, 1, 0.7, 0.8).reached
    assert Bar("e", 0.05, 1, 1, 0.06, 0.03, most=True).reached


def test_the_table_marks_what_is_below_its_bar(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(_: str | None) -> SentimentModel:
        return Knowing()

    monkeypatch.setattr(choose, "choose", chosen)
    shown = CliRunner().invoke(app, ["evaluate", "bars", str(data)], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 80
    assert "0.500 *" in shown.stdout
    told = CliRunner().invoke(app, ["evaluate", "bars", str(data), "--json"])
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert {row["what"]: row["reached"] for row in rows}["sarcastic complaints read negative"] is False


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["evaluate", "bars", str(tmp_path), "--model", "lexicon"]).exit_code == 2
