"""Refuses YAML that is small as a text and large in memory, before anything is built of it: aliases that multiply each other
("a billion laughs"), lists within lists within lists, and nodes that contain themselves.

It looks at the parser's events, one after the other: whatever the text says, nothing here is recursive or larger than the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_CHARS: Final = 10_000_000
MAX_DEPTH: Final = 50
"""The configuration needs seven levels."""
MAX_NODES: Final = 500_000
"""Values and keys, each as often as an alias repeats it. A thousand brands with fifty names each have a tenth of them."""


class TooMuch(Exception):
    """The text says more than a configuration has to say. `line` is where it does."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(slots=True)
class _Open:
    """A node with all that it contains so far."""

    anchor: str | None
    nodes: int = 1
    height: int = 1


def check(text: str, loader: type[Any]) -> None:
    """Raises `TooMuch`, or `yaml.YAMLError` where `text` is not YAML."""
    if len(text) > MAX_CHARS:
        raise TooMuch(1, f"more than {MAX_CHARS:,} characters")
    whole: dict[str, _Open] = {}
    inside = [_Open(None)]
    for event in yaml.parse(text, Loader=loader):
        line = 1 + (event.start_mark.line if event.start_mark is not None else 0)
        if isinstance(event, yaml.CollectionStartEvent):
            inside.append(_Open(event.anchor))
            _bounded(line, inside, 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = inside.pop()
            if node.anchor is not None:
                whole[node.anchor] = node
            _add(line, inside, node)
        elif isinstance(event, yaml.ScalarEvent):
            scalar = _Open(event.anchor, height=0)
            if event.anchor is not None:
                whole[event.anchor] = scalar
            _add(line, inside, scalar)
        elif isinstance(event, yaml.AliasEvent):
            if any(node.anchor == event.anchor for node in inside):
                raise TooMuch(line, f"*{event.anchor} stands inside of what it repeats")
            _add(line, inside, whole.get(event.anchor or "", _Open(None)))


def _add(line: int, inside: list[_Open], node: _Open) -> None:
    """Count `node` into the one that is open."""
    inside[-1].nodes += node.nodes
    inside[-1].height = max(inside[-1].height, node.height + 1)
    _bounded(line, inside, node.height)


def _bounded(line: int, inside: list[_Open], height: int) -> None:
    if len(inside) - 1 + height > MAX_DEPTH:
        raise TooMuch(line, f"nested more than {MAX_DEPTH} levels deep")
    if inside[-1].nodes > MAX_NODES:
        raise TooMuch(line, f"more than {MAX_NODES:,} values, with those that aliases repeat")
