"""Where a word, a hashtag, a handle or a mail address begins and ends in a folded text (`spelling.fold`). Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_DOTLESS: Final = frozenset({"x", "twitter"})
"""Networks whose handles hold no dot: `@acme.Please` addresses @acme there, and @acme.please elsewhere."""
_LOCAL_MARKS: Final = ".+-"
"""What may stand between the words of a mail address before its @."""
_HANDLE_MARKS: Final = ".-"
"""What may stand between the words of a handle, and of a mail address after its @."""


def stands_as_name(text: str, start: int, end: int) -> bool:
    if start and (text[start - 1] == "@" or _joined(text[start - 1], text[start])):
        return False
    if end == len(text):
        return True
    return not (_joined(text[end - 1], text[end]) or _begins_at(text, end, "@"))


def stands_as_hashtag(text: str, start: int, end: int) -> bool:
    """Tags go on to the next blank in every script."""
    return not (start and _is_word(text[start - 1])) and not (end < len(text) and _is_word(text[end]))


def stands_as_handle(text: str, start: int, end: int, network: str) -> bool:
    if start and (text[start - 1] in "@/" or _is_word(text[start - 1])):
        return False
    if end == len(text):
        return True
    marks = "@" if network in _DOTLESS else "@" + _HANDLE_MARKS
    return not (_joined(text[end - 1], text[end]) or _begins_at(text, end, marks))


def addresses(text: str, network: str) -> Iterator[tuple[int, int]]:
    """The mail addresses and handles in a folded text: each @ with the words around it that belong to it."""
    at = text.find("@")
    while at >= 0:
        start, end = at, at + 1
        while start and (_spells(text[start - 1]) or _goes_on(text, start - 1, _LOCAL_MARKS)):
            start -= 1
        is_mail = start < at
        marks = "" if not is_mail and network in _DOTLESS else _HANDLE_MARKS
        while end < len(text) and (_spells(text[end]) or _goes_on(text, end, marks)):
            end += 1
        if end > at + 1:
            yield start, end
        at = text.find("@", at + 1)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_" or (not char.isascii() and unicodedata.category(char)[0] == "M")


def _joined(left: str, right: str) -> bool:
    """Returns True if two neighbours belong to one word."""
    if not (_is_word(left) and _is_word(right)):
        return False
    if not right.isascii() and unicodedata.category(right)[0] == "M":
        return True  # a mark belongs to the letter before it, in every script
    return not (_UNSPACED.match(left) or _UNSPACED.match(right))


def _begins_at(text: str, at: int, marks: str) -> bool:
    """Returns True if one of `marks` stands at `at`, with a word after it."""
    return text[at] in marks and at + 1 < len(text) and _is_word(text[at + 1])


def _spells(char: str) -> bool:
    """Returns True if addresses are spelled with it: a word of a script without spaces ends them."""
    return _is_word(char) and not _UNSPACED.match(char)


def _goes_on(text: str, at: int, marks: str) -> bool:
    """Returns True if one of `marks` stands at `at`, between two characters that addresses are spelled with."""
    return 0 < at < len(text) - 1 and text[at] in marks and _spells(text[at - 1]) and _spells(text[at + 1])


_MARKS: Final = "".join(chr(at) for at in range(0x300, 0x1E00) if unicodedata.category(chr(at))[0] == "M")
_TOKEN: Final = re.compile(f"{_UNSPACED.pattern}[{_MARKS}]*|(?:(?!{_UNSPACED.pattern})[^\\W_][{_MARKS}]*)+")


def tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a folded text from left to right, as (word, start, end). Each letter of a script without spaces, with its
    marks, is a word of its own: there any of them may begin or end one."""
    for match in _TOKEN.finditer(text):
        yield match[0], match.start(), match.end()
