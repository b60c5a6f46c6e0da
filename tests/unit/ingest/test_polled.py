"""Lists that are read in rounds: what is new, what changed, and what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from ingest.sources.base import Away
from ingest.sources.polled.lists import Listed, ListPlace, Page, beginning, hear, walk
from ingest.sources.polled.position import MAX_CHARS, read, written
from ingest.sources.polled.quota import DailyUnits
from ingest.sources.reddit.mapping import RedditMapping
from ingest.sources.reddit.shapes import Post
from ingest.sources.reviews.mapping import ReviewMapping, of_place
from ingest.sources.reviews.shapes import PlaceAnswer, PlaceReview

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def entry(number: int, minutes_ago: float, version: str = "") -> Listed:
    name = f"p{number}"
    return Listed(name, version, NOW - timedelta(minutes=minutes_ago), ({"post_id": name},), ({"edit": name},))


@dataclass
class Feed:
    """A list in memory, in pages of two."""

    entries: Sequence[Listed]
    name: str = "list"
    every: timedelta | None = None
    overlap: timedelta = timedelta(minutes=10)
    most_pages: int = 5
    shows_at_most: int | None = None
    reaches_back: timedelta | None = None
    asked: list[str | None] = field(default_factory=list)
    next_is_always: str | None = None

    async def page(self, token: str | None) -> Page | None:
        self.asked.append(token)
        begin = int(token or 0)
        following = str(begin + 2) if begin + 2 < len(self.entries) else None
        return Page(self.entries[begin : begin + 2], self.next_is_always or following)


def place(minutes_ago: float) -> ListPlace:
    at = NOW - timedelta(minutes=minutes_ago)
    return ListPlace(begun=at - timedelta(days=1), at=at, asked=at)


async def test_what_a_list_shows_at_first_was_there_before_us() -> None:
    found = await walk(Feed([entry(2, 1), entry(1, 5)]), None, NOW)
    begun = beginning(Feed([]), found.entries, NOW)
    assert hear(begun, found.entries, NOW) == []
    assert hear(begun, [entry(3, 0)], NOW) == [{"post_id": "p3"}]


async def test_the_list_goes_on_though_the_newest_post_that_we_know_was_deleted() -> None:
    known = place(3)
    hear(known, [entry(1, 5), entry(2, 3)], NOW)
    found = await walk(Feed([entry(3, 1), entry(1, 5)]), known, NOW)
    assert hear(known, found.entries, NOW) == [{"post_id": "p3"}]


async def test_one_pinned_post_does_not_end_a_walk() -> None:
    feed = Feed([entry(9, 9000), entry(4, 1), entry(3, 2), entry(2, 3), entry(1, 60), entry(0, 61)])
    found = await walk(feed, place(10), NOW)
    assert [one.id for one in found.entries][-3:] == ["p2", "p3", "p4"]


async def test_a_walk_that_does_not_reach_its_place_says_what_it_missed() -> None:
    many = [entry(n, n) for n in range(40)]
    (missed,) = (await walk(Feed(many), place(120), NOW)).missed
    assert (missed.begins, missed.ends) == (NOW - timedelta(minutes=120), many[9].at)
    assert "more than is fetched" in missed.reason


async def test_a_token_that_leads_back_ends_the_walk_and_is_a_gap() -> None:
    feed = Feed([entry(n, n) for n in range(4)], next_is_always="2")
    (missed,) = (await walk(feed, place(120), NOW)).missed
    assert len(feed.asked) == 2
    assert "same page twice" in missed.reason


async def test_a_list_that_shows_only_so_many_is_a_gap_where_it_ends_too_early() -> None:
    feed = Feed([entry(n, n) for n in range(6)], shows_at_most=6)
    assert "only 6" in (await walk(feed, place(120), NOW)).missed[0].reason
    assert (await walk(Feed(feed.entries, shows_at_most=7), place(120), NOW)).missed == ()


def test_a_post_that_changed_is_heard_as_changed_and_one_from_the_future_hides_none() -> None:
    known = place(5)
    hear(known, [entry(1, 4)], NOW)
    assert hear(known, [entry(1, 4, "new"), entry(2, -600)], NOW) == [{"edit": "p1"}, {"post_id": "p2"}]
    assert known.at == NOW


def test_what_we_could_have_fetched_earlier_is_history() -> None:
    asked_long_ago = place(120)
    items = hear(asked_long_ago, [entry(1, 90), entry(2, 1)], NOW)
    assert [item.get("backfill", False) for item in items] == [True, False]


def test_a_cursor_keeps_within_its_bound_and_says_the_same_again() -> None:
    places = {f"r/{'x' * 20}{n}/comments": place(n) for n in range(60)}
    for one in places.values():
        for n in range(300):
            one.learn(entry(n, 1))
    position = written(places, "2026-05-01", 120)
    assert len(position) <= MAX_CHARS
    again = read(position)
    assert again is not None
    assert {name: one.at for name, one in again.places().items()} == {name: one.at for name, one in places.items()}
    assert again.units == 120
    assert read("not ours") is None


def test_a_quota_is_stretched_over_its_day_and_then_says_when_it_is_new() -> None:
    quota = DailyUnits("YouTube", 100, "America/Los_Angeles", lambda: NOW)
    assert quota.seconds_between(1) == pytest.approx(quota.seconds_left() / 90)
    quota.take(100)
    with pytest.raises(Away) as away:
        quota.take(1)
    assert away.value.retry_after_seconds == pytest.approx(19 * 3600)


@pytest.mark.parametrize("body", ["[removed]", "[deleted]", "[ Removed by Reddit ]"])
def test_what_reddit_shows_where_a_comment_was_removed_is_a_deletion(body: str) -> None:
    post = Post("t1_a", NOW.timestamp(), author="[deleted]", body=body, link_id="t3_b", parent_id="t3_b")
    (item,) = RedditMapping("reddit").entry(post).heard
    assert item == {"network": "reddit", "post_id": "t1_a", "kind": "deletion"}


def test_the_words_of_a_closed_account_stand_without_a_name() -> None:
    post = Post("t1_a", NOW.timestamp(), author="[deleted]", body="Late again", link_id="t3_b", edited=NOW.timestamp())
    first, edit = RedditMapping("reddit").entry(post).heard
    assert "author" not in first
    assert (first["root_id"], first["parent_id"], edit["kind"]) == ("t3_b", "t3_b", "edit")


def test_stars_without_words_are_left_out_and_an_answer_is_the_brands() -> None:
    mapping = ReviewMapping("google-business", ("acme",), "acmeair")
    at = NOW.isoformat()
    assert [e.heard for e in mapping.entries(of_place(PlaceReview("a", at)))] == [()]
    text = "(Translated by Google) Cold food\n\n(Original)\nKaltes Essen"
    said = of_place(PlaceReview("b", at, comment=text, review_reply=PlaceAnswer("Sorry", at)))
    review, answer = (e.heard[0] for e in mapping.entries(said))
    assert (review["text"], review["brands"], "author" in review) == ("Kaltes Essen", ["acme"], False)
    assert (answer["kind"], answer["root_id"], answer["author"]["handle"]) == ("reply", "b", "acmeair")
