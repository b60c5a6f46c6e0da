"""Where a value stands in JSON: `$.ticket.id`, `$.result[0].sys_id`, `$['a name']`. Pure.

A strict part of JSONPath, and on purpose no more: one place and never many, so that looking costs no more than the path is
long. The libraries for JSONPath and JMESPath walk whole documents (`..`), filter by expressions and some by regular
expressions, all of which a stranger's answer could make slow; and an answer that holds two ids is a mistake to be seen, not
a choice to be made here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, StringConstraints

MAX_STEPS: Final = 20
MAX_CHARS: Final = 200
"""Of a path. Of a value, too: no id of a ticket is longer."""

_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]{0,99})|\['([^'\\\x00-\x1f]{1,100})'\]|\[([0-9]{1,4})\]")


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[str | int, ...]:
    """Raises `ValueError` if this is no path of ours."""
    if not path.startswith("$") or len(path) > MAX_CHARS:
        raise ValueError("a path begins with $ and has at most 200 characters")
    found: list[str | int] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None or len(found) == MAX_STEPS:
            raise ValueError("a path is made of .name, ['name'] and [number], at most 20 of them")
        found.append(int(step[3]) if step[3] is not None else step[1] or step[2])
        at = step.end()
    return tuple(found)


def _checked(path: str) -> str:
    steps(path)
    return path


Place = Annotated[str, StringConstraints(max_length=MAX_CHARS), AfterValidator(_checked)]


def at(document: Any, path: str) -> Any:
    """Returns what stands there, or `None`."""
    for step in steps(path):
        if isinstance(step, int):
            document = document[step] if isinstance(document, list) and step < len(document) else None
        else:
            document = document.get(step) if isinstance(document, Mapping) else None
        if document is None:
            return None
    return document


def text_at(document: Any, path: str | None, chars: int = MAX_CHARS) -> str | None:
    """Returns the text or the number there as a text, without what cannot be printed, or `None` if there is none or it is
    empty."""
    found = None if path is None else at(document, path)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    if isinstance(found, int) and abs(found) >= 10**30:
        return None
    text = "".join(char if char.isprintable() or char == "\n" else " " for char in str(found)[: 4 * chars])
    return text.strip()[:chars].strip() or None
