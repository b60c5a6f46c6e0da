"""How the shipped weights are made: what is learned from, what is kept back, and that a stopped run goes on."""

from __future__ import annotations

import csv
import gzip
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

from scorer.sentiment.onnx import HEADS as SERVED
from scorer.sentiment.onnx import SHIPPED
from scorer.training import corpora
from scorer.training.corpora import HEADS, Example, Source, complaint_labels, gather, is_held_out
from scorer.training.export import build, recover
from scorer.training.fit import fit_line, fit_map
from scorer.training.graph import quantise
from scorer.training.network import MoodNetwork, load_base
from scorer.training.sentiment import Recipe, TrainingRun, collate, loss_of, make_batches
from services.base.errors import ConfigError

torch: Any = import_module("torch")
WIDTH = 24


def tiny_network() -> MoodNetwork:
    config = import_module("transformers").BertConfig(
        vocab_size=30522,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=12,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    return MoodNetwork(config)


def arrays_of(network: MoodNetwork) -> dict[str, Any]:
    return {name: value.numpy() for name, value in network.state_dict().items() if value.is_floating_point()}


def write_set(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def test_a_text_that_is_kept_back_is_learned_from_nowhere(tmp_path: Path) -> None:
    texts = [f"text number {number}" for number in range(200)]
    rows = [{"text": text, "label": "negative", "extra": "{}"} for text in texts]
    blank = {"severity": "", "sentiment": ""}
    write_set(tmp_path / "one/train.csv.gz", rows)
    write_set(tmp_path / "two/train.csv.gz", [{"text": text.upper(), "complaint": "1", **blank} for text in texts])
    write_set(tmp_path / f"{corpora.VALIDATION}.csv.gz", rows[:20])
    sources = (Source("one/train", "MIT", task="sentiment"), Source("two/train", "MIT", held_out=True))
    corpus = gather(tmp_path, sources)
    kept = {example.text.casefold() for examples in corpus.kept.values() for example in examples}
    learned = {example.text.casefold() for examples in corpus.learn.values() for example in examples}
    assert not kept & learned
    assert len(kept | learned) == 200
    assert 0.08 < np.mean([is_held_out(text) for text in texts]) < 0.25


def test_a_polite_complaint_keeps_no_sentiment() -> None:
    assert complaint_labels({"complaint": "1", "severity": "2", "sentiment": "positive"}) == {
        "complaint": 1,
        "severity": 2,
    }
    assert complaint_labels({"complaint": "0", "severity": "", "sentiment": "2"}) == {
        "complaint": 0,
        "severity": 0,
        "sentiment": 2,
    }


def test_another_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model\.safetensors"):
        load_base(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ConfigError, match="another base"):
        load_base(tmp_path)


def test_only_labelled_heads_teach() -> None:
    network: Any = tiny_network()
    batch = collate([[101, 5, 102], [101, 6, 7, 102]], [{"sentiment": 0}, {}])
    priors = {head: torch.zeros(len(names)) for head, names in HEADS.items()}
    loss: Any = loss_of(network(batch.ids, batch.mask), batch, priors, Recipe())
    loss.backward()
    assert network.heads["sentiment"].weight.grad.abs().sum() > 0
    assert network.heads["complaint"].weight.grad.abs().sum() == 0


def test_batches_hold_every_example_once() -> None:
    tokenizers: Any = import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    tokenizer.no_padding()
    examples = [Example("word " * (number % 9 + 1), "x", {"sentiment": number % 3}) for number in range(50)]
    batches = list(make_batches(examples, tokenizer, 8, seed=1))
    assert sum(len(batch.ids) for batch in batches) == 50
    assert all(bool((batch.mask.sum(1) > 0).all()) for batch in batches)


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    batch = collate([[101, 5, 9, 102]] * 4, [{"sentiment": 0}, {"complaint": 1}, {"severity": 3}, {"irony": 0}])
    priors = {head: torch.zeros(len(names)) for head, names in HEADS.items()}

    def steps(run: TrainingRun, count: int) -> list[float]:
        run.network.train()
        return [run.take(batch, priors) for _ in range(count)]

    torch.manual_seed(0)
    whole = TrainingRun(tiny_network(), Recipe(), 10, tmp_path / "a", torch.device("cpu"))
    (tmp_path / "b").mkdir()
    expected = steps(whole, 4)
    torch.manual_seed(0)
    first = TrainingRun(tiny_network(), Recipe(), 10, tmp_path / "b", torch.device("cpu"))
    found = steps(first, 2)
    first.save()
    second = TrainingRun(tiny_network(), Recipe(), 10, tmp_path / "b", torch.device("cpu"))
    assert second.resume()
    found += steps(second, 2)
    assert found == pytest.approx(expected, rel=1e-4)
    other = TrainingRun(tiny_network(), Recipe(seed=7), 10, tmp_path / "b", torch.device("cpu"))
    assert not other.resume()


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("int8", 0.05)])
def test_the_written_graph_says_what_the_network_says(precision: Any, tolerance: float) -> None:
    onnxruntime: Any = import_module("onnxruntime")
    network = tiny_network().eval()
    weights = arrays_of(network)
    tops = {
        f"layer.{layer}.{name}": np.linspace(0.5, 5, 2 * WIDTH if name == "narrow" else WIDTH).astype(np.float32)
        for layer in range(2)
        for name in ("packed", "told", "wide", "narrow")
    }
    model = build(weights, precision, tops=tops if precision == "int8" else None)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.array([[101, 2000, 3000, 102], [101, 2000, 102, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32)
    found = session.run(list(SERVED), {"ids": ids, "mask": mask})
    with torch.inference_mode():
        expected = network(torch.tensor(ids).long(), torch.tensor(mask).long())
        again = tiny_network().eval()
        again.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in recover(model).items()}, strict=False)
        recovered = again(torch.tensor(ids).long(), torch.tensor(mask).long())
    for head, values in zip(SERVED, found, strict=True):
        assert values == pytest.approx(expected[head].numpy(), abs=tolerance)
        assert values == pytest.approx(recovered[head].numpy(), abs=tolerance)


def test_rounding_loses_less_than_half_a_step() -> None:
    matrix = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    rounded, scale = quantise(matrix, axis=0)
    assert np.abs(rounded * scale - matrix).max() <= scale.max() / 2 + 1e-6


def test_fits_find_what_made_the_data() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=4000) * 2
    answers = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 * margins)))).astype(np.int64)
    slope, shift = fit_line(margins, answers)
    assert slope == pytest.approx(0.5, abs=0.1)
    assert shift == pytest.approx(0.0, abs=0.15)
    features = rng.normal(size=(3000, 4)) * 3
    truth = (features[:, :3] + rng.gumbel(size=(3000, 3)) * 2).argmax(1)
    mapped, _ = fit_map(features, truth, np.ones(3000))
    assert (features @ mapped.T).argmax(1) == pytest.approx(features[:, :3].argmax(1), abs=2)
    assert mapped[0, 0] - mapped[1, 0] == pytest.approx(0.5, abs=0.1)
