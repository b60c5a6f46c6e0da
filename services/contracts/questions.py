"""Recognises a question: a question mark of any script, after a word and not inside a link. Pure.

No model decides this: a brand that promises answers owes one to everybody who writes a question mark, in any language.
"""

from __future__ import annotations

import re
from typing import Final

_LINK: Final = re.compile(r"https?://\S+")
_ASKS: Final = re.compile(r"\w[^\w?\uff1f\u061f\u037e\u1367]{0,5}[?\uff1f\u061f\u037e\u1367]")
"""A Latin, full-width, Arabic, Greek or Ethiopic question mark, at most a few signs after a word."""


def asks(text: str | None) -> bool:
    """Returns True if the text asks something."""
    return text is not None and _ASKS.search(_LINK.sub(" ", text)) is not None
