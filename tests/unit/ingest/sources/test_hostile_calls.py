"""No body makes a connector raise anything but what its contract allows, or keeps it from reading the next one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources.base import Received
from ingest.sources.helpdesks.chatwoot import ChatwootMapping
from ingest.sources.helpdesks.desk import HelpDesk
from ingest.sources.helpdesks.zendesk import ZendeskMapping
from ingest.sources.hooks.items import Owners, Understood
from ingest.sources.meta.mapping import MetaMapping
from ingest.sources.tiktok.mapping import TikTokMapping
from ingest.sources.webhooks.cloudevents import CloudEventsReading
from ingest.sources.webhooks.mapped import MappedReading
from ingest.sources.webhooks.own_shape import OwnShape
from ingest.sources.webhooks.standard import StandardReading
from services.config.connectors.mapped import Mapping
from services.config.connectors.meta import MetaObject
from tests.unit.ingest.sources.calls import NOW, acme, of_page
from tests.unit.ingest.sources.test_helpdesks import MESSAGE, comment, told
from tests.unit.ingest.sources.test_meta import COMMENT, instagram, threads
from tests.unit.ingest.sources.test_tiktok import COMMENT as TIKTOK
from tests.unit.ingest.sources.test_webhooks import MAPPING, POST, VENDOR, event

Read = Callable[[bytes], Understood]
OWNERS = Owners("n", [acme("n", "acme")], {"100": "acme"}, chosen=True)
DESK = HelpDesk("n", "acme", ("acme",), "https://desk.example")


def over_http(reading: Callable[[Received, Any], Understood], **headers: str) -> Read:
    return lambda body: reading(Received("POST", headers, {}, body), NOW)


def of_meta(object_: MetaObject) -> Read:
    mapping = MetaMapping(object_, "n", OWNERS)
    return lambda body: mapping(body, NOW)


SHAPE = OwnShape("n")
CLOUD = {"content-type": "application/cloudevents+json"}
ODD = Mapping(
    fields={
        "post_id": "id",
        "text": "join('', body)",
        "counters.likes": "length(@)",
        "author.id": "max_by(users, &x).id",
    }
)
READERS: dict[str, tuple[Read, Any]] = {
    "a page": (of_meta(MetaObject.PAGE), of_page(COMMENT)),
    "ratings": (of_meta(MetaObject.PAGE), of_page({**COMMENT, "open_graph_story_id": 1}, field="ratings")),
    "Instagram": (
        of_meta(MetaObject.INSTAGRAM),
        instagram("comments", id="1", text="t", media={"id": "3"}, hidden=True),
    ),
    "Threads": (
        of_meta(MetaObject.THREADS),
        threads("replies", id="8", text="t", root_post={"id": "6"}, quoted_post={"id": 1}),
    ),
    "TikTok": (
        lambda body: TikTokMapping("n", OWNERS)(body, NOW),
        {"event": "comment.update", "create_time": 1, "user_openid": "o", "content": json.dumps(TIKTOK)},
    ),
    "a mention on TikTok": (
        lambda body: TikTokMapping("n", OWNERS)(body, NOW),
        {"event": "mention", "content": json.dumps({"video_id": 5, "comment_id": 6, "text": "t", "username": "u"})},
    ),
    "Zendesk": (lambda body: ZendeskMapping(DESK)(body, NOW), told("ticket.comment_added", comment())),
    "a ticket": (lambda body: ZendeskMapping(DESK)(body, NOW), told("ticket.created")),
    "Chatwoot": (lambda body: ChatwootMapping(DESK)(body, NOW), {**MESSAGE, "content_attributes": {"deleted": True}}),
    "CloudEvents": (over_http(CloudEventsReading(SHAPE), **CLOUD), event(POST)),
    "a batch": (
        over_http(CloudEventsReading(SHAPE), **{"content-type": CLOUD["content-type"][:-5] + "-batch+json"}),
        [event(POST)],
    ),
    "Standard Webhooks": (over_http(StandardReading(SHAPE)), {"type": "post.created", "timestamp": 1, "data": POST}),
    "mapped": (over_http(MappedReading("n", MAPPING, "event")), VENDOR),
    "mapped oddly": (over_http(MappedReading("n", ODD)), {"id": 1, "body": ["a"], "users": [{"x": 1, "id": 2}]}),
    "unmapped": (over_http(MappedReading("n", Mapping())), POST),
}
DEEP = 100_000
BODIES = {
    "nothing": b"",
    "no JSON": b"\x00\xff\xfe{",
    "a word": b"true",
    "a number without end": b"9" * 1_000_000,
    "too deep": b"[" * DEEP,
    "deep and complete": b'{"object":' * 900 + b"1" + b"}" * 900,
    "deep where nothing is read": b'{"object":"page","x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "half a character": b'{"object":"\\ud800","event":"\\ud800"}',
    "the same key again and again": b"{" + b",".join([b'"object":"page"'] * 50_000) + b"}",
    "a huge text": b'{"event":"' + b"a" * 3_000_000 + b'"}',
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**80, -1, "0", "\0"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "value", ""]), inner, max_size=3)
    ),
    max_leaves=5,
)


def understands(read: Read, body: bytes) -> None:
    """Passes if the body is read, or refused with a short message and nothing else."""
    said, found = "read", Understood()
    try:
        found = read(body)
    except ValueError as error:
        said = str(error)
    assert 0 < len(said) < 500
    json.dumps([found.items, found.authors], allow_nan=False)


@pytest.mark.parametrize("name", READERS)
def test_a_hostile_body_is_read_or_refused_in_words(name: str) -> None:
    read, good = READERS[name]
    for body in BODIES.values():
        understands(read, body)
    assert read(json.dumps(good).encode()).items


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a body."""
    parts: list[Any] = list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [above, *(path for key, part in parts for path in paths(part, (*above, key)))]


def changed(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """The body with another part at the end of this way."""
    if not path:
        return part
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], part)
    return copy


@settings(max_examples=100, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", READERS)
def test_whatever_stands_in_any_field_a_mapping_raises_nothing_but_value_errors(name: str, data: st.DataObject) -> None:
    read, good = READERS[name]
    path = data.draw(st.sampled_from(paths(good)))
    part = data.draw(VALUES)
    understands(read, json.dumps(changed(good, path, part)).encode())
    if name.endswith("TikTok"):
        said = json.loads(good["content"])
        inside = changed(said, data.draw(st.sampled_from(paths(said))), part)
        understands(read, json.dumps({**good, "content": json.dumps(inside)}).encode())


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_make_a_mapping_raise_anything_else(body: bytes) -> None:
    for read, _ in READERS.values():
        understands(read, body)
