"""A question mark after words is a question, in any script; one inside a link or alone is none."""

from __future__ import annotations

import pytest

from services.contracts.questions import asks


@pytest.mark.parametrize(
    "text",
    [
        "@acmeair when does the desk in Lisbon open?",
        'How do I rebook ("open jaw")? Thanks',
        "\u822a\u73ed\u53d6\u6d88\u4e86\u5417\uff1f",
        "\u0645\u062a\u0649 \u062a\u0641\u062a\u062d\u061f",
        "really?!",
        "see https://acme.example/a?b=1 - is that you?",
    ],
)
def test_a_question_is_seen(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize(
    "text", [None, "", "???", "!? ??", "https://acme.example/a?b=1", "Thank you, Acme.", "? first"]
)
def test_what_asks_nothing_is_no_question(text: str | None) -> None:
    assert not asks(text)
