"""Finds the words and phrases of topics in texts: the one definition of what it means that a text speaks of a topic. Pure.

A topic is a list of words and phrases, compared by `spelling.fold` and `boundaries.tokens`: in any case, as whole words, and
anywhere in a script that is written without spaces; a hashtag may write a phrase together. `burn*` finds every word that
begins so. `!fire sale` cancels what was found within that phrase: a topic says itself what it does not mean. `?trapped` is only
a hint: people also say it of what is harmless, so it needs a second one elsewhere in the text, or a word like `~cabin`, which
by itself says nothing. Links, handles and mail addresses are passed over.

The time grows with the text, and not with the number of words: all of them stand in one tree, which each word of a text enters
once for each length of a prefix that begins with its first two characters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from services.contracts.boundaries import addresses, tokens
from services.contracts.spelling import fold

MOST_CHARS: Final = 20_000
"""How much of a text is searched: about ten pages."""
CANCELS: Final = "!"
HINTS: Final = "?"
BESIDE: Final = "~"
MARKS: Final = CANCELS + HINTS + BESIDE
_ALIKE: Final = 4
"""Two hints that begin with the same letters are one word in two forms (`threat`, `threaten*`)."""
_MOST_BEGUN: Final = 20_000
"""Words of which it is remembered what begins with them: some 2 MB."""
_HEAD: Final = 2
"""Prefixes are looked up by so many of their first characters."""
_LINK: Final = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.IGNORECASE)
_GAP: Final = re.compile(r"[ '\"\u2018\u2019\u201c\u201d\u201e\u2010\u2011_*~-]{0,3}")
"""What may stand between the words of a phrase. The end of a sentence may not."""
_HASH: Final = "#"
_HUMPED: Final = re.compile(r"#\w*[a-z][A-Z]\w*")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_APOSTROPHE: Final = re.compile("['\u2019]")
_STRETCH: Final = re.compile(r"([^\W\d_])\1{2,}")
_CLITICS: Final = re.compile(
    "^([\u0648\u0641]?)((?:[\u0628\u0643]?\u0627\u0644|\u0644\u0644|[\u0628\u0643\u0644])?)(?=..)"
)
"""What Arabic writes together with the word after it: `and`, `so`, `with`, `as`, `for` and the article."""
_ARABIC: Final = re.compile("^[\u0620-\u064a]")

Topics = Mapping[str, Sequence[str]]
"""The words of each topic, as the configuration writes them."""


class _Meant(NamedTuple):
    """What a place in the tree stands for: a word of a topic with its mark, or none."""

    topic: str
    word: str
    mark: str


class _Place(NamedTuple):
    """A stretch of the text that is a word of a topic."""

    start: int
    end: int
    word: str
    mark: str


class Spoken(NamedTuple):
    """The topics that a text speaks of, and those that it may speak of, each with its words that stand there, in the order
    of the configuration."""

    topics: Mapping[str, tuple[str, ...]]
    hints: Mapping[str, tuple[str, ...]]


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

    def after(self, word: str) -> list[_Node]:
        """The places that are reached by this word."""
        reached = []
        for form in _forms(word):
            exact = self.words.get(form)
            if exact is not None:
                reached.append(exact)
            for length in self.lengths.get(form[:_HEAD], ()):
                begun = self.prefixes.get(form[:length])
                if begun is not None:
                    reached.append(begun)
        return reached


class TopicFinder:
    """All the words of some topics, prepared once."""

    def __init__(self, topics: Topics) -> None:
        self._root = _Node()
        self._begun: dict[str, list[_Node]] = {}
        self._order = {topic: {bare(word): n for n, word in enumerate(words)} for topic, words in topics.items()}
        for topic, words in topics.items():
            for word in dict.fromkeys(words):
                self._learn(topic, word)

    def _learn(self, topic: str, marked: str) -> None:
        word = bare(marked)
        for spelling in dict.fromkeys((word, _APOSTROPHE.sub("", word))):  # people leave them out
            self._plant(spelling, _Meant(topic, word, marked[: len(marked) - len(word)]))

    def _plant(self, word: str, meant: _Meant) -> None:
        node = self._root
        written_together = ""
        for piece in word.split():
            parts = [part for part, _, _ in tokens(fold(piece.removesuffix("*")))]
            for part in parts[:-1] if piece.endswith("*") else parts:
                node = node.words.setdefault(part, _Node())
            if piece.endswith("*") and parts:
                node = node.add_prefix(parts[-1])
            written_together += "".join(parts)
        if node is self._root:
            return
        node.meant.append(meant)
        if len(word.split()) > 1:  # of two words or more, so that it is none by itself
            hashtag = _HASH + written_together
            begun = (
                self._root.add_prefix(hashtag) if word.endswith("*") else self._root.words.setdefault(hashtag, _Node())
            )
            begun.meant.append(meant)

    def find(self, text: str, network: str = "") -> Mapping[str, tuple[str, ...]]:
        """The topics that a text on this network speaks of, as in `Spoken`."""
        return self.look(text, network).topics

    def look(self, text: str, network: str = "") -> Spoken:
        """The topics that a text on this network speaks of, or may speak of."""
        folded = fold(_HUMPED.sub(_apart, _LINK.sub(" . ", text[:MOST_CHARS])))
        if "@" in folded:
            folded = _without(folded, addresses(folded, network))
        places: dict[str, list[_Place]] = {}
        cancelled: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for start, end, meant in self._places(folded):
            if meant.mark == CANCELS:
                cancelled[meant.topic].append((start, end))
            else:
                places.setdefault(meant.topic, []).append(_Place(start, end, meant.word, meant.mark))
        topics: dict[str, tuple[str, ...]] = {}
        hints: dict[str, tuple[str, ...]] = {}
        for topic, found in places.items():
            if topic in cancelled:
                covers = _covering(cancelled[topic])
                left = [place for place in found if not covers(place.start, place.end)]
            else:
                left = found
            said = {place.word for place in left if place.mark != BESIDE}
            if said:
                words = tuple(sorted(said, key=self._order[topic].__getitem__))
                (topics if _is_sure(left) else hints)[topic] = words
        return Spoken(topics, hints)

    def _begin(self, word: str) -> list[_Node]:
        """The places that a phrase beginning with this word reaches, remembered: most words of most texts are the same."""
        if len(self._begun) >= _MOST_BEGUN:
            self._begun = {}
        begun = self._begun[word] = self._root.after(word)
        return begun

    def _places(self, folded: str) -> Iterator[tuple[int, int, _Meant]]:
        """Every place at which a phrase stands in the folded text."""
        words = list(tokens(folded))
        for at, (first, start, end) in enumerate(words):
            begun = self._begun.get(first)
            if begun is None:
                begun = self._begin(first)
            if start and folded[start - 1] == _HASH:
                begun = [*begun, *self._root.after(_HASH + first)]
            if not begun:
                continue  # as nearly all words
            reached = [(node, end) for node in begun]
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


def finder_of(topics: Topics) -> TopicFinder:
    """Returns the finder for these topics. To prepare thousands of words takes tenths of a second, and most configurations that
    are read again have the same ones: they share it."""
    return _finder_of(tuple((topic, tuple(words)) for topic, words in topics.items()))


@lru_cache(maxsize=8)
def _finder_of(topics: tuple[tuple[str, tuple[str, ...]], ...]) -> TopicFinder:
    return TopicFinder(dict(topics))


def _apart(hashtag: re.Match[str]) -> str:
    """The words of a hashtag: `#SmokeInTheCabin`."""
    return _HUMP.sub(" ", hashtag[0])


def bare(word: str) -> str:
    """The word of a topic without its mark."""
    return word[1:] if word[:1] in MARKS else word


def _is_sure(places: Sequence[_Place]) -> bool:
    """True if the words speak of their topic: one that is no hint, or a hint with something else beside it."""
    if any(not place.mark for place in places):
        return True
    first = next(place for place in places if place.mark == HINTS)
    alike = first.word[:_ALIKE]
    return any(
        (place.start >= first.end or place.end <= first.start) and place.word[:_ALIKE] != alike for place in places
    )


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
