"""The one form in which names and words are compared, whatever a keyboard makes of them, and the way back to the text as it
travels. Pure.

Equal are: capitals and small letters, wide and styled letters, Latin and Greek letters with and without accents, apostrophes of
all kinds, hyphens of all kinds, and texts with and without invisible characters; runs of blanks are one blank. Marks that make
another letter (й, が, the vowels of Hindi) stay. Brands, relevance and topics look at `fold`; a model reads `plain`, because
case, accents and blanks carry some of what it reads.

All take time in proportion to the text: `fold` in a few passes of compiled code, `origins`, which is asked only of texts that
may name somebody, character by character where a word is not plain ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from services.contracts.letters import ACCENTED, ACCENTS, FOLDED, INVISIBLE, PLAIN, STACKING

MOST_MARKS: Final = 32
"""No language puts more marks on one letter. More are cut: normalising them takes time with the square of their number."""

_JAMO: Final = "\u1160", "\u11ff"
"""Vowels and final consonants of Hangul, which make one syllable with what stands before them."""
_STRETCH: Final = re.compile(r"[!-~]+(?: [!-~]+)*(?!\S)|\S+")
"""Plain ASCII words with single blanks between them, which fold one to one; or one word of any kind."""
_TOWER: Final = re.compile(rf"([{STACKING}]{{{MOST_MARKS}}})[{STACKING}]+")
_ACCENTED: Final = re.compile(rf"([{ACCENTED}])[{ACCENTS}]+")


Origin = tuple[int, int]
"""From where to where in a text the characters stand from which one character of its folded form was made."""


def fold(text: str) -> str:
    """The text in the form in which names and words are compared."""
    if text.isascii():
        return " ".join(text.lower().replace("`", "'").split())
    return " ".join(_fold_letters(text).split())


def plain(text: str) -> str:
    """The text with its signs and styled letters made plain, and otherwise as it was written."""
    return text.replace("`", "'") if text.isascii() else text.translate(PLAIN)


def few_marks(text: str) -> str:
    """The text with at most `MOST_MARKS` marks in a row, so that normalising it takes time in proportion to it."""
    return text if text.isascii() else _TOWER.sub(r"\1", text)


def _fold_letters(text: str) -> str:
    folded = text.translate(FOLDED)
    if folded.isascii():
        return folded.lower()
    folded = unicodedata.normalize("NFKC", few_marks(folded)).casefold()
    # Some letters come apart only here: wide ones with an accent, ligatures, Turkish capitals.
    folded = _ACCENTED.sub(r"\1", folded.translate(FOLDED))
    return unicodedata.normalize("NFKC", few_marks(folded)) if not folded.isascii() else folded


def origins(text: str) -> list[Origin]:
    """Where each character of `fold(text)` comes from.

    Characters that fold together (a letter with its marks, a ligature) have the same origin; a blank comes from all that
    stands between its neighbours.
    """
    found: list[Origin] = []
    for stretch in _STRETCH.finditer(text):
        begin, end = stretch.span()
        if stretch[0].isascii():
            made = list(zip(range(begin, end), range(begin + 1, end + 1), strict=True))
        else:
            made = _origins_in(stretch[0], begin)
        if made and found:
            found.append((found[-1][1], made[0][0]))
        found += made
    return found


def _origins_in(word: str, begin: int) -> list[Origin]:
    """The origins of a word that begins at `begin`. Some characters fold to a blank and a mark."""
    pieces = list(_pieces(word))
    whole = _fold_letters(word)
    if "".join(folded for _, _, folded in pieces) != whole:
        # A later Unicode may join what is apart today. The whole word is a place too, if a coarse one.
        pieces = [(0, len(word), whole)]
    found: list[Origin] = []
    parted = False
    for start, end, folded in pieces:
        for char in folded:
            if char.isspace():
                parted = True
                continue
            if parted and found:
                found.append((found[-1][1], begin + start))
            found.append((begin + start, begin + end))
            parted = False
    return found


def _pieces(word: str) -> Iterator[tuple[int, int, str]]:
    """The pieces of a word that fold each by itself, as (start, end, folded). Invisible characters at the ends of a piece
    belong to none."""
    piece, start, end = "", 0, 0
    for at, char in enumerate(word):
        if ord(char) in INVISIBLE:
            continue
        if piece and not _attaches(char):
            yield start, end, _fold_piece(piece)
            piece = ""
        if not piece:
            start = at
        piece += char
        end = at + 1
    if piece:
        yield start, end, _fold_piece(piece)


@lru_cache(maxsize=4096)
def _attaches(char: str) -> bool:
    """Returns True if the character may fold together with the one before it."""
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.category(first)[0] == "M" or _JAMO[0] <= first <= _JAMO[1]


def _fold_piece(piece: str) -> str:
    return _fold_character(piece) if len(piece) == 1 else _fold_letters(piece)


@lru_cache(maxsize=4096)
def _fold_character(char: str) -> str:
    return _fold_letters(char)
