"""Which entries of a feed are new: neither a site that renumbers everything nor one that numbers nothing makes a storm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.sources.feeds.identity import FeedPast, identify, restored, sort_out, written
from ingest.sources.feeds.reading import FeedEntry
from ingest.sources.feeds.source import next_pace

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
URL = "https://news.example/feed"


def entries(count: int, first: int = 0) -> list[FeedEntry]:
    return [
        FeedEntry(
            id=f"id-{number}",
            link=f"https://news.example/{number}",
            title=f"Acme Air, story number {number}",
            text="text",
            published=NOW,
        )
        for number in range(first, first + count)
    ]


def past(known: list[FeedEntry]) -> FeedPast:
    found = FeedPast(read_at=NOW)
    for one in identify(known):
        found.remember(one)
    return found


def new(before: list[FeedEntry], after: list[FeedEntry]) -> list[str]:
    return [one.entry.title for one in sort_out(past(before), identify(after)).new]


def test_what_was_there_when_a_feed_was_first_read_is_not_news() -> None:
    assert sort_out(FeedPast(), identify(entries(20))).new == ()


def test_a_new_entry_is_new_once() -> None:
    assert new(entries(20), [*entries(1, 20), *entries(20)]) == ["Acme Air, story number 20"]
    assert new(entries(21), entries(21)) == []


def test_all_ids_change_and_nothing_is_new_but_what_is() -> None:
    changed = [replace(one, id=f"new-{one.id}") for one in entries(20)]
    assert new(entries(20), [*entries(1, 20), *changed]) == ["Acme Air, story number 20"]


def test_all_links_change_and_nothing_is_new() -> None:
    moved = [replace(one, link=one.link.replace("news.example", "www.other.example")) for one in entries(20)]
    assert new(entries(20), moved) == []
    tls = [replace(one, link=one.link + "/?utm_source=rss&utm_medium=feed") for one in entries(20)]
    assert new(entries(20), tls) == []


def test_all_ids_and_links_change_and_the_titles_tell() -> None:
    anew = [
        replace(one, id=f"new-{one.id}", link=f"https://shop.example/{number}")
        for number, one in enumerate(entries(20))
    ]
    sorted_out = sort_out(past(entries(20)), identify([*entries(1, 20), *anew]))
    assert [one.entry.title for one in sorted_out.new] == ["Acme Air, story number 20"]
    assert sorted_out.renumbered == 20


def test_two_entries_with_a_title_that_was_there_before_are_new_as_long_as_the_others_are_known() -> None:
    again = [
        replace(one, id=f"again-{number}", link=f"https://news.example/again/{number}")
        for number, one in enumerate(entries(2))
    ]
    assert len(new(entries(20), [*again, *entries(18)])) == 2


def test_all_have_the_same_id_and_each_is_itself() -> None:
    same = [replace(one, id="guid") for one in entries(20)]
    assert len({one.post for one in identify(same)}) == 20
    assert new(same, [*[replace(one, id="guid") for one in entries(1, 20)], *same]) == ["Acme Air, story number 20"]


def test_all_have_the_same_link_and_no_id_and_each_is_itself() -> None:
    same = [replace(one, id="", link="https://news.example/") for one in entries(20)]
    assert len({one.post for one in identify(same)}) == 20
    assert new(same, same) == []


def test_an_entry_without_anything_but_text_is_one_post_and_the_same_again() -> None:
    bare = [FeedEntry(text="Acme Air"), FeedEntry(text="Acme Air"), FeedEntry(text="other")]
    assert [one.post for one in identify(bare)] == [one.post for one in identify(bare[:1] + bare[2:])]


def test_another_text_of_the_same_entry_is_a_change_and_keeps_its_name() -> None:
    edited = [replace(entries(1)[0], text="corrected"), *entries(19, 1)]
    sorted_out = sort_out(past(entries(20)), identify(edited))
    assert (sorted_out.new, [one.entry.text for one in sorted_out.changed]) == ((), ["corrected"])
    assert sorted_out.changed[0].post == identify(entries(1))[0].post


def test_ids_are_names_of_posts_whatever_they_contain() -> None:
    odd = [
        FeedEntry(id="x" * 5000),
        FeedEntry(id="tab\there"),
        FeedEntry(id="\ud800"),
        FeedEntry(link="https://[broken"),
    ]
    assert all(0 < len(one.post) <= 200 and one.post.isprintable() for one in identify(odd))


def test_the_cursor_stays_within_its_bound_and_knows_the_newest_of_each_feed() -> None:
    pasts = {f"{URL}/{number}": past(entries(300, 1000 * number)) for number in range(40)}
    position = written(pasts)
    assert len(position) <= 8000
    again = restored(position, list(pasts))
    for number, url in enumerate(pasts):
        newest = entries(300, 1000 * number)[-5:]
        assert sort_out(again[url], identify(newest)).new == ()


def test_after_a_restart_what_the_cursor_had_no_room_for_is_known_by_its_date() -> None:
    known = entries(900)
    again = restored(written({URL: past(known)}), [URL])[URL]
    old = [replace(one, published=NOW - timedelta(days=2)) for one in known]
    assert sort_out(again, identify(old)).new == ()
    assert len(sort_out(again, identify([*entries(1, 5000), *old])).new) == 1


def test_a_feed_that_was_added_to_the_configuration_begins_with_now() -> None:
    position = written({URL: past(entries(20))})
    assert restored(position, [URL, "https://other.example"])["https://other.example"].read_at is None


def test_a_lively_feed_is_read_often_and_a_quiet_one_rarely() -> None:
    pace = 180.0
    for _ in range(20):
        pace = next_pace(pace, 180, 1800, found=False, trouble=False, pushed=False)
    assert pace == 1800
    for _ in range(20):
        pace = next_pace(pace, 180, 1800, found=True, trouble=False, pushed=False)
    assert pace == 180
    assert next_pace(180, 180, 1800, found=True, trouble=False, pushed=True) == 1800
    assert next_pace(1000, 180, 1800, found=False, trouble=True, pushed=False) == 1800
