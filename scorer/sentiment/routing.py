"""Two networks that act as one model: a small one that knows English best, and the reader of the other languages.

What is surely English goes to the small one, which is the fastest. A text in a language that the reader claims goes to the
reader, and so does one that is in doubt between the two: the reader learned English too. Anything else is read as if there were
no second network where it may be English, and is not read where it plainly is not; its figures are then the reader's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from scorer.sentiment.language import LanguageGate, Placed
from scorer.sentiment.model import Reading
from scorer.sentiment.onnx import NO_TEXT, NO_WORDS
from scorer.sentiment.text import says_something, spell

RELATED: Final = frozenset({"id", "ms", "jv", "su", "min", "ace", "ban", "bjn", "bug", "mad", "nij", "bbc"})
"""Languages of the Malay world, which an identifier takes for one another on the few words of a post."""


class EnglishModel(Protocol):
    """Judges spelled texts (`scorer.sentiment.onnx.OnnxModel`)."""

    @property
    def name(self) -> str: ...

    def judge(self, spelled: Sequence[str]) -> list[Reading]: ...


class ManyLanguages(Protocol):
    """Judges texts as they were written, each in the language that it is in (`scorer.sentiment.reader.Reader`)."""

    @property
    def name(self) -> str: ...

    @property
    def claimed(self) -> frozenset[str]: ...

    def judge(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]: ...


class Routed:
    """Reads each text with one of two networks, whose name the reading carries."""

    degraded = False

    def __init__(self, english: EnglishModel, reader: ManyLanguages, gate: LanguageGate | None = None) -> None:
        self._english = english
        self._reader = reader
        self._claimed = reader.claimed
        self._gate = gate or LanguageGate()

    @property
    def name(self) -> str:
        return f"{self._english.name} + {self._reader.name}"

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order (`SentimentModel.read`)."""
        readings = [NO_TEXT] * len(texts)
        english: list[tuple[int, str]] = []
        others: list[tuple[int, str | None, str | None]] = []
        for place, (text, tag) in enumerate(zip(texts, languages, strict=True)):
            words = spell(text)
            if not says_something(words):
                readings[place] = NO_WORDS if words else NO_TEXT
                continue
            placed = self._gate.place(words, tag)
            spoken = self.language_of(placed)
            if spoken is None and placed.refusal is None:
                english.append((place, words))
            else:
                others.append((place, spoken, None if spoken else placed.refusal))
        by_english = self._english.judge([words for _, words in english])
        for (place, _), reading in zip(english, by_english, strict=True):
            readings[place] = replace(reading, model=self._english.name)
        by_reader = self._reader.judge([texts[place] for place, _, _ in others], [spoken for _, spoken, _ in others])
        for (place, _, refusal), reading in zip(others, by_reader, strict=True):
            readings[place] = replace(reading, abstain=refusal or reading.abstain)
        return readings

    def language_of(self, placed: Placed) -> str | None:
        """The language that the reader reads a text in; `None` if it is not the reader's. What the text looks like comes before
        what its tag states, which often is the language of the client's menu; between related languages the tag decides."""
        if placed.found in RELATED and placed.stated in RELATED & self._claimed:
            return placed.stated
        return next((code for code in (placed.found, placed.stated) if code in self._claimed), None)
