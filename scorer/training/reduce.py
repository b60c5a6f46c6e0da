"""Makes a model of 8 bits say the same on every CPU: its weights get 7 bits, so that no product can leave 16 bits where the CPU
has no VNNI (`saturation`). It works on the ONNX file alone, without the network that it was made of.

    python -m scorer.training.reduce --data ../shared/data

A weight that is rounded to fewer bits says something else. What one of them loses is made up for by those of the same column
that are rounded after it, as far as the activations on real posts allow (Frantar et al., 2023)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import typer
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from scorer import manifest
from scorer.sentiment.onnx import BATCH_TOKENS, FILES, SHIPPED, WEIGHT_BITS, cut
from scorer.sentiment.text import MAX_TOKENS
from scorer.training.corpora import SOURCES, read_source
from scorer.training.saturation import REDUCED_LIMIT

Array = npt.NDArray[Any]
Feed = dict[str, npt.NDArray[np.int32]]

DAMPING: Final = 0.01
"""The share of the mean of the diagonal that is added to it, so that inputs that hardly occur decide nothing."""
EVERY: Final = 60
"""Activations are taken from every sixtieth post of the training sets: about 1,200."""


def round_together(matrix: Array, seen: Array, limit: int = REDUCED_LIMIT) -> tuple[Array, Array]:
    """The matrix [inner, columns] as integers of at most `limit`, with one scale for each column, so that it says the same of
    what was `seen` [inner, inner], the sum of the products of the inputs with one another."""
    left = matrix.astype(np.float64).copy()
    scale = np.maximum(np.abs(left).max(axis=0), 1e-12) / limit
    size = len(left)
    damped = seen.astype(np.float64) + np.eye(size) * (DAMPING * np.trace(seen) / size + 1e-9)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    whole = np.zeros_like(left)
    for row in range(size):
        whole[row] = np.clip(np.rint(left[row] / scale), -limit, limit)
        missed = (left[row] - whole[row] * scale) / upper[row, row]
        left[row + 1 :] -= np.outer(upper[row, row + 1 :], missed)
    return whole.astype(np.int8), scale.astype(np.float32)


def reduce(model: onnx.ModelProto, feeds: Iterable[Feed]) -> onnx.ModelProto:
    """The model with weights that cannot saturate, rounded by what goes through it when it reads `feeds`."""
    nodes = [node for node in model.graph.node if node.op_type == "DynamicQuantizeMatMul"]
    seen = _see(model, sorted({node.input[0] for node in nodes}), feeds)
    reduced = onnx.ModelProto()
    reduced.CopyFrom(model)
    stored = {array.name: array for array in reduced.graph.initializer}
    for node in nodes:
        inputs, weight, scale = node.input[0], stored[node.input[1]], stored[node.input[2]]
        matrix = numpy_helper.to_array(weight).astype(np.float32) * numpy_helper.to_array(scale)
        whole, step = round_together(matrix, seen[inputs])
        weight.CopyFrom(numpy_helper.from_array(whole, weight.name))
        scale.CopyFrom(numpy_helper.from_array(step, scale.name))
    return reduced


def _see(model: onnx.ModelProto, names: list[str], feeds: Iterable[Feed]) -> dict[str, Array]:
    """For each of these values, the sum of the products of its channels with one another over all tokens but the padding."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    known = {output.name for output in open_model.graph.output}
    for name in names:
        if name not in known:
            open_model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sums: dict[str, Array] = {}
    for feed in feeds:
        tokens = feed["mask"].astype(bool)
        for name, values in zip(names, session.run(names, feed), strict=True):
            rows = values[tokens].astype(np.float64)
            sums[name] = sums.get(name, 0.0) + rows.T @ rows
    return sums


def sample_texts(data: Path) -> list[str]:
    """Every so many posts of the training sets, spelled."""
    return [example.text for source in SOURCES for example in read_source(data, source)[::EVERY]]


def feeds_of(texts: list[str], tokenizer: Tokenizer) -> Iterator[Feed]:
    """Spelled texts as batches that the model reads."""
    for batch in cut([encoding.ids for encoding in tokenizer.encode_batch(texts)], BATCH_TOKENS, 1):
        width = max(len(one.ids) for one in batch)
        ids, mask = np.zeros((len(batch), width), np.int32), np.zeros((len(batch), width), np.int32)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        yield {"ids": ids, "mask": mask}


def main(
    data: Annotated[Path, typer.Option(help="directory of the public sets")],
    directory: Annotated[Path, typer.Option(help="the served files, which are changed")] = SHIPPED,
    version: Annotated[str | None, typer.Option(help="the version that the model states from now on")] = None,
) -> None:
    """Give the model in a directory weights of 7 bits."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    texts = sample_texts(data)
    onnx.save_model(reduce(onnx.load(directory / "model.onnx"), feeds_of(texts, tokenizer)), directory / "model.onnx")
    about = json.loads((directory / "model.json").read_text(encoding="utf-8"))
    about |= {"weight_bits": WEIGHT_BITS} | ({"version": version} if version else {})
    (directory / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    manifest.write(directory, *FILES)
    print(f"rounded with {len(texts)} posts")


if __name__ == "__main__":
    typer.run(main)
