"""A word has one owner: no class is defined twice within a service, and no state of the alerter is typed by hand."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

from alerter import states
from tests.architecture.graph import ROOT, SERVICES

STATES: Final = Path(states.__file__)
ENUMS: Final = [one for one in vars(states).values() if isinstance(one, type) and issubclass(one, StrEnum)]
"""Those of the alerter, and `IncidentState`, which it imports."""
WORDS: Final = frozenset(member.value for enum in ENUMS for member in enum)
CALLS: Final = frozenset({"values", "where", "filter", "filter_by", "having", "in_", "not_in", "is_", "is_not"})
"""Methods by which a query or a statement is told a value."""


@pytest.mark.parametrize("service", SERVICES)
def test_no_class_name_is_defined_twice_within_a_service(service: str) -> None:
    """Nested and private ones too: whoever searches for a name finds one definition."""
    places = defaultdict(list)
    for path in sorted((ROOT / service).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def typed_by_hand(source: str) -> list[tuple[int, str]]:
    """(line, word) of each state that is compared, stored, asked for or collected as a bare string.

    A string that only says something (a label, a key of JSON, a word for people) is not one of these.
    """
    literals = (literal for node in ast.walk(ast.parse(source)) for literal in _decisive(node))
    return sorted({(one.lineno, str(one.value)) for one in literals if one.value in WORDS})


def _decisive(node: ast.AST) -> Iterator[ast.Constant]:
    """The strings in this node upon which something is decided."""
    if isinstance(node, ast.Compare):
        for side in (node.left, *node.comparators):
            yield from _strings(side)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
        for value in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _strings(value)
    elif isinstance(node, ast.Set):
        yield from _strings(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"}:
        for value in node.args:
            yield from _strings(value)
    elif isinstance(node, ast.MatchValue):
        yield from _strings(node.value)


def _strings(node: ast.expr) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from _strings(element)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _strings(value)
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)


@pytest.mark.parametrize("path", sorted((ROOT / "alerter").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_state_of_the_alerter_is_typed_by_hand(path: Path) -> None:
    if path != STATES and "versions" not in path.parts:  # a migration knows the words of its day
        assert typed_by_hand(path.read_text(encoding="utf-8")) == [], "use the enum in alerter/states.py"


def test_what_counts_as_a_state_typed_by_hand() -> None:
    for source in (
        'row.state == "pending"',
        'x not in ("resolved", other)',
        'insert(pages).values(state="sent")',
        'update(pages).values({"state": "sent" if arrived else "failed"})',
        'select(pages).where(pages.c.state.in_(["sent"]))',
        'OVER = frozenset(("resolved", "averted"))',
        'OVER = {"resolved"}',
        'match state:\n    case "sent":\n        pass',
    ):
        assert typed_by_hand(source), source
    for source in ('{"status": "resolved"}', 'label("sent")', 'notice("resolved", why)', 'kind == "page"', '"sent"'):
        assert not typed_by_hand(source), source
