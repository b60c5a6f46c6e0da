"""A language is claimed only where posts that were kept back say so, and a danger is sure only where ordinary posts are not."""

from __future__ import annotations

import json
import random
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from scorer import manifest
from scorer.sentiment.reader import FILES, Reader
from scorer.training import blocks
from scorer.training.corpora import Example
from scorer.training.export import build, recover
from scorer.training.reader_corpora import HEADS, Folds
from scorer.training.reader_export import cut_vocabulary, served_arrays
from scorer.training.reader_fit import (
    BAR,
    BORROWED,
    FALSE_ALARMS,
    FEWEST,
    LANGUAGES,
    LEAST_SURE,
    NEGATIVE_BAR,
    Judged,
    judge_halves,
    surely,
    write,
)
from scorer.training.reader_network import ReaderNetwork
from tests.unit.scorer.test_reader_training import tiny_network
from tests.unit.scorer.test_routing import write_reader
from tests.unit.scorer.test_vocabulary import tokenizer


def kept(count: int, source: str = "x") -> list[Example]:
    return [Example(f"w{n % 50} w{n * 7 % 50}", source, {"sentiment": n % 3}) for n in range(count)]


def wide_network() -> Any:
    """A network whose width is a number of whole blocks."""
    config = import_module("transformers").BertConfig(
        vocab_size=60, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    return ReaderNetwork(config).eval()


def logits(examples: list[Example], clarity: float, seed: int = 0) -> dict[str, Any]:
    """Logits that tell the mood as clearly as asked for, and no danger."""
    rng = np.random.default_rng(seed)
    said = {head: rng.normal(size=(len(examples), len(names))) for head, names in HEADS.items()}
    said["severity"] = said["severity"][:, :4]
    said["sentiment"][np.arange(len(examples)), [one.labels["sentiment"] for one in examples]] += clarity
    said["hazard"][:, 0] += 8.0
    return {head: values.astype(np.float32) for head, values in said.items()}


@pytest.mark.parametrize(("clarity", "claimed"), [(5.0, True), (0.0, False)])
def test_a_language_is_claimed_if_it_is_read_well_by_what_another_half_taught(clarity: float, *, claimed: bool) -> None:
    examples = kept(200)
    random.Random(0).shuffle(examples)
    judged = judge_halves({"x": examples}, {"x": logits(examples, clarity)})
    assert judged.texts == 200
    assert judged.claimed is claimed


@pytest.mark.parametrize(
    ("texts", "macro", "negative", "claimed"),
    [
        (FEWEST, BAR, NEGATIVE_BAR, True),
        (FEWEST - 1, 0.9, 0.9, False),
        (400, BAR - 0.001, 0.9, False),
        (400, 0.9, NEGATIVE_BAR - 0.001, False),
    ],
)
def test_each_part_of_the_bar_counts(texts: int, macro: float, negative: float, *, claimed: bool) -> None:
    assert Judged(texts, macro, negative, 0.9, 0.05).claimed is claimed


def test_lines_of_ours_prove_no_language() -> None:
    assert not [name for names in LANGUAGES.values() for name in names if name.startswith("lines")]
    assert set(BORROWED.values()) < set(LANGUAGES)


def test_a_danger_is_as_sure_as_the_ordinary_posts_of_every_set_ask_for() -> None:
    examples = kept(1_000)
    calm = logits(examples, 1.0)
    loud = logits(examples, 1.0)
    loud["hazard"][:30, 1] += 14.0  # three in a hundred
    folds = {"umsab/x": examples, "smsa/y": examples, "lines/all": examples}
    assert surely(folds, {"umsab/x": calm, "smsa/y": calm, "lines/all": loud}) == LEAST_SURE
    sure = surely(folds, {"umsab/x": calm, "smsa/y": loud, "lines/all": calm})
    dangers = 1 - np.exp(loud["hazard"][:, 0]) / np.exp(loud["hazard"].astype(float)).sum(1)
    assert sure > LEAST_SURE
    assert (dangers > sure).mean() <= FALSE_ALARMS + 0.001


def test_what_is_written_can_be_read_and_claims_nothing_that_was_not_learned(tmp_path: Path) -> None:
    folder = write_reader(tmp_path)
    english = [
        Example(f"w{n % 50}", "complaints", {"complaint": n % 2, "severity": n % 2 * (n % 4 + 1)}) for n in range(80)
    ]
    folds = Folds(
        {},
        {"umsab/spanish": kept(120), "smsa/indonesian": kept(120), "complaints/english": english, "lines/all": english},
        {},
    )
    found = write(folder, folds)
    manifest.verify(folder, *FILES)
    assert found["claimed"] == {}  # the network is random
    assert set(found["refused"]) == {"es", "id"}
    assert Reader(folder, workers=1).claimed == frozenset()
    assert json.loads((folder / "languages.json").read_text())["sure"] >= LEAST_SURE


def test_an_ordered_head_is_served_as_a_linear_one_with_only_the_pieces_that_stay() -> None:
    network = tiny_network().eval()
    arrays = served_arrays(network, [0, 1, 2, 3, 7])
    assert arrays["encoder.embeddings.word_embeddings.weight"].shape[0] == 5
    assert arrays["heads.severity.weight"].shape == (4, 24)
    assert np.diff(arrays["heads.severity.bias"]).max() <= 0


def test_pieces_that_no_text_of_ours_uses_go_and_those_that_one_uses_stay() -> None:
    learn = {"umsab": [Example("hello hello", "umsab", {})] * 30, "afrisenti": [Example("world", "afrisenti", {})]}
    cut, numbers = cut_vocabulary(tokenizer(), Folds(learn, {}, {}), most=0)
    assert {"\u2581hello", "\u2581world"} <= cut.get_vocab().keys()
    assert "\u2581жизнь" not in cut.get_vocab()
    assert len(numbers) == len(cut.get_vocab())


def test_vectors_that_came_in_4_bits_lose_nothing_and_others_little() -> None:
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 16, (20, 3, 32))
    whole[:, :, 5] = 0  # what the scale was made of
    scales = rng.normal(size=(20, 3, 1)).astype(np.float16)
    table = ((whole - 8).astype(np.float32) * scales.astype(np.float32)).reshape(20, 96)
    assert blocks.unpack(*blocks.pack(table)) == pytest.approx(table, abs=0)
    other = rng.normal(size=(20, 96)).astype(np.float32)
    assert np.abs(blocks.unpack(*blocks.pack(other)) - other).max() < np.abs(other).max() / 7
    assert (blocks.unpack(*blocks.pack(np.zeros((2, 64)))) == 0).all()


def test_a_packed_vocabulary_is_looked_up_as_the_unpacked_one() -> None:
    onnx: Any = import_module("onnx")
    runtime: Any = import_module("onnxruntime")
    arrays = served_arrays(wide_network(), list(range(60)))
    name = "encoder.embeddings.word_embeddings.weight"
    arrays[name] = blocks.unpack(*blocks.pack(arrays[name]))
    packed, plain = (build(arrays, "fp32", heads=4, packed_words=packed) for packed in (True, False))
    ids = np.array([[1, 5, 59], [7, 0, 0]], np.int32)
    feed = {"ids": ids, "mask": np.array([[1, 1, 1], [1, 0, 0]], np.int32)}
    said = [
        runtime.InferenceSession(model.SerializeToString()).run(["sentiment"], feed)[0] for model in (packed, plain)
    ]
    assert said[0] == pytest.approx(said[1], abs=1e-5)
    assert recover(onnx.load_from_string(packed.SerializeToString()))[name] == pytest.approx(arrays[name], abs=0)
