"""Whatever the fold calls equal is equal for all that look at texts: brand finding, relevance, topics and the model."""

# ruff: noqa: RUF001 - letters that look like others are what is tested

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from alerter.rules.conditions import Facts, spoken_of
from scorer.sentiment.onnx import SHIPPED
from scorer.sentiment.relevance import judge
from scorer.sentiment.text import spell
from services.config.model import Account, Brand
from services.contracts.names import NameFinder, mentions_of
from services.contracts.spelling import fold
from tests.unit.alerter.make import card, negative

TOKENIZER = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
BRANDS = (
    Brand(id="macys", name="Macy's", accounts=(Account(network="x", handle="macys", owner="care"),)),
    Brand(id="nestle", name="Nestlé", hashtags=("nestlefail",)),
    Brand(id="cola", name="Coca-Cola"),
)
FINDER = NameFinder(BRANDS)
SENTENCES = (
    "macy's lost my order, but nestle doesn't",
    "unlike nestle, macy's caught fire",
    "nestle beats macy's. coca-cola has a burning smell",
    "thanks to coca-cola, macy's is the worst",
    "@macys #nestlefail coca-cola isn't better than nestle",
)
WORDS = ("burn*", "caught fire", "doesn't", "coca-cola", "café")


def _wide(letter: str) -> str:
    return chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter


def _bold(letter: str) -> str:
    return chr(0x1D41A + ord(letter) - ord("a")) if "a" <= letter <= "z" else letter


WAYS: tuple[Callable[[str], str], ...] = (
    str.upper,
    _wide,
    _bold,
    lambda letter: letter.replace("'", "’"),
    lambda letter: letter.replace("'", "＇"),
    lambda letter: letter.replace("-", "‑"),
    lambda letter: letter.replace("-", "–"),
    lambda letter: letter.replace("e", "é"),
    lambda letter: letter.replace("o", "o\u0308"),
    lambda letter: letter + "\u200b",
    lambda letter: "\u2060" + letter,
    lambda letter: letter.replace(" ", " \u00a0"),
    lambda letter: letter,
)
"""Ways to write one character, none of which changes what is said."""


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """A sentence, and another way to write it."""
    sentence = draw(st.sampled_from(SENTENCES))
    ways = draw(st.lists(st.sampled_from(WAYS), min_size=len(sentence), max_size=len(sentence)))
    return sentence, "".join(way(letter) for way, letter in zip(ways, sentence, strict=True))


@given(written())
@settings(deadline=None, derandomize=True, max_examples=400)
def test_whatever_the_fold_calls_equal_is_found_equal_by_all(pair: tuple[str, str]) -> None:
    sentence, other = pair
    assert fold(other) == fold(sentence)
    found = [(name.kind, name.spelling, name.brands) for name in FINDER.find("x", sentence)]
    assert [(name.kind, name.spelling, name.brands) for name in FINDER.find("x", other)] == found
    assert _roles(other) == _roles(sentence)
    assert _topics(other) == _topics(sentence)
    # A model reads the words of #NestleFail by their capitals.
    assert _tokens(other.lower()) == _tokens(sentence)


def _roles(text: str) -> dict[str, object]:
    return dict(judge(text, mentions_of(FINDER.find("x", text))))


def _topics(text: str) -> list[str]:
    signal = negative().model_copy(update={"post": card(text=text)})
    return [word for word in WORDS if spoken_of("any", Facts(signal, None, 4, {"any": (word,)})) is not None]


def _tokens(text: str) -> list[int]:
    return list(TOKENIZER.encode(spell(text)).ids)
