"""A text in a language that the model does not know is not read; in doubt it is."""

from __future__ import annotations

import pytest

from scorer.sentiment.language import LanguageGate
from scorer.sentiment.text import spell


@pytest.fixture(scope="module")
def gate() -> LanguageGate:
    return LanguageGate()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Zug hat schon wieder zwei Stunden Verspätung und niemand sagt etwas", "de"),
        ("@brand le colis est arrivé cassé et personne ne répond à mes messages", "fr"),
        ("El pedido llegó roto y nadie contesta, qué vergüenza de servicio", "es"),
        ("สินค้าแย่มาก ส่งช้ามากเลย", "th"),
        ("配送が遅すぎるし、誰も返事をくれない", "ja"),
    ],
)
def test_other_languages_are_named(gate: LanguageGate, text: str, language: str) -> None:
    assert gate.refuse(spell(text), None) == f"language: {language}"


@pytest.mark.parametrize(
    "text",
    [
        "@brand the app crashed again and you lost my order",
        "lol ok",
        "@brand wtf",
        "worst airline ever!!!",
        "@user http",
        "¿Qué? I'm still waiting for your reply, señor",
        "",
    ],
)
def test_english_and_doubtful_texts_are_read(gate: LanguageGate, text: str) -> None:
    assert gate.refuse(spell(text), None) is None


def test_the_network_is_believed_about_another_language_unless_the_words_are_english(gate: LanguageGate) -> None:
    assert gate.refuse("ganz toll gemacht", "de-DE") == "language: de"
    assert gate.refuse("not what I paid for and you know it", "de") is None
    assert gate.refuse("lol ok", "und") is None


def test_a_network_that_says_english_is_overruled_only_when_plainly_wrong() -> None:
    doubtful = LanguageGate(lambda _: ("nl", 0.02))
    assert doubtful.refuse("echt heel slecht geregeld", None) == "language: nl"
    assert doubtful.refuse("echt heel slecht geregeld", "en") is None
    plain = LanguageGate(lambda _: ("nl", 0.001))
    assert plain.refuse("echt heel slecht geregeld", "en-GB") == "language: nl"


def test_most_texts_never_reach_the_identifier() -> None:
    def forbidden(_: str) -> tuple[str, float]:
        raise AssertionError("asked")

    assert LanguageGate(forbidden).refuse("why have you not answered my mail", None) is None
