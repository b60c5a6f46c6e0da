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


@pytest.mark.parametrize(
    "text",
    [
        "Lufthansa worst service ever",
        "worst travel day ever, lost all my luggage",
        "Brandtag nobody answers, never again",
    ],
)
def test_a_name_from_elsewhere_makes_no_english_complaint_foreign(gate: LanguageGate, text: str) -> None:
    assert gate.refuse(text, "de") is None


@pytest.mark.parametrize("tag", ["de", "fr-CA", "pt_BR", "iw", "zh-Hant-TW"])
def test_the_tag_does_not_overrule_a_text_that_is_surely_english(gate: LanguageGate, tag: str) -> None:
    assert gate.refuse("App crashes every time since update, money gone", tag) is None


def test_the_tag_decides_what_is_in_doubt() -> None:
    doubtful = LanguageGate(lambda _: ("nl", 0.79))
    assert doubtful.refuse("echt heel slecht geregeld", "nl") == "language: nl"
    assert doubtful.refuse("echt heel slecht geregeld", "en") is None
    assert doubtful.refuse("echt heel slecht geregeld", None) is None
    assert LanguageGate(lambda _: ("en", 0.8)).refuse("echt heel slecht geregeld", "nl") is None


@pytest.mark.parametrize("tag", ["EN", "en_us", "en-GB", "eng", "qme", "und", "zxx", "", "x-none"])
def test_odd_tags_of_english_and_of_nothing_refuse_nothing(tag: str) -> None:
    assert LanguageGate(lambda _: ("nl", 0.06)).refuse("echt heel slecht geregeld", tag) is None


@pytest.mark.parametrize(
    ("tag", "named"), [("in", "id"), ("iw", "he"), ("fil-PH", "tl"), ("nb-NO", "no"), ("zh_Hans", "zh")]
)
def test_a_refusal_names_the_language_as_everybody_spells_it(tag: str, named: str) -> None:
    assert LanguageGate(lambda _: ("xx", 0.1)).refuse("ganz toll gemacht", tag) == f"language: {named}"


def test_short_texts_are_refused_only_where_hardly_any_english_looks_like_them() -> None:
    assert LanguageGate(lambda _: ("id", 0.0009)).refuse("terlalu lambat", None) == "language: id"
    assert LanguageGate(lambda _: ("id", 0.0011)).refuse("terlalu lambat", None) is None
    assert LanguageGate(lambda _: ("id", 0.0004)).refuse("terlalu lambat", "en") is None
    assert LanguageGate(lambda _: ("id", 0.0002)).refuse("terlalu lambat", "en") == "language: id"


def test_plainly_foreign_short_texts_are_refused_and_slang_is_not(gate: LanguageGate) -> None:
    assert gate.refuse("terlalu lambat", None) == "language: id"
    assert gate.refuse("lol ok", None) is None


def test_a_model_may_be_trained_on_a_macrolanguage() -> None:
    assert LanguageGate(lambda _: ("xx", 0.1), frozenset({"fil"})).refuse("sobrang bagal nito", "tl-PH") is None


def test_most_texts_never_reach_the_identifier() -> None:
    def forbidden(_: str) -> tuple[str, float]:
        raise AssertionError("asked")

    assert LanguageGate(forbidden).refuse("why have you not answered my mail", None) is None


@pytest.mark.parametrize(
    ("text", "tag", "language"),
    [
        ("the train is late and nobody told us", None, "en"),
        ("the train is late and nobody told us", "th", "en"),
        ("Der Zug kommt schon wieder eine Stunde zu spät", "en", "de"),
        ("ห้องน้ำสกปรกมาก", None, "th"),
        ("ok", "id-ID", "id"),
        ("ok", None, None),
        ("@user http", "fr", "fr"),
        ("", None, None),
    ],
)
def test_a_text_says_its_language_before_its_tag_does(text: str, tag: str | None, language: str | None) -> None:
    assert LanguageGate().name(text, tag) == language
