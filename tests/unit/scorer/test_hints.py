"""Several people who drop the same hint within an hour speak of danger."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scorer.hints import MANY_VOICES, MOST_WORDS, WITHIN_SECONDS, Hints
from services.contracts.base import ConversationId, StoryId
from services.contracts.post import PostKind
from services.contracts.signal import FlaggedBy, PostCard, PostFlagged
from tests.unit.scorer.surge_lane import ACME, Lane


def trapped(
    lane: Lane, number: int, *, by: str | None = None, word: str = "trapped", backfill: bool = False
) -> PostFlagged:
    card = PostCard(
        network="x",
        post_id=f"p{number}",
        kind=PostKind.ORIGINAL,
        author=by or f"a{number}",
        text=f"trapped, number {number}",
        at=lane.clock.now(),
    )
    return PostFlagged(
        brand=ACME,
        story=StoryId(f"x:p{number}"),
        conversation=ConversationId(f"x:p{number}"),
        post=card,
        topics={},
        hints={"safety": (word,)},
        backfill=backfill,
    )


async def heard(lane: Lane, *events: PostFlagged) -> list[PostFlagged]:
    return [event for event in await lane.hear(*events) if isinstance(event, PostFlagged)]


async def test_five_people_who_say_the_same_within_an_hour_are_sure_once() -> None:
    lane = Lane()
    assert await heard(lane, *(trapped(lane, n) for n in range(MANY_VOICES - 1))) == []
    lane.restart()
    (said,) = await heard(lane, trapped(lane, 9))
    assert (said.topics, said.hints, said.by) == ({"safety": ("trapped",)}, {}, FlaggedBy.MANY)
    assert said.post.post_id == "p9"
    assert await heard(lane, said) == [], "what the stage itself said is not counted"
    assert await heard(lane, trapped(lane, 10)) == [], "they are counted anew"


@pytest.mark.parametrize("kind", ["one person", "many words", "a catch-up"])
async def test_what_is_not_said_by_several_people_stays_a_hint(kind: str) -> None:
    lane = Lane()
    for number in range(MANY_VOICES * 2):
        one = trapped(
            lane,
            number,
            by="the same" if kind == "one person" else None,
            word=f"word{number}" if kind == "many words" else "trapped",
            backfill=kind == "a catch-up",
        )
        assert await heard(lane, one) == []


async def test_what_is_said_over_a_day_stays_a_hint() -> None:
    lane = Lane()
    for number in range(MANY_VOICES * 2):
        assert await heard(lane, trapped(lane, number)) == []
        lane.clock.advance(timedelta(seconds=WITHIN_SECONDS / 2).total_seconds())


def test_hints_are_bounded() -> None:
    hints = Hints()
    for number in range(MOST_WORDS * 2):
        hints.hear("safety", f"word{number}", "somebody", 0.0)
    assert len(hints.voices) == MOST_WORDS
