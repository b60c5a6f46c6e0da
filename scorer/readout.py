"""What is read in each text of a file, one JSON object a text: the readings behind every decision, for whoever wants to check
them on posts of their own.

An object holds what the model, the topics and the rules for brands say today, each by itself; nothing is decided. A text on
which the model abstains has its figures all the same, with `read` false and the reason, because what was not read must be as
visible as what was."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from scorer.flags import TOPIC_OF
from scorer.sentiment.language import LanguageGate
from scorer.sentiment.model import Danger, Reading, SentimentModel
from scorer.sentiment.relevance import BrandRelevance, judge
from scorer.sentiment.text import spell
from scorer.unread import found_language
from services.base.errors import ConfigError
from services.config.model import Brand
from services.config.rule import TOPICS
from services.contracts.names import NameFinder, mentions_of
from services.contracts.phrases import Spoken, finder_of
from services.tools.everyday_words import language_of_word

CHUNK_TEXTS: Final = 512
"""Texts that are read at a time: what is found in a long file is written while the rest is read."""
MOST_BRANDS: Final = 200
"""Brands that a file may name. Each text is searched for each of them."""

SAID: Final = 0.9
HINTED: Final = 0.5
"""How much words of a topic count that say a hazard, and words that only may mean it: about the share of them that is one."""

_NETWORK: Final = "file"


@dataclass(frozen=True, slots=True)
class AskedText:
    """One text of a file, the BCP 47 tag of its language and the brand that it is asked about, where the file says them."""

    text: str
    language: str | None = None
    brand: str | None = None


def read_asked(path: Path) -> Iterator[AskedText]:
    """Yields the texts of a file: CSV with a column `text`, lines of JSON with a field `text` (both may have `language` and
    `brand`), or `.txt` with one text a line; each may be gzipped. Raises `ConfigError`, which names the place, if it cannot be
    read."""
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows, ".txt": _bare_rows}
    if kind not in readers:
        raise ConfigError(f"{path}: a file of texts ends in {', '.join(readers)}, or one of these and .gz")
    unpack = gzip.open if path.suffix == ".gz" else open
    try:
        with unpack(path, "rt", encoding="utf-8-sig", newline="" if kind == ".csv" else None) as file:
            for where, row in readers[kind](file):
                yield _asked(row, f"{path}:{where}")
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as trouble:
        raise ConfigError(f"{path}: {trouble}") from trouble


def _csv_rows(file: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(10_000_000)
    rows = csv.DictReader(file)
    if "text" not in (rows.fieldnames or ()):
        raise ValueError(f"no column `text` in {rows.fieldnames}")
    for row in rows:
        yield rows.line_num, {name: value for name, value in row.items() if name is not None}


def _json_rows(file: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as trouble:
                raise ValueError(f"line {number} is not JSON: {trouble}") from trouble


def _bare_rows(file: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        yield number, {"text": line.rstrip("\n")}


def _asked(row: Any, where: str) -> AskedText:
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: expected an object with a field `text`")
    found: dict[str, str | None] = {}
    for name in ("text", "language", "brand"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{where}: `{name}` is no text")
        found[name] = value.strip() or None if value is not None and name != "text" else value
    if found["text"] is None:
        raise ConfigError(f"{where}: no `text`")
    return AskedText(found["text"], found["language"], found["brand"])


class Readout:
    """Says all that is read in texts. `brands` are the names of all that any text may be asked about, `always` those of them
    that every text is asked about. Raises `ConfigError` if there are more than `MOST_BRANDS`, or if one is no name."""

    def __init__(self, model: SentimentModel, brands: Iterable[str] = (), always: Iterable[str] = ()) -> None:
        self._model = model
        self._gate = LanguageGate()
        self._topics = finder_of(TOPICS)
        self._always = tuple(dict.fromkeys(always))
        names = dict.fromkeys((*self._always, *brands))
        if len(names) > MOST_BRANDS:
            raise ConfigError(f"{len(names)} brands: at most {MOST_BRANDS} can be looked for at once")
        self._brands = {name: brand_called(name, f"b{number}") for number, name in enumerate(names)}
        self._finder = NameFinder(self._brands.values())

    def read(self, asked: Sequence[AskedText]) -> list[dict[str, Any]]:
        """One object for each text, in order."""
        readings = self._model.read([one.text for one in asked], [one.language for one in asked])
        return [self._object(one, reading) for one, reading in zip(asked, readings, strict=True)]

    def _object(self, asked: AskedText, reading: Reading) -> dict[str, Any]:
        mood = {"negative": reading.negative, "neutral": reading.neutral, "positive": reading.positive}
        found: dict[str, Any] = {
            "text": asked.text,
            "language": found_language(reading) or self._gate.name(spell(asked.text), asked.language),
            "sentiment": mood,
            "complaint": reading.complaint,
            "severity": reading.severity,
            "hazard": hazard_of(self._topics.look(asked.text), reading.danger),
            "read": reading.abstain is None,
            "reason": reading.abstain,
        }
        wanted = dict.fromkeys((*self._always, *([asked.brand] if asked.brand else [])))
        if wanted:
            said = self._relevances(asked.text)
            found["brands"] = [_about(name, said.get(self._brands[name].id), mood) for name in wanted]
        return found

    def _relevances(self, text: str) -> dict[str, BrandRelevance]:
        return judge(text, mentions_of(self._finder.find(_NETWORK, text)))


def _about(name: str, found: BrandRelevance | None, mood: dict[str, float]) -> dict[str, Any]:
    """How far a text is about a brand, and what it feels about it: what the text does, if it is about the brand at all."""
    if found is None:
        return {"brand": name, "meant": 0.0, "why": "not named", "sentiment": None}
    return {"brand": name, "meant": found.score, "why": found.reason, "sentiment": mood if found.counts else None}


def brand_called(name: str, key: str) -> Brand:
    """A brand of which only the name is known. A handle that is the name written together is taken for its own, and a name that
    is an everyday word counts only where something shows that the brand is meant."""
    handle = "".join(name.split())
    own = [{"network": _NETWORK, "handle": handle, "owner": "nobody"}] if handle.replace("_", "").isalnum() else []
    of_a_word = language_of_word(name) is not None
    try:
        return Brand.model_validate({"id": key, "name": name, "ambiguous": of_a_word, "accounts": own})
    except ValidationError as trouble:
        raise ConfigError(f"{name!r} is no name of a brand") from trouble


def hazard_of(spoken: Spoken, danger: Danger | None) -> dict[str, Any]:
    """The danger that the words of the shipped topics report: the topic with the most words, and its words. What is only hinted
    at counts where nothing is said. Words and what the model reads are two witnesses: the probability is that one of them is
    right."""
    topics = spoken.topics or spoken.hints
    category = max(topics, key=lambda topic: len(topics[topic]), default=None)
    probability = SAID if spoken.topics else HINTED if spoken.hints else 0.0
    if danger is not None:
        probability = 1 - (1 - probability) * (1 - danger.probability)
        category = TOPIC_OF[danger.kind] if category is None and danger.probability >= HINTED else category
    return {
        "probability": probability,
        "category": category,
        "words": [word for words in topics.values() for word in words],
    }


def read_file(
    readout: Readout, asked: Sequence[AskedText], advance: Callable[[int], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """Yields one object for each text, in order. `advance` is told after each chunk how many texts were read."""
    for start in range(0, len(asked), CHUNK_TEXTS):
        chunk = asked[start : start + CHUNK_TEXTS]
        yield from readout.read(chunk)
        advance(len(chunk))
