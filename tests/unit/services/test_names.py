"""Where a text names a brand: one definition, in every script, counted in the text as it travels."""

# ruff: noqa: RUF001 - letters that look like others are what is tested

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.config.model import Account, Brand
from services.contracts.base import AccountId
from services.contracts.names import MOST_MENTIONS, NameFinder, mentions_of
from services.contracts.post import Mention, MentionKind
from services.contracts.spelling import fold
from tests.growth import grows_no_faster

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
ON_A_SERVER = Account(network="mastodon", handle="AcmeAir@planes.social", owner="care")
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
        "acme2",
        "acme_air",
        "@bob@acme.social",
    ],
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("我讨厌@acmeair的服务", "@acmeair"),
        ("привет@acmeair", "@acmeair"),
        ("@acmeairпривет", "@acmeair"),
        ("昨日@acmeairさん", "@acmeair"),
        ("我的Acme坏了", "Acme"),
        ("мойAcmeсломался", "Acme"),
        ("وAcme", "Acme"),
        ("בAcme", "Acme"),
        ("Acmeने पैसे", "Acme"),
        ("ソニー@bob", "ソニー"),
        ("ひどい#acmefail", "#acmefail"),
        ("ужас#acmefail", "#acmefail"),
        ("Acmé", "Acmé"),
        ("ACME\u0301 Air", "ACME\u0301 Air"),
        ("𝐀𝐜𝐦𝐞 is late", "𝐀𝐜𝐦𝐞"),
        ("ⒶⒸⓂⒺ!", "ⒶⒸⓂⒺ"),
        ("\u2068Acme\u2069", "Acme"),
        ("Acme’s crew", "Acme"),
        ("acme.com charged me twice", "acme"),
        ("late,acme/again", "acme"),
        ("why acme.co?", "acme"),
    ],
)
def test_the_edges_of_words_are_judged_by_the_script(text: str, there: str) -> None:
    assert [what for _, _, what in found(text)] == [there]


@pytest.mark.parametrize(
    "text",
    [
        "https://x.com/acme/status/1",
        "see http://acme.example",
        "HTTPS://ACME.EXAMPLE/late",
        "www.acme.com",
        "acme.com/help",
        "news.example.com/acme-story",
        "acme.co.uk:8080/x",
        "example.com?brand=acme",
        "https://evil.example/?to=@acmeair",
        "https://x.com/search#acmefail",
        "ｈｔｔｐｓ：／／x.com／acme",
    ],
)
def test_a_name_within_a_link_does_not_count(text: str) -> None:
    assert found(text) == []
    assert found(f"Acme! {text}") == [("acme", "name", "Acme")], "the one outside does"
    assert found(f"{text}のソニー") == [("sony", "name", "ソニー")], "people write on right behind it"


def test_a_name_that_is_the_host_of_a_site_is_a_name() -> None:
    finder = NameFinder([Brand(id="booking", name="Booking.com")])
    assert [name.spelling for name in finder.find("x", "Booking.com lost it, see booking.com/help")] == ["booking.com"]


@pytest.mark.parametrize(
    "text", ["Macy's", "Macy’s lost my order", "MACYʼS", "Macy`s", "macys", "Ｍａｃｙ＇ｓ", "Macy´s", "#macys"]
)
def test_a_name_with_an_apostrophe_is_found_with_any_and_with_none(text: str) -> None:
    finder = NameFinder([Brand(id="macys", name="Macy's")])
    (name,) = finder.find("x", text)
    assert fold(text[name.start : name.end]) == name.spelling


@pytest.mark.parametrize(
    ("name", "text"), [("Nestle", "Nestlé"), ("Nestlé", "nestle"), ("Nestlé", "NESTLE\u0301"), ("Mærsk", "Maersk")]
)
def test_an_accent_makes_no_other_name(name: str, text: str) -> None:
    assert NameFinder([Brand(id="one", name=name)]).find("x", f"my {text}!")


def test_a_mark_that_makes_another_letter_makes_another_name() -> None:
    assert NameFinder([Brand(id="one", name="Кий")]).find("x", "Кии") == []
    assert NameFinder([Brand(id="one", name="がす")]).find("x", "かす") == []


def test_where_servers_have_users_a_handle_is_known_by_its_local_part() -> None:
    finder = NameFinder([Brand(id="acme", name="Acme Ltd", accounts=(ON_A_SERVER,))])
    for text in ("@acmeair help", "@acmeair@planes.social help", "hey @AcmeAir"):
        (name,) = finder.find("mastodon", text)
        assert (name.kind, finder.account("mastodon", name.spelling)) == (MentionKind.HANDLE, ON_A_SERVER.id)
    for text in ("@acmeair@other.social", "bob@acmeair", "acmeair@planes.social", "@acmeair.fan"):
        assert finder.find("mastodon", text) == []
    assert finder.find("x", "@acmeair") == [], "another network"
    assert finder.owner(AccountId("mastodon:acmeair")) is None, "on another server it may be anybody"


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


@pytest.mark.parametrize(
    "written",
    [
        "@bob acme air force acme ", "bob@acme.b ", "ａcme\u0301 ソニー ", "acme@acme@",
        "acme", "acme ", "acme.", "acme.com/", "acme/",
        "@acmeair",
        "@acmeair@", "#acmefail", "https://acme", "www.acme.", "a.",
        "a-", "acme\u0323\u0301", "ソニー", "acme's ", "acme air force ",
        ".com", "@",
    ],
)  # fmt: skip
@pytest.mark.parametrize("network", ["x", "bluesky"])
def test_the_time_it_takes_grows_with_the_text_and_no_faster(written: str, network: str) -> None:
    def work(text: str) -> None:
        mentions_of(FINDER.find(network, text))

    assert grows_no_faster(work, lambda size: written * (size // len(written)))


@pytest.mark.parametrize(
    ("name", "text", "spelled"),
    [
        ("Acme Air", "never again acme-air", "acme-air"),
        ("Acme Air", "never again AcmeAir!", "AcmeAir"),
        ("Acme Air", "never again #AcmeAir", "AcmeAir"),
        ("Häagen-Dazs", "my haagen dazs melted", "haagen dazs"),
        ("T-Mobile", "tmobile is down", "tmobile"),
        ("7-Eleven", "the 7 Eleven here is closed", "7 Eleven"),
        ("H&M", "H & M lost my parcel", "H & M"),
        ("Yahoo!", "yahoo mail is down", "yahoo"),
        ("Macy's", "macys lost it", "macys"),
    ],
)
def test_a_name_is_found_however_its_words_are_joined(name: str, text: str, spelled: str) -> None:
    (found,) = NameFinder([Brand(id="one", name=name)]).find("x", text)
    assert text[found.start : found.end] == spelled


@pytest.mark.parametrize(
    ("name", "text"),
    [("On Air", "we are onair"), ("H&M", "hm, no"), ("Acme Air", "acmeairport"), ("Acme Air", "acme. air is bad")],
)
def test_a_name_is_not_found_where_it_only_seems_to_stand(name: str, text: str) -> None:
    assert NameFinder([Brand(id="one", name=name)]).find("x", text) == []
