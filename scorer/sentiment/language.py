"""Decides if a text is in a language that the model was trained on.

The text decides: by its frequent words, or where a small identifier (py3langid, naive Bayes over byte n-grams: Lui & Baldwin,
2012) is sure of it. Clients often state the language of the reader's menu instead of the post's, so the tag decides only what
is in doubt. An identifier only guesses on a few words, which are refused only where hardly any English text looks like them. In
doubt, and without a tag, the text is read: a complaint that nobody reads costs more than a strange one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from services.contracts.language_tags import language

Identify = Callable[[str], tuple[str, float]]
"""Takes a text and returns the likeliest language (ISO 639 code), and the probability that the text is in a language that the
model was trained on."""

TRAINED = frozenset({"en"})

_PLAIN_ENGLISH = (
    "the and you your my with this that have has not are they but just what when been why how from would could "
    "i'm i've don't can't didn't it's doesn't won't isn't because about there their will still never always "
    "worst ever nobody anyone since every being were been again lost"
)
"""Frequent English words that are no words of related languages."""
_PLAINLY = frozenset(_PLAIN_ENGLISH.split())

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NOISE = re.compile(r"@user|\bhttp\b|#\S+")

ENOUGH_PLAIN_WORDS = 2
FEWEST_WORDS = 3
"""On fewer words in Latin letters the identifier only guesses."""
CONFIDENT = 0.8
"""From this probability on a text is English whatever its tag says. Measured: so are 75 to 78 % of English posts, at most 1.4 %
of French, German, Italian, Spanish, Portuguese, Indonesian, Malay and Arabic ones, and 9 % of Hindi ones, which mix the two."""
DOUBT = 0.05
"""A text is read if it is English with at least this probability. Measured: refused are 0.2 % of English posts to brands and
1.2 % of English complaints; 98 to 99 % of French, Italian, Spanish and Arabic tweets, 88 to 89 % of German and Portuguese ones,
58 % of Hindi ones (mostly in Latin letters)."""
DOUBT_AGAINST_TAG = 0.005
"""The same for texts that are English by the network's tag."""
DOUBT_SHORT = 0.001
DOUBT_SHORT_AGAINST_TAG = 0.0003
"""The same for fewer than `FEWEST_WORDS`. Measured on one or two words: refused without a tag are 0.1 % of English ones, and 11
to 20 % of French, German, Spanish, Portuguese, Malay and Indonesian ones. (At 0.005 `lol ok` is Volapük.)"""


class Placed(NamedTuple):
    """What can be told about the language of a text: why a model should not read it, the language that it most likely is in,
    and the one that its tag states. The languages are `None` where nothing tells them, and where the text is surely in one that
    the model was trained on."""

    refusal: str | None
    found: str | None
    stated: str | None


SURELY_TRAINED = Placed(None, None, None)


class LanguageGate:
    """Refuses texts in languages that a model was not trained on (`trained`: ISO 639 codes). Loads its identifier once, which
    takes about 80 MB: models that work together share a gate."""

    def __init__(self, identify: Identify | None = None, trained: frozenset[str] = TRAINED) -> None:
        self._trained = frozenset(language(code) or code for code in trained)
        self._identify = identify or load_identifier(trained)

    def refuse(self, spelled: str, tag: str | None) -> str | None:
        """Why a spelled text should not be read (`language: xx`), or `None` if it should. `tag` is the network's BCP 47 tag, if
        it gives one."""
        return self.place(spelled, tag).refusal

    def place(self, spelled: str, tag: str | None) -> Placed:
        """What can be told about the language of a spelled text; `tag` as in `refuse`."""
        bare = _NOISE.sub(" ", spelled)
        words = _words(bare)
        if not words or ("en" in self._trained and is_plain_english(words)):
            return SURELY_TRAINED
        stated = language(tag)
        likeliest, probability = self._identify(bare)
        if probability >= CONFIDENT:
            return SURELY_TRAINED
        found = language(likeliest) or likeliest
        if stated is not None and stated not in self._trained:
            return Placed(f"language: {stated}", stated if _is_short(words) else found, stated)
        if found in self._trained:
            return Placed(None, found, stated)
        if probability >= _doubt(words, tagged=stated is not None):
            return Placed(None, stated if _is_short(words) else found, stated)
        return Placed(f"language: {found}", found, stated)

    def name(self, spelled: str, tag: str | None) -> str | None:
        """The language (ISO 639 code) of a spelled text as far as it can be told: by its frequent words, by the identifier, or
        on too few words by its tag. `None` if nothing tells it."""
        bare = _NOISE.sub(" ", spelled)
        words = _words(bare)
        if "en" in self._trained and is_plain_english(words):
            return "en"
        if not words or _is_short(words):
            return language(tag)
        likeliest, _ = self._identify(bare)
        return language(likeliest) or likeliest


def is_plain_english(words: Collection[str]) -> bool:
    """Returns True if enough of the words (in lower case) are frequent in English and in no related language."""
    return len(_PLAINLY.intersection(words)) >= ENOUGH_PLAIN_WORDS


def _words(bare: str) -> list[str]:
    return [word.replace("\u2019", "'").casefold() for word in _WORD.findall(bare)]


def _doubt(words: Collection[str], *, tagged: bool) -> float:
    """The probability of a trained language that a text of these words needs; `tagged` if its tag says that it is in one."""
    if _is_short(words):
        return DOUBT_SHORT_AGAINST_TAG if tagged else DOUBT_SHORT
    return DOUBT_AGAINST_TAG if tagged else DOUBT


def _is_short(words: Collection[str]) -> bool:
    """Returns True if an identifier only guesses on these words."""
    return _mostly_latin(words) and len(words) < FEWEST_WORDS


def _mostly_latin(words: Collection[str]) -> bool:
    """Returns True if most words are in Latin letters. (Those of other scripts are few and long; one of them is enough.)"""
    return 2 * sum(word < "\u0250" for word in words) > len(words)


def load_identifier(trained: frozenset[str] = TRAINED) -> Identify:
    """The identifier: py3langid, asked for the likeliest language and for the share of the `trained` ones."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        shares = {str(language): float(share) for language, share in identifier.rank(text)}
        return max(shares, key=shares.__getitem__), sum(shares.get(language, 0.0) for language in trained)

    return identify
