"""What a post becomes: which conversations, which ids, which times."""

# ruff: noqa: RUF001 - letters that look like others are what networks write

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.brands import BrandBook
from ingest.claims import Claim
from ingest.normalize import ItemRefused, NormalizedPost, Normalizer, clean
from ingest.schemas import EXAMPLES, PostIn, Reason
from services.config.model import Account, Brand
from services.contracts.codec import decode, encode
from services.contracts.post import (
    MentionKind,
    PostDeleted,
    PostKind,
    PostObserved,
    PostPlaced,
    PostVisibility,
    SourcePolicy,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ACME = Brand(
    id="acme",
    name="Acme Air",
    accounts=(
        Account(network="x", handle="@AcmeAir", owner="care"),
        Account(network="bluesky", handle="acme", owner="care"),
    ),
)
OTHER = Brand(id="other", name="Otherwise Ltd")
NORMALIZER = Normalizer(BrandBook([ACME, OTHER]), {"x": SourcePolicy.IDS_ONLY}, max_text_chars=1000)


def normalized(**fields: Any) -> NormalizedPost:
    post = {"network": "x", "post_id": "5", "kind": "original", **fields}
    return NORMALIZER.normalize(PostIn.model_validate_json(json.dumps(post)), NOW)


def events(**fields: Any) -> list[PostObserved]:
    return [observation.event for observation in normalized(**fields).observations]


def notices(**fields: Any) -> list[PostPlaced | PostDeleted | PostVisibility]:
    return [notice.event for notice in normalized(**fields).notices]


def refusal(**fields: Any) -> tuple[Reason, str | None]:
    with pytest.raises(ItemRefused) as caught:
        normalized(**fields)
    return caught.value.error.code, caught.value.error.field


def places(**fields: Any) -> list[tuple[str, str, str]]:
    return [(e.kind.value, e.conversation, e.home) for e in events(**fields)]


def test_an_original_is_the_root_of_its_conversation() -> None:
    (event,) = events(text="hi")
    assert event.is_root
    assert event.at == NOW
    assert places(root_id="5") == [("original", "x:5", "x:5")]


@pytest.mark.parametrize("kind", ["reply", "repost"])
def test_an_engagement_lives_in_the_conversation_it_hangs_on(kind: str) -> None:
    assert places(kind=kind, parent_id="3", root_id="1") == [(kind, "x:1", "x:1")]
    assert places(kind=kind, parent_id="3") == [(kind, "x:3", "x:3")]
    assert places(kind=kind, root_id="1") == [(kind, "x:1", "x:1")]


def test_a_quote_belongs_to_both_conversations() -> None:
    own, away = events(
        kind="quote", quote_of={"post_id": "2", "root_id": "1"}, text="look at Acme Air", author={"id": "9"}
    )
    assert (own.kind, own.conversation, own.home) == (PostKind.QUOTE, "x:5", "x:5")
    assert own.quotes is not None
    assert (own.quotes.post_id, own.quotes.conversation) == ("2", "x:1")
    assert (away.kind, away.conversation, away.home) == (PostKind.QUOTE, "x:1", "x:5")
    assert (away.parent_id, away.text, away.brands, away.author) == ("2", own.text, own.brands, own.author)
    assert not away.is_root


def test_a_reply_that_also_quotes_belongs_to_both_conversations() -> None:
    own, away = events(kind="reply", parent_id="4", root_id="3", quote_of={"post_id": "2"})
    assert (own.kind, own.conversation, own.parent_id) == (PostKind.REPLY, "x:3", "4")
    assert own.quotes is not None
    assert (away.kind, away.conversation, away.home, away.parent_id) == (PostKind.QUOTE, "x:2", "x:3", "2")


def test_a_quote_of_its_own_conversation_counts_once() -> None:
    (event,) = events(kind="reply", parent_id="2", root_id="1", quote_of={"post_id": "3", "root_id": "1"})
    assert (event.kind, event.conversation) == (PostKind.REPLY, "x:1")
    assert event.quotes is not None


def test_a_deletion_of_a_quote_reaches_both_conversations_and_carries_no_content() -> None:
    own, away = events(kind="deletion", quote_of={"post_id": "2"}, text="Acme Air lies", language="en", brands=["acme"])
    assert [(e.kind, e.conversation, e.home) for e in (own, away)] == [
        (PostKind.DELETION, "x:5", "x:5"),
        (PostKind.DELETION, "x:2", "x:5"),
    ]
    assert [(e.text, e.language, e.brands, e.quotes) for e in (own, away)] == [(None, None, (), None)] * 2


def test_snapshots_and_deletions_go_to_their_conversation() -> None:
    assert places(kind="counters", counters={"likes": 1}) == [("counters", "x:5", "x:5")]
    assert places(kind="counters", counters={"likes": 1}, root_id="1") == [("counters", "x:1", "x:1")]
    assert places(kind="deletion", parent_id="3", root_id="1") == [("deletion", "x:1", "x:1")]
    assert places(kind="deletion") == [("deletion", "x:5", "x:5")]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"root_id": "1"}, Reason.CONTRADICTION, "root_id"),
        ({"parent_id": "1"}, Reason.CONTRADICTION, "parent_id"),
        ({"reply_to": "acme"}, Reason.CONTRADICTION, "reply_to"),
        ({"quote_of": {"post_id": "1"}}, Reason.CONTRADICTION, "quote_of"),
        ({"kind": "reply"}, Reason.MISSING, "parent_id"),
        ({"kind": "repost"}, Reason.MISSING, "parent_id"),
        ({"kind": "repost", "parent_id": "1", "quote_of": {"post_id": "2"}}, Reason.CONTRADICTION, "quote_of"),
        ({"kind": "reply", "parent_id": "5"}, Reason.CONTRADICTION, "parent_id"),
        ({"kind": "reply", "root_id": "5"}, Reason.CONTRADICTION, "root_id"),
        ({"kind": "quote"}, Reason.MISSING, "quote_of"),
        ({"kind": "quote", "quote_of": {"post_id": "5"}}, Reason.CONTRADICTION, "quote_of.post_id"),
        ({"kind": "counters"}, Reason.MISSING, "counters"),
        ({"kind": "counters", "counters": {}}, Reason.MISSING, "counters"),
        ({"text": "a" * 1001}, Reason.TOO_LONG, "text"),
        ({"text": "a" * 1_000_000}, Reason.TOO_LONG, "text"),
        ({"brands": ["acme", "nobody"]}, Reason.UNKNOWN_BRAND, "brands.1"),
        ({"platform_at": "2026-05-01T13:00:01Z"}, Reason.BAD_TIME, "platform_at"),
    ],
)
def test_contradictions_are_named_with_their_field(fields: dict[str, Any], code: Reason, field: str) -> None:
    assert refusal(**fields) == (code, field)


def test_an_unknown_brand_is_told_which_there_are() -> None:
    with pytest.raises(ItemRefused, match="there is no brand 'nobody'; configured are acme, other"):
        normalized(brands=["nobody"])


def test_a_claimed_time_in_the_future_is_dropped_and_the_post_kept() -> None:
    normal = normalized(created_at="2026-05-03T00:00:00Z", author={"id": "1", "created_at": "2027-01-01T00:00:00Z"})
    (observation,) = normal.observations
    assert normal.dropped_claim
    assert observation.event.created_at is None
    assert observation.event.author is not None
    assert observation.event.author.created_at is None


def test_what_was_claimed_and_not_believed_is_named() -> None:
    normal = normalized(
        created_at="2026-05-03T00:00:00Z",
        language="xx-klingon",
        author={"id": "1", "created_at": "2027-01-01T00:00:00Z"},
    )
    assert {claim.field for claim in normal.ignored} == {Claim.CREATED_AT, Claim.AUTHOR_CREATED_AT, Claim.LANGUAGE}
    assert normal.observations[0].event.language is None
    assert normalized(language="en").ignored == ()


@pytest.mark.parametrize(
    "text",
    [
        "[deleted]",
        " [Removed] ",
        "[ Removed by Reddit ]",
        "[removed by Reddit on account of violating the [content policy](/help/contentpolicy).]",
        "This post was deleted by its author",
        "This Post was deleted by the Post author. Learn more",
        "This Tweet is unavailable.",
        "This Tweet is no longer available",
        "This Tweet is from an account that no longer exists. Learn more",
        "This content isn\u2019t available right now",
        "Sorry, this post was deleted by the person who originally posted it.",
        "Video unavailable",
        "Dieser Post ist nicht verfügbar",
        "Dieser Beitrag wurde vom Autor gelöscht.",
        "Ce Tweet n\u2019est pas disponible.",
        "Cette publication a été supprimée par son auteur",
        "Este Tweet no está disponible",
        "Esta publicación ya no está disponible.",
        "Este post foi excluído pelo autor",
        "Questo post non è più disponibile",
        "Deze tweet is niet beschikbaar",
        "Ten post jest niedostępny",
        "Bu gönderi silindi",
        "Postingan ini telah dihapus",
        "Этот пост недоступен",
        "Сообщение удалено",
        "このポストは、ポスト主により削除されました。",
        "このツイートは表示できません",
        "삭제된 게시물입니다",
        "抱歉，此微博已被作者删除。",
        "هذا المنشور غير متاح",
    ],
)
def test_what_networks_show_for_a_removed_text_is_no_text(text: str) -> None:
    normal = normalized(text=text)
    assert normal.observations[0].event.text is None
    assert [claim.field for claim in normal.ignored] == [Claim.TEXT]


@pytest.mark.parametrize(
    "text",
    [
        "deleted",
        "[deleted] my order, Acme Air",
        "This post was deleted by Acme Air",
        "This app is unavailable and my money is gone",
        "@acmeair this page is unavailable",
        "Why was this post deleted?",
        "Dieser Post ist nicht verfügbar, sagt Acme Air seit Tagen",
        "[deleted] [deleted]",
        "このポストは削除されましたか?",
    ],
)
def test_what_somebody_wrote_about_a_removed_text_is_one(text: str) -> None:
    assert events(text=text)[0].text == text


@pytest.mark.parametrize(
    ("claimed", "tag"),
    [("PT-BR", "pt-BR"), ("en_US", "en-US"), ("iw", "iw"), ("fil", "fil"), ("xx", None), ("qq-DE", None)],
)
def test_a_language_that_there_is_not_is_no_language(claimed: str, tag: str | None) -> None:
    assert events(language=claimed)[0].language == tag


def test_times_are_kept_in_utc_and_the_networks_clock_gives_the_place_in_time() -> None:
    (event,) = events(created_at="2026-05-01T14:30:00+02:00", platform_at="2026-05-01T13:59:00+02:00")
    assert event.created_at == datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    assert event.at == datetime(2026, 5, 1, 11, 59, tzinfo=UTC)
    assert event.at.tzinfo is UTC
    assert event.observed_at == NOW


def test_the_same_post_has_the_same_ids_whenever_it_is_seen() -> None:
    post = PostIn.model_validate_json(json.dumps(EXAMPLES[2]))
    first, later = (NORMALIZER.normalize(post, moment) for moment in (NOW, NOW + timedelta(hours=1)))
    assert [o.id for o in first.observations] == [o.id for o in later.observations]
    assert len({o.id for o in first.observations}) == 2


def test_the_same_id_of_another_network_kind_or_conversation_is_another_event() -> None:
    ids = [
        normalized(**fields).observations[0].id
        for fields in (
            {},
            {"network": "bluesky"},
            {"post_id": "6"},
            {"kind": "deletion"},
            {"kind": "reply", "parent_id": "1"},
            {"kind": "reply", "parent_id": "2"},
        )
    ]
    assert len(set(ids)) == len(ids)


def test_a_new_snapshot_is_a_new_event_and_a_repeated_one_is_not() -> None:
    def named(likes: int, at: str) -> str:
        return normalized(kind="counters", counters={"likes": likes}, platform_at=at).observations[0].id

    assert named(1, "2026-05-01T11:00:00Z") == named(1, "2026-05-01T13:00:00+02:00")
    assert named(1, "2026-05-01T11:00:00Z") != named(2, "2026-05-01T11:00:00Z")
    assert named(1, "2026-05-01T11:00:00Z") != named(1, "2026-05-01T11:01:00Z")


def test_a_post_carries_its_brands_its_account_and_the_policy_of_its_source() -> None:
    (event,) = events(text="@acmeair help", brands=["other"])
    assert (event.brands, event.account, event.author_brand) == (("other", "acme"), "x:acmeair", None)
    assert event.policy is SourcePolicy.IDS_ONLY
    (event,) = events(network="bluesky")
    assert event.policy is SourcePolicy.TEXT_ALLOWED


def test_a_post_of_the_brand_itself_says_so() -> None:
    (event,) = events(text="What a day to fly!", author={"id": "1", "handle": "@AcmeAir"})
    assert (event.author_brand, event.account, event.brands) == ("acme", "x:acmeair", ("acme",))
    assert event.author is not None
    assert event.author.handle == "AcmeAir"


def test_a_reply_to_the_brand_is_addressed_to_its_account() -> None:
    (event,) = events(kind="reply", parent_id="1", reply_to="acmeair", text="no!")
    assert (event.account, event.brands) == ("x:acmeair", ("acme",))


def test_an_engagement_without_a_brand_is_still_an_event() -> None:
    (event,) = events(kind="reply", parent_id="1", text="same here")
    assert event.brands == ()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("a\x01b\x85c\x7f", "abc"),
        ("e\u0301", "\u00e9"),
        ("\U0001f9d1\u200d\U0001f692", "\U0001f9d1\u200d\U0001f692"),
    ],
)
def test_texts_are_cleaned(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_markup_is_no_part_of_a_text_and_hides_no_name() -> None:
    (event,) = events(
        text='<p><a href="https://x.com/other">@<span>acmeair</span></a> it&#39;s <b>A</b>cme Air&hellip;</p>'
    )
    assert event.text == "@acmeair it's Acme Air…"
    assert [(m.kind, event.text[m.start : m.end]) for m in event.mentions or ()] == [
        (MentionKind.HANDLE, "@acmeair"),
        (MentionKind.NAME, "Acme Air"),
    ]


def test_a_tower_of_marks_is_cut() -> None:
    (event,) = events(text="a" + "\u0323\u0301" * 400)
    assert event.text is not None
    assert len(event.text) < 50


def test_a_text_of_nothing_is_no_text() -> None:
    (event,) = events(text="\x01")
    assert event.text is None


def test_a_language_begins_in_lower_case() -> None:
    assert events(language="PT-BR")[0].language == "pt-BR"


@given(st.text())
@settings(deadline=None, derandomize=True)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


IDS = st.sampled_from(["1", "2", "3"])
MAYBE = st.none() | IDS
POSTS = st.fixed_dictionaries(
    {
        "network": st.sampled_from(["x", "bluesky"]),
        "post_id": IDS,
        "kind": st.sampled_from([kind.value for kind in PostKind]),
        "root_id": MAYBE,
        "parent_id": MAYBE,
        "quote_of": st.none() | st.fixed_dictionaries({"post_id": IDS, "root_id": MAYBE}),
        "counters": st.none() | st.fixed_dictionaries({"likes": st.integers(0, 2**53)}),
        "text": st.none() | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=50),
        "author": st.none() | st.fixed_dictionaries({"id": IDS, "handle": st.sampled_from(["acmeair", "jane"])}),
    }
)


@given(POSTS)
@settings(deadline=None, derandomize=True, max_examples=500)
def test_whatever_is_accepted_can_be_read_back_from_the_log(fields: dict[str, Any]) -> None:
    try:
        normal = NORMALIZER.normalize(PostIn.model_validate_json(json.dumps(fields)), NOW)
    except ItemRefused:
        return
    conversations = [o.event.conversation for o in normal.observations]
    assert len(set(conversations)) == len(conversations) <= 2
    assert normal.observations[0].event.home == conversations[0]
    for observation in normal.observations:
        assert tuple(decode(encode(observation.event, observation.id))) == tuple(observation)


def test_a_reply_and_a_quote_tell_where_they_stand_and_nothing_else_does() -> None:
    (reply,) = notices(kind="reply", parent_id="3", root_id="1", text="hi")
    assert isinstance(reply, PostPlaced)
    assert (reply.post_id, reply.home, reply.quoted) == ("5", "x:1", None)
    (bare,) = notices(kind="reply", parent_id="3")
    assert isinstance(bare, PostPlaced)
    assert bare.home == "x:3"
    (quote,) = notices(kind="quote", quote_of={"post_id": "2", "root_id": "1"})
    assert isinstance(quote, PostPlaced)
    assert (quote.home, quote.quoted) == ("x:5", "x:1")
    (inside,) = notices(kind="reply", parent_id="3", root_id="1", quote_of={"post_id": "2", "root_id": "1"})
    assert isinstance(inside, PostPlaced)
    assert (inside.home, inside.quoted) == ("x:1", None)
    assert notices(text="hi") == notices(kind="repost", parent_id="1") == []
    assert notices(kind="counters", counters={"likes": 1}) == []


@pytest.mark.parametrize("more", [{}, {"root_id": "1"}, {"parent_id": "1"}, {"quote_of": {"post_id": "2"}}])
def test_a_deletion_tells_everybody_by_its_id(more: dict[str, Any]) -> None:
    normal = normalized(kind="deletion", **more)
    (notice,) = normal.notices
    assert notice.event == PostDeleted(network="x", post_id="5", at=NOW)
    assert notice.id == normalized(kind="deletion").notices[0].id


# -- edits and visibility ----------------------------------------------------------------------------------------------


def edit_ids(**fields: Any) -> list[str]:
    return [one.id for one in normalized(kind="edit", **fields).observations]


def test_an_edit_of_a_post_that_is_known_by_its_id_alone_goes_where_its_id_leads() -> None:
    (event,) = events(kind="edit", text="smoke on board of @AcmeAir", edited_at="2026-05-01T11:00:00Z")
    assert (event.kind, event.conversation, event.brands) == (PostKind.EDIT, "x:5", ("acme",))
    assert event.edited_at == datetime(2026, 5, 1, 11, tzinfo=UTC)
    assert notices(kind="edit", text="smoke on board of @AcmeAir") == []


def test_the_id_of_an_edit_differs_from_its_posts_and_from_other_edits_and_is_the_same_when_it_is_sent_again() -> None:
    created = normalized(text="one").observations[0].id
    first = edit_ids(text="two")
    assert first == edit_ids(text="two") != edit_ids(text="three")
    assert created not in first
    assert edit_ids(text="two", edited_at="2026-05-01T11:00:00Z") == edit_ids(
        text="two", platform_at="2026-05-01T11:00:00Z"
    )
    assert edit_ids(text="two", edited_at="2026-05-01T11:00:00Z") != edit_ids(
        text="two", edited_at="2026-05-01T11:01:00Z"
    )


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_edits_have_the_same_id_only_if_they_say_the_same(one: str, other: str) -> None:
    first, second = (normalized(kind="edit", text=text).observations[0] for text in (one, other))
    if first.event.kind is second.event.kind:
        assert (first.id == second.id) == (first.event.text == second.event.text)


def test_the_edit_of_a_quote_is_told_to_both_conversations() -> None:
    assert places(kind="edit", text="new", quote_of={"post_id": "9"}) == [
        ("edit", "x:5", "x:5"),
        ("edit", "x:9", "x:5"),
    ]


@pytest.mark.parametrize("text", ["[deleted]", " [removed] ", "This post was deleted by its author."])
def test_an_edit_that_leaves_a_placeholder_is_a_deletion(text: str) -> None:
    (event,) = events(kind="edit", text=text)
    assert (event.kind, event.text) == (PostKind.DELETION, None)
    assert [type(notice) for notice in notices(kind="edit", text=text)] == [PostDeleted]


def test_an_edit_that_leaves_no_words_is_an_edit() -> None:
    (event,) = events(kind="edit", text="")
    assert (event.kind, event.text) == (PostKind.EDIT, None)


def test_an_edit_needs_a_text_and_a_visibility_says_which() -> None:
    assert refusal(kind="edit") == (Reason.MISSING, "text")
    assert refusal(kind="visibility") == (Reason.MISSING, "visible")
    assert refusal(text="hi", visible=False) == (Reason.CONTRADICTION, "visible")
    assert events(text="hi", visible=True)[0].visible is None


def test_an_edit_time_that_cannot_be_believed_is_dropped_and_named() -> None:
    post = normalized(kind="edit", text="new", edited_at="2026-05-02T12:00:00Z")
    assert post.observations[0].event.edited_at is None
    assert [claim.field for claim in post.ignored] == [Claim.EDITED_AT]


@pytest.mark.parametrize("visible", [True, False])
def test_everybody_is_told_that_a_post_is_hidden_or_visible_again(visible: bool) -> None:
    (event,) = events(kind="visibility", visible=visible, text="secret", brands=["acme"])
    assert (event.kind, event.visible, event.text, event.brands) == (PostKind.VISIBILITY, visible, None, ())
    (notice,) = notices(kind="visibility", visible=visible)
    assert isinstance(notice, PostVisibility)
    assert (notice.post_id, notice.visible) == ("5", visible)


@pytest.mark.parametrize("fields", [{"kind": "edit", "text": "new"}, {"kind": "visibility", "visible": False}])
def test_a_change_survives_the_way_through_the_log(fields: dict[str, Any]) -> None:
    post = normalized(**fields)
    for id_, event in [*map(tuple, post.observations), *map(tuple, post.notices)]:
        assert decode(encode(event, id_)) == (id_, event)
