"""Each text goes to the network that reads its language, by a rule that can be told, and its reading says which one it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from scorer.sentiment.calibration import Calibration
from scorer.sentiment.language import LanguageGate
from scorer.sentiment.model import DangerKind, Reading
from scorer.sentiment.onnx import HEADS as ENGLISH_HEADS
from scorer.sentiment.reader import FILES, HEADS, Reader, load_languages
from scorer.sentiment.routing import Routed
from scorer.training.export import build
from scorer.training.reader_export import served_arrays
from services.base.errors import ConfigError
from tests.unit.scorer.test_reader_training import tiny_network, tiny_tokenizer

onnx: Any = import_module("onnx")
INDONESIAN = "Pesanan saya belum sampai dan tidak ada yang menjawab"
GERMAN = "Der Zug kommt schon wieder eine Stunde zu spät"
ENGLISH = "the train is late and nobody told us"


class English:
    """Reads whatever it gets, and remembers it."""

    name = "small-1"

    def __init__(self) -> None:
        self.got: list[str] = []

    def judge(self, spelled: Sequence[str]) -> list[Reading]:
        self.got += spelled
        return [Reading(0.8, 0.1, 0.1) for _ in spelled]


class Many:
    """A reader that claims two languages."""

    name = "many-1"
    claimed = frozenset({"id", "ms"})

    def __init__(self) -> None:
        self.got: list[tuple[str, str | None]] = []

    def judge(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        self.got += zip(texts, languages, strict=True)
        return [Reading(0.1, 0.1, 0.8, model=self.name) for _ in texts]


@pytest.mark.parametrize(
    ("text", "tag", "by", "abstain"),
    [
        (ENGLISH, None, "small-1", None),
        (ENGLISH, "id", "small-1", None),  # tags often name the language of the client's menu
        (INDONESIAN, None, "many-1", None),
        (INDONESIAN, "en", "many-1", None),
        ("terlalu lambat", "id", "many-1", None),
        ("terlalu lambat", "in", "many-1", None),
        (GERMAN, None, "many-1", "language: de"),
        (GERMAN, "de-AT", "many-1", "language: de"),
        ("lol ok", None, "small-1", None),
        ("", None, None, "no text"),
        ("@user https://example.org", "id", None, "no words"),
    ],
)
def test_a_text_goes_to_the_network_that_reads_its_language(
    text: str, tag: str | None, by: str | None, abstain: str | None
) -> None:
    (reading,) = Routed(English(), Many()).read([text], [tag])
    assert (reading.model, reading.abstain) == (by, abstain)


def test_what_a_text_looks_like_comes_before_its_tag_and_the_tag_before_nothing() -> None:
    def judged(found: str, tag: str | None) -> str | None:
        many = Many()
        Routed(English(), many, LanguageGate(lambda _: (found, 0.001))).read(["satu dua tiga empat"], [tag])
        return many.got[0][1]

    assert judged("ms", "id") == "id"  # which an identifier cannot tell apart
    assert judged("ms", None) == "ms"
    assert judged("ms", "th") == "ms"
    assert judged("tl", "id") == "id"
    assert judged("tl", None) is None


def test_a_text_in_doubt_between_english_and_a_claimed_language_is_the_readers() -> None:
    for probability, by in ((0.3, "many-1"), (0.9, "small-1")):
        gate = LanguageGate(lambda _, p=probability: ("id", p))  # type: ignore[misc]
        (reading,) = Routed(English(), Many(), gate).read(["bestie tolong lah refund"], [None])
        assert reading.model == by


def test_mixed_calls_are_answered_in_their_order_and_each_text_is_read_once() -> None:
    english, many = English(), Many()
    texts = [INDONESIAN, ENGLISH, "", GERMAN, ENGLISH, INDONESIAN]
    readings = Routed(english, many).read(texts, [None] * 6)
    assert [one.model for one in readings] == ["many-1", "small-1", None, "many-1", "small-1", "many-1"]
    assert len(english.got) == 2
    assert [code is None for _, code in many.got] == [False, True, False]


def test_the_reader_gets_the_text_as_it_was_written_and_the_name_tells_both() -> None:
    many = Many()
    model = Routed(English(), many)
    text = f"{INDONESIAN} \U0001f620"
    model.read([text], ["id"])
    assert many.got == [(text, "id")]
    assert model.name == "small-1 + many-1"


def write_reader(folder: Path, *, languages: dict[str, Any] | None = None) -> Path:
    """A reader of three tiny layers, as the export writes it."""
    folder.mkdir(exist_ok=True)
    network, tokenizer = tiny_network().eval(), tiny_tokenizer()
    arrays = served_arrays(network, list(range(60)))
    onnx.save_model(build(arrays, "fp32", heads=4, served=HEADS), folder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.json").write_text(json.dumps({"name": "tiny", "version": "1", "precision": "fp32"}))
    plain = asdict(Calibration(unsure=0.0))
    glad = asdict(Calibration(offset=(-50.0, -50.0, 50.0), unsure=0.0))
    stored = {"any": plain, "claimed": {"id": {"calibration": glad}, "th": {"calibration": plain}}, "sure": 0.5}
    (folder / "languages.json").write_text(json.dumps(languages or stored))
    return folder


def test_each_language_has_its_own_calibration_and_others_the_common_one(tmp_path: Path) -> None:
    reader = Reader(write_reader(tmp_path), workers=1)
    assert reader.claimed == {"id", "th"}
    glad, common, unknown = reader.judge(["w1 w2 w3"] * 3, ["id", "th", "xx"])
    assert glad.positive > 0.99 > common.positive
    assert unknown.positive == pytest.approx(common.positive)
    assert {one.model for one in (glad, common, unknown)} == {"tiny-1 fp32"}
    assert reader.judge([], []) == []


def test_the_served_reader_says_what_the_trained_network_says(tmp_path: Path) -> None:
    torch: Any = import_module("torch")
    network = tiny_network().eval()
    reader = Reader(write_reader(tmp_path), workers=1)
    ids = tiny_tokenizer().encode("w4 w8 w15 w16").ids
    with torch.inference_mode():
        trained = network(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
    served = reader.logits(["w4 w8 w15 w16"])
    assert set(served) == set(trained) == {*ENGLISH_HEADS, "hazard"}
    for head, values in served.items():
        assert values == pytest.approx(trained[head].numpy(), abs=1e-4), head


def test_a_danger_is_sure_only_in_a_claimed_language_and_above_the_threshold(tmp_path: Path) -> None:
    reader = Reader(write_reader(tmp_path), workers=1)
    stored = json.loads((tmp_path / "languages.json").read_text())
    claimed, other = reader.judge(["w1 w2"] * 2, ["id", None])
    assert claimed.danger is not None
    assert other.danger is not None
    assert claimed.danger.probability == pytest.approx(other.danger.probability)
    assert 0.5 < claimed.danger.probability < 1  # nine classes that nobody taught anything
    assert (claimed.danger.sure, other.danger.sure) == (True, False)
    (tmp_path / "languages.json").write_text(json.dumps(stored | {"sure": 0.999}))
    (unsure,) = Reader(tmp_path, workers=1).judge(["w1 w2"], ["id"])
    assert unsure.danger == replace(claimed.danger, sure=False)
    assert isinstance(claimed.danger.kind, DangerKind)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_of_the_reader_is_named(tmp_path: Path, name: str) -> None:
    write_reader(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "part", ignore=shutil.ignore_patterns(name))
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        Reader(tmp_path / "part", workers=1)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"any": {}, "sure": 1}', '{"any": {"x": 1}, "claimed": {}, "sure": 1}']
)
def test_languages_that_cannot_be_read_name_their_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "languages.json").write_text(content)
    with pytest.raises(ConfigError, match=r"languages\.json"):
        load_languages(tmp_path / "languages.json")
