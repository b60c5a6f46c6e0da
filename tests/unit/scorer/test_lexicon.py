"""The stand-in model: deterministic, honest about what it does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.model import Reading


def read(text: str, language: str | None = None) -> Reading:
    return Lexicon().read([text], [language])[0]


def label(reading: Reading) -> str:
    return max(("negative", "neutral", "positive"), key=lambda name: float(getattr(reading, name)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Worst airline ever, my bag is lost and nobody answers!", "negative"),
        ("not good at all", "negative"),
        ("I love the new app, thanks!", "positive"),
        ("It was not bad", "positive"),
        ("The train leaves at five", "neutral"),
        ("Can&#39;t believe how terrible this is", "negative"),
    ],
)
def test_plain_words_are_understood(text: str, expected: str) -> None:
    assert label(read(text)) == expected


def test_a_complaint_is_more_than_a_bad_mood() -> None:
    complaint, mood = read("I am still waiting for my refund, three days, unacceptable"), read("sad and tired today")
    assert (complaint.complaint or 0) > 0.7 > (mood.complaint or 0)
    assert (complaint.severity or 0) >= 2


@pytest.mark.parametrize("text", ["", "   ", "12345", "\U0001f600"])
def test_texts_without_words_abstain(text: str) -> None:
    assert read(text).abstain == "no words"


def test_other_languages_abstain() -> None:
    assert read("schrecklich", "de").abstain == "language not known"
    assert read("schrecklich", "de_AT").abstain == "language not known"
    assert read("terrible", "EN_gb").abstain is None
    assert read("why have you not answered, terrible", "de").abstain is None, (
        "the text is English, whatever the tag says"
    )
    assert read("terrible", "en-GB").abstain is None


@given(st.text(max_size=300))
def test_every_text_gets_probabilities(text: str) -> None:
    reading = read(text)
    assert reading.negative + reading.neutral + reading.positive == pytest.approx(1.0)
    assert 0 <= (reading.complaint or 0) <= 1
    assert reading == read(text)
