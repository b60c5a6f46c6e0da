"""The glossary says where each word is in the code, and stays true when the code is renamed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
SERVICES = ("services", "ingest", "scorer", "alerter")
_, *PARAGRAPHS = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").strip().split("\n\n")[1:]
ENTRY: Final = re.compile(r"\*\*([^*]+)\*\*: (.+)", re.DOTALL)
WORDS: Final = [(found[1], found[2]) for paragraph in PARAGRAPHS if (found := ENTRY.fullmatch(paragraph))]
GIVEN_UP: Final = frozenset(
    [
        "Answer",
        "Applied",
        "Backstage",
        "Called",
        "Cursed",
        "Desk",
        "Dossier",
        "Ladder",
        "Letter",
        "Newsroom",
        "Outcome",
        "Present",
        "Rounds",
        "Sorted",
        "Verdict",
    ]
)
"""Names of classes that stood for several things, or for one that the field calls otherwise."""


@cache
def code() -> str:
    files = (path for name in SERVICES for path in sorted((ROOT / name).rglob("*.py")))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def is_there(name: str) -> bool:
    if "/" in name:
        return (ROOT / name).exists()
    if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
        return re.search(rf"^ *class {name}\b|^{name}(: TypeAlias)? = ", code(), re.MULTILINE) is not None
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", code()) is not None


def test_every_paragraph_explains_a_word() -> None:
    assert [paragraph for paragraph in PARAGRAPHS if not ENTRY.fullmatch(paragraph)] == []
    assert len(WORDS) > 100


def test_every_word_stands_there_once_in_order() -> None:
    words = [word for word, _ in WORDS]
    assert words == sorted(set(words), key=str.casefold)


def test_every_word_is_in_the_code_where_the_glossary_says() -> None:
    named = {word: re.findall(r"`([^`]+)`", text) for word, text in WORDS}
    assert [word for word, names in named.items() if not names] == []
    assert [(word, name) for word, names in named.items() for name in names if not is_there(name)] == []


def test_a_word_is_explained_in_a_few_sentences() -> None:
    plain = {word: re.sub(r"`[^`]*`|Elsewhere: [^.]*\.", "", text) for word, text in WORDS}
    assert [word for word, text in plain.items() if len(text) > 300] == []


def test_no_class_has_a_name_that_was_given_up() -> None:
    classes = set(re.findall(r"^ *class (\w+)", code(), re.MULTILINE))
    assert len(classes) > 300
    assert classes & GIVEN_UP == set()
