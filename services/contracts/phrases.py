"""Finds the words and phrases of topics in texts: the one definition of what it means that a text speaks of a topic. Pure.

A topic is a list of words and phrases, compared by `spelling.fold` and `boundaries.tokens`: in any case, as whole words, and
anywhere in a script that is written without spaces. `burn*` finds every word that begins so. `!fire sale` cancels what was
found within that phrase: a topic says itself what it does not mean. Links, handles and mail addresses are passed over.

The time grows with the text, and not with the number of words: all of them stand in one tree, which each word of a text enters
once for each length of a prefix that begins with its first two characters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from services.contracts.boundaries import addresses, tokens
from services.contracts.spelling import fold

MOST_CHARS: Final = 20_000
"""How much of a text is searched: about ten pages."""
CANCELS: Final = "!"
_HEAD: Final = 2
"""Prefixes are looked up by so many of their first characters."""
_LINK: Final = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.IGNORECASE)
_GAP: Final = re.compile(r"[ '\u2018\u2019\u2010\u2011_-]{0,3}")
"""What may stand between the words of a phrase. The end of a sentence may not."""
_STRETCH: Final = re.compile(r"([^\W\d_])\1{2,}")
_CLITICS: Final = re.compile(
    "^([\u0648\u0641]?)((?:[\u0628\u0643]?\u0627\u0644|\u0644\u0644|[\u0628\u0643\u0644])?)(?=..)"
)
"""What Arabic writes together with the word after it: `and`, `so`, `with`, `as`, `for` and the article."""
_ARABIC: Final = re.compile("^[\u0620-\u064a]")

Topics = Mapping[str, Sequence[str]]
"""The words of each topic, as the configuration writes them."""


class _Meant(NamedTuple):
    """What a place in the tree stands for: a word of a topic, or a phrase that cancels."""

    topic: str
    word: str
    cancels: bool


class _Node:
    """A place in the tree: all phrases that begin with the same words."""

    __slots__ = ("lengths", "meant", "prefixes", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.prefixes: dict[str, _Node] = {}
        self.lengths: dict[str, list[int]] = {}
        self.meant: list[_Meant] = []

    def add_prefix(self, prefix: str) -> _Node:
        lengths = self.lengths.setdefault(prefix[:_HEAD], [])
        if len(prefix) not in lengths:
            lengths.append(len(prefix))
        return self.prefixes.setdefault(prefix, _Node())

    def after(self, word: str) -> Iterator[_Node]:
        """The places that are reached by this word."""
        for form in _forms(word):
            exact = self.words.get(form)
            if exact is not None:
                yield exact
            for length in self.lengths.get(form[:_HEAD], ()):
                begun = self.prefixes.get(form[:length])
                if begun is not None:
                    yield begun


class TopicFinder:
    """All the words of some topics, prepared once."""

    def __init__(self, topics: Topics) -> None:
        self._root = _Node()
        self._order = {topic: {word: n for n, word in enumerate(words)} for topic, words in topics.items()}
        for topic, words in topics.items():
            for word in dict.fromkeys(words):
                self._learn(topic, word)

    def _learn(self, topic: str, word: str) -> None:
        cancels = word.startswith(CANCELS)
        node = self._root
        for piece in word.removeprefix(CANCELS).split():
            parts = [part for part, _, _ in tokens(fold(piece.removesuffix("*")))]
            for part in parts[:-1] if piece.endswith("*") else parts:
                node = node.words.setdefault(part, _Node())
            if piece.endswith("*") and parts:
                node = node.add_prefix(parts[-1])
        if node is not self._root:
            node.meant.append(_Meant(topic, word, cancels))

    def find(self, text: str, network: str = "") -> dict[str, tuple[str, ...]]:
        """The topics that a text on this network speaks of, each with its words that stand there, in the order of the
        configuration."""
        folded = fold(_LINK.sub(" . ", text[:MOST_CHARS]))
        if "@" in folded:
            folded = _without(folded, addresses(folded, network))
        hits: dict[str, list[tuple[int, int, str]]] = {}
        cancelled: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for start, end, meant in self._places(folded):
            if meant.cancels:
                cancelled[meant.topic].append((start, end))
            else:
                hits.setdefault(meant.topic, []).append((start, end, meant.word))
        found: dict[str, tuple[str, ...]] = {}
        for topic, places in hits.items():
            covers = _covering(cancelled[topic]) if topic in cancelled else None
            words = {word for start, end, word in places if covers is None or not covers(start, end)}
            if words:
                found[topic] = tuple(sorted(words, key=self._order[topic].__getitem__))
        return found

    def _places(self, folded: str) -> Iterator[tuple[int, int, _Meant]]:
        """Every place at which a phrase stands in the folded text."""
        words = list(tokens(folded))
        for at, (first, start, end) in enumerate(words):
            reached = [(node, end) for node in self._root.after(first)]
            following = at + 1
            while reached:
                for node, until in reached:
                    for meant in node.meant:
                        yield start, until, meant
                if following == len(words) or not _GAP.fullmatch(folded, reached[0][1], words[following][1]):
                    break
                word, _, until = words[following]
                reached = [(node, until) for before, _ in reached for node in before.after(word)]
                following += 1


def _forms(word: str) -> Sequence[str]:
    """The forms in which a word is looked up: as it stands, without letters that are drawn out, and without what Arabic writes
    together with it."""
    if word.isascii():
        return (word, _STRETCH.sub(r"\1", word)) if _STRETCH.search(word) else (word,)
    forms = [word]
    if _ARABIC.match(word):
        clitics = _CLITICS.match(word)
        if clitics is not None:
            forms += [word[clitics.end(1) :], word[clitics.end(2) :]]
    elif _STRETCH.search(word):
        forms.append(_STRETCH.sub(r"\1", word))
    return tuple(dict.fromkeys(forms))


def _without(folded: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with full stops in place of these stretches, which come from left to right."""
    pieces, done = [], 0
    for start, end in spans:
        pieces += [folded[done:start], "." * (end - max(start, done))]
        done = max(done, end)
    return "".join([*pieces, folded[done:]])


def _covering(spans: list[tuple[int, int]]) -> Callable[[int, int], bool]:
    """Tells of a place if one of the stretches holds some of it."""
    ordered = sorted(spans)
    starts = [start for start, _ in ordered]
    reach = list(accumulate((end for _, end in ordered), max))

    def covers(start: int, end: int) -> bool:
        before = bisect_right(starts, end - 1)
        return before > 0 and reach[before - 1] > start

    return covers
