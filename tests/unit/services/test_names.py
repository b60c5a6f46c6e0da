"""Where a text names a brand: one definition, in every script, counted in the text as it travels."""

# ruff: noqa: RUF001 - letters that look like others are what is tested

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.config.model import Account, Brand
from services.contracts.names import MOST_MENTIONS, NameFinder, mentions_of
from services.contracts.post import Mention, MentionKind
from services.contracts.spelling import fold

ACME = Brand(
    id="acme",
    name="Acme",
    names=("Acme Air",),
    hashtags=("acmefail",),
    exclude=("Acme Air Force",),
    accounts=(
        Account(network="x", handle="AcmeAir", owner="care"),
        Account(network="bluesky", handle="acme.please", owner="care"),
    ),
)
SONY = Brand(id="sony", name="Sony", names=("ソニー", "삼성", "โซนี่", "lidl"))
FINDER = NameFinder([ACME, SONY])


def found(text: str, network: str = "x") -> list[tuple[str, str, str]]:
    """(brand, kind, what stands there in the text)."""
    return [(name.brands[0], name.kind.value, text[name.start : name.end]) for name in FINDER.find(network, text)]


@pytest.mark.parametrize(
    ("text", "brand", "kind", "there"),
    [
        ("ＡＣＭＥ is late", "acme", "name", "ＡＣＭＥ"),
        ("oh ＡＣＭＥ　Ａｉｒ!", "acme", "name", "ＡＣＭＥ　Ａｉｒ"),
        ("oh acme\n  AIR!", "acme", "name", "acme\n  AIR"),
        ("昨日ソニーのテレビ", "sony", "name", "ソニー"),
        ("昨日ｿﾆｰのテレビ", "sony", "name", "ｿﾆｰ"),
        ("ทีวีโซนี่พัง", "sony", "name", "โซนี่"),
        ("삼성은 나빠", "sony", "name", "삼성"),
        ("\u1109\u1161\u11b7\u1109\u1165\u11bc은", "sony", "name", "\u1109\u1161\u11b7\u1109\u1165\u11bc"),
        ("LİDL kötü", "sony", "name", "LİDL"),
        ("l\u0131dl kötü", "sony", "name", "l\u0131dl"),
        ("a\u200bc\u200bme\u200b late", "acme", "name", "a\u200bc\u200bme"),
        ("💥👩\u200d🚒 Acme is late", "acme", "name", "Acme"),
        ("\U0001d11e💥#AcmeFail", "acme", "hashtag", "#AcmeFail"),
        ("💥＠ＡｃｍｅＡｉｒさん", "acme", "handle", "＠ＡｃｍｅＡｉｒ"),
        ("naïve café, Straße: Acme", "acme", "name", "Acme"),
    ],
)
def test_a_name_is_found_where_it_stands(text: str, brand: str, kind: str, there: str) -> None:
    assert found(text) == [(brand, kind, there)]


@pytest.mark.parametrize(
    "text",
    [
        "bob@acme",
        "acme@example.com",
        "@acme on holiday",
        "acme\u0947",
        "acmes",
        "acme_air",
        "@bob@acme.social",
    ],
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert found(text) == []


def test_a_handle_ends_where_its_network_says() -> None:
    assert found("@acmeair.Please", network="x") == [("acme", "handle", "@acmeair")]
    assert found("@acme.please", network="bluesky") == [("acme", "handle", "@acme.please")]
    assert found("@acme.please.fans", network="bluesky") == []
    assert found("@acme.please", network="x") == [], "somebody else's handle there"


def test_a_name_that_is_spelled_with_an_at_sign_is_a_name() -> None:
    finder = NameFinder([Brand(id="home", name="Toys@Home", names=("@live",))])
    assert [name.spelling for name in finder.find("x", "Toys@Home, not bob@live.com, but @Live!")] == [
        "toys@home",
        "@live",
    ]


def test_a_part_of_one_character_is_no_name() -> None:
    finder = NameFinder([Brand(id="fi", name="Fi", names=("株式", "会社"))])
    assert finder.find("x", "ﬁ ok")[0].start == 0
    assert finder.find("x", "㍿ ok") == [], "the sign stands for more than the name"


def test_places_where_the_name_means_something_else_are_left_out() -> None:
    assert found("the Acme Air Force, and Acme Air") == [("acme", "name", "Acme Air")]


def test_a_name_of_several_brands_is_a_place_of_each() -> None:
    finder = NameFinder([Brand(id="one", name="Delta"), Brand(id="two", name="Delta")])
    mentions = mentions_of(finder.find("x", "my Delta"))
    assert mentions == tuple(Mention(brand=b, kind=MentionKind.NAME, start=3, end=8) for b in ("one", "two"))


def test_an_event_carries_a_bounded_number_of_places_and_each_brand_is_among_them() -> None:
    text = "acme " * 1000 + "sony " * 1000
    mentions = mentions_of(FINDER.find("x", text))
    assert len(mentions) == MOST_MENTIONS
    assert [mention.brand for mention in mentions].count(SONY.key) == MOST_MENTIONS // 2
    assert list(mentions) == sorted(mentions, key=lambda mention: mention.start)
    assert mentions[0].start == 0


WRITTEN = [
    "acme", "ACME", "ＡＣＭＥ", "a\u200bcme", "Acme\u00a0Air", "acme  air", "ソニー", "ｿﾆｰ", "LİDL", "lıdl",
    "#acmefail", "@acmeair", "＠ａｃｍｅａｉｒ",
]  # fmt: skip
BETWEEN = st.text(alphabet="ab -_.@#é💥\n\u200b\u0301ソ은ﬁß½\u00a8", max_size=6)


@given(st.lists(st.tuples(BETWEEN, st.sampled_from(WRITTEN)), max_size=8), BETWEEN, st.sampled_from(["x", "bluesky"]))
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_what_stands_at_a_place_folds_to_the_spelling_that_was_found(
    pieces: list[tuple[str, str]], rest: str, network: str
) -> None:
    text = "".join(before + written for before, written in pieces) + rest
    names = FINDER.find(network, text)
    for name in names:
        assert fold(text[name.start : name.end]) == name.spelling
    assert all(one.end <= next_.start for one, next_ in pairwise(names))


@given(st.text(max_size=200))
@settings(deadline=None, derandomize=True)
def test_no_text_breaks_it(text: str) -> None:
    for name in FINDER.find("x", text):
        assert fold(text[name.start : name.end]) == name.spelling


@pytest.mark.parametrize("written", ["@bob acme air force acme ", "bob@acme.b ", "ａcme\u0301 ソニー ", "acme@acme@"])
def test_the_time_it_takes_grows_with_the_text_and_no_faster(written: str) -> None:
    text = written * (200_000 // len(written))
    began = time.perf_counter()
    mentions_of(FINDER.find("x", text))
    assert time.perf_counter() - began < 30  # a bound against the absurd: the square of it would take many minutes
