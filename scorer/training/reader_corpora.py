"""What the reader of all languages learns from, and the folds that are kept back to judge it by.

Only sets whose licence allows what was learned to be shared teach it. Each set is a source of its own: an epoch draws a
fixed share of its posts from each, whatever their number, and its classes are weighed by their shares in that set, because
the annotators of reviews call other posts neutral than those of tweets do. A text that is kept back in one set is learned
from in no other, and all that one template of ours makes is on the same side. Whole sets are never learned from
(`FOREIGN`): they say what becomes of a brand, a country or a language that was not in the data.

No set has labels of danger but our own lines. An ordinary post in which the shipped words find none is taken to report none:
few do, and a head that has seen only our lines would see danger in every sharp word. About complaints nothing is said."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from scorer.sentiment.text import spell
from scorer.training.corpora import COMPLAINT, SENTIMENT, SEVERITY, Example, complaint_labels, is_held_out, read_rows
from scorer.training.lines import HAZARDS, Line, read_lines
from services.config.rule import TOPICS
from services.contracts.phrases import finder_of

HEADS: Final[dict[str, tuple[str, ...]]] = {
    "sentiment": SENTIMENT,
    "complaint": COMPLAINT,
    "severity": SEVERITY,
    "hazard": HAZARDS,
}
"""What the encoder learns at once, with the labels of each. The severities are ordered."""

OWN: Final = "lines"
"""The source of the lines that we wrote."""
MOST_KEPT: Final = 400
"""So many texts of a fold are judged: enough for two digits, and few enough to be read every few minutes."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A set to learn from. `share` is its part of each epoch, in proportion to the others; `train` and `kept` are its files;
    without `kept`, 15 % of its texts are kept back, chosen by the text."""

    name: str
    licence: str
    share: float
    train: str
    kept: str | None = None
    complaints: bool = False
    """True if it has the columns `complaint`, `severity` and `sentiment` instead of `label`."""


POOLS: Final[tuple[Pool, ...]] = (
    Pool("tweeteval", "without restrictions; mirror MIT", 20, "tweeteval_sentiment/train", "tweeteval_sentiment/val"),
    Pool("vader", "MIT", 2, "vader_tweets/train"),
    Pool("umsab", "Apache-2.0", 18, "umsab_multilingual/train", "umsab_multilingual/val"),
    Pool("nusax", "CC-BY-SA", 8, "nusax/train", "nusax/val"),
    Pool("smsa", "MIT", 8, "smsa_indonesian/train"),
    Pool("wisesight", "CC0 1.0", 11, "wisesight_thai/train", "wisesight_thai/val"),
    Pool("afrisenti", "CC BY 4.0", 8, "afrisenti/train", "afrisenti/val"),
    Pool("complaints", "MIT (severity, sentiment); none stated for yes/no", 5, "complaints/train", complaints=True),
    Pool("fincorp", "MIT", 4, "fincorp_complaints/train", complaints=True),
    Pool("cesamard", "MIT", 3, "cesamard_reviews/train", complaints=True),
)
OWN_SHARE: Final = 13.0

FOREIGN: Final = ("airline/train", "malay_twitter/train", "germeval2017_db/train", "sanders/train")
"""Sets that are judged by and never learned from: their licences do not say that what was learned may be shared."""

Prior = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Folds:
    """What is learned, by source; what is kept back, by fold (`set/language`); and by source the logarithm of the share of each
    class of its heads, where the source has labels of that head."""

    learn: dict[str, list[Example]]
    kept: dict[str, list[Example]]
    priors: dict[str, Prior]


def make_folds(root: Path) -> Folds:
    """Reads all sets under `root` and our own lines."""
    learn: dict[str, list[Example]] = {}
    kept: dict[str, list[Example]] = {}
    for pool in POOLS:
        both = _read(root, pool.train, pool)
        if pool.kept:
            for language, example in _read(root, pool.kept, pool).values():
                kept.setdefault(f"{pool.name}/{language}", []).append(example)
        else:
            for key in [key for key in both if is_held_out(key)]:
                language, example = both.pop(key)
                kept.setdefault(f"{pool.name}/{language}", []).append(example)
        learn[pool.name] = [example for _, example in both.values()]
    for name in FOREIGN:
        path = root / f"{name}.csv.gz"
        if path.is_file():
            kept[f"{name.partition('/')[0]}/unseen"] = [one for _, one in _read(root, name, None).values()]
    _add_lines(read_lines(), learn, kept)
    apart = {example.text.casefold() for examples in kept.values() for example in examples}
    learn = {name: [one for one in examples if one.text.casefold() not in apart] for name, examples in learn.items()}
    return Folds(
        {name: examples for name, examples in learn.items() if examples},
        {name: _sample(examples) for name, examples in sorted(kept.items())},
        {name: _prior(examples) for name, examples in learn.items()},
    )


def _read(root: Path, file: str, pool: Pool | None) -> dict[str, tuple[str, Example]]:
    """The examples of a file with their languages, by what decides on which side they are. Of texts that are spelled alike the
    first counts."""
    finder = finder_of(TOPICS)
    found: dict[str, tuple[str, Example]] = {}
    for row in read_rows(root / f"{file}.csv.gz"):
        text = spell(" ".join(part for part in (row.get("title"), row["text"]) if part), name_signs=False)
        extra = json.loads(row.get("extra") or "{}")
        language = str(extra.get("lang", "english"))
        complains = pool is not None and pool.complaints
        labels = complaint_labels(row) if complains else {"sentiment": SENTIMENT.index(row["label"])}
        if not text or not labels:
            continue
        if not complains and not finder.look(text).topics:
            labels["hazard"] = HAZARDS.index("none")
        found.setdefault(text.casefold(), (language, Example(text, pool.name if pool else file, labels)))
    return found


def _add_lines(lines: list[Line], learn: dict[str, list[Example]], kept: dict[str, list[Example]]) -> None:
    """What one template says is on one side, however many lines it makes."""
    for line in lines:
        example = Example(spell(line.text, name_signs=False), OWN, dict(line.labels))
        if is_held_out(line.template):
            kept.setdefault(f"{OWN}/{line.language}", []).append(example)
            kept.setdefault(f"{OWN}/all", []).append(example)
        else:
            learn.setdefault(OWN, []).append(example)


def _sample(examples: list[Example]) -> list[Example]:
    rng = random.Random(0)  # noqa: S311 - the same posts every time
    return examples if len(examples) <= MOST_KEPT else rng.sample(examples, MOST_KEPT)


def _prior(examples: list[Example]) -> Prior:
    prior: dict[str, npt.NDArray[np.float64]] = {}
    for head, names in HEADS.items():
        count = Counter(example.labels[head] for example in examples if head in example.labels)
        if count and head != "hazard":  # its classes are as frequent as we wrote them, which says nothing
            shares = np.array([count.get(label, 0) + 1.0 for label in range(len(names))])
            prior[head] = np.log(shares / shares.sum())
    return prior


def draw(folds: Folds, seed: int, round_number: int, size: int) -> list[Example]:
    """The examples of one round, in random order. Each source is gone through in a random order of its own, again and again:
    what a round draws depends on its number alone, so a run that was stopped goes on with what it has not seen."""
    shares = {pool.name: pool.share for pool in POOLS} | {OWN: OWN_SHARE}
    total = sum(shares[name] for name in folds.learn)
    drawn: list[Example] = []
    for name, examples in sorted(folds.learn.items()):
        count = round(size * shares[name] / total)
        begin = round_number * count
        at = begin
        while at < begin + count:
            turn, place = divmod(at, len(examples))
            order = list(range(len(examples)))
            random.Random(f"{seed}/{name}/{turn}").shuffle(order)  # noqa: S311 - reproducible, not secret
            end = min(len(examples), place + begin + count - at)
            drawn += [examples[i] for i in order[place:end]]
            at += end - place
    random.Random(f"{seed}/{round_number}").shuffle(drawn)  # noqa: S311
    return drawn
