"""What Meta tells of pages, Instagram and Threads becomes posts, edits, deletions and visibility; nothing private does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.base import Refused, Reply
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import LeftOut, Owners, Understood
from ingest.sources.meta.mapping import MetaMapping
from ingest.sources.webhooks.own_shape import check
from services.base.errors import ConfigError
from services.config.connectors.meta import MetaObject, MetaSection
from tests.unit.ingest.sources.calls import NOW, SECRETS, UNIX, acme, called, connector, from_meta, of_page

MODULE = "ingest.sources.meta.receiver"
RECORDED = next(
    (found for above in Path(__file__).parents if (found := above / "shared/data/payloads").is_dir()), Path("missing")
)
COMMENT = {
    "item": "comment",
    "verb": "add",
    "comment_id": "7_8",
    "post_id": "100_7",
    "parent_id": "100_7",
    "from": {"id": "55", "name": "acme"},
    "created_time": UNIX - 5,
    "message": "Still no answer. Shame!",
}


def meta(object_: str = "page", **options: Any) -> CalledSource:
    network = {"page": "facebook"}.get(object_, object_)
    section = MetaSection(kind="meta", name="meta", object=MetaObject(object_), accounts={"100": "acme"}, **options)
    return connector(MODULE, section, network)


def items_of(body: Any, object_: str = "page") -> list[Any]:
    content, headers = from_meta(body)
    heard = list(called(meta(object_), content, headers).heard.items)
    check(heard)
    return heard


def test_a_comment_hangs_on_its_post_and_is_about_the_brand_whose_page_it_is() -> None:
    (item,) = items_of(of_page(COMMENT))
    assert item == {
        "network": "facebook",
        "kind": "reply",
        "post_id": "7_8",
        "root_id": "100_7",
        "parent_id": "100_7",
        "author": {"id": "55"},
        "text": "Still no answer. Shame!",
        "permalink": "https://www.facebook.com/100_7",
        "platform_at": "2026-05-01T11:59:55+00:00",
        "brands": ["acme"],
    }


def test_a_stranger_who_calls_himself_like_the_brand_is_not_the_brand() -> None:
    (stranger, page) = items_of(of_page(COMMENT, COMMENT | {"comment_id": "7_9", "from": {"id": 100, "name": "x"}}))
    assert "handle" not in stranger["author"]
    assert page["author"] == {"id": "100", "handle": "acme"}


def test_an_answer_to_a_comment_hangs_on_the_comment() -> None:
    (item,) = items_of(of_page(COMMENT | {"comment_id": "7_9", "parent_id": "7_8"}))
    assert (item["parent_id"], item["root_id"]) == ("7_8", "100_7")


VERBS: dict[str, dict[str, Any]] = {
    "edited": {"kind": "edit", "text": "Still no answer. Shame!"},
    "edit": {"kind": "edit", "text": "Still no answer. Shame!"},
    "remove": {"kind": "deletion"},
    "hide": {"kind": "visibility", "visible": False},
    "block": {"kind": "visibility", "visible": False},
    "unhide": {"kind": "visibility", "visible": True},
    "unblock": {"kind": "visibility", "visible": True},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("item", ["comment", "post", "status", "photo", "video", "share"])
def test_each_verb_is_what_it_does_to_the_post(verb: str, item: str) -> None:
    (told,) = items_of(of_page(COMMENT | {"item": item, "verb": verb}))
    assert told.items() >= VERBS[verb].items()
    assert told["post_id"] == ("7_8" if item == "comment" else "100_7")
    assert told["platform_at"] == "2026-05-01T12:00:00+00:00"


def test_a_comment_that_the_page_hides_by_itself_is_told_and_hidden() -> None:
    told = items_of(of_page(COMMENT | {"is_hidden": True}))
    assert [(item["kind"], item.get("visible")) for item in told] == [("reply", None), ("visibility", False)]


LEFT_OUT: dict[str, tuple[dict[str, Any], LeftOut]] = {
    "a like": ({**COMMENT, "item": "like"}, LeftOut.REACTION),
    "a reaction that is taken back": ({**COMMENT, "item": "reaction", "verb": "remove"}, LeftOut.REACTION),
    "a draft": ({**COMMENT, "item": "post", "published": 0}, LeftOut.UNPUBLISHED),
    "an edit without words": ({**COMMENT, "verb": "edited", "message": None}, LeftOut.SAYS_NOTHING),
    "a verb that nobody knows": ({**COMMENT, "verb": "mute"}, LeftOut.NOT_HEARD),
    "an event of the page": ({**COMMENT, "item": "event"}, LeftOut.NOT_HEARD),
    "an album": ({"item": "album", "verb": "add", "album_id": 3}, LeftOut.NAMES_NO_POST),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_no_post_is_left_out_for_a_stated_reason(case: str) -> None:
    value, why = LEFT_OUT[case]
    found = understood("page", json.dumps(of_page(value)).encode())
    assert (found.items, dict(found.left_out)) == ([], {why: 1})


def test_private_messages_are_counted_and_never_stored() -> None:
    message = {
        "sender": {"id": 9},
        "recipient": {"id": 100},
        "timestamp": UNIX,
        "message": {"mid": "m", "text": "psst"},
    }
    body = {"object": "page", "entry": [{"id": 100, "time": UNIX, "messaging": [message], "standby": [message]}]}
    found = understood("page", json.dumps(body).encode())
    assert (found.items, dict(found.left_out)) == ([], {LeftOut.PRIVATE: 2})


def test_several_entries_and_changes_are_heard_in_their_order() -> None:
    body = of_page(COMMENT, COMMENT | {"verb": "edited", "message": "Thanks, solved"})
    body["entry"] += of_page(COMMENT | {"verb": "remove"}, page="200")["entry"]
    assert [item["kind"] for item in items_of(body)] == ["reply", "edit", "deletion"]


def test_a_change_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    found = understood("page", json.dumps(of_page({**COMMENT, "message": ["?"]}, COMMENT)).encode())
    assert [item["post_id"] for item in found.items] == ["7_8"]
    assert found.left_out == {LeftOut.UNREADABLE: 1}


def test_a_notification_in_which_nothing_can_be_read_is_told_where_it_is_wrong() -> None:
    content, headers = from_meta(of_page({**COMMENT, "message": ["?"]}))
    with pytest.raises(ValueError, match=r"a change of feed: .*\$\.message"):
        called(meta(), content, headers)


def test_decoration_of_another_type_costs_no_comment() -> None:
    odd = {"from": 7, "created_time": {}, "permalink_url": [], "published": "?", "is_hidden": "?", "sender_id": None}
    (item,) = items_of(of_page(COMMENT | odd))
    assert item["text"] == COMMENT["message"]
    assert "author" not in item
    assert item["platform_at"] == "2026-05-01T12:00:00+00:00"


def test_a_time_far_ahead_costs_no_comment() -> None:
    (item,) = items_of(of_page(COMMENT | {"created_time": UNIX + 999_999}, time=UNIX + 999_999))
    assert "platform_at" not in item


def test_a_rating_is_a_post_and_a_comment_on_it_hangs_there() -> None:
    rating = {
        "item": "rating",
        "verb": "add",
        "open_graph_story_id": 904,
        "reviewer_id": 55,
        "review_text": "Never again",
    }
    comment = {**COMMENT, "comment_id": "904_1", "post_id": "55_904", "parent_id": "55_904"}
    (post, reply) = items_of(of_page(rating, comment, field="ratings"))
    assert (post["kind"], post["post_id"], post["text"], post["author"]) == (
        "original",
        "904",
        "Never again",
        {"id": "55"},
    )
    assert (reply["root_id"], reply["parent_id"]) == ("904", "904")


def test_a_mention_elsewhere_is_the_same_post_as_in_the_feed() -> None:
    mention = {
        "item": "comment",
        "verb": "add",
        "comment_id": "7_8",
        "post_id": "100_7",
        "message": "hey",
        "created_time": UNIX,
    }
    (item,) = items_of(of_page(mention, field="mention"))
    (feed,) = items_of(of_page(COMMENT))
    assert [item[name] for name in ("kind", "post_id", "root_id", "brands")] == [
        feed[name] for name in ("kind", "post_id", "root_id", "brands")
    ]


def instagram(field: str, **value: Any) -> dict[str, Any]:
    return {
        "object": "instagram",
        "entry": [{"id": "100", "time": UNIX, "changes": [{"field": field, "value": value}]}],
    }


def test_a_comment_on_instagram_hangs_on_its_medium() -> None:
    value = {
        "id": "1",
        "text": "Bad!",
        "parent_id": "2",
        "media": {"id": "3"},
        "from": {"id": "55", "username": "jane"},
    }
    for field in ("comments", "live_comments"):
        (item,) = items_of(instagram(field, **value), "instagram")
        assert (item["kind"], item["parent_id"], item["root_id"]) == ("reply", "2", "3")
        assert (item["author"], item["brands"]) == ({"id": "55", "handle": "jane"}, ["acme"])


def test_a_mention_on_instagram_is_heard_although_its_words_are_not_told() -> None:
    (comment,) = items_of(instagram("mentions", comment_id="1", media_id="3"), "instagram")
    assert (comment["kind"], comment["root_id"]) == ("reply", "3")
    (caption,) = items_of(instagram("mentions", media_id="3"), "instagram")
    assert (caption["kind"], caption["post_id"], caption["brands"]) == ("original", "3", ["acme"])


def test_figures_and_messages_of_instagram_are_left_out() -> None:
    for field, why in (("story_insights", LeftOut.STATISTICS), ("messages", LeftOut.PRIVATE)):
        found = understood("instagram", json.dumps(instagram(field, media_id="1")).encode())
        assert (found.items, dict(found.left_out)) == ([], {why: 1})


def threads(field: str, many: bool = True, **value: Any) -> dict[str, Any]:
    told = {"field": field, "value": value}
    return {"app_id": "1", "topic": "moderate", "target_id": "100", "time": UNIX, "values": [told] if many else told}


@pytest.mark.parametrize("many", [True, False])
def test_a_reply_on_threads_is_heard_in_either_envelope(many: bool) -> None:
    value = {
        "id": "8",
        "username": "jane",
        "text": "Bad!",
        "permalink": "https://www.threads.net/@jane/post/P",
        "replied_to": {"id": "7"},
        "root_post": {"id": "6", "owner_id": "100", "username": "acme"},
        "timestamp": "2026-05-01T11:59:00+0000",
    }
    (item,) = items_of(threads("replies", many, **value), "threads")
    assert (item["kind"], item["parent_id"], item["root_id"]) == ("reply", "7", "6")
    assert (item["author"], item["brands"]) == ({"id": "jane", "handle": "jane"}, ["acme"])
    assert item["platform_at"] == "2026-05-01T11:59:00+00:00"


def test_what_is_deleted_or_hidden_on_threads_is_told() -> None:
    (gone,) = items_of(threads("delete", id="8", deleted_at="2026-05-01T11:59:00+0000"), "threads")
    assert (gone["kind"], gone["post_id"]) == ("deletion", "8")
    (_, hidden) = items_of(threads("replies", id="8", root_post={"id": "6"}, hide_status="HIDDEN"), "threads")
    assert (hidden["kind"], hidden["visible"], hidden["root_id"]) == ("visibility", False, "6")


def test_a_quote_on_threads_brings_the_post_that_it_quotes() -> None:
    (item,) = items_of(threads("mentions", id="8", text="look", quoted_post={"id": "6"}), "threads")
    assert (item["kind"], item["quote_of"]) == ("quote", {"post_id": "6"})


def test_a_notification_about_another_kind_of_account_is_refused_with_words() -> None:
    content, headers = from_meta(instagram("comments", id="1"))
    with pytest.raises(ValueError, match="hears 'page', and the notification is of 'instagram'"):
        called(meta(), content, headers)


def handshake(**query: str) -> Reply:
    return called(meta(), b"", method="GET", query={name.replace("_", ".", 1): value for name, value in query.items()})


def test_the_address_is_confirmed_to_who_knows_the_token() -> None:
    right = {"hub_mode": "subscribe", "hub_verify_token": SECRETS["verify_token"], "hub_challenge": "1158201444"}
    assert (handshake(**right).status, handshake(**right).body) == (200, b"1158201444")
    for wrong in ({"hub_verify_token": "guess"}, {"hub_verify_token": ""}, {"hub_mode": "unsubscribe"}):
        with pytest.raises(Refused):
            handshake(**right | wrong)
    with pytest.raises(ValueError, match="challenge"):
        handshake(**right | {"hub_challenge": "<script>alert(1)</script>"})


def test_without_its_secrets_the_connector_is_not_built() -> None:
    section = MetaSection(kind="meta", name="our-pages", object=MetaObject.PAGE)
    for missing in ("app_secret", "verify_token"):
        with pytest.raises(ConfigError, match=f"FIREBREAK_SOURCE_OUR_PAGES_{missing.upper()}"):
            connector(MODULE, section, "facebook", {name: value for name, value in SECRETS.items() if name != missing})


def understood(object_: str, body: bytes) -> Understood:
    network = {"page": "facebook"}.get(object_, object_)
    owners = Owners(network, [acme(network, "acme")], {"100": "acme", "1234567890321": "acme"}, chosen=False)
    return MetaMapping(MetaObject(object_), network, owners)(body, NOW)


KINDS_OF_PAGES = {
    "original": 10,
    "reply": 5,
    "edit": 7,
    "deletion": 6,
    "visibility": 6,
    "reaction": 8,
    "private": 4,
    "names_no_post": 4,
    "not_heard": 2,
    "says_nothing": 1,
}
"""What the recorded notifications of pages come to."""


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded payloads are not here")
def test_every_recorded_notification_is_stored_or_left_out_for_a_stated_reason() -> None:
    came: dict[str, int] = {}
    for path in sorted((RECORDED / "facebook_page_webhook").glob("*.json")):
        found = understood("page", path.read_bytes())
        check(found.items)
        assert found.items or found.left_out, path.name
        for kind in [*(item["kind"] for item in found.items), *map(str, found.left_out.elements())]:
            came[kind] = came.get(kind, 0) + 1
    assert came == KINDS_OF_PAGES
    for name, kinds in {
        "wh-comments-2021": ["reply"],
        "wh-comments": ["original"],
        "wh-mentions": ["original"],
    }.items():
        found = understood("instagram", (RECORDED / f"instagram/{name}.json").read_bytes())
        assert [item["kind"] for item in found.items] == kinds
    insights = understood("instagram", (RECORDED / "instagram/wh-story_insights.json").read_bytes())
    assert insights.left_out == {LeftOut.STATISTICS: 1}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded payloads are not here")
def test_recorded_answers_of_the_api_are_refused_by_themselves_and_heard_in_an_envelope() -> None:
    heard = []
    for path in sorted([*(RECORDED / "instagram").glob("[cm]*.json"), *(RECORDED / "threads").glob("*.json")]):
        object_ = path.parent.name
        with pytest.raises(ValueError, match="`object`"):
            understood(object_, path.read_bytes())
        value = json.loads(path.read_bytes())
        field, envelope = ("comments", instagram) if object_ == "instagram" else ("replies", threads)
        found = understood(object_, json.dumps(envelope(field, **value)).encode())
        check(found.items)
        heard += [path.stem for item in found.items if "text" in item]
    assert heard == ["comment_missing_user", "basic-reply"]
