"""Writes the network as one ONNX file, made of operations that ONNX Runtime runs fast as they are.

The graph is written by hand from the trained arrays, so that no exporter decides what runs: query, key and value in one
matrix, attention, and matrices of 8 bits with one scale for each column (activations are quantised while running), of which
only 7 are used, so that no CPU cuts a product off (`reduce`). The word table has 8 bits too, with one scale for each row; with
32 bits it alone would take 47 MB.

    python -m scorer.training.export --weights build/sentiment/network.pt --base DIR --data ../shared/data
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from scorer.sentiment.onnx import HEADS, SHIPPED, WEIGHT_BITS
from scorer.sentiment.text import MAX_TOKENS
from scorer.training import blocks, fit
from scorer.training.balance import factors, measure
from scorer.training.corpora import SOURCES, gather, read_source
from scorer.training.graph import LAYER_EPSILON, Array, Graph, Precision, quantise
from scorer.training.network import BASE_SHA256, load_base
from scorer.training.reduce import feeds_of, reduce, sample_texts

SAMPLE_EVERY = 100
"""Activations are measured on every hundredth post of the training sets."""
SPILLED = 32
"""Inner channels of each layer that stay in 32 bits: 2 % of the work."""
MASKED = -10_000.0
"""What is added to the attention to padding: its share becomes zero."""
PRODUCER = "firebreak"


def build(
    weights: dict[str, Array],
    precision: Precision,
    *,
    heads: int = 12,
    bits: int = 8,
    tops: dict[str, Array] | None = None,
    served: Sequence[str] = HEADS,
    packed_words: bool = False,
) -> onnx.ModelProto:
    """The model: `ids` and `mask` [batch, length] int32 to logits [batch, classes] of the served heads. With `packed_words` its
    vocabulary has 4 bits (`blocks`).

    `tops` are the largest inputs of the matrices (`balance.measure`); without them a model of 8 bits gets more labels wrong.
    """
    eased = {k: v for k, v in factors(tops or {}, weights).items() if not k.endswith(".narrow")}
    graph = Graph(precision, heads, bits, eased if precision == "int8" else {})
    width = weights["encoder.embeddings.word_embeddings.weight"].shape[1]
    layers = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith("encoder.encoder.layer."))
    x = _embed(graph, weights, packed_words=packed_words)
    seen = _mask(graph, width)
    for layer in range(layers):
        prefix = f"encoder.encoder.layer.{layer}"
        qkv = [weights[f"{prefix}.attention.self.{part}.weight"] for part in ("query", "key", "value")]
        qkv_bias = [weights[f"{prefix}.attention.self.{part}.bias"] for part in ("query", "key", "value")]
        packed = graph.linear(x, np.concatenate(qkv), np.concatenate(qkv_bias), f"layer.{layer}.packed")
        mixed = graph.attend(packed, width, f"layer.{layer}.attention")
        out = f"{prefix}.attention.output"
        told = graph.linear(mixed, weights[f"{out}.dense.weight"], weights[f"{out}.dense.bias"], f"layer.{layer}.told")
        x = graph.normalise(told, x, weights, f"{out}.LayerNorm")
        spilled = tops[f"layer.{layer}.narrow"].argsort()[-SPILLED:] if tops and precision == "int8" else None
        x = graph.normalise(graph.think(x, weights, layer, spilled), x, weights, f"{prefix}.output.LayerNorm")
    outputs = _answer(graph, x, seen, weights, served)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "length"]) for name in ("ids", "mask")]
    proto = helper.make_graph(graph.nodes, PRODUCER, inputs, outputs, graph.arrays)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(proto, producer_name=PRODUCER, opset_imports=opsets, ir_version=9)


def _embed(graph: Graph, weights: dict[str, Array], *, packed_words: bool) -> str:
    """The normalised sum of word and place of each token [batch, length, width]."""
    table = weights["encoder.embeddings.word_embeddings.weight"]
    if packed_words:
        words = blocks.gather(graph, table)
    elif graph.precision == "int8":
        rows, scale = quantise(table, axis=1)
        graph.constant("words", rows)
        graph.constant("words.scale", scale)
        coarse = graph.node(
            "Cast", [graph.node("Gather", ["words", "ids"], "word.rows")], "word.cast", to=TensorProto.FLOAT
        )
        words = graph.node("Mul", [coarse, graph.node("Gather", ["words.scale", "ids"], "word.scale")], "word")
    else:
        graph.constant("words", table)
        words = graph.node("Gather", ["words", "ids"], "word")
    # Every token is of the first type, so its vector is part of the place's.
    places = (
        weights["encoder.embeddings.position_embeddings.weight"]
        + weights["encoder.embeddings.token_type_embeddings.weight"][0]
    )
    graph.constant("places", places[:128])
    graph.constant("zero", np.array([0], np.int64))
    graph.constant("one", np.array([1], np.int64))
    graph.constant("first", np.array([0], np.int64))
    length = graph.node("Shape", ["ids"], "length", start=1, end=2)
    place = graph.node("Slice", ["places", "zero", length, "first"], "place")
    placed = graph.node("Unsqueeze", [place, "zero"], "placed")
    scale_name = graph.constant("embedding.scale", weights["encoder.embeddings.LayerNorm.weight"])
    shift_name = graph.constant("embedding.shift", weights["encoder.embeddings.LayerNorm.bias"])
    summed = graph.node("Add", [words, placed], "summed")
    names = [summed, scale_name, shift_name]
    return graph.node("LayerNormalization", names, "embedded", axis=-1, epsilon=LAYER_EPSILON)


def _mask(graph: Graph, width: int) -> str:
    """What attention needs besides its inputs, above all a bias that hides the padding. Returns the mask as numbers."""
    seen = graph.node("Cast", ["mask"], "seen", to=TensorProto.FLOAT)
    graph.constant("all", np.array(1.0, np.float32))
    graph.constant("masked", np.array(MASKED, np.float32))
    graph.constant("shape", np.array([0, 0, graph.heads, width // graph.heads], np.int64))
    graph.constant("root", np.array((width // graph.heads) ** -0.5, np.float32))
    graph.constant("middle", np.array([1, 2], np.int64))
    hidden_part = graph.node("Mul", [graph.node("Sub", ["all", seen], "unseen"), "masked"], "hidden.part")
    graph.node("Unsqueeze", [hidden_part, "middle"], "bias")
    return seen


def _answer(
    graph: Graph, x: str, seen: str, weights: dict[str, Array], served: Sequence[str]
) -> list[onnx.ValueInfoProto]:
    """The outputs: one linear head each on the mean of the token vectors."""
    # The mean over the seen tokens is one small product: [batch, 1, length] times [batch, length, width].
    row = graph.node("Unsqueeze", [seen, "one"], "seen.row")
    total = graph.node("Squeeze", [graph.node("MatMul", [row, x], "total.row"), "one"], "total")
    count = graph.node("ReduceSum", [seen, "one"], "count", keepdims=1)
    pooled = graph.node("Div", [total, count], "pooled")
    outputs = []
    for head in served:
        # The heads are too small to gain from 8 bits and too near to the answer to lose anything.
        matrix = graph.constant(f"{head}.weight", weights[f"heads.{head}.weight"].T)
        product = graph.node("MatMul", [pooled, matrix], f"{head}.product")
        graph.node("Add", [product, graph.constant(f"{head}.bias", weights[f"heads.{head}.bias"])], head)
        outputs.append(
            helper.make_tensor_value_info(head, TensorProto.FLOAT, ["batch", len(weights[f"heads.{head}.bias"])])
        )
    return outputs


def recover(model: onnx.ModelProto, served: Sequence[str] = HEADS) -> dict[str, Array]:
    """The arrays that `build` was given, taken from the model that it made: 8 bits multiplied out, and the inner channels of
    a layer perhaps in another order, which changes nothing."""
    stored = {array.name: numpy_helper.to_array(array) for array in model.graph.initializer}

    def matrix(name: str) -> Array:
        weight = stored[f"{name}.weight"].astype(np.float32)
        if f"{name}.scale" in stored:
            weight = weight * stored[f"{name}.scale"]
        if f"{name}.ease" in stored:
            weight = weight * stored[f"{name}.ease"][:, None]
        return weight.T

    out: dict[str, Array] = {}
    if stored["words"].dtype == np.uint8:
        words = blocks.unpack(stored["words"], stored["words.scale"])
    else:
        words = stored["words"].astype(np.float32) * stored.get("words.scale", np.float32(1))
    out["encoder.embeddings.word_embeddings.weight"] = words
    out["encoder.embeddings.position_embeddings.weight"] = stored["places"]
    width = words.shape[1]
    out["encoder.embeddings.token_type_embeddings.weight"] = np.zeros((2, width), np.float32)
    out["encoder.embeddings.LayerNorm.weight"] = stored["embedding.scale"]
    out["encoder.embeddings.LayerNorm.bias"] = stored["embedding.shift"]
    for layer in range(sum(name.endswith(".packed.weight") for name in stored)):
        prefix, name = f"encoder.encoder.layer.{layer}", f"layer.{layer}"
        for part, weight, bias in zip(
            ("query", "key", "value"),
            np.split(matrix(f"{name}.packed"), 3),
            np.split(stored[f"{name}.packed.bias"], 3),
            strict=True,
        ):
            out[f"{prefix}.attention.self.{part}.weight"] = weight
            out[f"{prefix}.attention.self.{part}.bias"] = bias
        out[f"{prefix}.attention.output.dense.weight"] = matrix(f"{name}.told")
        out[f"{prefix}.attention.output.dense.bias"] = stored[f"{name}.told.bias"]
        up, up_bias, down = matrix(f"{name}.wide"), stored[f"{name}.wide.bias"], matrix(f"{name}.narrow")
        if f"{name}.spill.up" in stored:
            up = np.concatenate([up, stored[f"{name}.spill.up"].T])
            up_bias = np.concatenate([up_bias, stored[f"{name}.spill.shift"]])
            down = np.concatenate([down, stored[f"{name}.spill.down"].T], axis=1)
        out[f"{prefix}.intermediate.dense.weight"], out[f"{prefix}.intermediate.dense.bias"] = up, up_bias
        out[f"{prefix}.output.dense.weight"], out[f"{prefix}.output.dense.bias"] = down, stored[f"{name}.narrow.bias"]
        for block in ("attention.output", "output"):
            out[f"{prefix}.{block}.LayerNorm.weight"] = stored[f"{prefix}.{block}.LayerNorm.scale"]
            out[f"{prefix}.{block}.LayerNorm.bias"] = stored[f"{prefix}.{block}.LayerNorm.shift"]
    for head in served:
        out[f"heads.{head}.weight"], out[f"heads.{head}.bias"] = stored[f"{head}.weight"].T, stored[f"{head}.bias"]
    return out


def read_weights(*paths: Path) -> dict[str, Array]:
    """The arrays of a trained network, by name; the mean of several that were trained from one another (Wortsman et al.,
    2022)."""
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    names = [name for name, value in states[0].items() if value.is_floating_point()]
    return {name: np.mean([state[name].float().numpy() for state in states], axis=0) for name in names}


def measure_inputs(arrays: dict[str, Array], base: Path, data: Path) -> dict[str, Array]:
    """The largest inputs of each matrix on every hundredth post of the training sets (`balance.measure`)."""
    network = load_base(base)
    network.load_state_dict({name: torch.tensor(value) for name, value in arrays.items()}, strict=False)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    texts = [example.text for source in SOURCES for example in read_source(data, source)[::SAMPLE_EVERY]]
    ids = [torch.tensor([one.ids]) for one in tokenizer.encode_batch(texts)]
    return measure(network, [(one, torch.ones_like(one)) for one in ids])


def main(
    weights: Annotated[list[Path], typer.Option(help="network.pt of the training; several are averaged")],
    base: Annotated[Path, typer.Option(help="directory of all-MiniLM-L6-v2, for its tokenizer")],
    data: Annotated[Path, typer.Option(help="directory of the public sets")],
    out: Annotated[Path, typer.Option(help="where the served files go")] = SHIPPED,
    precision: Annotated[str, typer.Option(help="int8 or fp32")] = "int8",
    version: Annotated[str, typer.Option()] = "1",
    unsure: Annotated[float, typer.Option(help="abstain below this probability of the likeliest class")] = 0.40,
) -> None:
    """Write model, tokenizer and calibration of a trained network."""
    if precision not in ("fp32", "int8"):
        raise typer.BadParameter(f"{precision!r}: int8 or fp32")
    out.mkdir(parents=True, exist_ok=True)
    arrays = read_weights(*weights)
    tops = measure_inputs(arrays, base, data) if precision == "int8" else None
    model = build(arrays, "int8" if tops else "fp32", tops=tops)
    if precision == "int8":
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        model = reduce(model, feeds_of(sample_texts(data), tokenizer))
    onnx.save_model(model, out / "model.onnx")
    shutil.copyfile(base / "tokenizer.json", out / "tokenizer.json")
    about: dict[str, object] = {
        "name": "firebreak-minilm",
        "version": version,
        "precision": precision,
        "base_sha256": BASE_SHA256,
    }
    about |= {"weight_bits": WEIGHT_BITS} if precision == "int8" else {}
    (out / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    figures = fit.write(out, gather(data).kept, unsure)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    typer.run(main)
