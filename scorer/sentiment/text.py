"""One spelling for every post, the same while training and while serving: a model reads only what it was shown.

Pure.
"""

from __future__ import annotations

import html
import re
import unicodedata

MAX_TOKENS = 96
"""Special ones included. 99 % of tweets have fewer than 64; the rest is cut and counted."""

MAX_CHARS = 2_000
"""Cut before any expression runs over the text: 96 tokens never need more, and a flood of emoji must not cost
seconds."""

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
    """The text as the model reads it: entities and escapes resolved, addresses as `http`, handles as `@user`, emoji as
    their names (the base knows no emoji, and they carry much of the mood), humps of hashtags apart, stretched letters
    shortened to three, white space folded. Empty when nothing is left to read. Models that know emoji take them as they
    are (`name_signs=False`)."""
    text = _ESCAPE.sub(_unescape, html.unescape(text[:MAX_CHARS]))
    text = text.replace('\\"', '"').replace('""', '"')
    text = _URL.sub(_URL_WORD, text)
    text = _HANDLE.sub(_HANDLE_WORD, text)
    text = _HASHTAG.sub(_apart, text)
    if name_signs and not text.isascii():
        text = _name_signs(text)
    text = _STRETCH.sub(r"\1\1\1", text)
    return _SPACE.sub(" ", text).strip()


def says_something(spelled: str) -> bool:
    """Whether a spelled text holds anything but addresses, handles and punctuation."""
    rest = spelled.replace(_HANDLE_WORD, " ").replace(_URL_WORD, " ")
    return any(letter.isalnum() for letter in rest)


def _unescape(match: re.Match[str]) -> str:
    """What some archives leave of a sign. Halves of a pair stay out: they are no text."""
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
