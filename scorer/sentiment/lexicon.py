"""A small English word list: the fallback where no trained model can run, and a deterministic stand-in for tests.

The weights are our own; they are combined as VADER does it (Hutto & Gilbert, ICWSM 2014): a negation turns a weight around and
weakens it, intensifiers and capitals strengthen it, and x / sqrt(x^2 + 15) bounds the sum. It knows no sarcasm and no other
language; its name in every signal says that a word list was used.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from scorer.sentiment.language import is_plain_english
from scorer.sentiment.model import Reading
from services.contracts.language_tags import language as language_of

_WEIGHTS: Final = {
    word: float(weight)
    for word, _, weight in (
        line.partition("\t")
        for line in Path(__file__).with_name("lexicon.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
_NEGATIONS: Final = frozenset(
    [
        "not",
        "no",
        "never",
        "none",
        "nobody",
        "cannot",
        "can't",
        "cant",
        "don't",
        "dont",
        "doesn't",
        "doesnt",
        "didn't",
        "didnt",
        "isn't",
        "isnt",
        "wasn't",
        "wasnt",
        "won't",
        "wont",
        "wouldn't",
        "wouldnt",
        "without",
        "hardly",
        "haven't",
        "hasn't",
        "ain't",
    ]
)
_STRONGER: Final = frozenset(
    {"very", "really", "so", "extremely", "totally", "absolutely", "completely", "utterly", "too"}
)
_EMPTY: Final = frozenset({"believe", "wait"})
"""A negation right before these words negates nothing: "can't believe how terrible", "can't wait"."""
_COMPLAINT: Final = re.compile(
    r"\b(still (no|not|waiting)|no (answer|reply|response|refund)|refund|my (order|account|card|flight|luggage|bag|money)"
    r"|customer (service|support)|hours? (on hold|waiting)|on hold|doesn'?t work|not working|why (is|are|can'?t|won'?t|did|do)"
    r"|fix (this|it|your)|never again|charged me|days (ago|now|later))\b"
)
_TOKEN: Final = re.compile(r"[a-z][a-z']*|[!?]+")
_SCOPE: Final = 3
"""How many words after a negation or an intensifier it acts on."""


class Lexicon:
    """Reads by the word list (a `SentimentModel`)."""

    name = "lexicon-1"
    degraded = True

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        return [_read(text, language) for text, language in zip(texts, languages, strict=True)]


def _read(text: str, language: str | None) -> Reading:
    plain = html.unescape(text)
    words = _TOKEN.findall(plain.lower().replace("\u2019", "'"))
    if not words:
        return Reading(0.0, 1.0, 0.0, 0.0, 0, abstain="no words")
    total = 0.0
    for place, word in enumerate(words):
        weight = _WEIGHTS.get(word)
        if weight is None:
            continue
        before = words[max(0, place - _SCOPE) : place]
        if any(w in _NEGATIONS and after not in _EMPTY for w, after in pairwise([*before, word])):
            weight *= -0.74
        if any(w in _STRONGER for w in before):
            weight *= 1.3
        total += weight
    if total:
        emphasis = min(3, plain.count("!")) * 0.3 + (0.7 if _shouts(plain) else 0.0)
        total += math.copysign(emphasis, total)
    complains = bool(_COMPLAINT.search(plain.lower().replace("\u2019", "'")))
    if complains:
        total -= 1.2
    valence = total / math.sqrt(total * total + 15.0)
    foreign = language_of(language) not in {"en", None} and not is_plain_english(words)
    return _reading(valence, complains, foreign)


def _reading(valence: float, complains: bool, foreign: bool) -> Reading:
    """The reading of a text with this valence (-1 to 1). At 0 neutral is the likeliest; from about -0.3 and 0.3 on it is
    negative and positive."""
    scores = [math.exp(-4.0 * valence), math.exp(1.2), math.exp(4.0 * valence)]
    negative, neutral, positive = (s / sum(scores) for s in scores)
    complaint = min(
        1.0, max(0.0, 0.15 + 0.8 * max(0.0, -valence) + (0.3 if complains else 0.0) - 0.4 * max(0.0, valence))
    )
    severity = 0 if complaint < 0.5 else 1 if valence > -0.35 else 2 if valence > -0.6 else 3 if valence > -0.8 else 4
    return Reading(negative, neutral, positive, complaint, severity, abstain="language not known" if foreign else None)


def _shouts(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return len(letters) >= 8 and sum(c.isupper() for c in letters) > 0.7 * len(letters)
