"""Recognises copies: many people who publish one text are one voice, many who say the same in their own words are many. Pure.

A text is compared by the set of its words, without handles, hashtags, links, numbers and emoji. A long text that agrees with
one of the last ones in nearly all of its words is a copy: nobody has ten words in common with a stranger by chance. Short texts
are alike by chance ("app down again"), so they are copies only where one of them, word for word, is most of what is said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final
from zlib import crc32

import msgspec

from services.stream.state import KeyedState

STATE_VERSION: Final = 1
LONG_WORDS: Final = 10
"""A text with so many different words is long."""
LEAST_WORDS: Final = 4
"""A text with fewer words proves nothing, however often it comes."""
ALIKE: Final = 0.8
"""Two long texts are copies if so large a share of all their words is in both: with one word in ten changed they are."""
REMEMBERED: Final = 64
"""Long texts that a new one is compared with, and short ones among which one may stand out, by brand."""
LEAST_COPIES: Final = 8
MOST_SHARE: Final = 0.5
"""A short text is a copy when it came so often among the last ones, and makes up more than this share of them."""
MOST_CHARACTERS: Final = 1_000
MOST_WORDS: Final = 60
_ADDRESS: Final = re.compile(r"https?://\S+|www\.\S+|@[\w.\-]+(?:@[\w.\-]+)?|[#\uff03]\w+")
_WORD: Final = re.compile(r"[^\W\d_]+")
_APOSTROPHE: Final = re.compile("['\u2019]")
_NUMBER: Final = re.compile(r"\d+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_PIECE: Final = 2
"""Letters that stand for a word in a script that writes no spaces."""


class Texts(msgspec.Struct, array_like=True):
    """The last texts about one brand that waited for an answer: the words of the long ones, the names of the short ones."""

    voices: list[str] = msgspec.field(default_factory=list)
    words: list[list[int]] = msgspec.field(default_factory=list)
    short: list[str] = msgspec.field(default_factory=list)

    def like(self, words: frozenset[int]) -> str | None:
        """The voice of a long text that these words are a copy of, which is the newest from now on; `None` if there is none."""
        for number in range(len(self.words) - 1, -1, -1):
            other = self.words[number]
            if not ALIKE <= len(words) / len(other) <= 1 / ALIKE:
                continue
            both = len(words.intersection(other))
            if both >= ALIKE * (len(words) + len(other) - both):
                self.words.append(self.words.pop(number))
                self.voices.append(self.voices.pop(number))
                return self.voices[-1]
        return None

    def remember(self, voice: str, words: frozenset[int]) -> None:
        """Keep a long text that is like none before it, and forget the one that was not seen for longest."""
        self.voices = [*self.voices, voice][-REMEMBERED:]
        self.words = [*self.words, sorted(words)][-REMEMBERED:]

    def same(self, voice: str, text: str | None) -> str:
        """The voice that this text is a copy of, where another lane may have heard the first of them: `voice` if it is new."""
        words = words_of(text or "")
        if len(words) < LONG_WORDS:
            return voice
        known = self.like(hashed := _hashed(words))
        if known is None:
            self.remember(voice, hashed)
        return known or voice

    def stands_out(self, voice: str) -> bool:
        """Remember a short text. Returns True if it is most of what was said lately."""
        self.short = [*self.short, voice][-REMEMBERED:]
        times = self.short.count(voice)
        return times >= LEAST_COPIES and times > MOST_SHARE * len(self.short)


class Copies:
    """The last texts by brand, in the lane's state."""

    def __init__(self) -> None:
        self._brands = KeyedState("w:", Texts, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state."""
        self._brands.restore(entries)

    def voice(self, brand: str, text: str | None) -> str | None:
        """The voice that speaks in this text: the same one for all copies of a text. `None` for words of one's own."""
        words = words_of(text or "")
        if len(words) < LEAST_WORDS:
            return None
        known = self._brands.get(brand) or Texts()
        self._brands.put(brand, known, None)
        if len(words) >= LONG_WORDS:
            hashed = _hashed(words)
            voice = known.like(hashed)
            if voice is None:
                voice = _voice_of(words)
                known.remember(voice, hashed)
            return voice
        # The numbers are what tells two short reports apart.
        voice = _voice_of(words | set(_NUMBER.findall(text or "")))
        return voice if known.stands_out(voice) else None

    def changes(self) -> dict[str, bytes | None]:
        """What was put since the last call, as it is to be committed."""
        return self._brands.changes()


def words_of(text: str) -> set[str]:
    """The different words of a text, in one spelling. Where no spaces are written, pairs of letters stand for them."""
    plain = unicodedata.normalize("NFKC", _ADDRESS.sub(" ", text[:MOST_CHARACTERS])).casefold()
    words = _WORD.findall(_APOSTROPHE.sub("", plain))
    found = set(words) if plain.isascii() else set[str]()
    for word in words if not found else ():
        if _UNSPACED.search(word):
            found.update(word[at : at + _PIECE] for at in range(max(1, len(word) - _PIECE + 1)))
        else:
            found.add(word)
    return set(sorted(found)[:MOST_WORDS])


def _hashed(words: set[str]) -> frozenset[int]:
    return frozenset(crc32(word.encode("utf-8", "surrogatepass")) for word in words)


def _voice_of(words: set[str]) -> str:
    return blake2b(" ".join(sorted(words)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
