"""What a CPU without VNNI makes of a model of 8 bits, told on any CPU.

Such a CPU (AVX2, AVX-512 without VNNI) multiplies two unsigned bytes of the activations with two signed bytes of the weights
in one instruction (`vpmaddubsw`), and what does not fit 16 bits is cut off. Whether it can fail to fit depends on the weights
alone: 255 times the sum of two neighbours must not be above 32,767. Weights of 7 bits (`reduce`) always fit; those of 8 bits
are followed here product by product, with the same instruction in numpy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

MOST_BYTE: Final = 255
SHORT: Final = (-32_768, 32_767)
REDUCED_LIMIT: Final = SHORT[1] // MOST_BYTE // 2
"""The largest weight of which two neighbours never saturate: 64."""

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Sums = npt.NDArray[np.int64]


def saturating_product(a: Bytes, b: Weights) -> Sums:
    """The product of `a` [rows, inner] and `b` [inner, columns] as `vpmaddubsw` makes it: each two neighbours of the inner
    axis are added in 16 bits."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    out = exact.astype(np.int64)
    even = b[: b.shape[0] // 2 * 2].astype(np.int32)
    first, second = even[0::2], even[1::2]
    # Only weights that are large enough can do it, so only these are looked at one by one.
    risky = np.abs(np.clip(first, 0, None) + np.clip(second, 0, None)) * MOST_BYTE > SHORT[1]
    risky |= np.abs(np.clip(first, None, 0) + np.clip(second, None, 0)) * MOST_BYTE > -SHORT[0]
    for pair in np.flatnonzero(risky.any(axis=1)):
        columns = np.flatnonzero(risky[pair])
        left, right = (a[:, 2 * pair + part].astype(np.int32)[:, None] for part in (0, 1))
        sums = left * first[pair, columns] + right * second[pair, columns]
        out[:, columns] += np.clip(sums, *SHORT) - sums
    return out


def can_saturate(weights: Weights) -> bool:
    """Returns True if some activations make the sum of two neighbouring products of these weights [inner, columns] leave 16
    bits."""
    even = weights[: weights.shape[0] // 2 * 2].astype(np.int32)
    first, second = even[0::2], even[1::2]
    highest = (np.clip(first, 0, None) + np.clip(second, 0, None)).max(initial=0) * MOST_BYTE
    lowest = (np.clip(first, None, 0) + np.clip(second, None, 0)).min(initial=0) * MOST_BYTE
    return bool(highest > SHORT[1] or lowest < SHORT[0])


def matrices_of(model: onnx.ModelProto) -> dict[str, Weights]:
    """The weights of 8 bits that are multiplied with activations, by name."""
    stored = {array.name: array for array in model.graph.initializer}
    names = [node.input[1] for node in model.graph.node if node.op_type == "DynamicQuantizeMatMul"]
    return {name: numpy_helper.to_array(stored[name]) for name in names}


class DynamicQuantizeMatMul(OpRun):
    """The operation of ONNX Runtime: activations are quantised while running, with one scale for the whole batch."""

    op_domain = "com.microsoft"

    def _run(self, a: Any, b: Any, scale: Any, zero: Any = None, bias: Any = None) -> tuple[Any]:
        assert zero is None or not np.any(zero)
        flat = a.reshape(-1, a.shape[-1])
        low, high = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
        step = (high - low) / MOST_BYTE or 1.0
        offset = int(np.clip(np.rint(-low / step), 0, MOST_BYTE))
        bytes_ = np.clip(np.rint(flat / step) + offset, 0, MOST_BYTE).astype(np.uint8)
        sums = saturating_product(bytes_, b) - offset * b.astype(np.int64).sum(axis=0)
        out = sums.astype(np.float32) * np.float32(step) * scale
        return ((out + bias if bias is not None else out).reshape(*a.shape[:-1], b.shape[1]).astype(np.float32),)


def without_vnni(model: onnx.ModelProto) -> ReferenceEvaluator:
    """Runs the model as a CPU without VNNI does; slowly."""
    return ReferenceEvaluator(model, new_ops=[DynamicQuantizeMatMul])
