"""Any classifier that tells negative from positive will do, and one that does not is refused in plain words."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from services.base.errors import ConfigError

pytest.importorskip("torch")
pytest.importorskip("transformers")

from scorer.sentiment.choose import choose
from scorer.sentiment.torch import TorchModel, map_labels


def make_classifier(directory: Path, labels: list[str]) -> str:
    """A tiny classifier with weights of chance, saved as any other."""
    torch: Any = import_module("torch")
    hugging: Any = import_module("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "service", "user", "@"]
    directory.mkdir(exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(words))
    hugging.BertTokenizer(str(directory / "vocab.txt")).save_pretrained(directory)
    torch.manual_seed(0)
    config = hugging.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    hugging.BertForSequenceClassification(config).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        (["negative", "neutral", "positive"], [0, 1, 2]),
        (["POS", "NEG"], [2, 0]),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], [0, 0, 1, 2, 2]),
        (["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"], [0, 0, 1, 2, 2]),
    ],
)
def test_labels_are_understood_by_their_names(labels: list[str], ours: list[int]) -> None:
    assert map_labels(dict(enumerate(labels))) == ours


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1"], ["joy", "anger"], ["negative", "neutral"]])
def test_labels_that_mean_nothing_to_us_are_refused(labels: list[str]) -> None:
    with pytest.raises(ConfigError, match="label"):
        map_labels(dict(enumerate(labels)))


def test_a_classifier_from_a_directory_reads_in_order(tmp_path: Path) -> None:
    counted: list[int] = []
    source = make_classifier(tmp_path / "tiny", ["positive", "negative"])
    model = choose(source, counted.append)
    assert isinstance(model, TorchModel)
    texts = ["good service", "", "bad " * 60, "@user", "bad service"]
    readings = model.read(texts, [None] * 5)
    assert [one.abstain for one in readings] == [None, "no text", None, "no words", None]
    assert all(one.negative + one.neutral + one.positive == pytest.approx(1.0) for one in readings)
    assert all(one.complaint is None for one in readings if one.abstain is None)
    assert readings[0].neutral == 0.0
    assert counted == [1]
    alone = model.read(["bad service"], [None])
    assert alone[0].negative == pytest.approx(readings[4].negative, abs=1e-5)
    assert "fp32" in model.name or "bf16" in model.name


def test_a_classifier_may_name_its_languages(tmp_path: Path) -> None:
    source = make_classifier(tmp_path / "tiny", ["negative", "neutral", "positive"])
    model = TorchModel(source, languages=frozenset({"de"}))
    german, french = model.read(
        ["Der Zug kommt schon wieder viel zu spät", "Le train est encore une fois en retard ce matin"], [None, None]
    )
    assert german.abstain is None
    assert french.abstain == "language: fr"


def test_what_is_no_classifier_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no sequence classifier"):
        TorchModel(str(tmp_path))
