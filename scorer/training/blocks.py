"""The vectors of a vocabulary in 4 bits, in blocks of 32 numbers with one scale each: about 4.5 bits a number.

The multilingual base is distributed like this, and the training leaves its vocabulary as it is. So its vectors lose nothing
here, and the file holds nearly twice as many pieces as it would in 8 bits. (A piece that is cut changes how its words are
spelled: with 46,000 pieces two thirds of the posts in eight languages were spelled otherwise than in training.)"""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import TensorProto

from scorer.training.graph import Array, Graph

BLOCK: Final = 32
_MIDDLE: Final = 8
_MOST: Final = 15


def pack(table: Array) -> tuple[Array, Array]:
    """The table [pieces, width] as bytes [pieces, blocks, 16], the first half of each block in the low bits, and scales in 16
    bits [pieces, blocks, 1]."""
    blocks = table.reshape(len(table), -1, BLOCK).astype(np.float32)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)
    scales = (extreme / -_MIDDLE).astype(np.float16)
    divisor = np.where(scales == 0, 1, scales).astype(np.float32)
    whole = np.clip(np.rint(blocks / divisor) + _MIDDLE, 0, _MOST).astype(np.uint8)
    return whole[..., : BLOCK // 2] | (whole[..., BLOCK // 2 :] << 4), scales


def unpack(packed: Array, scales: Array) -> Array:
    """The table that was packed."""
    whole = np.concatenate([packed & _MOST, packed >> 4], axis=2).astype(np.float32) - _MIDDLE
    return (whole * scales.astype(np.float32)).reshape(len(packed), -1)


def gather(graph: Graph, table: Array) -> str:
    """Writes the nodes that look up `ids` in the packed table. Returns their output [batch, length, width]."""
    packed, scales = pack(table)
    graph.constant("words", packed)
    graph.constant("words.scale", scales)
    graph.constant("word.most", np.array(_MOST, np.uint8))
    graph.constant("word.four", np.array(4, np.uint8))
    graph.constant("word.middle", np.array(_MIDDLE, np.float32))
    graph.constant("word.shape", np.array([0, 0, table.shape[1]], np.int64))
    rows = graph.node("Gather", ["words", "ids"], "word.rows")
    low = graph.node("BitwiseAnd", [rows, "word.most"], "word.low")
    high = graph.node("BitShift", [rows, "word.four"], "word.high", direction="RIGHT")
    both = graph.node("Concat", [low, high], "word.both", axis=-1)
    whole = graph.node(
        "Sub", [graph.node("Cast", [both], "word.cast", to=TensorProto.FLOAT), "word.middle"], "word.whole"
    )
    scale = graph.node("Gather", ["words.scale", "ids"], "word.scale")
    scaled = graph.node("Mul", [whole, graph.node("Cast", [scale], "word.wide", to=TensorProto.FLOAT)], "word.scaled")
    return graph.node("Reshape", [scaled, "word.shape"], "word")
