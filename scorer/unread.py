"""What is known of a post that the model would not read. Pure."""

from __future__ import annotations

from typing import Final

from scorer.sentiment.model import Reading
from services.contracts.language_tags import language
from services.contracts.post import PostObserved

_LANGUAGE: Final = "language: "
"""How the reason begins for which a text in another language is not read (`scorer.sentiment.language`)."""
_WORDLESS: Final = frozenset({"no words", "no text"})


def is_wordless(reading: Reading) -> bool:
    """Returns True if the text holds nothing to read: pictures, links, handles, signs."""
    return reading.abstain in _WORDLESS


def found_language(reading: Reading) -> str | None:
    """The language for which a text was not read; `None` if that was not the reason."""
    reason = reading.abstain or ""
    return language(reason.removeprefix(_LANGUAGE)) if reason.startswith(_LANGUAGE) else None


def language_of(reading: Reading, post: PostObserved) -> str | None:
    """The language that the text was found to be in, or else the one that its tag states."""
    reason = reading.abstain or ""
    return found_language(reading) if reason.startswith(_LANGUAGE) else language(post.language)
