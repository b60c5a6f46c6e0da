"""Lines that we wrote, for what no public set has labels of: danger in many languages with as many that only sound like it,
complaints and calm remarks side by side, praise in slang, sarcasm, ratings, emoji.

A file holds templates. Choices stand in braces, `{my|the} {kettle|toaster} caught fire`, may be nested and may be empty;
`<brand>` stands for a made-up name. A line in brackets says what those after it mean: `[en hazard=fire sentiment=negative
complaint=yes severity=4]`. Each template gives a few lines, drawn by its own text alone: adding a template changes no other."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scorer.sentiment.model import DangerKind
from scorer.training.corpora import COMPLAINT, SENTIMENT

HAZARDS: Final = ("none", *(kind.value for kind in DangerKind))

FOLDER: Final = Path(__file__).with_name("written")
MOST_LINES: Final = 14
"""Lines that one template gives at most."""
TRIES: Final = 60

_LABELS: Final = {
    "sentiment": SENTIMENT,
    "complaint": COMPLAINT,
    "severity": ("0", "1", "2", "3", "4"),
    "hazard": HAZARDS,
}
_HEADER: Final = re.compile(r"^\[(?P<language>[\w-]+)(?P<labels>(?: \w+=\w+)+)\]$")
_CHOICE: Final = re.compile(r"\{([^{}]*)\}")
_BRAND: Final = "<brand>"
_BRANDS: Final = (
    "Acorn Mobile", "@AcornMobile", "Veloro", "@veloro", "Tamarind Foods", "@tamarindfoods", "Nordhaus", "@Nordhaus",
    "Kestrel Air", "@KestrelAir", "Bankora", "@Bankora", "Pixelmart", "@pixelmart", "Lumen Rail", "@lumenrail", "Orbita",
    "Casa Brava", "@casabrava", "Hanabi", "#Hanabi", "Rivulet", "Mokka", "@mokka_id", "Zenbu", "Sol y Mar", "@getsparrow",
)  # fmt: skip
"""Made up, with handles and hashtags among them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, the template that made it, its language and what it means (an index into the labels of each head)."""

    text: str
    template: str
    language: str
    labels: tuple[tuple[str, int], ...]


def read_lines(folder: Path = FOLDER) -> list[Line]:
    """All lines of all files of a folder. Raises `ValueError` that names the place of a line that cannot be understood."""
    return [line for path in sorted(folder.glob("*.txt")) for line in _read_file(path)]


def _read_file(path: Path) -> Iterator[Line]:
    language = ""
    labels: tuple[tuple[str, int], ...] = ()
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = raw.strip()
        if not text or text.startswith("# "):
            continue
        if text.startswith("[") and text.endswith("]"):
            language, labels = _read_header(text, f"{path.name}:{number}")
            continue
        if not labels:
            raise ValueError(f"{path.name}:{number}: no header before the first template")
        if text.count("{") != text.count("}"):
            raise ValueError(f"{path.name}:{number}: braces do not match")
        for made in expand(text):
            yield Line(made, text, language, labels)


def _read_header(text: str, where: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    found = _HEADER.match(text)
    if found is None:
        raise ValueError(f"{where}: expected `[language head=label ...]`, not {text}")
    labels = []
    for pair in found["labels"].split():
        head, _, label = pair.partition("=")
        if label not in _LABELS.get(head, ()):
            raise ValueError(f"{where}: there is no {pair}")
        labels.append((head, _LABELS[head].index(label)))
    return found["language"], tuple(labels)


def expand(template: str) -> list[str]:
    """At most `MOST_LINES` different lines that a template makes, always the same ones."""
    rng = random.Random(template)  # noqa: S311 - reproducible, not secret
    made: dict[str, None] = {}
    for _ in range(TRIES):
        made.setdefault(_choose(template, rng))
        if len(made) == MOST_LINES:
            break
    return list(made)


def _choose(template: str, rng: random.Random) -> str:
    while (found := _CHOICE.search(template)) is not None:
        template = template[: found.start()] + rng.choice(found[1].split("|")) + template[found.end() :]
    while _BRAND in template:
        template = template.replace(_BRAND, rng.choice(_BRANDS), 1)
    return " ".join(template.split())
