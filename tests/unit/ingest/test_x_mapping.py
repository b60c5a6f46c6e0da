"""What posts of X become, by the shapes that X documents and the odd ones that it sends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ingest.parsing import Parser
from ingest.schemas import ItemError
from ingest.sources.x.mapping import (
    Around,
    Item,
    absent_item,
    around,
    counters_item,
    items_of,
    language_of,
    text_of,
    written_at,
)
from ingest.sources.x.place import KEPT, XPlace
from ingest.sources.x.prices import Bill
from ingest.sources.x.shapes import XIncludes, XPost, XProblem
from ingest.sources.x.stream import MAX_LINE_BYTES, TOO_LONG, Lines
from services.base.clock import ManualClock

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
JANE = {"id": "777", "username": "jane", "verified": True, "public_metrics": {"followers_count": 837}}


def id_at(at: datetime, serial: int = 0) -> str:
    return str((int(at.timestamp() * 1000) - 1_288_834_974_657 << 22) + serial)


OWN, OTHER, LATER = id_at(NOW), id_at(NOW - timedelta(hours=1)), id_at(NOW + timedelta(minutes=2))


def post(**fields: Any) -> XPost:
    told = {"id": OWN, "text": "Acme Air is late", "author_id": "777", "conversation_id": OWN, **fields}
    return msgspec.convert(told, XPost, strict=False)


def near(*posts: dict[str, Any], renamed: bool = False) -> Around:
    return around(XIncludes(users=[JANE], **{"posts" if renamed else "tweets": list(posts)}))


def only(told: XPost, context: Around | None = None) -> Item:
    (item,) = items_of(told, context or near(), NOW, asked=False)
    return accepted(item)


def accepted(item: Item) -> Item:
    """The item, which the API would take."""
    (read,) = Parser(1).items(msgspec.json.encode([{"network": "x", **item}]), ndjson=False)
    assert not isinstance(read, ItemError), read
    return item


def referring(kind: str, to: str = OTHER, **fields: Any) -> XPost:
    return post(referenced_tweets=[{"type": kind, "id": to}], **fields)


def test_an_original_brings_its_author_links_and_the_networks_time() -> None:
    item = only(post(created_at="2026-05-01T12:00:00.000Z", lang="en"))
    assert item["kind"] == "original"
    assert item["author"] == {"id": "777", "handle": "jane", "followers": 837, "verified": True}
    assert item["permalink"] == f"https://x.com/jane/status/{OWN}"
    assert item["reply_link"] == f"https://x.com/intent/tweet?in_reply_to={OWN}"
    assert datetime.fromisoformat(item["platform_at"]) == NOW
    assert "created_at" not in item, "nothing that a client claims"


def test_without_its_author_a_post_is_still_heard() -> None:
    item = only(post(), Around())
    assert item["author"] == {"id": "777"}
    assert item["permalink"] == f"https://x.com/i/web/status/{OWN}"
    assert "author" not in only(post(author_id=None), Around())


@pytest.mark.parametrize("field", ["referenced_tweets", "referenced_posts"])
def test_a_reply_hangs_on_its_parent_and_the_root_of_its_conversation(field: str) -> None:
    told = post(
        **{field: [{"type": "replied_to", "id": LATER}]},
        conversation_id=OTHER,
        in_reply_to_user_id="1",
        entities={"mentions": [{"username": "bob", "id": "2"}, {"username": "acmeair", "id": "1"}]},
    )
    item = only(told)
    assert (item["kind"], item["parent_id"], item["root_id"]) == ("reply", LATER, OTHER)
    assert item["reply_to"] == "acmeair"


def test_a_reply_whose_parent_is_not_told_hangs_on_the_root() -> None:
    item = only(post(conversation_id=OTHER, in_reply_to_user_id="1"))
    assert (item["kind"], item["parent_id"]) == ("reply", OTHER)


def test_a_reply_that_quotes_is_a_reply_with_a_quote() -> None:
    told = post(
        referenced_tweets=[{"type": "quoted", "id": LATER}, {"type": "replied_to", "id": OTHER}], conversation_id=OTHER
    )
    item = only(told)
    assert (item["kind"], item["parent_id"], item["quote_of"]) == ("reply", OTHER, {"post_id": LATER})


def test_a_repost_hangs_on_what_it_shares_without_words_and_totals() -> None:
    shared = {"id": OTHER, "text": "Acme", "conversation_id": LATER}
    told = referring("retweeted", text="RT @jane: Acme", public_metrics={"retweet_count": 9, "like_count": 0})
    item = only(told, near(shared))
    assert (item["kind"], item["parent_id"], item["root_id"]) == ("repost", OTHER, LATER)
    assert "text" not in item
    assert "counters" not in item, "X writes those of the shared post on it"
    assert only(told)["parent_id"] == OTHER, "also where what it shares is not told"


def test_a_post_that_refers_to_itself_is_an_original() -> None:
    assert only(referring("quoted", OWN))["kind"] == "original"


@pytest.mark.parametrize("field", ["edit_history_tweet_ids", "edit_history_post_ids"])
def test_an_edit_is_one_of_the_first_version(field: str) -> None:
    told = post(id=LATER, text="Acme Air is fine", created_at="2026-05-01T12:02:00.000Z", **{field: [OWN, LATER]})
    now = NOW + timedelta(minutes=3)
    whole, edit = items_of(told, near(), now, asked=False)
    assert (whole["post_id"], whole["kind"]) == (OWN, "original")
    assert datetime.fromisoformat(whole["platform_at"]) == NOW, "when the first version was written"
    assert (edit["post_id"], edit["kind"], edit["text"]) == (OWN, "edit", "Acme Air is fine")
    assert datetime.fromisoformat(edit["platform_at"]) == NOW + timedelta(minutes=2)
    assert items_of(told, near(), now, asked=False, known=True) == [edit]
    for item in (whole, edit):
        accepted(item)


def test_what_refers_to_a_later_version_refers_to_the_post() -> None:
    edited = {"id": LATER, "edit_history_tweet_ids": [OTHER, LATER]}
    item = only(referring("quoted", LATER), near(edited))
    assert item["quote_of"] == {"post_id": OTHER}


def test_a_long_post_is_told_whole() -> None:
    assert text_of(post(text="Acme...", note_tweet={"text": "Acme, in full"})) == "Acme, in full"
    assert text_of(post(text="Acme", note_post={"text": "in full"})) == "in full"
    assert text_of(post(text="Acme", note_tweet={"text": None})) == "Acme"
    assert text_of(post(text="Acme", note_tweet="odd")) == "Acme"


def test_only_what_x_escapes_is_unescaped_and_once() -> None:
    assert text_of(post(text="a &lt;3 b &amp;amp; c &amp;lt;")) == "a <3 b &amp; c &lt;"
    assert text_of(post(text="&eacute; &quot;")) == "&eacute; &quot;"


@pytest.mark.parametrize(
    ("said", "meant"),
    [("und", None), ("qme", None), ("zxx", None), ("", None), (None, None), ("in", "id"), ("EN", "en")],
)
def test_what_is_no_language_is_left_out(said: str | None, meant: str | None) -> None:
    assert language_of(post(lang=said)) == meant


def test_totals_are_those_that_x_tells() -> None:
    metrics = {
        "retweet_count": 3,
        "like_count": 2**60,
        "reply_count": -1,
        "quote_count": True,
        "impression_count": 91000,
    }
    item = counters_item(post(public_metrics=metrics), near())
    assert item is not None
    assert accepted(item)["counters"] == {"reposts": 3, "views": 91000}
    assert counters_item(post(public_metrics="odd"), near()) is None
    renamed = counters_item(post(public_metrics={"repost_count": 4}), near())
    assert renamed is not None
    assert renamed["counters"] == {"reposts": 4}


@pytest.mark.parametrize("created", ["", "yesterday", "2026-05-01T12:00:00", "0001-01-01T00:00:00Z", None])
def test_a_time_that_cannot_be_read_is_that_of_the_id(created: str | None) -> None:
    assert datetime.fromisoformat(only(post(created_at=created))["platform_at"]) == NOW


def test_ids_that_tell_no_time_tell_none() -> None:
    assert [written_at(number) for number in ("20", "", "abc", "9" * 30, "\u0661")] == [None] * 5


def test_what_was_asked_for_late_is_history_and_what_came_live_is_not() -> None:
    late = NOW + timedelta(hours=1)
    (asked,) = items_of(post(), near(), late, asked=True)
    (live,) = items_of(post(), near(), late, asked=False)
    (soon,) = items_of(post(), near(), NOW + timedelta(minutes=1), asked=True)
    assert (asked["backfill"], live["backfill"], soon["backfill"]) == (True, False, False)


def test_an_absent_post_is_deleted_hidden_or_unanswered() -> None:
    def absent(kind: str, resource: str = "tweet") -> Item | None:
        return absent_item(
            XProblem(type=f"https://api.x.com/2/problems/{kind}", resource_id="5", resource_type=resource)
        )

    assert absent("resource-not-found") == {"post_id": "5", "kind": "deletion"}
    assert absent("not-authorized-for-resource") == {"post_id": "5", "kind": "visibility", "visible": False}
    assert absent("internal-error") is None
    assert absent("resource-not-found", "user") is None, "a suspended author of something else"
    assert absent_item(XProblem(type="resource-not-found")) is None


def test_what_came_along_and_cannot_be_read_costs_nothing_else() -> None:
    found = around(XIncludes(users=[{"no": "id"}, None, {"data": JANE}, JANE], tweets=[5, {"id": OTHER}]))
    assert (list(found.users), list(found.posts)) == (["777"], [OTHER])


def test_a_place_keeps_the_newest_posts_and_never_goes_back() -> None:
    place = XPlace("https://api.x.com", NOW)
    ids = [id_at(NOW, number) for number in range(KEPT + 50)]
    place.see(*[(one, one) for one in ids])
    place.advance(NOW - timedelta(hours=1), NOW)
    place.advance(NOW + timedelta(hours=3), NOW + timedelta(minutes=1))
    cursor = place.cursor()
    assert cursor.at == NOW + timedelta(minutes=1), "never ahead of our clock"
    assert len(cursor.position) <= 8_000
    again = XPlace.restored(cursor)
    assert not again.is_new(ids[-1])
    assert again.knows(ids[-1])
    assert again.is_new(ids[0])


def test_lines_come_in_pieces_and_one_that_is_too_long_costs_itself() -> None:
    lines = Lines()
    whole = b'{"data":1}\r\n\r\n{"data":2}\r\n'
    assert [line for i in range(len(whole)) for line in lines.cut(whole[i : i + 1])] == [
        b'{"data":1}',
        b"",
        b'{"data":2}',
    ]
    assert lines.cut(b"x" * (MAX_LINE_BYTES + 1)) == []
    assert lines.cut(b"x" * (MAX_LINE_BYTES + 1) + b"\nnext\nbegun") == [TOO_LONG, b"next"]
    assert lines.cut(b" and ended\n") == [b"begun and ended"]


class Counting:
    def __init__(self) -> None:
        self.dollars = 0.0

    def may(self, dollars: float) -> bool:
        return dollars >= 0

    def paid(self, dollars: float) -> None:
        self.dollars += dollars

    def share(self) -> float:
        return 1.0


def test_what_was_read_once_is_free_until_the_end_of_the_utc_day() -> None:
    clock, spend = ManualClock(NOW), Counting()
    bill = Bill(spend, clock, authors=True)
    bill.pay({"1", "2"}, {"777"})
    bill.pay({"1", "2"}, {"777"})
    assert spend.dollars == pytest.approx(0.02)
    assert bill.price({"1", "3"}, {"777"}) == pytest.approx(0.005)
    clock.advance(12 * 3600)
    bill.pay({"1"})
    assert spend.dollars == pytest.approx(0.025)
    without = Bill(spend, clock, authors=False)
    assert without.price({"9"}, {"8"}) == pytest.approx(0.005)
