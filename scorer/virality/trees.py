"""Gradient-boosted trees, read from JSON and walked in plain Python: the forecaster needs no numerical library at run time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

Node = tuple[int, float, Any, Any] | float
"""(feature, threshold, where it is at most that, where it is more), or the value of a leaf."""


class FlatTree(msgspec.Struct, array_like=True):
    """As it is stored: node 0 is the root; a leaf has feature -1 and its value as threshold."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]


class FlatEnsemble(msgspec.Struct):
    baseline: float
    trees: list[FlatTree]


@dataclass(frozen=True, slots=True)
class Ensemble:
    baseline: float
    roots: tuple[Node, ...]

    def __call__(self, x: Sequence[float]) -> float:
        total = self.baseline
        for root in self.roots:
            node: Any = root
            while node.__class__ is tuple:
                feature, threshold, low, high = node
                node = low if x[feature] <= threshold else high
            total += node
        return total


def grown(flat: FlatEnsemble) -> Ensemble:
    return Ensemble(flat.baseline, tuple(_node(tree, 0) for tree in flat.trees))


def _node(tree: FlatTree, at: int) -> Node:
    if tree.feature[at] < 0:
        return tree.threshold[at]
    return tree.feature[at], tree.threshold[at], _node(tree, tree.left[at]), _node(tree, tree.right[at])
