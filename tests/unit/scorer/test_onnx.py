"""The model that ships, as it ships."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scorer.sentiment.evaluate import label_of
from scorer.sentiment.onnx import SHIPPED, OnnxModel, cut, describe_cpu
from scorer.sentiment.text import MAX_TOKENS
from services.base.errors import ConfigError


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel()


def test_it_knows_a_complaint_when_it_sees_one(model: OnnxModel) -> None:
    angry, glad, plain = model.read(
        [
            "@brand third week without internet, nobody answers and you still charge me. Worst service ever",
            "@brand thank you so much for the quick help, you are the best!",
            "@brand opens a new store in Leeds on Monday",
        ],
        [None] * 3,
    )
    assert [label_of(one) for one in (angry, glad, plain)] == ["negative", "positive", "neutral"]
    assert angry.complaint is not None
    assert glad.complaint is not None
    assert angry.complaint > 0.8 > 0.2 > glad.complaint
    assert angry.severity is not None
    assert angry.severity >= 1
    assert glad.severity == 0


def test_readings_come_in_order_and_do_not_depend_on_the_company(model: OnnxModel) -> None:
    texts = [f"{'terrible ' * (number % 7)}service number {number}" for number in range(60)]
    together = model.read(texts, [None] * 60)
    alone = [model.read([text], [None])[0] for text in texts]
    gaps = [abs(a.negative - b.negative) for a, b in zip(together, alone, strict=True)]
    # Activations are rounded by a scale that the batch shares, so not to the last digit.
    assert float(np.mean(gaps)) < 0.02
    assert np.mean([label_of(a) == label_of(b) for a, b in zip(together, alone, strict=True)]) > 0.95


def test_every_reading_is_a_distribution(model: OnnxModel) -> None:
    for one in model.read(["ok", "no!", "\U0001f621", "a" * 5000, "\x00\ud83d"], [None] * 5):
        assert one.negative + one.neutral + one.positive == pytest.approx(1.0)
        assert one.complaint is not None
        assert 0 <= one.complaint <= 1


@pytest.mark.parametrize(("text", "reason"), [("", "no text"), ("  \n", "no text"), ("@user http://x.y", "no words")])
def test_a_post_without_words_abstains(model: OnnxModel, text: str, reason: str) -> None:
    assert model.read([text], [None])[0].abstain == reason


def test_another_language_abstains_and_is_named(model: OnnxModel) -> None:
    (german,) = model.read(["Der Zug kommt schon wieder eine Stunde zu spät"], [None])
    assert german.abstain == "language: de"
    assert german.negative > 0


def test_long_texts_are_cut_and_counted() -> None:
    counted: list[int] = []
    model = OnnxModel(truncated=counted.append, workers=1)
    model.read(["short", "very long " * 100, "bad " * 200], [None] * 3)
    assert counted == [2]


def test_nothing_to_read_is_no_reading(model: OnnxModel) -> None:
    assert model.read([], []) == []


def test_the_name_tells_version_and_precision(model: OnnxModel) -> None:
    about = json.loads((SHIPPED / "model.json").read_text())
    assert model.name == f"{about['name']}-{about['version']} {about['precision']}"
    assert not model.degraded


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.onnx"):
        OnnxModel(tmp_path)


def test_batches_hold_every_text_once_within_their_budget() -> None:
    ids = [[1] * (number % MAX_TOKENS + 1) for number in range(500)]
    batches = cut(ids, 512, 2)
    assert sorted(one.place for batch in batches for one in batch) == list(range(500))
    assert all(len(batch) * max(len(one.ids) for one in batch) <= 512 for batch in batches)


def test_few_texts_are_shared_among_the_workers() -> None:
    assert len(cut([[1] * 20] * 8, 512, 2)) == 2


def test_the_cpu_has_a_name() -> None:
    assert set(describe_cpu()) == {"cpu", "cpu_flags"}


def test_serving_needs_no_torch() -> None:
    code = "import sys, scorer.sentiment.onnx, scorer.cli, scorer.sentiment.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=SHIPPED.parents[2]).returncode == 0


def test_the_shipped_files_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 30_000_000
