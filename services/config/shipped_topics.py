"""The topics that ship, with their words in the languages in which brands are written about (`topics.txt`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TYPED_BARE: Final = frozenset({"cs", "es", "fr", "it", "nl", "pl", "pt", "ro", "tr"})
"""Languages in which people in a hurry leave accents out. (In Vietnamese the word would be another one.)"""
_SPELLED_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_BARE: Final = str.maketrans({"ł": "l", "\u0131": "i"})


def read_topics(path: Path) -> dict[str, tuple[str, ...]]:
    """The words of each topic in a file of lines `topic language: word, word`. Raises `ValueError` that names a line that is
    not one."""
    topics: dict[str, dict[str, None]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        head, colon, words = line.partition(": ")
        topic, _, language = head.partition(" ")
        if not colon or not language:
            raise ValueError(f"{path.name}:{number}: expected `topic language: words`")
        known = topics.setdefault(topic, {})
        for word in words.split(","):
            known.update(dict.fromkeys(_spellings(word.strip(), language)))
    return {topic: tuple(words) for topic, words in topics.items()}


def _spellings(word: str, language: str) -> Iterator[str]:
    yield word
    if language == "de":
        yield word.translate(_SPELLED_OUT)
    elif language in TYPED_BARE:
        apart = unicodedata.normalize("NFD", word.translate(_BARE))
        yield "".join(sign for sign in apart if not unicodedata.combining(sign))


SHIPPED_TOPICS: Final = read_topics(Path(__file__).with_name("topics.txt"))
"""What a rule may ask for without defining it: danger to people, recalls, data and money in the wrong hands, the law and the
press, and somebody who may harm themselves."""
