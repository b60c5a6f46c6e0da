"""Everything that reads what strangers wrote takes time in proportion to it, whatever they wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from ingest.markup import as_text
from ingest.placeholders import is_placeholder
from scorer.copies import words_of
from scorer.sentiment.language import LanguageGate
from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.relevance import judge
from scorer.sentiment.text import says_something, spell
from scorer.virality.automation import says_the_same, sketch
from services.config.model import Brand
from services.config.rule import TOPICS
from services.contracts.boundaries import addresses, tokens
from services.contracts.cues import company_words
from services.contracts.names import NameFinder, mentions_of
from services.contracts.phrases import TopicFinder
from services.contracts.questions import asks
from services.contracts.spelling import fold, origins
from tests.growth import grows_no_faster

FAMILIES: Final = (
    "a", "a ", "aA", ". ", "...", "!?", "@", "@a ", "#", "#a", "\u2014 ", "should have a ", "take a ", "thanks to so much ",
    "&amp;", "&#", "<a ", "<b>", "https://a", "a@b.", "a.b-", "\u0301", "e\u0301", "\u200d", "\ufb01", "\U0001d4ea",
    "\u0627 \u0644", "ไฟ", "火", "Delta ",
    "> ", "fire smoke ", "burn", "but ", "\n", "\"'(", "is way so much better ",
)  # fmt: skip
BRANDS: Final = (Brand(id="united", name="United"), Brand(id="delta", name="Delta", names=("Delta Air Lines",)))
FINDER: Final = NameFinder(BRANDS)
TOPIC_FINDER: Final = TopicFinder(TOPICS)
GATE: Final = LanguageGate()


def about(text: str) -> None:
    judge(text, mentions_of(FINDER.find("x", text)))


WORK: Final[tuple[Callable[[str], object], ...]] = (
    as_text,
    is_placeholder,
    fold,
    origins,
    lambda text: list(tokens(text)),
    lambda text: list(addresses(fold(text), "x")),
    lambda text: company_words(fold(text)),
    lambda text: FINDER.find("x", text),
    TOPIC_FINDER.look,
    asks,
    about,
    spell,
    says_something,
    lambda text: GATE.refuse(spell(text), "en"),
    lambda text: Lexicon().read([text], ["en"]),
    words_of,
    sketch,
    lambda text: says_the_same(text, text[::-1]),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_time_it_takes_grows_with_the_text_and_no_faster(family: str) -> None:
    for number, work in enumerate(WORK):
        opening, end = "@united terrible, awful ", " ~ Delta"
        assert grows_no_faster(
            work,
            lambda size: opening + family * (size // len(family)) + end,  # noqa: B023 - called at once
        ), f"work {number} on {family!r}"
