"""Which characters stand for which when names and words are compared: signs that differ by keyboard, letters that differ by
style, and letters that differ by an accent. Pure tables, for `spelling`."""

# ruff: noqa: RUF001 - letters that look like others are what is told apart

from __future__ import annotations

import unicodedata
from typing import Final


def _points(*ranges: tuple[int, int]) -> list[int]:
    return [point for first, last in ranges for point in range(first, last + 1)]


JOINERS: Final = dict.fromkeys((0x200C, 0x200D, 0xFE0E, 0xFE0F))
"""Invisible, but they make other letters and emoji of those beside them."""
_UNSEEN: Final = dict.fromkeys(
    _points(
        *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
        *((0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0D)),
        *((0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F), (0xE0100, 0xE01EF)),
    )
)
_UNWRITTEN: Final = dict.fromkeys(
    _points(
        *((0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7)),
        *((0x640, 0x640), (0x64B, 0x652), (0x670, 0x670)),
    )
)
"""The points of Hebrew and Arabic, which most people leave out, and the stroke that lengthens an Arabic word."""
INVISIBLE: Final = {**_UNSEEN, **JOINERS, **_UNWRITTEN}

_SIGNS: Final = {
    **dict.fromkeys(map(ord, "’‘‛`´′ʹʻʼʽˈˊˋ՚׳ꞌ＇｀"), "'"),
    **dict.fromkeys(map(ord, "‐‑‒–⁃−﹣－"), "-"),
    **dict.fromkeys(map(ord, "―⸺⸻﹘"), "—"),
}
"""Apostrophes and hyphens. A dash between clauses stays one: no name has it, and words do not go on after it."""


def _styled() -> dict[int, str]:
    letters = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
    found = {ord(small): plain for small, plain in letters.items()}
    for first in (0x1F150, 0x1F170):  # letters in black circles and squares, which Unicode takes for pictures
        found.update((first + n, chr(ord("A") + n)) for n in range(26))
    for point in _points((0x2460, 0x24FF), (0xFF01, 0xFF5E), (0x1D400, 0x1D7FF), (0x1F100, 0x1F149)):
        plain = unicodedata.normalize("NFKC", chr(point))
        if len(plain) == 1:
            found.setdefault(point, plain)
    return found


_LATIN_OR_GREEK: Final = _points((0xC0, 0x24F), (0x370, 0x3FF), (0x1E00, 0x1FFF))


def _bare() -> dict[int, str]:
    """Latin and Greek letters without their marks. Where a mark makes another letter (й, が) it stays."""
    found = {ord(letter): plain for letter, plain in zip("øØłŁđĐħĦŧŦıȷ", "oOlLdDhHtTij", strict=True)}
    found.update({ord("æ"): "ae", ord("Æ"): "AE", ord("œ"): "oe", ord("Œ"): "OE", ord("ð"): "d", ord("Ð"): "D"})
    for point in _LATIN_OR_GREEK:
        apart = unicodedata.normalize("NFD", chr(point))
        base, marks = apart[0], apart[1:]
        if marks and base.isalpha() and all(unicodedata.combining(mark) for mark in marks):
            found[point] = found.get(ord(base), base)
    return found


PLAIN: Final[dict[int, str | None]] = {**_UNSEEN, **_styled(), **_SIGNS}
"""What makes a text readable for whoever knows letters, but not their disguises."""
FOLDED: Final[dict[int, str | None]] = {**_bare(), **PLAIN, **INVISIBLE}
"""The same, and what people leave out when they type in a hurry."""

ACCENTED: Final = "a-z0-9\u00df-\u024f\u0250-\u02af\u03b1-\u03c9"
"""After these letters the marks of `ACCENTS` only decorate (as in a character class)."""
ACCENTS: Final = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"

STACKING: Final = "".join(chr(point) for point in range(0x300, 0x1E950) if unicodedata.combining(chr(point))) + (
    "\u0f73\u0f75\u0f81\uff9e\uff9f"
)
"""All characters that are sorted among their neighbours when a text is normalised, which takes the square of their number."""
