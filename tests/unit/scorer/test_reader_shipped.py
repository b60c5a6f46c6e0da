"""The reader of many languages, as it ships."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from scorer import manifest
from scorer.sentiment.choose import choose
from scorer.sentiment.evaluate import label_of
from scorer.sentiment.model import SentimentModel
from scorer.sentiment.onnx import WEIGHT_BITS
from scorer.sentiment.reader import FILES, HEADS, SHIPPED, Reader, load_languages
from scorer.sentiment.text import spell
from scorer.training.export import build, recover
from scorer.training.lines import read_lines
from scorer.training.reader_fit import BAR, FEWEST, NEGATIVE_BAR
from scorer.training.reduce import feeds_of
from scorer.training.saturation import can_saturate, matrices_of

onnx: Any = import_module("onnx")
ABOUT = json.loads((SHIPPED / "languages.json").read_text(encoding="utf-8"))
CARD = (SHIPPED / "MODEL_CARD.md").read_text(encoding="utf-8")
SENTENCES = {
    "id": (
        "Pelayanan buruk sekali, sudah seminggu paket saya hilang",
        "Terima kasih banyak, pelayanannya cepat dan ramah",
    ),
    "ms": ("Teruk betul servis ni, dah sebulan tak selesai lagi", "Terbaik lah, staf sangat membantu, terima kasih"),
    "es": (
        "Pésimo servicio, llevo tres semanas esperando y nadie responde",
        "Muchas gracias, la atención fue excelente",
    ),
    "fr": (
        "Service catastrophique, ma commande est arrivée cassée",
        "Merci beaucoup, livraison rapide et équipe adorable",
    ),
    "de": ("Furchtbarer Service, seit Wochen antwortet niemand", "Vielen Dank, der Support war super freundlich"),
    "it": ("Servizio pessimo, il pacco è arrivato rotto", "Grazie mille, assistenza veloce e gentilissima"),
    "pt": ("Péssimo atendimento, paguei e nunca recebi nada", "Muito obrigado, o atendimento foi excelente"),
    "ar": ("خدمة سيئة جدا ولا أحد يرد على رسائلي", "شكرا جزيلا، خدمة ممتازة وسريعة"),
    "th": ("บริการแย่มาก รอมาสามสัปดาห์แล้วยังไม่ได้ของ", "ขอบคุณมากค่ะ บริการดีมาก ประทับใจ"),
}
"""One complaint and one praise in each, by us."""


@pytest.fixture(scope="module")
def model() -> SentimentModel:
    return choose("shipped")


@pytest.mark.parametrize("code", SENTENCES)
def test_a_complaint_and_a_praise_are_told_apart(model: SentimentModel, code: str) -> None:
    readings = model.read(SENTENCES[code], [code, code])
    assert [label_of(one) for one in readings] == ["negative", "positive"]
    assert [one.abstain for one in readings] == [None, None]
    assert {one.model for one in readings} == {Reader(workers=1).name}


def test_english_is_read_by_the_network_that_read_it_before(model: SentimentModel) -> None:
    text = "third week without internet, nobody answers and you still charge me"
    (both,) = model.read([text], [None])
    (alone,) = choose("english").read([text], [None])
    assert both.model == choose("english").name
    assert both.negative == pytest.approx(alone.negative)


def test_a_language_that_nobody_measured_is_not_read_and_is_named(model: SentimentModel) -> None:
    for text, code in (
        ("荷物が届かないし、誰も返事をくれない", "ja"),
        ("Посылка не пришла, и никто не отвечает", "ru"),
    ):
        (reading,) = model.read([text], [None])
        assert reading.abstain == f"language: {code}"
        assert reading.danger is None or not reading.danger.sure


def test_the_card_has_a_figure_for_every_language_that_is_claimed() -> None:
    assert load_languages(SHIPPED / "languages.json").claimed.keys() == ABOUT["claimed"].keys()
    for code, said in ABOUT["claimed"].items():
        assert said["macro_f1"] >= BAR, code
        assert said["negative_f1"] >= NEGATIVE_BAR, code
        assert said["texts"] >= FEWEST, code
        row = next(line for line in CARD.splitlines() if line.startswith(f"| {code} |"))
        for figure in (
            f"{said['texts']}",
            f"{said['macro_f1']:.3f}",
            f"{said['negative_f1']:.3f}",
            f"{said['ece']:.3f}",
        ):
            assert f" {figure} " in row, (code, figure)


def test_what_ships_is_what_was_made_and_is_small() -> None:
    manifest.verify(SHIPPED, *FILES)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 45_000_000


def test_no_product_of_the_reader_can_leave_16_bits() -> None:
    matrices = matrices_of(onnx.load(SHIPPED / "model.onnx"))
    assert len(matrices) == 48
    assert [name for name, weights in matrices.items() if can_saturate(weights)] == []
    assert json.loads((SHIPPED / "model.json").read_text(encoding="utf-8"))["weight_bits"] == WEIGHT_BITS


def test_eight_bits_say_what_the_same_weights_say_in_32(tmp_path: Path) -> None:
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    tokenizer.no_padding()
    onnx.save_model(build(recover(onnx.load(SHIPPED / "model.onnx"), HEADS), "fp32", served=HEADS), tmp_path / "m.onnx")
    runtime: Any = import_module("onnxruntime")
    exact, served = (runtime.InferenceSession(str(path)) for path in (tmp_path / "m.onnx", SHIPPED / "model.onnx"))
    texts = [spell(line.text, name_signs=False) for line in read_lines()[::30]]
    same = [
        (a.argmax(1) == b.argmax(1)).tolist()
        for feed in feeds_of(texts, tokenizer)
        for a, b in [(exact.run(["sentiment"], feed)[0], served.run(["sentiment"], feed)[0])]
    ]
    assert np.mean([one for batch in same for one in batch]) >= 0.99


@pytest.mark.parametrize("lines", [read_lines()])
def test_a_danger_is_sure_in_many_of_our_lines_and_in_hardly_any_that_only_sounds_like_one(lines: Any) -> None:
    reader = Reader(workers=1)
    some = [line for line in lines if line.language in reader.claimed][::8]
    found = reader.judge([line.text for line in some], [line.language for line in some])
    danger = np.array([dict(line.labels)["hazard"] != 0 for line in some])
    sure = np.array([one.danger is not None and one.danger.sure for one in found])
    assert sure[danger].mean() > 0.5
    assert sure[~danger].mean() < 0.02
