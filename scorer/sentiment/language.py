"""Decides if a text is in a language that the model was trained on.

Frequent words of the text decide first, then the language that the network states, then a small identifier (py3langid, naive
Bayes over byte n-grams: Lui & Baldwin, 2012). Networks often state the language of the reader's menu instead of the post's, and
an identifier only guesses on a few words. In doubt the text is read: a complaint that nobody reads costs more than a strange
one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Identify = Callable[[str], tuple[str, float]]
"""Takes a text and returns the likeliest language (ISO 639 code), and the probability that the text is in a language that the
model was trained on."""

TRAINED = frozenset({"en"})
UNDETERMINED = frozenset({"", "und", "mul", "zxx", "qam", "qct", "qht", "qme", "qst", "art"})
"""Tags that say nothing. Those with q are X's, for posts that hold only handles, links, media or hashtags."""

_PLAIN_ENGLISH = (
    "the and you your my with this that have has not are they but just what when been why how from would could "
    "i'm i've don't can't didn't it's doesn't won't isn't because about there their will still never always"
)
"""Frequent English words that are no words of related languages."""
_PLAINLY = frozenset(_PLAIN_ENGLISH.split())

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NOISE = re.compile(r"@user|\bhttp\b|#\S+")

ENOUGH_PLAIN_WORDS = 2
FEWEST_WORDS = 3
"""On fewer words in Latin letters the identifier is no better than its prior."""
DOUBT = 0.05
"""A text is read if it is English with at least this probability. Measured: refused are 0.2 % of English posts to brands and
1.2 % of English complaints; 98 to 99 % of French, Italian, Spanish and Arabic tweets, 88 to 89 % of German and Portuguese ones,
58 % of Hindi ones (mostly in Latin letters)."""
DOUBT_AGAINST_TAG = 0.005
"""The same for texts that are English by the network's tag."""


class LanguageGate:
    """Refuses texts in languages that a model was not trained on (`trained`: ISO 639 codes). Loads its identifier once, which
    takes about 5 MB and 20 ms."""

    def __init__(self, identify: Identify | None = None, trained: frozenset[str] = TRAINED) -> None:
        self._trained = trained
        self._identify = identify or load_identifier(trained)

    def refuse(self, spelled: str, tag: str | None) -> str | None:
        """Why a spelled text should not be read (`language: xx`), or `None` if it should. `tag` is the network's BCP 47 tag, if
        it gives one."""
        bare = _NOISE.sub(" ", spelled)
        words = [word.replace("\u2019", "'").casefold() for word in _WORD.findall(bare)]
        if not words or ("en" in self._trained and len(_PLAINLY.intersection(words)) >= ENOUGH_PLAIN_WORDS):
            return None
        stated = (tag or "").partition("-")[0].casefold()
        if stated not in UNDETERMINED and stated not in self._trained:
            return f"language: {stated}"
        # Words of other scripts are few and long; one of them is enough.
        latin = sum(word < "\u0250" for word in words)
        if latin * 2 > len(words) and len(words) < FEWEST_WORDS:
            return None
        language, probability = self._identify(bare)
        if language in self._trained or probability >= (DOUBT_AGAINST_TAG if stated in self._trained else DOUBT):
            return None
        return f"language: {language}"


def load_identifier(trained: frozenset[str] = TRAINED) -> Identify:
    """The identifier: py3langid, asked for the likeliest language and for the share of the `trained` ones."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        shares = {str(language): float(share) for language, share in identifier.rank(text)}
        return max(shares, key=shares.__getitem__), sum(shares.get(language, 0.0) for language in trained)

    return identify
