"""Which posts the shipped weights may learn from, and which texts are kept back to judge them by.

Only sets whose licence lets us ship what was learned. A text that is kept back anywhere is learned from nowhere,
whatever set it also stands in: folds are made by the spelled text, not by the file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from scorer.sentiment.text import spell

SENTIMENT = ("negative", "neutral", "positive")
COMPLAINT = ("no", "yes")
SEVERITY = ("none", "no explicit reproach", "disapproval", "accusation", "blame")
EMOTION = ("anger", "joy", "optimism", "sadness")
IRONY = ("not-irony", "irony")
OFFENSIVE = ("not-offensive", "offensive")

HEADS: dict[str, tuple[str, ...]] = {
    "sentiment": SENTIMENT,
    "complaint": COMPLAINT,
    "severity": SEVERITY,
    "emotion": EMOTION,
    "irony": IRONY,
    "offensive": OFFENSIVE,
}
"""What one encoder learns at once. Only the first three are served; the others teach it mood, sarcasm and abuse."""

HELD_OUT_SHARE = 0.15
_CODED_SENTIMENT = {"0": "negative", "1": "neutral", "2": "positive"}


@dataclass(frozen=True, slots=True)
class Example:
    """One spelled text with the labels that its set gives, as indices into `HEADS`."""

    text: str
    source: str
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A set to learn from. `times` is how often an epoch sees it; a share below one takes another part each epoch."""

    file: str
    licence: str
    times: float = 1.0
    task: str | None = None
    """The head that its column `label` belongs to; none: the columns `complaint`, `severity`, `sentiment`."""
    language: str | None = None
    held_out: bool = False
    """Whether 15 % of its texts are kept back."""
    moods: bool = True
    """Whether its sentiment labels teach, where it has other labels too."""


SOURCES: tuple[Source, ...] = (
    Source("tweeteval_sentiment/train", "released without restrictions; mirror MIT", task="sentiment"),
    Source("vader_tweets/train", "MIT", task="sentiment"),
    Source("umsab_multilingual/train", "Apache-2.0", task="sentiment", language="english"),
    Source("nusax/train", "CC-BY-SA", task="sentiment", language="english"),
    Source("complaints/train", "MIT (severity, sentiment)", times=3.0, held_out=True),
    Source("fincorp_complaints/train", "MIT", held_out=True),
    Source("cesamard_reviews/train", "MIT", held_out=True),
    Source("tweeteval_emotion/train", "released without restrictions", task="emotion"),
    Source("tweeteval_irony/train", "released without restrictions", task="irony"),
    Source("tweeteval_offensive/train", "released without restrictions", times=0.5, task="offensive"),
)

POLISH: tuple[Source, ...] = (
    SOURCES[0],
    SOURCES[1],
    *(replace(source, times=times, moods=False) for source, times in zip(SOURCES[4:7], (1.0, 0.5, 0.5), strict=True)),
)
"""The second stage, at a low rate: what the annotators of complaints call neutral is not what those of tweets do, so
here the complaint sets teach complaints and severity only."""

VALIDATION = "tweeteval_sentiment/val"


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a gzip'd CSV with a header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def is_held_out(text: str) -> bool:
    """Whether a spelled text belongs to the part that is kept back: by a hash of the text, so for ever and
    everywhere."""
    digest = hashlib.blake2b(text.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < HELD_OUT_SHARE


def read_source(root: Path, source: Source) -> list[Example]:
    """All usable examples of a set: those with a text and at least one label."""
    examples = []
    for row in read_rows(root / f"{source.file}.csv.gz"):
        if source.language and json.loads(row["extra"]).get("lang") != source.language:
            continue
        text = spell(" ".join(part for part in (row.get("title"), row["text"]) if part))
        labels = {source.task: HEADS[source.task].index(row["label"])} if source.task else complaint_labels(row)
        if not source.moods:
            labels.pop("sentiment", None)
        if text and labels:
            examples.append(Example(text, source.file, labels))
    return examples


def complaint_labels(row: dict[str, str]) -> dict[str, int]:
    """Labels of a row of the complaint sets. A complaint that its annotators call neutral or positive (a polite one)
    keeps no sentiment: the two judgements contradict each other as often as not, and we serve complaints."""
    labels = {"complaint": int(row["complaint"])} if row["complaint"] else {}
    severity = row["severity"] or ("0" if row["complaint"] == "0" else "")
    if severity:
        labels["severity"] = int(severity)
    sentiment = _CODED_SENTIMENT.get(row["sentiment"], row["sentiment"])
    if sentiment in SENTIMENT and not (row["complaint"] == "1" and sentiment != "negative"):
        labels["sentiment"] = SENTIMENT.index(sentiment)
    return labels


@dataclass(frozen=True, slots=True)
class Corpus:
    """`learn` maps a source to its examples; `kept` the sets to judge by."""

    learn: dict[Source, list[Example]]
    kept: dict[str, list[Example]]


def gather(root: Path, sources: tuple[Source, ...] = SOURCES) -> Corpus:
    """Reads all sources under `root` and keeps learning and judging apart. What is kept back does not depend on the
    stage: it has all its labels."""
    kept: dict[str, list[Example]] = {
        VALIDATION: read_source(root, Source(VALIDATION, "released without restrictions", task="sentiment"))
    }
    loaded = {source: read_source(root, source) for source in sources}
    for source in loaded:
        if source.held_out:
            examples = read_source(root, replace(source, moods=True))
            kept[source.file] = [example for example in examples if is_held_out(example.text)]
    apart = {example.text.casefold() for examples in kept.values() for example in examples}
    learn: dict[Source, list[Example]] = {}
    seen: set[tuple[str, str]] = set()
    for source, examples in loaded.items():
        learn[source] = []
        for example in examples:
            key = (example.text.casefold(), source.task or "")
            if key[0] not in apart and key not in seen:
                seen.add(key)
                learn[source].append(example)
    return Corpus(learn, kept)
