"""Spells every post the same way in training and in use, so that a model reads nothing that it was not trained on. Pure."""

from __future__ import annotations

import html
import re
import unicodedata

from services.contracts.spelling import few_marks, plain

MAX_TOKENS = 96
"""Tokens of a text, special ones included. 99 % of tweets have fewer than 64; longer texts are cut and counted."""

MAX_CHARS = 2_000
"""Texts are cut to this length before any expression runs over them: 96 tokens never need more, and a flood of emoji must not
take seconds."""

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w@/])@\w+(?:@[\w-]+(?:\.[\w-]+)+)?")
_HASHTAG = re.compile(r"#(\w+)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STRETCH = re.compile(r"([^\W\d]|[!?.])\1{3,}")
_SPACE = re.compile(r"\s+")
_SIGN_NOISE = frozenset("\u200b\u200c\u200d\u2060\ufe0e\ufe0f\u20e3")
_SKIN = range(0x1F3FB, 0x1F400)
_REGIONAL = range(0x1F1E6, 0x1F200)
_REPEATED_SIGNS = 2
_HANDLE_WORD = "@user"
_URL_WORD = "http"


def spell(text: str, *, name_signs: bool = True) -> str:
    """The text as the model reads it; empty if nothing is left to read.

    Entities and escapes are resolved, and styled letters and odd signs made plain (`spelling.plain`). Links become `http`,
    handles `@user`, and emoji their names: the base knows no emoji, and they carry much of the mood. The words of a hashtag are
    set apart by their capitals, repeated letters are cut to three,
    and runs of white space become one blank. A model that knows emoji gets them as they are (`name_signs=False`).
    """
    text = plain(few_marks(_ESCAPE.sub(_unescape, html.unescape(text[:MAX_CHARS]))))
    text = text.replace('\\"', '"').replace('""', '"')
    text = _URL.sub(_URL_WORD, text)
    text = _HANDLE.sub(_HANDLE_WORD, text)
    text = _HASHTAG.sub(_apart, text)
    if name_signs and not text.isascii():
        text = _name_signs(text)
    text = _STRETCH.sub(r"\1\1\1", text)
    return _SPACE.sub(" ", text).strip()


def says_something(spelled: str) -> bool:
    """Returns True if a spelled text holds more than links, handles and punctuation."""
    rest = spelled.replace(_HANDLE_WORD, " ").replace(_URL_WORD, " ")
    return any(letter.isalnum() for letter in rest)


def _unescape(match: re.Match[str]) -> str:
    """The character of an escape that some archives hold; a blank for halves of a surrogate pair, which are no text."""
    sign = chr(int(match.group(1), 16))
    return sign if sign.isprintable() else " "


def _apart(match: re.Match[str]) -> str:
    return "#" + _HUMP.sub(" ", match.group(1))


def _name_signs(text: str) -> str:
    out: list[str] = []
    last, run = "", 0
    for sign in text:
        if sign in _SIGN_NOISE or ord(sign) in _SKIN:
            continue
        if ord(sign) < 0x2190 or ord(sign) in _REGIONAL or unicodedata.category(sign) != "So":
            out.append(sign)
            last = "" if not sign.isspace() else last
            continue
        run = run + 1 if sign == last else 1
        last = sign
        if run <= _REPEATED_SIGNS:
            out.append(f" {unicodedata.name(sign, '').lower().replace('-', ' ')} ")
    return "".join(out)
