"""Events survive the wire, and whatever is no event of ours is refused with its reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import codec
from services.contracts.base import BrandId, ConversationId, Event, StoryId, event_id
from services.contracts.codec import Unreadable, decode, encode
from services.contracts.envelope import EVENTS
from services.contracts.incident import IncidentChanged
from services.contracts.post import (
    Author,
    Counters,
    Mention,
    MentionKind,
    PostKind,
    PostObserved,
    PostRef,
    SourcePolicy,
    StoryLinked,
)
from services.contracts.signal import BrandSurge, CascadeForecast, PostAsked, PostNegative
from services.contracts.topics import BY_NAME, TOPICS

NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
ID = event_id("x", "1")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware


mentions = st.builds(
    Mention,
    brand=texts.map(BrandId),
    kind=st.sampled_from(MentionKind),
    start=st.integers(0, 20_000),
    end=st.integers(0, 20_000),
)


@st.composite
def posts(draw: st.DrawFn) -> PostObserved:
    conversation = ConversationId("x:" + draw(texts))
    return PostObserved(
        network="x",
        post_id=draw(texts),
        kind=draw(st.sampled_from(PostKind)),
        conversation=conversation,
        home=draw(st.sampled_from([conversation, ConversationId("x:other")])),
        parent_id=draw(st.none() | texts),
        quotes=draw(st.none() | st.just(PostRef(post_id="9", conversation=ConversationId("x:9")))),
        author=draw(st.none() | st.builds(Author, id=texts, followers=st.none() | st.integers(0, 2**53))),
        text=draw(st.none() | texts),
        brands=tuple(map(BrandId, draw(st.lists(texts, max_size=3)))),
        mentions=draw(st.none() | st.lists(mentions, max_size=3).map(tuple)),
        counters=draw(st.none() | st.builds(Counters, likes=st.none() | st.integers(0, 10**12))),
        platform_at=draw(st.none() | times),
        observed_at=draw(times),
        backfill=draw(st.booleans()),
        policy=draw(st.sampled_from(SourcePolicy)),
    )


@given(posts())
def test_a_post_survives_the_wire(post: PostObserved) -> None:
    assert decode(encode(post, ID)) == (ID, post)


def test_the_slow_way_reads_the_same_as_the_fast_one() -> None:
    post = PostObserved(
        network="x", post_id="1", kind=PostKind.REPLY, conversation=ConversationId("x:0"), home=ConversationId("x:0"),
        author=Author(id="a", created_at=NOW), observed_at=NOW, brands=(BrandId("acme"),),
    )  # fmt: skip
    wire = json.loads(encode(post, ID))
    reordered = json.dumps({name: wire[name] for name in ("data", "id", "version", "type")}, indent=1).encode()
    assert decode(reordered) == (ID, post)


def test_every_event_type_is_named_once_and_belongs_to_a_topic_that_exists() -> None:
    names = [event.TYPE for event in EVENTS]
    assert len(set(names)) == len(names)
    assert all(topic.like is None or topic.like in BY_NAME for topic in TOPICS)


def _altered(**changes: Any) -> bytes:
    linked = StoryLinked(
        conversation=ConversationId("x:1"), post_id="1", story=StoryId("x:0"), brands=(BrandId("acme"),), at=NOW
    )
    return json.dumps({**json.loads(encode(linked, ID)), **changes}).encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "garbage"),
        (b"\x00\xff", "garbage"),
        (b"[]", "garbage"),
        (b'{"type":"story.linked"}', "garbage"),
        (b"[" * 100_000, "garbage"),
        (_altered(type="story.unheard"), "unknown_type"),
        (_altered(type=["story.linked"]), "unknown_type"),
        (_altered(version=2), "unknown_version"),
        (_altered(version=0), "unknown_version"),
        (_altered(version=True), "unknown_version"),
        (_altered(version="1"), "unknown_version"),
        (_altered(version=[1]), "unknown_version"),
        (_altered(id="short"), "invalid"),
        (_altered(id=7), "invalid"),
        (_altered(data={}), "invalid"),
        (_altered(data=None), "invalid"),
        (encode(StoryLinked(conversation=ConversationId("x:1"), post_id="1", story=StoryId("x:0"), brands=(), at=NOW), ID)
         .replace(b'"post_id":"1"', b'"post_id":1'), "invalid"),
    ],
)  # fmt: skip
def test_what_is_no_event_of_ours_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(value)
    assert caught.value.reason == reason


def test_an_unknown_field_is_refused_and_named_but_never_quoted() -> None:
    wire = json.loads(_altered())
    wire["data"]["secret"] = "hunter2"
    with pytest.raises(Unreadable) as caught:
        decode(json.dumps(wire).encode())
    assert "secret" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_an_old_version_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoryLinked, "VERSION", 3)
    monkeypatch.setitem(codec.UPCASTERS, ("story.linked", 1), lambda data: {**data, "post": data["post_id"]})
    monkeypatch.setitem(
        codec.UPCASTERS,
        ("story.linked", 2),
        lambda data: {**{k: v for k, v in data.items() if k != "post"}, "account": "x:acme"},
    )
    event = decode(_altered(version=1)).event
    assert isinstance(event, StoryLinked)
    assert event.account == "x:acme"


def test_a_post_of_version_1_does_not_say_where_its_brands_are_named() -> None:
    written = (
        b'{"type":"post.observed","version":1,"id":"%s","data":{"network":"x","post_id":"1","kind":"original",'
        b'"conversation":"x:1","home":"x:1","text":"Acme!","brands":["acme"],"observed_at":"2026-03-02T18:00:00Z"}}'
    ) % ID.encode()
    event = decode(written).event
    assert isinstance(event, PostObserved)
    assert (event.text, event.brands, event.mentions) == ("Acme!", ("acme",), None)
    assert decode(encode(event, ID)) == (ID, event), "what was read can be written again"


def test_a_post_that_names_nobody_says_so_without_a_word() -> None:
    event = PostObserved(
        network="x", post_id="1", kind=PostKind.ORIGINAL, conversation=ConversationId("x:1"),
        home=ConversationId("x:1"), observed_at=NOW,
    )  # fmt: skip
    assert b"mentions" not in encode(event, ID)
    assert event.mentions == ()


def test_an_upcaster_that_fails_sets_the_record_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoryLinked, "VERSION", 2)
    monkeypatch.setitem(codec.UPCASTERS, ("story.linked", 1), lambda data: {"x": data["not there"]})
    with pytest.raises(Unreadable) as caught:
        decode(_altered(version=1))
    assert caught.value.reason == "invalid"


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_ids_tell_their_parts_apart(one: list[str], other: list[str]) -> None:
    assert (event_id(*one) == event_id(*other)) == (one == other)
    assert len(event_id(*one)) == 32


def test_ids_take_lone_surrogates() -> None:
    assert event_id("\ud800") != event_id("\ud801")


@pytest.mark.parametrize("event", [PostNegative, PostAsked, CascadeForecast, BrandSurge, IncidentChanged])
def test_signals_of_version_1_are_read_on(event: type[Event]) -> None:
    assert event.VERSION >= 2
    for version in range(1, event.VERSION):
        upcast = codec.UPCASTERS[event.TYPE, version]
        assert upcast({"brand": "acme"}) == {"brand": "acme"}, "what is new has a default"


def test_a_question_of_version_1_says_nothing_of_who_vouches_for_its_author() -> None:
    written = (
        b'{"type":"post.asked","version":1,"id":"%s","data":{"brand":"acme","story":"x:1","conversation":"x:1","post":'
        b'{"network":"x","post_id":"1","kind":"original","text":"when?","at":"2026-03-02T18:00:00Z"}}}'
    ) % ID.encode()
    event = decode(written).event
    assert isinstance(event, PostAsked)
    assert (event.post.text, event.post.verified) == ("when?", None)
