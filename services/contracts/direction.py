"""Keeps foreign text from changing the direction of ours: whoever posts chooses letters that run from right to left, and
characters that turn around whatever follows them. Pure.

A control that turns text around is never passed on. Letters that run from right to left are, set apart from what stands beside
them: on our pages by `<bdi>`, in plain text by Unicode's isolates (UAX #9).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

FIRST_STRONG_ISOLATE: Final = "\u2068"
POP_ISOLATE: Final = "\u2069"
TURNING: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Embeddings, overrides and isolates, with their ends. The marks (LRM, RLM, ALM) turn nothing but themselves and stay: texts
that are written from right to left need them."""
_JOINERS: Final = "\u200c\u200d"
_HIDDEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_FROM_RIGHT: Final = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_RUN: Final = re.compile(rf"[{_FROM_RIGHT}](?:(?:[{_FROM_RIGHT}\d_]|[^\w\n])*[{_FROM_RIGHT}])?")
"""From the first such letter to the last before a letter that runs from left to right."""


def settled(text: str) -> str:
    """The text without what turns other text around."""
    return text.translate(TURNING)


def isolated(text: str) -> str:
    """The text for a plain place: on each line, what runs from right to left is set apart from what stands beside it."""
    return _RUN.sub(lambda run: f"{FIRST_STRONG_ISOLATE}{run[0]}{POP_ISOLATE}", settled(text))


def shown_name(name: str) -> str:
    """A name with a sign in the place of each character that nobody sees. It is not taken out, or the name would become that
    of somebody else."""
    if name.isprintable():
        return name
    return "".join(
        "\ufffd" if unicodedata.category(char) in _HIDDEN and char not in _JOINERS else char for char in name
    )
