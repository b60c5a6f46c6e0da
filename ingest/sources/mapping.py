"""Makes items as `POST /v1/posts` takes them of documents in somebody else's shape, by the operator's `mapping`. Pure.

An expression that finds nothing leaves its field out; numbers become texts where a text is wanted, because vendors write ids in
either way. What an item lacks is said where it is checked like any other.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping as Map
from collections.abc import Sequence
from typing import Any, Final

import jmespath

from services.config.connectors.mapped import Mapping

_NUMBERS: Final = frozenset({"author.followers"})
_FLAGS: Final = frozenset({"author.verified", "backfill"})
_LISTS: Final = frozenset({"brands"})


def items_of(document: Any, mapping: Mapping, network: str) -> Sequence[Map[str, Any]]:
    """The items in one document. Raises `ValueError` if it holds none."""
    found = document if mapping.items is None else _compiled(mapping.items).search(document)
    several = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in several):
        raise ValueError("expected an object, or a list of objects")
    return [_item(one, mapping, network) for one in several]


def _item(document: dict[str, Any], mapping: Mapping, network: str) -> dict[str, Any]:
    item: dict[str, Any] = {} if mapping.fields else dict(document)
    for field, expression in mapping.fields.items():
        value = _fitting(field, _compiled(expression).search(document))
        if value is not None:
            _put(item, field, value)
    for field, value in mapping.always.items():
        _put(item, field, value)
    item.setdefault("network", network)
    item.setdefault("kind", "original")
    return item


def _put(item: dict[str, Any], field: str, value: Any) -> None:
    outer, _, inner = field.rpartition(".")
    if not outer:
        item[inner] = value
        return
    part = item.setdefault(outer, {})
    if isinstance(part, dict):
        part[inner] = value


def _fitting(field: str, value: Any) -> Any:
    """The value as its field wants it, where that is beyond doubt."""
    if value is None or value == "":
        return None
    if field in _NUMBERS or field.startswith("counters."):
        return int(value) if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20 else value
    if field in _FLAGS:
        said = value.strip().lower() if isinstance(value, str) else value
        return (
            {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(said, value)
            if isinstance(said, str)
            else value
        )
    if field in _LISTS:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@functools.lru_cache(maxsize=2048)
def _compiled(expression: str) -> Any:
    return jmespath.compile(expression)
