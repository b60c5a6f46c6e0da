"""Edits are read again and count as nothing, in whatever order they come; hidden posts and erased authors are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.virality.versions import MOST_VERSIONS, Version, remember, text_hash
from services.contracts.base import Event
from services.contracts.changed import PostEdited, PostShown, Said
from services.contracts.names import mentions_of
from services.contracts.post import (
    AuthorChanged,
    AuthorState,
    PostKind,
    PostObserved,
    PostVisibility,
    observation_id,
)
from services.contracts.signal import (
    BrandVolume,
    CascadeForecast,
    PostFlagged,
    PostNegative,
    PostRedacted,
)
from services.eventlog.base import Record
from tests.unit.scorer.test_forwarding import deleted, engagements, kept, placed, quote, reply
from tests.unit.scorer.test_pipeline import ACME, BEGIN, FINDER, Lane, complaint, only, post, reposts

CALM = "Acme flies to Oslo, a lovely evening"
SMOKE = "Acme: there is smoke in the cabin"


def edit(post_id: str, text: str, minutes: float | None = None, root: str | None = None, **more: Any) -> PostObserved:
    """An edit as a connector sends it: it knows the id alone."""
    fields: dict[str, Any] = {"author": None, "platform_at": None, "observed_at": BEGIN + timedelta(hours=3), **more}
    return post(
        post_id,
        PostKind.EDIT,
        root,
        text=text,
        brands=tuple(dict.fromkeys(mention.brand for mention in mentions_of(FINDER.find("x", text)))),
        edited_at=None if minutes is None else BEGIN + timedelta(minutes=minutes),
        **fields,
    )


def sent(lane: Lane, *events: Event) -> list[Record]:
    return [lane.record(one, observation_id(one) if isinstance(one, PostObserved) else None) for one in events]


async def settle(lane: Lane, *events: Event) -> list[Event]:
    """Takes the events, then what the lane wrote for itself, until nothing follows."""
    said: list[Event] = []
    waiting: Sequence[Event] = events
    while waiting:
        some = await lane.take(*sent(lane, *waiting))
        said += some
        waiting = [event for event in some if isinstance(event, PostObserved)]
    return said


async def test_an_edit_that_adds_a_danger_is_seen_as_such_and_counts_as_nothing() -> None:
    lane = Lane()
    await settle(lane, post("1", text=CALM, brands=(ACME,)), *reposts(3))
    said = await settle(lane, edit("1", SMOKE, 5))
    (flagged,) = only(said, PostFlagged)
    assert flagged.edited
    assert (flagged.post.text, flagged.post.edited_at) == (SMOKE, BEGIN + timedelta(minutes=5))
    assert flagged.post.author == "h-1", "the edit did not say who wrote it"
    (edited,) = only(said, PostEdited)
    assert Said.TOPICS in edited.says
    assert engagements(lane, "x:1") == 3
    lane.clock.advance(120)
    assert sum(minute.posts for minute in only(await lane.fire(), BrandVolume)) <= 1, (
        "reposts say nothing, nor do edits"
    )


async def test_an_edit_that_adds_a_brand_concerns_it_from_then_on() -> None:
    lane = Lane()
    assert await settle(lane, post("1", text="what a terrible day")) == []
    said = await settle(lane, edit("1", "what a terrible day, Acme lost my bag"))
    (negative,) = only(said, PostNegative)
    assert (negative.brand, negative.edited, negative.post.author_id) == (ACME, True, "a-1")
    assert only(await settle(lane, post("2", PostKind.REPLY, "1", text="awful, shameful", parent_id="1")), PostNegative)


async def test_an_edit_that_takes_the_complaint_away_says_so() -> None:
    lane = Lane()
    await settle(lane, complaint())
    said = await settle(lane, edit("1", "Acme found it, lovely people, thanks"))
    (edited,) = only(said, PostEdited)
    assert edited.says == ()
    assert not only(said, PostNegative)
    assert not kept(lane, "lost my bag")


async def test_an_edit_of_an_unknown_post_is_heard_and_counts_as_nothing() -> None:
    lane = Lane()
    assert only(await settle(lane, edit("1", SMOKE)), PostFlagged)
    assert engagements(lane, "x:1") == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_whatever_the_order_the_newest_text_stands(order: tuple[int, ...]) -> None:
    first, last = edit("1", "Acme lost my bag, awful", 5), edit("1", "Acme found my bag, all is lovely", 9)
    events = [complaint(), first, last]
    lane = Lane()
    for number in order:
        await settle(lane, events[number])
        lane.restart()
    said = only(await settle(lane, *reposts(60)), CascadeForecast)
    root = said[-1].root
    assert root is not None
    assert (root.text, root.edited_at) == (last.text, last.edited_at)
    assert (root.author, root.followers) == ("h-1", 100)
    assert not kept(lane, "nobody answers")


@pytest.mark.parametrize("first", ["reply", "edit"])
async def test_the_edit_of_a_reply_by_its_id_alone_finds_it_whichever_came_first(first: str) -> None:
    lane = Lane()
    await settle(lane, post("1", text=CALM, brands=(ACME,)))
    new = edit("7", "shameful, there is smoke in the cabin", 5)
    create = [reply("7", text="lovely, thanks"), placed("7", "x:1")]
    if first == "reply":
        await settle(lane, *create)
        said = await settle(lane, new)
    else:
        await settle(lane, new)
        said = await settle(lane, *create)
    (edited,) = [one for one in only(said, PostEdited) if one.conversation == "x:1"]
    assert edited.post.text == new.text
    assert engagements(lane, "x:1") == 1
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert (cascade.scored, cascade.negative) == (1, 1), "the mood follows the newest words"


async def test_the_edit_of_a_quote_changes_both_copies() -> None:
    lane = Lane()
    await settle(lane, complaint())
    await settle(lane, *quote("9"), placed("9", "x:9", "x:1"))
    assert kept(lane)
    await settle(lane, edit("9", "all is lovely"))
    assert not kept(lane)
    assert engagements(lane, "x:1") == 1


async def test_an_edit_that_is_sent_again_says_nothing() -> None:
    lane = Lane()
    await settle(lane, complaint())
    assert only(await settle(lane, edit("1", SMOKE, 5)), PostEdited)
    assert await settle(lane, edit("1", SMOKE, 5)) == []
    assert only(await settle(lane, edit("1", SMOKE, 6)), PostEdited) == [], "later, and the same words"


@pytest.mark.parametrize("gone", [deleted("1"), post("1", PostKind.DELETION)])
async def test_an_edit_after_a_deletion_brings_nothing_back(gone: Event) -> None:
    lane = Lane()
    await settle(lane, complaint())
    await settle(lane, post("1", PostKind.DELETION), gone)
    lane.restart()
    assert await settle(lane, edit("1", "Acme told me something private, awful", 5)) == []
    assert not kept(lane)


async def test_a_post_that_is_read_again_with_other_words_was_edited_and_its_old_page_brings_nothing_back() -> None:
    lane = Lane()
    await settle(lane, complaint())
    changed = complaint().model_copy(update={"text": SMOKE})
    (edited,) = only(await settle(lane, changed), PostEdited)
    assert edited.post.edited_at is not None
    assert await settle(lane, changed) == []
    assert await settle(lane, complaint()) == []
    lane.restart()
    assert await settle(lane, complaint()) == []
    assert kept(lane, "smoke")


async def test_the_brands_own_edit_is_no_complaint_about_it() -> None:
    lane = Lane()
    await settle(lane, post("1", text="Acme flies again", brands=(ACME,), author_brand=ACME))
    (edited,) = only(said := await settle(lane, edit("1", "Acme is sorry for this terrible, awful delay")), PostEdited)
    assert (edited.says, edited.post.author_brand) == ((), ACME)
    assert not only(said, PostNegative)


# -- hidden posts ------------------------------------------------------------------------------------------------------


def visibility(post_id: str, visible: bool, root: str | None = None) -> list[Event]:
    """As ingest tells it: in the conversation that its id leads to, and to everybody."""
    return [
        post(post_id, PostKind.VISIBILITY, root, visible=visible, author=None),
        PostVisibility(network="x", post_id=post_id, visible=visible, at=BEGIN),
    ]


@pytest.mark.parametrize("kind", ["original", "reply"])
async def test_a_hidden_post_is_forgotten_until_it_is_visible_and_sent_again(kind: str) -> None:
    lane = Lane()
    secret = post("7", text="Acme told me something private, awful", brands=(ACME,))
    events: list[Event] = [secret]
    if kind == "reply":
        events = [complaint(), reply(), placed("7", "x:1")]
    await settle(lane, *events)
    said = await settle(lane, *visibility("7", False))
    assert {(one.post_id, one.hidden) for one in only(said, PostRedacted)} == {("7", True)}
    lane.restart()
    assert not kept(lane)
    await settle(lane, *events)
    assert not kept(lane), "it is hidden"
    said = await settle(lane, *visibility("7", True))
    assert {one.post_id for one in only(said, PostShown)} == {"7"}
    (negative,) = [one for one in only(await settle(lane, *events), PostNegative) if one.post.post_id == "7"]
    assert negative.edited, "it was counted before"
    assert engagements(lane, "x:1") == (kind == "reply")


async def test_what_was_deleted_does_not_come_back_by_being_shown() -> None:
    lane = Lane()
    await settle(lane, complaint())
    await settle(lane, *visibility("1", False), post("1", PostKind.DELETION), deleted("1"))
    assert only(await settle(lane, *visibility("1", True)), PostShown) == []
    await settle(lane, complaint())
    assert not kept(lane, "lost my bag")


# -- authors -----------------------------------------------------------------------------------------------------------


def author(state: AuthorState, who: str = "a-1", minutes: float = 60) -> AuthorChanged:
    return AuthorChanged(network="x", author_id=who, state=state, at=BEGIN + timedelta(minutes=minutes))


async def test_one_event_forgets_every_post_of_an_author() -> None:
    lane = Lane(line=20)
    theirs = complaint("1").author
    await settle(lane, complaint("1"), *reposts(40))
    await settle(lane, complaint("2", author=theirs), complaint("3"))
    await settle(lane, reply("7", "3", "3", author=theirs, text="something private, awful"))
    assert kept(lane, "h-1")
    lane.restart()
    said = await settle(lane, author(AuthorState.ERASED))
    assert {one.author_id for one in only(said, AuthorChanged)} == {"a-1"}, "the brands are told"
    assert len(only(said, AuthorChanged)) == len(lane.brands)
    assert not kept(lane, "h-1")
    assert not kept(lane, "something private")
    assert kept(lane, "lost my bag"), "somebody else's words stay"
    assert engagements(lane, "x:1") == 40


async def test_what_comes_late_of_an_erased_author_is_not_kept_but_counts() -> None:
    lane = Lane()
    await settle(lane, complaint("3"), author(AuthorState.ERASED))
    lane.restart()
    theirs = complaint("1").author
    said = await settle(lane, complaint("1"), reply("7", "3", "3", author=theirs), edit("1", SMOKE, author=theirs))
    assert not only(said, PostNegative)
    assert not only(said, PostFlagged)
    assert not kept(lane, "h-1")
    assert engagements(lane, "x:3") == 1


async def test_after_a_reinstatement_new_posts_count_and_old_ones_stay_forgotten() -> None:
    lane = Lane()
    await settle(lane, complaint("1"), author(AuthorState.ERASED, minutes=60))
    await settle(lane, author(AuthorState.REINSTATED, minutes=120))
    await settle(lane, author(AuthorState.ERASED, minutes=60))  # the first report, sent again
    theirs = complaint("1").author
    old = complaint("2", author=theirs)
    new = complaint("4", author=theirs, platform_at=BEGIN + timedelta(minutes=121))
    said = only(await settle(lane, complaint("1"), old, new), PostNegative)
    assert [one.post.post_id for one in said] == ["4"]


async def test_only_the_first_lane_tells_the_brands_of_an_author() -> None:
    lane = Lane()
    lane.processor._conclude[0].__self__._editing._lane = 1  # type: ignore[attr-defined]
    assert only(await settle(lane, author(AuthorState.ERASED)), AuthorChanged) == []


# -- what is known of texts --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=8, unique_by=lambda e: e[1]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_of_edits_with_times_the_latest_stands_whatever_their_order(edits: list[tuple[str, int]]) -> None:
    version = Version(text_hash("the first"), kind="original")
    latest = max(edits, key=lambda one: one[1])
    for text, at in edits:
        if version.is_news(text_hash(text), float(at), edit=True):
            version = version.after(text_hash(text), float(at), None)
        else:
            version.confirm(text_hash(text), float(at))
    assert version.text == text_hash(latest[0])


def test_what_is_known_of_texts_is_bounded() -> None:
    versions: dict[str, Version] = {}
    for number in range(3 * MOST_VERSIONS):
        remember(versions, str(number), Version(number))
    assert len(versions) == MOST_VERSIONS
    assert str(3 * MOST_VERSIONS - 1) in versions
    version = Version(1)
    for number in range(2, 30):
        version = version.after(number, 0.0, None)
    assert len(version.earlier) <= 4
