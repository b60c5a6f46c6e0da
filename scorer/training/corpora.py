"""The posts that the shipped weights were trained on, and the texts that are kept back to judge them by.

All sets have a licence under which what was learned may be shipped. A text that is kept back in one set is not learned from
in any other: what is kept back is decided by the spelled text, not by the file."""

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
"""What the encoder learns at once, with the labels of each. Only the first three are served; the others teach it mood, sarcasm
and abuse."""

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
    """A set to learn from. An epoch sees it `times` times; below one, each epoch sees another part of it."""

    file: str
    licence: str
    times: float = 1.0
    task: str | None = None
    """The head that its column `label` belongs to; `None` if it has the columns `complaint`, `severity` and `sentiment`."""
    language: str | None = None
    held_out: bool = False
    """True if 15 % of its texts are kept back."""
    moods: bool = True
    """False if its labels of sentiment are left out, because only its others are trusted."""


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
"""The second stage, at a low rate. The annotators of complaints call other posts neutral than those of tweets do, so here the
complaint sets teach complaints and severity only."""

VALIDATION = "tweeteval_sentiment/val"


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yields the rows of a gzipped CSV file with a header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def is_held_out(text: str) -> bool:
    """Returns True if a spelled text is kept back. That depends on a hash of the text alone, so it never changes."""
    digest = hashlib.blake2b(text.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < HELD_OUT_SHARE


def read_source(root: Path, source: Source) -> list[Example]:
    """The examples of a set that have a text and at least one label."""
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
    """The labels of a row of the complaint sets. A complaint that was annotated as neutral or positive (a polite one) gets no
    label of sentiment: the two judgements often contradict each other, and what counts here is the complaint."""
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
    """The examples to learn from by source, and those to judge by, by name of their set."""

    learn: dict[Source, list[Example]]
    kept: dict[str, list[Example]]


def gather(root: Path, sources: tuple[Source, ...] = SOURCES) -> Corpus:
    """Reads all sources under `root`, and takes out of what is learned each text that is kept back anywhere. What is kept back
    has all its labels, whichever stage of the training it is."""
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
