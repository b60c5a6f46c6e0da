"""Partners bring posts in our shape, in CloudEvents or signed envelopes, or in any shape that the configuration maps."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from ingest.sources.base import Heard, Received, Refused, Reply
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import LeftOut
from ingest.sources.webhooks.mapped import MappedReading
from services.base.errors import ConfigError
from services.config.connectors import signing
from services.config.connectors.mapped import Mapping
from services.config.connectors.webhooks import CloudEventsSection, StandardWebhooksSection, WebhookSection
from tests.unit.ingest.sources.calls import NOW, called, connector, hexed

TOKEN = {"token": "partners-token"}
BEARER = {"Authorization": "Bearer partners-token"}
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
POST = {"post_id": "1", "kind": "reply", "root_id": "9", "text": "Bad!", "brands": ["acme"]}
STAMP = "2026-05-01T11:59:00Z"


def event(data: Any, type_: str = "com.vendor.post", **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "source": "/v", "type": type_, "time": STAMP, "data": data, **more}


def cloudevents(body: Any, headers: dict[str, str]) -> Reply:
    section = CloudEventsSection(kind="cloudevents", name="partner")
    return called(connector("ingest.sources.webhooks.cloudevents", section, "forum", TOKEN), body, BEARER | headers)


ONE = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
BINARY = {
    "Content-Type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "e1",
    "ce-source": "/v",
    "ce-type": "com.vendor.post",
    "ce-time": STAMP,
}
MODES: dict[str, tuple[Any, dict[str, str]]] = {
    "structured": (event(POST), ONE),
    "binary": (POST, BINARY),
    "batch": ([event(POST)], BATCH),
    "structured, of bytes": (event(None, data_base64=base64.b64encode(json.dumps(POST).encode()).decode()), ONE),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_post_is_the_same_in_every_mode_of_cloudevents(mode: str) -> None:
    (item,) = cloudevents(*MODES[mode]).heard.items
    assert item == {**POST, "network": "forum", "platform_at": "2026-05-01T11:59:00+00:00"}


def test_what_an_item_states_itself_counts_more_than_its_envelope() -> None:
    own = POST | {"network": "x", "created_at": "2026-05-01T10:00:00Z"}
    (item,) = cloudevents(event(own), ONE).heard.items
    assert (item["network"], "platform_at" in item) == ("x", False)


TYPES: dict[str, dict[str, Any]] = {
    "com.vendor.post.deleted": {"kind": "deletion"},
    "post.deleted": {"kind": "deletion"},
    "post.edited": {"kind": "edit", "text": "Bad!"},
    "post.hidden": {"kind": "visibility", "visible": False},
    "post.shown": {"kind": "visibility", "visible": True},
    "post.created": {"kind": "reply", "text": "Bad!"},
}


@pytest.mark.parametrize("type_", TYPES)
def test_the_type_says_what_happened_to_the_post(type_: str) -> None:
    (item,) = cloudevents(event(POST, type_), ONE).heard.items
    assert item.items() >= TYPES[type_].items()
    if item["kind"] in ("deletion", "visibility"):
        assert "text" not in item
        assert "brands" not in item


def test_an_author_who_is_to_be_forgotten_is_told_by_the_type() -> None:
    heard = cloudevents(event({"author_id": "55"}, "author.erased"), ONE).heard
    assert heard == Heard(
        items=[],
        authors=[{"network": "forum", "author_id": "55", "state": "erased", "at": "2026-05-01T11:59:00+00:00"}],
    )


def test_in_a_batch_one_wrong_event_does_not_take_the_others_with_it() -> None:
    heard = cloudevents([event({"post_id": 7}), event(POST), {"no": "event"}], BATCH).heard
    assert [item["post_id"] for item in heard.items] == ["1"]


UNREADABLE: dict[str, tuple[Any, dict[str, str], str]] = {
    "no event": (POST, {"Content-Type": "application/json"}, "ce-specversion"),
    "a header is missing": (POST, {name: text for name, text in BINARY.items() if name != "ce-id"}, "`ce-id`"),
    "an attribute is missing": ({"specversion": "1.0"}, ONE, r"`type`"),
    "another version": (event(POST, specversion="2.0"), ONE, "specversion"),
    "no JSON": (b"{", ONE, "not JSON"),
    "empty": (b"", ONE, "empty"),
    "data of another type": (event("words", "post.created"), ONE, "`data` is not a post"),
    "a post without its id": (event({"kind": "original"}, "post.created"), ONE, "post_id: this field is required"),
    "a field that there is not": (event(POST | {"txt": "?"}), ONE, "txt: there is no such field"),
    "bytes that are none": (event(None, data_base64="?"), ONE, "data_base64"),
    "an author without an id": (event({}, "author.erased"), ONE, "author_id"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_told_with_what_and_where(case: str) -> None:
    body, headers, words = UNREADABLE[case]
    with pytest.raises(ValueError, match=words):
        cloudevents(body, headers)


def test_news_of_something_else_is_answered_and_not_stored() -> None:
    assert cloudevents(event({"hello": 1}, "com.vendor.ping"), ONE) == Reply(
        heard=Heard(items=[], authors=[], left_out={"not_heard": 1})
    )


def test_more_than_is_taken_at_once_is_413() -> None:
    reply = cloudevents([event(POST)] * 2001, BATCH)
    assert (reply.status, reply.heard.items) == (413, ())
    assert b"2000" in reply.body


def standard(body: bytes, headers: dict[str, str]) -> Reply:
    section = StandardWebhooksSection(kind="standard_webhooks", name="partner")
    return called(connector("ingest.sources.webhooks.standard", section, "forum", {"secret": WHSEC}), body, headers)


def signed(data: Any, type_: str = "post.created") -> tuple[bytes, dict[str, str]]:
    body = json.dumps({"type": type_, "timestamp": STAMP, "data": data})
    return body.encode(), {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": Webhook(WHSEC).sign("msg_1", NOW, body),
    }


def test_a_signed_body_brings_one_post_or_several_and_their_deletions() -> None:
    assert [item["post_id"] for item in standard(*signed(POST)).heard.items] == ["1"]
    assert [item["post_id"] for item in standard(*signed([POST, POST | {"post_id": "2"}])).heard.items] == ["1", "2"]
    (gone,) = standard(*signed({"post_id": "1"}, "post.deleted")).heard.items
    assert (gone["kind"], gone["network"]) == ("deletion", "forum")
    body, headers = signed(POST)
    with pytest.raises(Refused):
        standard(body.replace(b"Bad!", b"Good"), headers)


VENDOR = {
    "event": "comment.created",
    "thread": {"id": 77},
    "comments": [
        {
            "id": 1,
            "body": "Bad!",
            "user": {"uid": 55, "name": "jane", "fans": 12},
            "ts": 1777636740,
            "status": "public",
        },
        {
            "id": 2,
            "body": "Worse!",
            "user": {"uid": 56, "name": "joe"},
            "ts": "2026-05-01T11:59:00Z",
            "status": "public",
        },
        {"id": 3, "body": "psst", "status": "draft"},
    ],
}
MAPPING = Mapping(
    items="comments[?status=='public']",
    fields={
        "post_id": "id",
        "text": "body",
        "author.id": "user.uid",
        "author.handle": "user.name",
        "author.followers": "user.fans",
        "platform_at": "ts",
    },
    always={"kind": "reply", "root_id": "77", "brands": ["acme"]},
)


def mapped(body: Any, mapping: Mapping = MAPPING, only: str | None = "event == 'comment.created'") -> list[Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MappedReading("forum", mapping, only)(Received("POST", {}, {}, content), NOW).items


def test_a_list_in_a_body_is_mapped_field_by_field_with_conditions_and_constants() -> None:
    (first, second) = mapped(VENDOR)
    assert first == {
        "network": "forum",
        "kind": "reply",
        "post_id": "1",
        "text": "Bad!",
        "author": {"id": "55", "handle": "jane", "followers": 12},
        "platform_at": "2026-05-01T11:59:00+00:00",
        "root_id": "77",
        "brands": ["acme"],
    }
    assert (second["author"], second["platform_at"]) == ({"id": "56", "handle": "joe"}, first["platform_at"])


def test_only_calls_that_meet_the_condition_are_stored() -> None:
    assert not mapped(VENDOR | {"event": "comment.updated"})
    assert len(mapped(VENDOR | {"event": "comment.updated"}, only=None)) == 2
    found = MappedReading("forum", MAPPING, "event == 'x'")(Received("POST", {}, {}, json.dumps(VENDOR).encode()), NOW)
    assert found.left_out == {LeftOut.CONDITION: 1}


def test_the_kind_of_a_post_can_depend_on_what_the_body_says() -> None:
    mapping = Mapping(fields={"post_id": "id", "text": "body", "kind": "gone && 'deletion' || 'original'"})
    assert [mapped({"id": 1, "body": "b", "gone": gone}, mapping, None)[0]["kind"] for gone in (True, False)] == [
        "deletion",
        "original",
    ]


def test_a_body_in_our_own_shape_needs_no_mapping() -> None:
    assert mapped([POST, POST], Mapping(), None) == [{**POST, "network": "forum"}] * 2


def test_what_the_mapping_does_not_find_is_told_by_its_field() -> None:
    with pytest.raises(ValueError, match="post_id: this field is required"):
        mapped({"identity": 1}, Mapping(fields={"post_id": "id"}), None)
    with pytest.raises(ValueError, match="text"):
        mapped({"id": 1, "body": {"html": "b"}}, Mapping(fields={"post_id": "id", "text": "body"}), None)


def test_an_expression_that_does_not_fit_is_told_and_the_private_value_is_not() -> None:
    with pytest.raises(ValueError, match=r"`join\('', body\)` cannot be applied") as refused:
        mapped({"id": 1, "body": [7, "psst"]}, Mapping(fields={"post_id": "id", "text": "join('', body)"}), None)
    assert "psst" not in str(refused.value)


def webhook(secrets: dict[str, str], **options: Any) -> CalledSource:
    section = WebhookSection(kind="webhook", name="partner", mapping=MAPPING, **options)
    return connector("ingest.sources.webhooks.mapped", section, "forum", secrets)


def test_the_scheme_of_the_signature_is_chosen_in_the_configuration() -> None:
    body = json.dumps(VENDOR).encode()
    scheme = signing.HmacHeader(scheme="hmac", header="X-Vendor", algorithm=signing.Algorithm.SHA512, prefix="v1=")
    source = webhook({"secret": "vendors-secret"}, signing=scheme)
    right = {"X-Vendor": f"v1={hexed('vendors-secret', body, 'sha512')}"}
    assert len(called(source, body, right).heard.items) == 2
    for wrong in ({"X-Vendor": f"v1={hexed('vendors-secret', body)}"}, BEARER, {}):
        with pytest.raises(Refused):
            called(source, body, wrong)


def test_a_door_without_a_secret_is_not_opened() -> None:
    for secrets in ({}, {"token": ""}, {"token": "short"}):
        with pytest.raises(ConfigError, match="FIREBREAK_SOURCE_PARTNER_TOKEN"):
            webhook(secrets)


def test_a_large_body_is_read_like_a_small_one() -> None:
    source = webhook(TOKEN)
    many = VENDOR | {"comments": [{"id": n, "body": "Bad!" * 100, "status": "public"} for n in range(1000)]}
    assert len(called(source, many, BEARER).heard.items) == 1000


def test_other_methods_are_answered_with_what_the_address_takes() -> None:
    assert [called(webhook(TOKEN), b"", BEARER, method=method).status for method in ("GET", "PUT", "DELETE")] == [
        405
    ] * 3
