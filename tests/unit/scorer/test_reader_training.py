"""How the reader of all languages is trained: what it learns from, what is kept back, and that a stopped run goes on."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from scorer.training import reader_corpora
from scorer.training.corpora import Example, is_held_out
from scorer.training.lines import FOLDER, HAZARDS, MOST_LINES, expand, read_lines
from scorer.training.reader import UNLABELLED, ReaderRecipe, ReaderRun, batches_of, collate_reader, reader_loss, train
from scorer.training.reader_corpora import FOREIGN, HEADS, OWN, POOLS, Folds, Pool, draw, make_folds
from scorer.training.reader_judge import figures_of
from scorer.training.reader_network import OrderedHead, ReaderNetwork, grade_shares, load_reader_base
from services.base.errors import ConfigError

torch: Any = import_module("torch")
MOODS = ("negative", "neutral", "positive")


def tiny_network() -> ReaderNetwork:
    config = import_module("transformers").BertConfig(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    return ReaderNetwork(config)


def tiny_tokenizer() -> Any:
    tokenizers: Any = import_module("tokenizers")
    words = {word: place for place, word in enumerate(["[UNK]", *(f"w{number}" for number in range(50))])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


def some_folds() -> Folds:
    learn = {
        "umsab": [Example(f"w{n} w{n + 1}", "umsab", {"sentiment": n % 3}) for n in range(40)],
        OWN: [Example(f"w{n}", OWN, {"hazard": n % 9, "severity": n % 5, "complaint": n % 2}) for n in range(30)],
    }
    kept = {"umsab/x": [Example(f"w{n}", "umsab", {"sentiment": n % 3}) for n in range(12)]}
    return Folds(learn, kept, {"umsab": {"sentiment": np.log([0.2, 0.5, 0.3])}})


def small_recipe() -> ReaderRecipe:
    return ReaderRecipe(batch=8, round_batches=4, warm_up=2, frozen=((0, 2), (6, 0)))


def write_set(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


@pytest.fixture(scope="module")
def lines() -> Any:
    return read_lines()


def test_every_line_of_ours_says_what_it_means(lines: Any) -> None:
    assert len(lines) > 5_000
    by_language: dict[str, Counter[int]] = {}
    for line in lines:
        labels = dict(line.labels)
        assert labels.keys() == HEADS.keys(), line.template
        assert not set("{|}<>") & set(line.text), line.template
        if labels["hazard"] or labels["severity"]:
            assert (labels["complaint"], labels["sentiment"]) == (1, 0), line.template
        by_language.setdefault(line.language, Counter())[labels["hazard"]] += 1
    assert len(by_language) >= 22
    for language, count in by_language.items():
        assert count[0], f"{language}: nothing but danger"
    everywhere = sum(by_language.values(), Counter[int]())
    assert set(everywhere) == set(range(len(HAZARDS)))


def test_a_template_gives_the_same_few_lines_whatever_stands_beside_it() -> None:
    made = expand("{a|b|c} {d|e {f|g}|} <brand>")
    assert made == expand("{a|b|c} {d|e {f|g}|} <brand>")
    assert 1 < len(made) <= MOST_LINES
    assert len(set(made)) == len(made)
    assert expand("no choice") == ["no choice"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a line", "a.txt:1: no header"),
        ("[en hazard=flood]\nx", "a.txt:1: there is no hazard=flood"),
        ("[en mood=good]\nx", "a.txt:1: there is no mood=good"),
        ("[en]\nx", "a.txt:1: expected"),
        ("[en hazard=none]\nok\n{a|b", "a.txt:3: braces"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=place):
        read_lines(tmp_path)


def test_no_text_is_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = json.dumps({"lang": "thai"})
    rows = [{"text": f"text {n}", "label": MOODS[n % 3], "extra": extra} for n in range(200)]
    write_set(tmp_path / "one/train.csv.gz", rows)
    write_set(tmp_path / "two/train.csv.gz", [{**row, "text": row["text"].upper()} for row in rows])
    write_set(tmp_path / "two/val.csv.gz", rows[:30])
    write_set(tmp_path / f"{FOREIGN[0]}.csv.gz", [{"text": "text 5", "label": "negative", "extra": "{}"}])
    pools = (Pool("one", "MIT", 1, "one/train"), Pool("two", "MIT", 1, "two/train", "two/val"))
    monkeypatch.setattr(reader_corpora, "POOLS", pools)
    folds = make_folds(tmp_path)
    learned = {one.text.casefold() for examples in folds.learn.values() for one in examples}
    kept = {one.text.casefold() for examples in folds.kept.values() for one in examples}
    assert not learned & kept
    assert "text 5" in kept
    assert {"one/thai", "two/thai", "airline/unseen"} <= folds.kept.keys()
    assert all(is_held_out(one.text.casefold()) for one in folds.kept["one/thai"])
    templates = {line.text: line.template for line in read_lines()}
    ours = [one.text for one in folds.learn[OWN] if one.text in templates]
    assert len(ours) > 1_000
    assert not any(is_held_out(templates[text]) for text in ours)


def test_only_sets_teach_whose_licence_lets_weights_be_shared() -> None:
    assert all(pool.licence not in ("", "none stated") and "NC" not in pool.licence for pool in POOLS)
    assert not {pool.train for pool in POOLS} & set(FOREIGN)
    assert not any("written" in pool.train for pool in POOLS)


def test_rounds_go_through_each_source_before_they_repeat_it() -> None:
    folds = some_folds()
    drawn = [one.text for number in range(4) for one in draw(folds, 0, number, 16) if one.source == "umsab"]
    assert len(drawn) == 4 * round(16 * 18 / 31)
    assert max(Counter(drawn).values()) == 1
    again = [one.text for one in draw(folds, 0, 2, 16)]
    assert again == [one.text for one in draw(folds, 0, 2, 16)]
    assert again != [one.text for one in draw(folds, 1, 2, 16)]
    many = [one.text for one in draw(folds, 0, 0, 1_000) if one.source == OWN]
    assert set(Counter(many).values()) <= {len(many) // 30, len(many) // 30 + 1}


def test_grades_are_ordered_and_share_one() -> None:
    head = OrderedHead(6, 5)
    shares = grade_shares(head(torch.randn(20, 6))).detach()
    assert shares.shape == (20, 5)
    assert float(shares.min()) >= 0
    assert shares.sum(1).tolist() == pytest.approx([1.0] * 20)


def test_only_labelled_heads_teach_and_the_prior_is_that_of_the_set() -> None:
    folds = some_folds()
    examples = [Example("w1", "umsab", {"sentiment": 1}), Example("w2", OWN, {})]
    batch = collate_reader([[1], [2, 3]], examples, folds.priors)
    assert batch.labels["sentiment"].tolist() == [1, UNLABELLED]
    assert batch.priors["sentiment"][0].tolist() == pytest.approx(np.log([0.2, 0.5, 0.3]).tolist(), rel=1e-5)
    assert batch.priors["sentiment"][1].tolist() == [0, 0, 0]
    network: Any = tiny_network()
    loss: Any = reader_loss(network(batch.ids, batch.mask), batch, small_recipe())
    loss.backward()
    assert network.heads["sentiment"].weight.grad.abs().sum() > 0
    assert network.heads["hazard"].weight.grad.abs().sum() == 0


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path: Path) -> None:
    network = tiny_network()
    run = ReaderRun(network, small_recipe(), 100, tmp_path)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folds = some_folds()
    for batch in batches_of(folds.learn["umsab"], folds.priors, tiny_tokenizer(), 8, 0):
        run.take(batch)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert run.step == 5
    assert any("layer.2." in name for name in moved)
    assert not any("layer.0." in name or "layer.1." in name or "embeddings" in name for name in moved)
    for batch in batches_of(folds.learn["umsab"], folds.priors, tiny_tokenizer(), 8, 1):
        run.take(batch)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert any("layer.0." in name for name in moved)
    assert not any("embeddings" in name for name in moved)


def test_a_stopped_run_goes_on_with_what_it_has_not_seen(tmp_path: Path) -> None:
    folds, tokenizer = some_folds(), tiny_tokenizer()
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    recipe = small_recipe()

    def weights(run: ReaderRun) -> list[float]:
        return [float(value.double().abs().sum()) for value in run.network.learned().values()]

    torch.manual_seed(1)
    whole = ReaderRun(tiny_network(), recipe, 12, tmp_path / "whole")
    train(whole, folds, tokenizer, tmp_path / "whole", 2)
    torch.manual_seed(1)
    first = ReaderRun(tiny_network(), recipe, 12, tmp_path / "parts")
    take = first.take

    def take_six(batch: Any) -> float:
        if first.step == 6:
            first.save()
            raise KeyboardInterrupt
        return take(batch)

    first.take = take_six  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(first, folds, tokenizer, tmp_path / "parts", 2)
    second = ReaderRun(tiny_network(), recipe, 12, tmp_path / "parts")
    assert second.resume()
    assert second.step == 6
    train(second, folds, tokenizer, tmp_path / "parts", 2)
    assert weights(second) == pytest.approx(weights(whole), rel=1e-4)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "figures" in entry] == [8, 12]
    assert (tmp_path / "whole" / "reader.pt").is_file()
    assert not ReaderRun(tiny_network(), ReaderRecipe(seed=7), 12, tmp_path / "parts").resume()


def test_the_rate_is_held_and_then_falls_to_zero() -> None:
    recipe = small_recipe()
    paces = [recipe.pace(step, 100) for step in range(101)]
    assert paces[0] < paces[1] == 1
    assert paces[75] == 1
    assert paces[100] == 0
    assert recipe.pace(90, 200) == 1


def test_danger_is_judged_at_a_rate_of_false_alarms() -> None:
    examples = [Example("x", OWN, {"hazard": int(n < 10)}) for n in range(50)]
    danger = np.array([0.9] * 8 + [0.1] * 2 + [0.5] + [0.2] * 39)
    shares = {"hazard": np.column_stack([1 - danger, danger])}
    figures = figures_of(shares, examples)
    assert figures["hazard recall"] == pytest.approx(0.8)


def test_a_folder_without_a_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model\.safetensors"):
        load_reader_base(tmp_path)


def test_the_lines_are_ours_and_travel_with_the_code() -> None:
    assert sorted(path.suffix for path in FOLDER.iterdir()) == [".txt"] * len(list(FOLDER.iterdir()))
