"""An ONNX graph while it is written by hand: its nodes and arrays, and the parts of a transformer that it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
Precision = Literal["fp32", "int8"]

LAYER_EPSILON: Final = 1e-12


@dataclass(slots=True)
class Graph:
    """An ONNX graph while it is written: its nodes and arrays, in order. The methods return the name of their output."""

    precision: Precision
    heads: int
    bits: int = 8
    balance: dict[str, Array] = field(default_factory=dict)
    """By name of a matrix, what each of its inputs is divided by, and its rows multiplied with, before rounding."""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, name=output, **attributes))
        return output

    def linear(self, x: str, weight: Array, bias: Array, name: str) -> str:
        """x [..., in] times the transposed weight [out, in], plus bias."""
        matrix = weight.T.astype(np.float32)
        if self.precision == "fp32":
            product = self.node("MatMul", [x, self.constant(f"{name}.weight", matrix)], f"{name}.product")
            return self.node("Add", [product, self.constant(f"{name}.bias", bias.astype(np.float32))], name)
        ease = self.balance.get(name)
        if ease is not None:
            x = self.node("Mul", [x, self.constant(f"{name}.ease", (1 / ease).astype(np.float32))], f"{name}.eased")
            matrix = matrix * ease[:, None]
        quantised, scale = quantise(matrix, axis=0, bits=self.bits)
        inputs = [
            x,
            self.constant(f"{name}.weight", quantised),
            self.constant(f"{name}.scale", scale.reshape(-1)),
            "",
            self.constant(f"{name}.bias", bias.astype(np.float32)),
        ]
        return self.node("DynamicQuantizeMatMul", inputs, name, domain="com.microsoft")

    def normalise(self, x: str, residual: str, weights: dict[str, Array], prefix: str) -> str:
        """LayerNorm(x + residual)."""
        scale = self.constant(f"{prefix}.scale", weights[f"{prefix}.weight"])
        shift = self.constant(f"{prefix}.shift", weights[f"{prefix}.bias"])
        total = self.node("Add", [x, residual], f"{prefix}.total")
        return self.node("LayerNormalization", [total, scale, shift], prefix, axis=-1, epsilon=LAYER_EPSILON)

    def attend(self, packed: str, width: int, name: str) -> str:
        """Attention over packed query, key and value [batch, length, 3 * width]."""
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        self.nodes.append(helper.make_node("Split", [packed], parts, name=f"{name}.split", axis=-1, num_outputs=3))
        query, key, value = (
            self.node("Transpose", [self.node("Reshape", [p, "shape"], f"{p}.heads")], f"{p}.turned", perm=perm)
            for p, perm in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        logits = self.node("MatMul", [query, key], f"{name}.logits")
        scaled = self.node("Mul", [logits, "root"], f"{name}.scaled")
        masked = self.node("Add", [scaled, "bias"], f"{name}.masked")
        shares = self.node("Softmax", [masked], f"{name}.shares", axis=-1)
        mixed = self.node("MatMul", [shares, value], f"{name}.mixed")
        turned = self.node("Transpose", [mixed], f"{name}.back", perm=[0, 2, 1, 3])
        self.constant(f"{name}.flat", np.array([0, 0, width], np.int64))
        return self.node("Reshape", [turned, f"{name}.flat"], name)

    def think(self, x: str, weights: dict[str, Array], layer: int, spilled: Array | None) -> str:
        """The two wide matrices of a layer. The few inner channels that grow large (`spilled`) are computed apart in 32 bits,
        because one scale for all would round the others away (Dettmers et al., 2022)."""
        prefix, name = f"encoder.encoder.layer.{layer}", f"layer.{layer}"
        up, up_bias = weights[f"{prefix}.intermediate.dense.weight"], weights[f"{prefix}.intermediate.dense.bias"]
        down, down_bias = weights[f"{prefix}.output.dense.weight"], weights[f"{prefix}.output.dense.bias"]
        if spilled is None:
            bent = self.node("Gelu", [self.linear(x, up, up_bias, f"{name}.wide")], f"{name}.bent")
            return self.linear(bent, down, down_bias, f"{name}.narrow")
        rest = np.setdiff1d(np.arange(len(up)), spilled)
        bent = self.node("Gelu", [self.linear(x, up[rest], up_bias[rest], f"{name}.wide")], f"{name}.bent")
        most = self.linear(bent, down[:, rest], down_bias, f"{name}.narrow")
        raw = self.node("MatMul", [x, self.constant(f"{name}.spill.up", up[spilled].T)], f"{name}.spill.raw")
        shifted = self.node("Add", [raw, self.constant(f"{name}.spill.shift", up_bias[spilled])], f"{name}.spill.wide")
        bent = self.node("Gelu", [shifted], f"{name}.spill.bent")
        few = self.node(
            "MatMul", [bent, self.constant(f"{name}.spill.down", down[:, spilled].T)], f"{name}.spill.narrow"
        )
        return self.node("Add", [most, few], f"{name}.thought")


def quantise(matrix: Array, axis: int, bits: int = 8) -> tuple[Array, Array]:
    """The matrix as integers around zero, with one scale for each slice along `axis`. Returns the integers (int8) and the
    scales, shaped so that their product is the matrix again."""
    limit = 2 ** (bits - 1) - 1
    scale = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True), 1e-12) / limit
    return np.clip(np.rint(matrix / scale), -limit, limit).astype(np.int8), scale.astype(np.float32)
