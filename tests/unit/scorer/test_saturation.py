"""The model that ships says the same on a CPU that adds two products in 16 bits as on one that does not."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

pytest.importorskip("onnx")

from scorer.sentiment import onnx as served
from scorer.sentiment.onnx import FILES, SHIPPED, WEIGHT_BITS, OnnxModel, is_cut_off, name_path
from scorer.sentiment.text import spell
from scorer.training.export import build, recover
from scorer.training.reduce import feeds_of, reduce, round_together
from scorer.training.saturation import REDUCED_LIMIT, can_saturate, matrices_of, saturating_product, without_vnni

onnx: Any = import_module("onnx")
TEXTS = [
    "@brand third week without internet, nobody answers and you still charge me. Worst service ever",
    "@brand thank you so much for the quick help, you are the best!",
    "@brand opens a new store in Leeds on Monday",
    "not what I ordered, and the lid is broken again 😡",
    "ok",
]


def one_instruction(a: list[int], b: list[int]) -> int:
    """`vpmaddubsw` on two bytes, and `vpmaddwd` with ones, as their manual describes them."""
    pairs = [a[at] * b[at] + a[at + 1] * b[at + 1] for at in range(0, len(a), 2)]
    return sum(max(-32768, min(32767, pair)) for pair in pairs)


def feeds() -> list[Any]:
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    tokenizer.no_padding()
    return list(feeds_of([spell(text) for text in TEXTS], tokenizer))


def run_here(model: Any, feed: Any) -> Any:
    onnxruntime: Any = import_module("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["sentiment", "complaint", "severity"], feed)


def run_there(model: Any, feed: Any) -> Any:
    return without_vnni(model).run(["sentiment"], feed)


def eight_bits() -> Any:
    """The shipped model with its weights stretched to 8 bits, as it was before."""
    model = onnx.load(SHIPPED / "model.onnx")
    stored = {array.name: array for array in model.graph.initializer}
    for name, weights in matrices_of(model).items():
        scale = stored[name.removesuffix(".weight") + ".scale"]
        stretched = np.clip(np.rint(weights.astype(np.float32) * (127 / REDUCED_LIMIT)), -127, 127).astype(np.int8)
        stored[name].CopyFrom(onnx.numpy_helper.from_array(stretched, name))
        values = onnx.numpy_helper.to_array(scale) * (REDUCED_LIMIT / 127)
        scale.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), scale.name))
    return model


def test_products_are_added_as_the_instruction_adds_them() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (7, 24), dtype=np.uint8)
    b = rng.integers(-128, 128, (24, 9)).astype(np.int8)
    found = saturating_product(a, b)
    expected = [[one_instruction(row.tolist(), column.tolist()) for column in b.T] for row in a]
    assert found.tolist() == expected
    assert found.tolist() != (a.astype(int) @ b.astype(int)).tolist()


@pytest.mark.parametrize(
    ("pair", "leaves"),
    [((127, 127), True), ((64, 64), False), ((65, 64), True), ((-64, -64), False), ((-65, -64), True)],
)
@pytest.mark.parametrize("other", [(0, 0), (127, -127)])
def test_whether_products_can_leave_16_bits_is_told_by_the_weights(
    pair: tuple[int, int], other: tuple[int, int], *, leaves: bool
) -> None:
    weights = np.array([*other, *pair], np.int8)[:, None]
    highest = np.full((1, 4), 255, np.uint8)
    highest[0, :2] = 0
    assert can_saturate(weights) is leaves
    assert (saturating_product(highest, weights) != highest.astype(int) @ weights.astype(int)).any() == leaves


def test_no_product_of_the_shipped_model_can_leave_16_bits() -> None:
    matrices = matrices_of(onnx.load(SHIPPED / "model.onnx"))
    assert len(matrices) == 24
    assert [name for name, weights in matrices.items() if can_saturate(weights)] == []
    assert json.loads((SHIPPED / "model.json").read_text(encoding="utf-8"))["weight_bits"] == WEIGHT_BITS


def test_the_shipped_model_says_the_same_without_vnni() -> None:
    model = onnx.load(SHIPPED / "model.onnx")
    evaluator = without_vnni(model)
    for feed in feeds():
        here = run_here(model, feed)
        there = evaluator.run(["sentiment", "complaint", "severity"], feed)
        for a, b in zip(here, there, strict=True):
            assert a == pytest.approx(b, abs=0.1)
            assert a.argmax(1).tolist() == b.argmax(1).tolist()


def test_weights_of_8_bits_say_something_else_there_and_reducing_them_mends_it() -> None:
    before = eight_bits()
    assert all(can_saturate(weights) for weights in matrices_of(before).values())
    (feed,) = feeds()[:1]
    sure = run_here(build(recover(before), "fp32"), feed)[0]  # exact on the CPU of these tests, whichever it is
    (cut_off,) = run_there(before, feed)
    after = reduce(before, feeds())
    assert not any(can_saturate(weights) for weights in matrices_of(after).values())
    (mended,) = run_there(after, feed)
    assert np.abs(cut_off - sure).mean() > 2 * np.abs(mended - sure).mean()


def test_what_one_weight_loses_by_rounding_others_make_up_for() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 32)) + 0.1 * rng.normal(size=(400, 32))
    matrix = rng.normal(size=(32, 8)).astype(np.float32)
    whole, scale = round_together(matrix, inputs.T @ inputs, limit=7)
    nearest = np.clip(np.rint(matrix / scale), -7, 7)
    assert np.abs(whole).max() <= 7

    def missed(rounded: Any) -> float:
        return float(np.square(inputs @ (rounded * scale - matrix)).mean())

    assert missed(whole) < 0.5 * missed(nearest)


@pytest.mark.parametrize(
    ("flags", "path", "cut"),
    [
        (["avx2"], "AVX2 in 16 bits", True),
        (["avx2", "avx512f", "avx512_bf16"], "AVX-512 in 16 bits", True),
        (["avx2", "avx_vnni"], "AVX VNNI", False),
        (["avx2", "avx512f", "avx512_vnni"], "AVX-512 VNNI", False),
        (["avx2", "avx512f", "avx512_vnni", "amx_int8"], "AMX", False),
        (["asimd", "asimddp"], "ARM dot product", False),
        ([], "not known", False),
    ],
)
def test_the_path_of_the_products_has_a_name(flags: list[str], path: str, *, cut: bool) -> None:
    assert name_path(flags) == path
    assert is_cut_off(flags, 8) is cut
    assert not is_cut_off(flags, WEIGHT_BITS)


@pytest.mark.parametrize("bits", [7, None])
def test_a_start_says_how_products_are_made_and_warns_where_they_are_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int | None
) -> None:
    for name in FILES:
        shutil.copyfile(SHIPPED / name, tmp_path / name)
    about = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    about.pop("weight_bits")
    (tmp_path / "model.json").write_text(json.dumps(about | ({"weight_bits": bits} if bits else {})), encoding="utf-8")
    monkeypatch.setattr(served, "describe_cpu", lambda: {"cpu": "old", "cpu_flags": ["avx2"]})
    with capture_logs() as logs:
        OnnxModel(tmp_path, workers=1)
    ready = next(entry for entry in logs if entry["event"] == "sentiment model ready")
    assert ready["products"] == "AVX2 in 16 bits"
    assert any(entry["log_level"] == "warning" for entry in logs) is (bits is None)
