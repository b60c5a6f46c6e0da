"""Gradient-boosted trees, compiled from numbers to Python's own code: no numerical library is needed at run time. Pure.

A tree becomes one nested conditional expression over local names, which the interpreter walks several times faster than a loop
would walk its nodes. The code is built with `ast` from the numbers alone: no text of a weights file is ever evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Final, cast

import msgspec

from services.base.errors import Damaged

MOST_DEPTH: Final = 60
Ensemble = Callable[[Sequence[float]], float]


class FlatTree(msgspec.Struct, array_like=True):
    """A tree as it is stored, with one entry for each node. Node 0 is the root; a leaf has feature -1, and its value stands in
    `threshold`."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]


class FlatEnsemble(msgspec.Struct):
    """Trees whose values are added to the baseline."""

    baseline: float
    trees: list[FlatTree]


def grown(flat: FlatEnsemble, features: int) -> Ensemble:
    """The ensemble as a function of a sequence of `features` numbers. Raises `Damaged` if the trees are malformed."""
    names = [f"x{number}" for number in range(features)]
    total = ast.Name("total", ast.Store())
    body: list[ast.stmt] = [
        ast.Assign(
            [ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())], ast.Name("x", ast.Load())
        ),
        ast.Assign([total], ast.Constant(flat.baseline)),
        *(ast.AugAssign(total, ast.Add(), _expression(tree, 0, names)) for tree in flat.trees),
        ast.Return(ast.Name("total", ast.Load())),
    ]
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg("x")], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.FunctionDef("ensemble", arguments, body, [], None)
    module = ast.fix_missing_locations(ast.Module([function], []))
    code = next(one for one in compile(module, "<trees>", "exec").co_consts if isinstance(one, CodeType))
    return cast("Ensemble", FunctionType(code, {}))


def _expression(tree: FlatTree, at: int, names: Sequence[str], depth: int = 0) -> ast.expr:
    """The subtree at a node as an expression: left where the feature is at most the threshold, right where it is more."""
    if not 0 <= at < len(tree.feature) or tree.feature[at] >= len(names) or depth > MOST_DEPTH:
        raise Damaged(f"a tree has no node {at}, asks for a feature that is not there, or is deeper than {MOST_DEPTH}")
    feature, threshold = tree.feature[at], float(tree.threshold[at])
    if feature < 0:
        return ast.Constant(threshold)
    return ast.IfExp(
        ast.Compare(ast.Name(names[feature], ast.Load()), [ast.LtE()], [ast.Constant(threshold)]),
        _expression(tree, tree.left[at], names, depth + 1),
        _expression(tree, tree.right[at], names, depth + 1),
    )
