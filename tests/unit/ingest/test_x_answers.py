"""What X's answers mean for the source, and that what X really sent becomes items that are taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from ingest.parsing import Parser
from ingest.schemas import ItemError
from ingest.sources.base import Away, Refused
from ingest.sources.x.api import STORM_SECONDS, STREAM_PATH, XApi
from ingest.sources.x.mapping import Item, around, items_of
from ingest.sources.x.shapes import Unreadable, XCall, XLine, XPage, XPost, decode, each
from services.base.clock import ManualClock

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
REAL = Path("/work/shared/data/payloads/x_api_v2")
where_it_is = pytest.mark.skipif(not REAL.exists(), reason="what X really sent is not at hand: nothing was compared")


def trouble(status: int, headers: dict[str, str] | None = None, body: Any = None) -> Any:
    api = XApi(cast("Any", None), "https://api.x.com", "a-token", ManualClock(NOW))
    return api.trouble(status, headers or {}, json.dumps(body or {}).encode(), STREAM_PATH)


def test_an_answer_is_no_trouble() -> None:
    assert trouble(200) is None
    assert trouble(201) is None


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_what_only_people_can_mend_is_refused_with_what_x_says(status: int) -> None:
    found = trouble(status, body={"title": "CreditsDepleted", "detail": "Your account has no credits."})
    assert isinstance(found, Refused)
    assert "no credits" in str(found)
    assert "a-token" not in str(found)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, STORM_SECONDS),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "soon"}, STORM_SECONDS),
        ({"retry-after": "9" * 40}, 86_400),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(NOW.timestamp()) + 300)}, 300),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "0"}, 1),
        ({"x-rate-limit-remaining": "49", "x-rate-limit-reset": str(int(NOW.timestamp()) + 300)}, STORM_SECONDS),
    ],
)
def test_a_429_is_waited_for_as_long_as_x_says(headers: dict[str, str], seconds: float) -> None:
    found = trouble(429, headers)
    assert isinstance(found, Away)
    assert found.retry_after_seconds == seconds


def test_our_own_ghost_connection_is_waited_for() -> None:
    body = {
        "title": "ConnectionException",
        "detail": "This stream is currently at the maximum allowed connection limit.",
        "connection_issue": "TooManyConnections",
        "type": "https://api.twitter.com/2/problems/streaming-connection",
    }
    found = trouble(429, body=body)
    assert isinstance(found, Away)
    assert found.retry_after_seconds == STORM_SECONDS
    assert "maximum allowed connection limit" in str(found)


def test_a_spent_cap_is_waited_for_longer_and_any_other_error_briefly() -> None:
    assert trouble(429, body={"title": "UsageCapExceeded"}).retry_after_seconds == 3600
    assert trouble(503).retry_after_seconds == 5
    assert trouble(503, {"retry-after": "30"}).retry_after_seconds == 30
    assert isinstance(trouble(302), Away)


def taken(items: list[Item]) -> None:
    """All of them are taken by the API."""
    for item in items:
        (read,) = Parser(1).items(msgspec.json.encode([{"network": "x", **item}]), ndjson=False)
        assert not isinstance(read, ItemError), (read, item)


@where_it_is
@pytest.mark.parametrize("name", ["stream_raw_with_malformed_line.txt", "stream_with_includes_and_errors.jsonl"])
def test_what_the_stream_really_sent_is_taken_but_for_the_broken_lines(name: str) -> None:
    heard = broken = 0
    for line in (REAL / name).read_bytes().splitlines():
        try:
            said = decode(line, XLine)
        except Unreadable:
            broken += 1
            continue
        if said.data is not None:
            items = items_of(said.data, around(said.includes), NOW, asked=False)
            assert items[0]["author"].get("handle"), "its author came along"
            taken(items)
            heard += 1
    assert heard > 0
    assert broken <= 1


@where_it_is
@pytest.mark.parametrize("name", ["search_response_pages.jsonl", "edited_tweets.jsonl"])
def test_what_search_really_found_is_taken(name: str) -> None:
    kinds = set()
    for line in (REAL / name).read_bytes().splitlines():
        page = decode(line, XPage)
        near = around(page.includes)
        assert len(each(page.data, XPost)) == len(page.data or [])
        for post in (*each(page.data, XPost), *near.posts.values()):
            items = items_of(post, near, NOW, asked=True)
            taken(items)
            kinds |= {item["kind"] for item in items}
    assert kinds & {"edit", "repost"}


@where_it_is
def test_documented_events_of_the_account_are_taken() -> None:
    kinds = []
    for line in (REAL / "activity-events.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            event = decode(json.dumps(json.loads(line)["event"]).encode(), XCall).data
        except Unreadable as error:
            raise AssertionError(line[:200]) from error
        if event.event_type.startswith("post.") and event.event_type != "post.delete":
            for post in each([event.payload], XPost):
                items = items_of(post, around(event.includes), NOW + timedelta(days=300), asked=False)
                taken(items)
                kinds.append((event.event_type, items[0]["kind"]))
    assert set(kinds) >= {
        ("post.mention.create", "original"),
        ("post.reply.create", "reply"),
        ("post.quote.create", "quote"),
        ("post.repost.create", "repost"),
    }
