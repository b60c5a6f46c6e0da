"""The one spelling that training and serving share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.sentiment.text import MAX_CHARS, says_something, spell


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("Fish &amp; chips", "Fish & chips"),
        ("see https://t.co/abc123 now", "see http now"),
        ("see www.example.com/x", "see http"),
        ("@Delta why", "@user why"),
        ("hi @anna@mastodon.social!", "hi @user!"),
        (".@united no", ".@user no"),
        ("write to me@example.com", "write to me@example.com"),
        ("so\n\n  much\t space ", "so much space"),
        ("#WorstAirlineEver", "#Worst Airline Ever"),
        ("noooooooo!!!!!!", "nooo!!!"),
        ("1000000 times", "1000000 times"),
        ("love \u2764\ufe0f it", "love heavy black heart it"),
        ("\U0001f621\U0001f621\U0001f621\U0001f621", "pouting face pouting face"),
        ("\U0001f44d\U0001f3fd", "thumbs up sign"),
        ("caf\u00e9", "caf\u00e9"),
        ("it\\u2019s over\\u002c ok", "it's over, ok"),
        ("half \\ud83d sign", "half sign"),
        ('say ""no"" \\"twice\\"', 'say "no" "twice"'),
        ("", ""),
    ],
)
def test_texts_are_spelled_as_the_model_learned_them(written: str, spelled: str) -> None:
    assert spell(written) == spelled


def test_models_that_know_emoji_get_them() -> None:
    assert spell("ok \U0001f44d", name_signs=False) == "ok \U0001f44d"


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    spelled = spell(text)
    assert spelled == " ".join(spelled.split())


def test_a_flood_of_signs_costs_no_more_than_its_bound() -> None:
    assert len(spell("\U0001f621 " * 1_000_000)) <= MAX_CHARS * 20


@pytest.mark.parametrize("text", ["@user", "http", "@user http", "...", "@user !!!", ""])
def test_addresses_and_signs_alone_say_nothing(text: str) -> None:
    assert not says_something(text)


def test_words_say_something() -> None:
    assert says_something("@user ok")
