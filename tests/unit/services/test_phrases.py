"""A text speaks of a topic where its words stand as words, in every script, and not where they mean something else."""

# ruff: noqa: RUF001 - texts of all languages are what is tested

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config.model import Config
from services.config.rule import TOPICS
from services.config.shipped_topics import read_topics
from services.contracts.base import BrandId
from services.contracts.phrases import MOST_CHARS, TopicFinder, finder_of

SHIPPED = TopicFinder(TOPICS)
SHARED = Path(__file__).parents[4] / "shared/data"
HAZARDS = SHARED / "written/hazards.csv"


def found(words: tuple[str, ...], text: str) -> tuple[str, ...]:
    return TopicFinder({"it": words}).find(text).get("it", ())


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("fire", "FIRE!"),
        ("fire", "#fire"),
        ("fire", "_fire_"),
        ("fire", "fiiiiire"),
        ("fire", "\uff26\uff29\uff32\uff25"),
        ("data leak", "a data-leak"),
        ("data leak", "data\n leak"),
        ("can't breathe", "I can\u2019t breathe"),
        ("can't breathe", "I cant breathe"),
        ("caught fire", "it #CaughtFire"),
        ("caught fire", "it caught \u201cfire\u201d"),
        ("caught fire", "it caught *fire*"),
        ("burn*", "burnt"),
        ("wycofan* z rynku", "wycofana z rynku"),
        ("火事", "隣の家が火事だ"),
        ("불이 났", "집에 불이났어요"),
        ("ไฟไหม้", "มีไฟไหม้ที่บ้าน"),
        ("आग", "घर में आग लगी"),
        ("धुआं", "धुआं"),
        ("حريق", "والحريق كبير"),
        ("incendie", "un début d'incendie"),
    ],
)
def test_a_word_is_found_in_any_case_script_and_spelling(word: str, text: str) -> None:
    assert found((word,), text) == (word,)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("fire", "firefox"),
        ("fire", "@fire @Fire.Brigade a@fire.example https://a.example/fire www.fire.example"),
        ("fire sale", "fire. Sale!"),
        ("recalled", "recall-ed"),
        ("ไฟไหม", "ไฟไหม้"),
        ("fire", ""),
    ],
)
def test_a_word_is_not_found_inside_of_others_nor_in_addresses(word: str, text: str) -> None:
    assert found((word,), text) == ()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("caught fire", "my charger #caughtfire"),
        ("caught fire", "#CAUGHTFIRE!!"),
        ("caught fire", "#CaughtFire"),
        ("house on fire*", "#houseonfires"),
        ("prend feu", "#PrendFeu"),
    ],
)
def test_a_hashtag_may_write_a_phrase_together(word: str, text: str) -> None:
    assert found((word,), text) == (word,)


@pytest.mark.parametrize("text", ["caughtfire", "#caughtfirefox", "#uncaughtfire", "# caughtfire"])
def test_elsewhere_a_phrase_is_not_written_together(text: str) -> None:
    assert found(("caught fire",), text) == ()


def test_a_phrase_cancels_what_stands_in_it_and_nothing_else() -> None:
    words = ("fire", "!fire sale", "!is fire")
    assert found(words, "the fire sale") == ()
    assert found(words, "this is fire") == ()
    assert found(words, "the fire sale ended in a fire") == ("fire",)
    assert TopicFinder({"a": ("fire", "!fire sale"), "b": ("fire",)}).find("fire sale") == {"b": ("fire",)}


def test_all_words_are_told_in_the_order_of_the_configuration() -> None:
    assert found(("smoke", "flames", "fire"), "fire! smoke, fire") == ("smoke", "fire")


@given(st.text(max_size=300))
def test_no_text_breaks_the_finder(text: str) -> None:
    for topic, words in SHIPPED.find(text).items():
        assert set(words) <= set(TOPICS[topic])


@pytest.mark.parametrize("piece", ["a", "@", "@a ", "a@a", "fire ", "火", "fire! ", "!", "the fire sale of ", "\u0301"])
def test_the_time_grows_with_the_text(piece: str) -> None:
    """A hundred times the text must not take ten thousand times as long; the bound is generous, because machines differ."""
    began = time.perf_counter()
    SHIPPED.find(piece * (MOST_CHARS // len(piece)))
    assert time.perf_counter() - began < 5


def test_a_word_in_the_name_of_a_brand_says_nothing_about_it() -> None:
    config = Config.model_validate(
        {
            "brands": [
                {"id": "pit", "name": "Smoke House", "hashtags": ["#firehouse"]},
                {"id": "air", "name": "Acme Air"},
            ]
        }
    )
    own, others = config.topics_about(BrandId("pit")), config.topics_about(BrandId("air"))
    assert others is config.every_topic
    assert TopicFinder(own).find("I love Smoke House #smokehouse") == {}
    assert TopicFinder(own).look("I love Smoke House") == ({}, {})
    assert TopicFinder(own).look("smoke at Smoke House") == ({}, {"safety": ("smoke",)})
    assert TopicFinder(others).look("I love Smoke House") == ({}, {"safety": ("smoke",)})


@pytest.mark.parametrize(
    ("text", "sure", "hinted"),
    [
        ("we were trapped for hours", (), ("trapped",)),
        ("trapped, and there was smoke", ("trapped", "smoke"), ()),
        ("trapped in the cabin", ("trapped",), ()),
        ("the cabin was lovely", (), ()),
        ("trapped trapping", (), ("trapped",)),
        ("it exploded", ("exploded",), ()),
        ("smoke detector, trapped", (), ("trapped",)),
        ("TRAPPED. In another sentence: Smoke!", ("trapped", "smoke"), ()),
    ],
)
def test_a_hint_needs_something_beside_it(text: str, sure: tuple[str, ...], hinted: tuple[str, ...]) -> None:
    topic = ("?trapped", "?trap*", "?smoke", "~cabin", "exploded", "!smoke detector")
    found = TopicFinder({"it": topic}).look(text)
    assert set(found.topics.get("it", ())) >= set(sure)
    assert bool(found.topics) == bool(sure)
    assert set(found.hints.get("it", ())) >= set(hinted)
    assert bool(found.hints) == bool(hinted)


ORDINARY = (
    ("tweets to airlines", "airline/train.csv.gz", 0.0012),
    ("messages to a music service", "twcs_spotify_inbound/messages.csv.gz", 0.0015),
    ("tweets about phones", "brands_sxsw/train.csv.gz", 0.001),
)
"""With the share of texts that may be taken for danger; about half of these posts do speak of it."""


@pytest.mark.parametrize(("what", "file", "share"), ORDINARY)
def test_ordinary_complaints_are_hardly_ever_taken_for_danger(what: str, file: str, share: float) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip("the public sets are not here")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        texts = [row["text"] for row in csv.DictReader(lines)]
    assert sum(bool(SHIPPED.find(text)) for text in texts) <= share * len(texts), what


def test_people_in_a_hurry_leave_accents_out(tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text("safety es: explosión\nsafety de: überhitzt, !heiß\nsafety vi: nổ\n", encoding="utf-8")
    assert read_topics(path) == {"safety": ("explosión", "explosion", "überhitzt", "ueberhitzt", "!heiß", "nổ")}, (
        "in Vietnamese the bare word is another one"
    )


DANGERS = [
    ("@acmeair there is smoke in the cabin on AC101, we are landing", "safety"),
    ("engine on fire, we saw flames", "safety"),
    ("ambulance called, she collapsed at the counter", "safety"),
    ("my account was hacked, money gone", "breach"),
    ("your charger caught fire in my daughter's bedroom", "safety"),
    ("Our lawyer will send you a letter", "legal"),
    ("A question from our news desk: can you comment?", "legal"),
    ("I want to end my life because of your debt letters", "self_harm"),
    ("Es brennt in Wagen 4, überall Rauch", "safety"),
    ("Mein Konto wurde gehackt, das Geld ist weg", "breach"),
    ("De la fumée dans la cabine", "safety"),
    ("Hay humo en la cabina", "safety"),
    ("Tem fumaça na cabine", "safety"),
    ("C'e' un incendio nel vagone", "safety"),
    ("Er komt rook uit de lader", "safety"),
    ("W wagonie wybuchł pożar", "safety"),
    ("Vagonda yangın çıktı", "safety"),
    ("В вагоне пожар, все в дыму", "safety"),
    ("في حريق في الطيارة", "safety"),
    ("केबिन में धुआं भर गया है", "safety"),
    ("charger mein aag lag gayi", "safety"),
    ("Pengisi dayanya terbakar", "safety"),
    ("Bilik tu penuh, keluar asap dari charger", "safety"),
    ("มีควันในห้องโดยสาร", "safety"),
    ("Sạc bốc cháy trong phòng con tôi", "safety"),
    ("充电器起火了", "safety"),
    ("充電器が発火しました", "safety"),
    ("충전기에서 불이 났어요", "safety"),
    ("Sumabog ang charger ko", "safety"),
]
MEANT_OTHERWISE = [
    "this album is fire",
    "fire sale this weekend",
    "you killed it tonight",
    "a smoking hot deal",
    "the team is on fire today",
    "I quit smoking a year ago",
    "new smoke detectors, well done",
    "nobody was injured, thank you",
    "no smoke, no fire, all fine",
    "so sue me, I like it",
    "that song slaps, it blew up on tiktok",
    "died laughing at your ad",
    "life hack: turn it off",
    "Career suicide, that rebranding",
    "the food court was crowded",
]


@pytest.mark.parametrize(("text", "topic"), DANGERS)
def test_danger_is_found_in_the_languages_of_customers(text: str, topic: str) -> None:
    assert topic in SHIPPED.find(text)


@pytest.mark.parametrize("text", MEANT_OTHERWISE)
def test_words_that_mean_something_else_are_no_danger(text: str) -> None:
    assert SHIPPED.find(text) == {}


@pytest.mark.skipif(not HAZARDS.exists(), reason="the written hazards are not here")
def test_more_of_the_written_hazards_are_found_than_by_a_handful_of_english_words() -> None:
    with HAZARDS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    looked = {label: [SHIPPED.look(r["text"]) for r in rows if r["label"] == label] for label in ("hazard", "none")}
    sure = {label: sum(bool(one.topics) for one in found) for label, found in looked.items()}
    any_word = {label: sum(any(one) for one in found) for label, found in looked.items()}
    assert sure["hazard"] >= 12, sure
    assert sure["none"] <= 10, sure
    assert any_word["hazard"] >= 18, any_word


def test_configurations_with_the_same_topics_share_what_is_prepared() -> None:
    assert finder_of(dict(TOPICS)) is finder_of({topic: list(words) for topic, words in TOPICS.items()})
    mine = finder_of({**TOPICS, "mine": ("nut",)})
    assert mine is not finder_of(TOPICS)
    assert mine.find("a nut") == {"mine": ("nut",)}
