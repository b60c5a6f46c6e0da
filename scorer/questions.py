"""Whether a text asks something: a question mark in a script of the world, after words, not inside a link. Pure.

No model reads this: a brand that promises an answer owes it to whoever writes a question mark, in any language.
"""

from __future__ import annotations

import re
from typing import Final

_LINK: Final = re.compile(r"https?://\S+")
_ASKS: Final = re.compile(r"\w[^\w?\uff1f\u061f\u037e\u1367]{0,5}[?\uff1f\u061f\u037e\u1367]")
"""Latin, full-width, Arabic, Greek and Ethiopic question marks, at most a few signs after a word."""


def asks(text: str | None) -> bool:
    return text is not None and _ASKS.search(_LINK.sub(" ", text)) is not None
