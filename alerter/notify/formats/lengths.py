"""Texts that are as short as they have to be: cut, or in parts. Pure, and imports nothing, because apprise's workers load it.

Parts are made line by line. An address that is cut leads nowhere, so one that does not fit is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST_PARTS: Final = 4
"""Of one message. More text messages than this are read by nobody."""
_TITLE_CHARS: Final = 120


def cut(text: str, chars: int) -> str:
    """At most so many characters; an ellipsis says that there was more."""
    return text if len(text) <= chars else text[: chars - 1] + "\u2026"


def parts(title: str, text: str, fits: Callable[[str], bool]) -> list[str]:
    """Returns a title and a text that are too long for one message in parts that `fits` says are short enough.

    There is at least one, and at most `MOST_PARTS`.
    """
    found: list[str] = []
    whole = f"{cut(title, _TITLE_CHARS)}\n{text}"
    for line in (piece for one in whole.split("\n") for piece in _pieces(one, fits)):
        joined = f"{found[-1]}\n{line}" if found else line
        if found and fits(joined):
            found[-1] = joined
        elif fits(line):
            found.append(line)
    return found[:MOST_PARTS] or [cut(title, 1)]


def _pieces(line: str, fits: Callable[[str], bool]) -> list[str]:
    """Returns a line in pieces that fit, cut between words where it can be."""
    pieces: list[str] = []
    while line and not fits(line) and "://" not in line:
        room = _room(line, fits)
        if room == 0:
            return pieces
        at = line.rfind(" ", 1, room + 1)
        piece = line[: at if at > 0 else room]
        pieces.append(piece)
        line = line[len(piece) :].lstrip()
    return [*pieces, line] if line and fits(line) else pieces


def _room(line: str, fits: Callable[[str], bool]) -> int:
    """Returns how many characters of a line fit."""
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(line[:middle]) else (low, middle - 1)
    return low
