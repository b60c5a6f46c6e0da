"""What TikTok tells of comments and mentions becomes posts, deletions and visibility."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.sources.base import Refused
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import LeftOut, Owners
from ingest.sources.tiktok.mapping import TikTokMapping
from ingest.sources.webhooks.own_shape import check
from services.config.connectors.tiktok import TikTokSection
from tests.unit.ingest.sources.calls import NOW, SECRETS, UNIX, acme, called, connector, hexed

COMMENT = {
    "comment_id": 7098231542345678901,
    "video_id": 7098231542345678902,
    "comment_type": "comment",
    "comment_action": "insert",
    "timestamp": UNIX - 60,
    "unique_identifier": "someone",
    "text": "Worst flight ever",
}


def tiktok(**options: Any) -> CalledSource:
    accounts = {"open-id": "acme", "ours": "acme"}
    section = TikTokSection(kind="tiktok", name="tiktok", accounts=accounts, **options)
    return connector("ingest.sources.tiktok.receiver", section, "tiktok")


def event(content: Any, name: str = "comment.update") -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    told = {"client_key": "k", "event": name, "create_time": UNIX, "user_openid": "open-id", "content": text}
    return json.dumps(told).encode()


def signed(body: bytes, at: int = UNIX, secret: str = SECRETS["client_secret"]) -> dict[str, str]:
    return {"TikTok-Signature": f"t={at},s={hexed(secret, f'{at}.'.encode() + body)}"}


def items_of(content: Any, name: str = "comment.update") -> list[Any]:
    body = event(content, name)
    heard = list(called(tiktok(), body, signed(body)).heard.items)
    check(heard)
    return heard


def test_a_comment_hangs_on_its_video_with_all_digits_of_its_ids() -> None:
    (item,) = items_of(COMMENT)
    assert item == {
        "network": "tiktok",
        "kind": "reply",
        "post_id": "7098231542345678901",
        "root_id": "7098231542345678902",
        "parent_id": "7098231542345678902",
        "author": {"id": "someone"},
        "text": "Worst flight ever",
        "platform_at": "2026-05-01T11:59:00+00:00",
        "brands": ["acme"],
    }


def test_an_answer_hangs_on_its_comment_and_one_of_ours_is_the_brands() -> None:
    answer = COMMENT | {"comment_id": 9, "parent_comment_id": 7098231542345678901, "unique_identifier": "ours"}
    (item,) = items_of(answer)
    assert (item["parent_id"], item["author"]) == ("7098231542345678901", {"id": "ours", "handle": "acme"})
    (alone,) = items_of(COMMENT | {"parent_comment_id": 0})
    assert alone["parent_id"] == "7098231542345678902"


ACTIONS: dict[str, dict[str, Any]] = {
    "delete": {"kind": "deletion"},
    "set_to_hidden": {"kind": "visibility", "visible": False},
    "set_to_friends_only": {"kind": "visibility", "visible": False},
    "set_to_public": {"kind": "visibility", "visible": True},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_what_it_does_to_the_comment(action: str) -> None:
    (item,) = items_of(COMMENT | {"comment_action": action})
    assert item.items() >= ACTIONS[action].items()
    assert "text" not in item


def test_a_mention_in_a_video_or_comment_is_about_the_account_that_is_mentioned() -> None:
    (video,) = items_of({"video_id": 5, "caption": "@acme why", "username": "jane"}, "brand_mention.video")
    assert (video["kind"], video["post_id"], video["text"], video["brands"]) == ("original", "5", "@acme why", ["acme"])
    (comment,) = items_of({"video_id": 5, "comment_id": 6, "text": "@acme"}, "mention.comment")
    assert (comment["kind"], comment["root_id"]) == ("reply", "5")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("im_receive_msg", {"text": "psst"}, LeftOut.PRIVATE),
        ("post.publish.complete", {"publish_id": "1"}, LeftOut.NOT_HEARD),
        ("comment.update", COMMENT | {"comment_action": "pin"}, LeftOut.NOT_HEARD),
        ("brand_mention", {}, LeftOut.NAMES_NO_POST),
    ],
)
def test_what_is_no_post_is_left_out_for_a_stated_reason(name: str, content: Any, why: LeftOut) -> None:
    mapping = TikTokMapping("tiktok", Owners("tiktok", [acme("tiktok", "acme")], {}, chosen=False))
    found = mapping(event(content, name), NOW)
    assert (found.items, dict(found.left_out)) == ([], {why: 1})


def test_content_that_cannot_be_read_is_told_where_it_is_wrong() -> None:
    for content, where in (("{", "`content` is not JSON"), ({"comment_id": 1}, "`content`: .*video_id")):
        body = event(content)
        with pytest.raises(ValueError, match=where):
            called(tiktok(), body, signed(body))


def test_a_signature_counts_as_long_as_tiktok_tries_and_no_longer() -> None:
    body = event(COMMENT)
    assert called(tiktok(), body, signed(body, UNIX - 72 * 3600)).heard.items
    for headers in (signed(body, UNIX - 74 * 3600), signed(body, secret="another secret"), {}):
        with pytest.raises(Refused):
            called(tiktok(), body, headers)
    with pytest.raises(Refused):
        called(tiktok(tolerance_seconds=300), body, signed(body, UNIX - 600))
