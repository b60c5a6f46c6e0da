"""What comes by an id alone finds its conversation; what was deleted is never shown again, whenever it comes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scorer import whereabouts as module
from scorer.whereabouts import DELETED_HOURS, HOUR, PLACE_HOURS, Whereabouts
from services.contracts.base import ConversationId, Event
from services.contracts.post import Author, PostDeleted, PostKind, PostObserved, PostPlaced, PostRef
from services.contracts.signal import CascadeForecast, PostNegative, PostRedacted
from tests.unit.scorer.test_pipeline import ACME, BEGIN, Lane, complaint, only, post, reposts

SECRET = "Acme told me something private, this is awful"


def placed(post_id: str, home: str, quoted: str | None = None) -> PostPlaced:
    return PostPlaced(
        network="x",
        post_id=post_id,
        home=ConversationId(home),
        quoted=None if quoted is None else ConversationId(quoted),
        at=BEGIN,
    )


def deleted(post_id: str) -> PostDeleted:
    return PostDeleted(network="x", post_id=post_id, at=BEGIN)


def reply(post_id: str = "7", root: str = "1", parent: str = "1", **more: Any) -> PostObserved:
    fields = {"text": SECRET, "brands": (ACME,), **more}
    return post(post_id, PostKind.REPLY, root, parent_id=parent, **fields)


def quote(post_id: str, root: str = "1", **more: Any) -> list[PostObserved]:
    """A quote as ingest tells it: in its own conversation, and in the one that it quotes."""
    home = ConversationId(f"x:{post_id}")
    ref = PostRef(post_id=root, conversation=ConversationId(f"x:{root}"))
    return [
        post(post_id, PostKind.QUOTE, home=home, quotes=ref, text=SECRET, brands=(ACME,), **more),
        post(post_id, PostKind.QUOTE, root, home=home, parent_id=root, text=SECRET, brands=(ACME,), **more),
    ]


async def settle(lane: Lane, *events: Event) -> list[Event]:
    """Takes the events, then what the lane wrote for itself, until nothing follows."""
    said, waiting = [], list(events)
    while waiting:
        some = await lane.take(*waiting)
        said += some
        waiting = [event for event in some if isinstance(event, (PostObserved, PostPlaced))]
    return said


def kept(lane: Lane, words: str = "something private") -> bool:
    return any(words.encode() in value for value in lane.committed.values())


def engagements(lane: Lane, conversation: str) -> int:
    cascade = lane.processor._state.cascades.get(conversation)
    return 0 if cascade is None else cascade.engagements


@pytest.mark.parametrize("kind", ["original", "reply", "quote"])
async def test_a_deletion_by_its_id_alone_finds_every_copy(kind: str) -> None:
    lane = Lane()
    await lane.take(complaint("1"))
    posts: dict[str, list[Event]] = {
        "original": [post("7", text=SECRET, brands=(ACME,))],
        "reply": [reply(), placed("7", "x:1")],
        "quote": [*quote("7"), placed("7", "x:7", "x:1")],
    }
    assert only(await settle(lane, *posts[kind]), PostNegative)
    assert kept(lane)
    lane.restart()
    said = await settle(lane, post("7", PostKind.DELETION), deleted("7"))
    assert {signal.post_id for signal in only(said, PostRedacted)} == {"7"}
    held = {"original": {"x:7"}, "reply": {"x:1"}, "quote": {"x:1", "x:7"}}[kind]
    assert {signal.conversation for signal in only(said, PostRedacted)} == held
    assert not kept(lane)
    assert only(await settle(lane, post("7", PostKind.DELETION), deleted("7")), PostRedacted) == [], "said once"


async def test_a_loud_repost_that_was_shown_can_be_deleted_by_its_id() -> None:
    lane = Lane()
    voice = Author(id="v", handle="loud-voice", followers=900_000)
    loud = post("7", PostKind.REPOST, "1", parent_id="1", author=voice)
    said = await settle(lane, complaint("1"), *reposts(60), loud)
    assert any(card.post_id == "7" for card in only(said, CascadeForecast)[-1].loudest)
    said = await settle(lane, deleted("7"))
    assert [signal.post_id for signal in only(said, PostRedacted)] == ["7"]
    assert not kept(lane, "loud-voice")


@pytest.mark.parametrize("by", ["its id", "its reply's id"])
async def test_a_deletion_after_the_conversation_is_over_is_still_told(by: str) -> None:
    """Incidents and answer clocks keep the post for months, a conversation is over after days of silence."""
    lane = Lane()
    await lane.take(post("1", text=SECRET, brands=(ACME,)))
    if by != "its id":
        lane.clock.advance(97 * 3600 - 60)
        await lane.take(reply(), placed("7", "x:1"))
    lane.clock.advance(97 * 3600)
    await lane.fire()
    lane.restart()
    assert "c:x:1" not in lane.committed
    gone = "1" if by == "its id" else "7"
    for _ in range(2):
        said = only(await settle(lane, post(gone, PostKind.DELETION), deleted(gone)), PostRedacted)
        assert {(signal.brand, signal.conversation, signal.post_id) for signal in said} == {(ACME, "x:1", gone)}


async def test_a_deletion_of_what_concerned_no_brand_is_told_to_nobody() -> None:
    lane = Lane()
    await lane.take(post("1", text="what a lovely day"))
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert only(await settle(lane, post("1", PostKind.DELETION), deleted("1")), PostRedacted) == []


@pytest.mark.parametrize("kind", ["original", "reply", "quote", "root_with_replies"])
async def test_a_deletion_that_comes_before_its_post_has_its_effect(kind: str) -> None:
    lane = Lane(line=10)
    await settle(lane, deleted("7"))
    lane.restart()
    posts: dict[str, list[Event]] = {
        "original": [post("7", text=SECRET, brands=(ACME,))],
        "reply": [complaint("1"), reply(), placed("7", "x:1")],
        "quote": [complaint("1"), *quote("7"), placed("7", "x:7", "x:1")],
        "root_with_replies": [
            post("7", text=SECRET, brands=(ACME,)),
            *(post(f"a{n}", PostKind.REPLY, "7", parent_id="7", text="shameful") for n in range(12)),
        ],
    }
    said = await settle(lane, *posts[kind])
    assert [negative.post.post_id for negative in only(said, PostNegative) if negative.post.post_id == "7"] == []
    for forecast in only(said, CascadeForecast):
        assert forecast.root is None or forecast.root.post_id != "7"
    assert not kept(lane)


async def test_a_deleted_post_counts_and_stays_deleted_when_a_source_reads_it_again() -> None:
    lane = Lane()
    await settle(lane, complaint("1"), reply(), placed("7", "x:1"))
    await settle(lane, deleted("7"))
    said = await settle(lane, *reposts(200), reply(), placed("7", "x:1"), complaint("1"))
    assert engagements(lane, "x:1") == 201
    assert only(said, PostNegative) == []
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert "c:x:1" not in lane.committed, "the conversation itself is forgotten"
    said = await settle(lane, complaint("1"), reply(), placed("7", "x:1"))
    assert [negative.post.post_id for negative in only(said, PostNegative)] == ["1"]
    assert engagements(lane, "x:1") == 1
    assert not kept(lane)


async def test_a_lane_that_heard_of_a_deletion_shows_the_post_no_more_though_nobody_knows_where_it_stands() -> None:
    lane = Lane(line=40)
    await settle(lane, complaint("1"), reply())
    await settle(lane, deleted("7"))
    assert kept(lane)
    said = await settle(lane, *reposts(60))
    forecast = only(said, CascadeForecast)[-1]
    assert "7" not in {card.post_id for card in (*forecast.loudest, *forecast.exemplars)}
    assert [signal.post_id for signal in only(said, PostRedacted)] == ["7"]
    assert not kept(lane)


async def test_reposts_of_a_reply_count_for_the_conversation_that_holds_it() -> None:
    lane = Lane(line=300)
    await settle(lane, post("1", text="Does Acme fly on Sundays?", brands=(ACME,)), reply(), placed("7", "x:1"))
    lane.restart()
    later = BEGIN + timedelta(minutes=20)
    lane.clock.advance(1200)
    page = [post(f"r{n}", PostKind.REPOST, "7", parent_id="7", platform_at=later) for n in range(700)]
    said = await settle(lane, *page)
    assert engagements(lane, "x:1") == 701
    assert engagements(lane, "x:7") == 0
    assert only(said, CascadeForecast)[-1].conversation == "x:1"
    await settle(lane, *page)
    assert engagements(lane, "x:1") == 701, "a page that is read again counts nothing twice"


async def test_a_thread_is_followed_to_its_root_where_each_reply_names_its_parent_only() -> None:
    lane = Lane()
    await settle(lane, complaint("1"))
    for number, parent in (("2", "1"), ("3", "2"), ("4", "3")):
        await settle(lane, reply(number, parent, parent), placed(number, f"x:{parent}"))
    await settle(lane, post("q", PostKind.REPOST, "4", parent_id="4"))
    assert engagements(lane, "x:1") == 4
    lane.restart()
    await settle(lane, *quote("9", "3"), placed("9", "x:9", "x:3"))
    assert engagements(lane, "x:1") == 5, "a quote counts where the quoted reply stands"
    await settle(lane, post("p", PostKind.REPOST, "9", parent_id="9"))
    assert (engagements(lane, "x:1"), engagements(lane, "x:9")) == (5, 1), "and speaks in its own conversation"
    for number in "4329":
        await settle(lane, deleted(number))
    assert not kept(lane), "deletions take the same way"


async def test_two_posts_that_claim_to_answer_each_other_end() -> None:
    lane = Lane()
    await settle(lane, placed("a", "x:b"), placed("b", "x:a"), post("r", PostKind.REPOST, "a", parent_id="a"))
    assert engagements(lane, "x:a") + engagements(lane, "x:b") == 1


async def test_the_root_that_is_known_needs_no_place() -> None:
    lane = Lane()
    await settle(lane, complaint("1"), placed("1", "x:99"), *reposts(5))
    assert engagements(lane, "x:1") == 5


def test_places_and_deletions_are_kept_for_days_and_come_back_with_the_state() -> None:
    known = Whereabouts()
    known.place("x", "1", "x:0", "x:5", now=0.0)
    known.delete("x", "1", now=0.0)
    again = Whereabouts()
    again.restore({key: value for key, value in known.changes().items() if value is not None})
    assert list(again.conversations_of("x", "1")) == ["x:0", "x:5"]
    assert again.home_of("x", "1") == "x:0"
    assert again.is_deleted("x", "1")
    assert not again.is_deleted("bsky", "1")
    assert again.home_of("bsky", "1") is None


def test_what_is_old_goes_and_the_bound_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS", 1)
    monkeypatch.setattr(module, "MOST_IN_BUCKET", 3)
    known = Whereabouts()
    known.place("x", "old", "x:0", None, now=0.0)
    known.delete("x", "old", now=0.0)
    assert known.place("x", "new", "x:0", None, now=(PLACE_HOURS + 1) * HOUR) == 0
    assert known.delete("x", "new", now=(DELETED_HOURS + 1) * HOUR) == 0
    assert known.home_of("x", "old") is None
    assert not known.is_deleted("x", "old")
    now = (DELETED_HOURS + 1) * HOUR
    assert [known.delete("x", f"{n}", now) for n in range(4)] == [0, 0, 1, 1]
    assert [known.place("x", f"{n}", "x:0", None, now) for n in range(4)] == [0, 0, 0, 1]
    assert not known.is_deleted("x", "new")
    assert known.is_deleted("x", "3")
