"""Where a word, a hashtag, a handle, a mail address or a link begins and ends in a folded text (`spelling.fold`). Pure.

The edges of words are judged by their script: where letters of another script begin, or those of a script that is written
without spaces, a word ends. Only what can be a mail address is one: its part before the @ is plain ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
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
_NO_SCRIPT: Final = frozenset({"", "COMBINING", "MODIFIER"})
_IN_LINKS: Final = f'[^\\s<>"{_UNSPACED.pattern[1:-1]}]'
"""A word of a script without spaces ends a link: people write on right behind it."""
_ENDINGS: Final = (
    "com|net|org|info|biz|io|app|dev|ai|co|me|tv|ly|gl|gg|xyz|shop|store|online|site|blog|news|page|link|live|cloud|tech|edu|gov"
    "|eu|uk|us|ca|au|nz|ie|in|sg|my|ph|za|ng|ke|de|at|ch|fr|be|nl|lu|es|pt|it|pl|cz|sk|hu|ro|bg|gr|se|no|dk|fi|is|ee|lv|lt|ua|ru"
    "|tr|il|ae|sa|eg|br|mx|ar|cl|pe|cn|jp|kr|tw|hk|th|vn|id|social|example|test"
)
_LINK: Final = re.compile(
    rf"https?://{_IN_LINKS}+|(?<![\w@.-])www\.{_IN_LINKS}+"
    rf"|(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_ENDINGS})(?::[0-9]{{1,5}})?(?:/|[?#](?=\w)){_IN_LINKS}*"
)
"""A link with its scheme, or a host with a path behind it. A host alone (`acme.com`) is the name of a company."""


def stands_as_name(text: str, start: int, end: int) -> bool:
    if start and (text[start - 1] == "@" or _joined(text[start - 1], text[start])):
        return False
    if end == len(text):
        return True
    is_mail = _mails(text[end - 1]) and text[end] == "@" and end + 1 < len(text) and _is_word(text[end + 1])
    return not (_joined(text[end - 1], text[end]) or is_mail)


def stands_as_hashtag(text: str, start: int, end: int) -> bool:
    """Tags go on to the next blank in every script. They may begin right behind a word of another script."""
    if start and start + 1 < end and _joined(text[start - 1], text[start + 1]):
        return False
    return not (end < len(text) and _is_word(text[end]))


def stands_as_handle(text: str, start: int, end: int, network: str) -> bool:
    if start and (text[start - 1] in "@/" or _mails(text[start - 1])):
        return False
    if end == len(text):
        return True
    marks = "@" if network in _DOTLESS else "@" + _HANDLE_MARKS
    return not (_joined(text[end - 1], text[end]) or _joined_over(text, end, marks))


def addresses(text: str, network: str) -> Iterator[tuple[int, int]]:
    """The mail addresses and handles in a folded text: each @ with the words around it that belong to it."""
    at = text.find("@")
    while at >= 0:
        start, end = at, at + 1
        while start and (_mails(text[start - 1]) or _mails_on(text, start - 1)):
            start -= 1
        is_mail = start < at
        marks = "" if not is_mail and network in _DOTLESS else _HANDLE_MARKS
        while end < len(text) and (_spells_on(text, end) or _goes_on(text, end, marks)):
            end += 1
        if end > at + 1:
            yield start, end
        at = text.find("@", at + 1)


def links(text: str) -> Iterator[tuple[int, int]]:
    """The links in a folded text, with and without their scheme."""
    if "/" in text or "www." in text or "?" in text or "#" in text:
        for match in _LINK.finditer(text):
            yield match.span()


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_" or (not char.isascii() and unicodedata.category(char)[0] == "M")


def _joined(left: str, right: str) -> bool:
    """Returns True if two neighbours belong to one word."""
    if not (_is_word(left) and _is_word(right)):
        return False
    if left.isascii() and right.isascii():
        return True
    if not right.isascii() and unicodedata.category(right)[0] == "M":
        return True  # a mark belongs to the letter before it, in every script
    if _UNSPACED.match(left) or _UNSPACED.match(right):
        return False
    one, other = _script(left), _script(right)
    return one in _NO_SCRIPT or other in _NO_SCRIPT or one == other


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """The script of a letter or mark, by the first word of its name; empty for digits, which stand in all of them."""
    if not (char.isalpha() or unicodedata.category(char)[0] == "M"):
        return ""
    return unicodedata.name(char, "").partition(" ")[0]


def _joined_over(text: str, at: int, marks: str) -> bool:
    """Returns True if one of `marks` stands at `at`, between two characters that would belong to one word without it."""
    return text[at] in marks and at + 1 < len(text) and _joined(text[at - 1], text[at + 1])


def _mails(char: str) -> bool:
    """Returns True if a mail address can have it before its @."""
    return char.isascii() and _is_word(char)


def _mails_on(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at] in _LOCAL_MARKS and _mails(text[at - 1]) and _mails(text[at + 1])


def _spells(char: str) -> bool:
    """Returns True if addresses are spelled with it: a word of a script without spaces ends them."""
    return _is_word(char) and not _UNSPACED.match(char)


def _spells_on(text: str, at: int) -> bool:
    """Returns True if an address goes on at `at`: letters of another script than the one before end it."""
    return _spells(text[at]) and (not _is_word(text[at - 1]) or _joined(text[at - 1], text[at]))


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
