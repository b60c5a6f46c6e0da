"""The webhooks of X's Activity API: challenge, signature, events."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ingest.sources.base import Received, Refused, Reply, SourceContext
from ingest.sources.x.activity import SIGNATURE, XActivityReceiver, build
from services.base.clock import ManualClock
from services.config.connectors.x import XActivitySection
from services.config.model import Brand

SECRET = "a-consumer-secret-of-tests"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
OWN, OTHER = "2050183451243446272", "2050183451243446273"


def receiver(secret: str = SECRET, brands: int = 1) -> XActivityReceiver:
    section = XActivitySection.model_validate({"kind": "x_activity", "name": "acme-x"})
    every = [Brand.model_validate({"id": f"acme{n}", "name": f"Acme {n}"}) for n in range(brands)]
    secrets = {"consumer_secret": secret} if secret else {}
    unused = cast("Any", None)
    return build(SourceContext("x", section, every, secrets, ManualClock(NOW), unused, unused))


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


async def called(
    body: bytes | dict[str, Any], signature: str | None = None, to: XActivityReceiver | None = None
) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps({"data": body}).encode()
    headers = {SIGNATURE: signed(raw) if signature is None else signature}
    return await (to or receiver()).receive(Received("POST", headers, {}, raw))


def event(kind: str, includes: Any = None, **payload: Any) -> dict[str, Any]:
    whole = {"id": OWN, "text": "@acmeair hello", "author_id": "777", "conversation_id": OWN, **payload}
    return {
        "event_uuid": "1",
        "event_type": kind,
        "filter": {"user_id": "1"},
        "payload": whole,
        "includes": includes or {},
    }


async def test_the_hourly_challenge_is_answered_with_the_digest_of_its_token() -> None:
    reply = await receiver().receive(Received("GET", {}, {"crc_token": "challenge"}, b""))
    assert json.loads(reply.body) == {"response_token": signed(b"challenge")}
    assert reply.content_type == "application/json"


@pytest.mark.parametrize("query", [{}, {"crc_token": ""}, {"crc_token": "x" * 1001}])
async def test_a_challenge_without_a_token_cannot_be_read(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="challenge"):
        await receiver().receive(Received("GET", {}, query, b""))


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=AAAA", "sha1=" + "A" * 44, "\u00fc", signed(b"other")])
async def test_a_wrong_signature_is_refused_before_anything_is_read(signature: str) -> None:
    with pytest.raises(Refused):
        await called(b"{", signature)


async def test_a_signature_by_another_secret_is_refused() -> None:
    body = json.dumps({"data": event("post.mention.create")}).encode()
    with pytest.raises(Refused):
        await called(body, signed(body, "another"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"data":{}}', b"[" * 100_000])
async def test_what_is_no_event_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ValueError, match="no event"):
        await called(body)


@pytest.mark.parametrize(
    ("kind", "references", "becomes"),
    [
        ("post.create", [], "original"),
        ("post.mention.create", [], "original"),
        ("post.reply.create", [{"type": "replied_to", "id": OTHER}], "reply"),
        ("post.quote.create", [{"type": "quoted", "id": OTHER}], "quote"),
        ("post.repost.create", [{"type": "retweeted", "id": OTHER}], "repost"),
    ],
)
async def test_what_is_said_to_the_account_is_heard(kind: str, references: list[Any], becomes: str) -> None:
    users = {"users": [{"id": "777", "username": "jane", "public_metrics": {"followers_count": 5}}]}
    (item,) = (await called(event(kind, users, referenced_tweets=references))).heard.items
    assert (item["post_id"], item["kind"], item["author"]["handle"]) == (OWN, becomes, "jane")


async def test_what_is_said_to_the_account_of_one_brand_is_about_it() -> None:
    (item,) = (await called(event("post.reply.create", text="useless", in_reply_to_user_id="1"))).heard.items
    assert item["brands"] == ["acme0"]
    (item,) = (await called(event("post.reply.create"), to=receiver(brands=2))).heard.items
    assert "brands" not in item, "nobody says which of the two"


async def test_an_edit_that_is_told_edits_the_first_version() -> None:
    heard = (await called(event("post.mention.create", edit_history_tweet_ids=[OTHER, OWN]))).heard
    assert [(item["post_id"], item["kind"]) for item in heard.items] == [(OTHER, "original"), (OTHER, "edit")]


async def test_a_deletion_is_one_with_users_wrapped_as_x_wraps_them() -> None:
    users = {"users": [{"data": {"id": "777", "username": "jane"}}]}
    body = {"event_type": "post.delete", "payload": {"id": OWN, "author_id": "777"}, "includes": users}
    assert list((await called(body)).heard.items) == [{"post_id": OWN, "kind": "deletion"}]


@pytest.mark.parametrize(
    "body",
    [
        event("like.create"),
        event("a.kind.of.tomorrow"),
        {"event_type": "follow.follow", "payload": {}},
        {"event_type": "post.delete", "payload": None},
        {"event_type": "post.create", "payload": {"id": "no number"}},
    ],
)
async def test_what_is_nothing_to_us_is_counted_and_never_an_error(body: dict[str, Any]) -> None:
    one = receiver()
    reply = await called(body, to=one)
    assert (reply.status, list(reply.heard.items)) == (200, [])
    assert sum(one.left_out.values()) == 1


async def test_kinds_that_are_made_up_do_not_fill_the_memory() -> None:
    one = receiver()
    for number in range(300):
        await called(event(f"kind.{number}" + "x" * 1000), to=one)
    assert len(one.left_out) <= 101
    assert max(map(len, one.left_out)) <= 64


def test_without_a_secret_nothing_is_taken() -> None:
    with pytest.raises(Refused, match="consumer secret"):
        receiver(secret="")
