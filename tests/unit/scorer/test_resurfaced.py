"""An old post that people take up again is a story from now on: its age is that of what we see of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scorer.virality.cascade import RESURFACED_SECONDS, Cascade
from services.contracts.base import Event
from services.contracts.post import Counters, PostKind, PostObserved
from services.contracts.signal import CascadeForecast, Level, PostNegative
from tests.unit.scorer.test_pipeline import ACME, BEGIN, Lane, complaint, only, post

MONTHS = timedelta(days=92)


async def storm(lane: Lane, root: str = "1", minutes: int = 12, **reply: Any) -> list[Event]:
    """Some 130 engagements a minute with a post that the lane knows or does not know."""
    said: list[Event] = []
    for minute in range(minutes):
        lane.clock.advance(60)
        now = lane.clock.now()
        page: list[PostObserved] = [
            post(f"r{minute}-{n}", PostKind.REPOST, root, parent_id=root, platform_at=now) for n in range(120)
        ]
        words = {"text": "this is shameful, awful", **reply}
        page += [
            post(f"p{minute}-{n}", PostKind.REPLY, root, parent_id=root, platform_at=now, **words) for n in range(10)
        ]
        said += await lane.take(*page)
    return said


def first(said: list[Event]) -> CascadeForecast:
    return only(said, CascadeForecast)[0]


async def test_a_story_whose_root_was_never_seen_is_known_by_what_its_replies_name() -> None:
    said = await storm(Lane(line=500), text="Acme, this is shameful", brands=(ACME,))
    forecast = first(said)
    assert forecast.level in {Level.WATCH, Level.LIKELY, Level.IMMINENT}, "told before it crossed"
    assert forecast.root is None
    assert "older than what we know" in forecast.reason
    assert forecast.evidence.age_seconds <= 120
    assert only(said, CascadeForecast)[-1].level is Level.CROSSED


async def test_a_story_that_was_over_long_ago_still_concerns_its_brand() -> None:
    lane = Lane(line=500)
    await lane.take(complaint())
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert "c:x:1" not in lane.committed
    lane.restart()
    lane.clock.advance((MONTHS - timedelta(hours=97)).total_seconds())
    said = await storm(lane)
    forecast = first(said)
    assert (forecast.brand, forecast.conversation) == ("acme", "x:1")
    assert "a post of 92 days before resurfaced" in forecast.reason
    assert forecast.evidence.age_seconds <= 120
    assert len(only(said, PostNegative)) == 120, "the replies of the first page were read too"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_root_that_its_source_fetched_with_its_own_time_makes_the_story_no_older(when: str) -> None:
    lane = Lane(line=500)
    old = complaint(platform_at=BEGIN - MONTHS)
    said: list[Event] = list(await lane.take(old)) if when == "before" else []
    said += await storm(lane, minutes=1, brands=(ACME,))
    if when == "after":
        said += await lane.take(old)
    lane.clock.advance(60)
    more = [post(f"m{n}", PostKind.REPOST, "1", parent_id="1", platform_at=lane.clock.now()) for n in range(400)]
    forecast = only(said + await lane.take(*more), CascadeForecast)[-1]
    assert forecast.evidence.age_seconds <= 180
    assert forecast.probability > 0.4
    assert forecast.root is not None
    assert "a post of 92 days before resurfaced" in forecast.reason


async def test_totals_of_an_old_post_begin_its_story_too() -> None:
    lane = Lane(line=500)
    await lane.take(complaint(platform_at=BEGIN - MONTHS))
    lane.clock.advance(60)
    totals = post("1", PostKind.COUNTERS, counters=Counters(reposts=900), platform_at=lane.clock.now())
    forecast = first(await lane.take(totals))
    assert forecast.evidence.age_seconds < 1


def test_a_story_that_began_with_its_root_is_as_old_as_it() -> None:
    cascade = Cascade(story="x:1", network="x")
    cascade.add_root(1e9, 10, velocity=True)
    cascade.add_engagement("repost", 1e9 + RESURFACED_SECONDS - 1, 10, human=True, velocity=True)
    assert (cascade.begins, cascade.written) == (1e9, 0.0)
    late = Cascade(story="x:1", network="x")
    late.add_engagement("repost", 1e9 + 30, 10, human=True, velocity=True)
    late.add_root(1e9, 10, velocity=True)
    assert (late.begins, late.written) == (1e9, 0.0)


async def test_a_conversation_that_concerned_nobody_is_not_remembered() -> None:
    lane = Lane()
    await lane.take(post("1", text="lovely weather"))
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert not any(key.startswith("p:") for key in lane.committed)
