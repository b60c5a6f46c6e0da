"""A catch-up is recognised by the times that many claim, and what was heard late counts in the time in which it was written."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from scorer.lateness import Lateness
from scorer.virality.cascade import Cascade
from scorer.virality.excitation import KERNEL_SECONDS
from services.contracts.post import PostKind, PostObserved
from services.contracts.signal import BrandSurge, CascadeForecast, Level, PostNegative
from tests.unit.scorer.surge_lane import Lane as SurgeLane
from tests.unit.scorer.test_pipeline import ACME, BEGIN, Lane, complaint, only, post, reposts

NOW = BEGIN + timedelta(hours=4)


def heard(number: int, age: float, at: datetime = NOW, **more: object) -> PostObserved:
    """A complaint that arrives at `at`, claims to be so many seconds old, and has no time by its network."""
    fields = {"platform_at": None, "observed_at": at, "created_at": at - timedelta(seconds=age)}
    return complaint(f"{number}", **(fields | more))


def caught_up(count: int, rng: random.Random) -> list[PostObserved]:
    """A minute in which two hours are delivered, in any order."""
    return [heard(n, rng.uniform(0, 7_200), NOW + timedelta(seconds=60 * n / count)) for n in range(count)]


def late_share(posts: Sequence[PostObserved]) -> float:
    places = list(Lateness().places(posts))
    return sum(place is not None for place in places) / len(posts)


def test_an_unmarked_catch_up_is_recognised_from_its_first_posts_on() -> None:
    posts = caught_up(5_000, random.Random(1))
    places = list(Lateness().places(posts))
    old = [number for number, one in enumerate(posts) if (one.observed_at - (one.created_at or NOW)).seconds > 120]
    placed = [(posts[number], place) for number in old if (place := places[number]) is not None]
    assert len(placed) == len(old)
    assert all(place.late for _, place in placed)
    off = sorted(abs(place.at - (one.created_at or NOW).timestamp()) for one, place in placed[10:])
    assert off[len(off) * 9 // 10] == 0
    assert off[-1] < 1_200, "where it claims to be, as far as others do too"


@pytest.mark.parametrize("backwards", [False, True])
def test_a_catch_up_in_the_order_of_time_is_recognised_too(backwards: bool) -> None:
    ages = [7_200 * n / 5_000 for n in range(5_000)]
    ages = ages if backwards else ages[::-1]
    posts = [heard(n, age, NOW + timedelta(seconds=0.012 * n)) for n, age in enumerate(ages)]
    assert late_share([one for one, age in zip(posts, ages, strict=True) if age > 1_000]) > 0.99


def test_one_liar_in_a_live_stream_changes_nothing() -> None:
    posts = [heard(n, 90_000 if n % 40 == 7 else 2, NOW + timedelta(seconds=n)) for n in range(400)]
    assert late_share(posts) == 0


def test_clocks_that_are_wrong_by_minutes_change_nothing() -> None:
    rng = random.Random(2)
    posts = [heard(n, rng.gauss(0, 240), NOW + timedelta(seconds=n / 10)) for n in range(400)]
    assert late_share(posts) == 0


@pytest.mark.parametrize("lag", [600, 1_800, 18_000])
def test_a_source_that_always_lags_is_live(lag: float) -> None:
    rng = random.Random(3)
    posts = [heard(n, lag + rng.uniform(0, 5), NOW + timedelta(seconds=5 * n)) for n in range(400)]
    assert late_share(posts) == 0


def test_times_ahead_of_our_clock_and_no_times_are_live() -> None:
    posts = [heard(n, -3_000, NOW + timedelta(seconds=n)) for n in range(100)]
    posts += [heard(n, 0, NOW, created_at=None) for n in range(100)]
    assert late_share(posts) == 0


def test_of_a_mixed_minute_the_late_half_is_late_and_the_live_half_is_live() -> None:
    rng = random.Random(4)
    late, live = caught_up(500, rng), [heard(n, rng.uniform(0, 20)) for n in range(500)]
    late = [one for one in late if (one.observed_at - (one.created_at or NOW)).seconds > 120]
    mixed = late + live
    rng.shuffle(mixed)
    places = dict(zip(map(id, mixed), Lateness().places(mixed), strict=True))
    assert [one for one in live if places[id(one)] is not None] == []
    assert len([one for one in late if places[id(one)] is None]) <= 4


def test_another_network_is_live_meanwhile() -> None:
    posts = caught_up(200, random.Random(5))
    other = [heard(n, 5_000 if n == 3 else 1, network="bsky") for n in range(200)]
    lateness = Lateness()
    assert sum(place is not None for place in lateness.places(posts)) > 150
    assert sum(place is not None for place in lateness.places(other)) == 0


def test_a_network_that_vouches_for_its_times_needs_no_claims() -> None:
    posts = [one.model_copy(update={"platform_at": one.created_at}) for one in caught_up(200, random.Random(6))]
    assert late_share(posts) == 0


async def surges_of(said: Sequence[PostNegative], lane: SurgeLane) -> list[BrandSurge]:
    surges = []
    for start in range(0, len(said), 100):
        surges += await lane.take(*said[start : start + 100])
        lane.clock.advance(5)
    return surges + await lane.wait(1_800)


async def test_five_thousand_posts_of_two_hours_in_a_minute_are_no_surge() -> None:
    lane, surges = Lane(), SurgeLane()
    surges.clock.advance(4 * 3_600)
    lane.clock.advance(4 * 3_600)
    posts = caught_up(5_000, random.Random(7))
    said: list[PostNegative] = []
    for start in range(0, 5_000, 500):
        lane.clock.advance(6)
        said += only(await lane.take(*posts[start : start + 500]), PostNegative)
    assert len(said) == 5_000
    assert sum(one.late and one.backfill for one in said) > 4_800
    # Those of the last two minutes are live, and as many as they were.
    live = [one for one in said if not one.late]
    assert all(NOW - one.post.at < timedelta(minutes=2) for one in live)
    assert await surges_of([one for one in said if one.late], surges) == []


async def test_a_brand_that_is_known_is_not_surging_in_a_catch_up_of_ordinary_hours() -> None:
    surges = SurgeLane()
    for number in range(8 * 24 * 12):
        await surges.take(*(surges.complaint(number * 10 + n) for n in range(10)))
        surges.clock.advance(300)
    now = surges.clock.now() + timedelta(hours=2)
    surges.clock.advance(2 * 3_600)
    rng = random.Random(8)
    late = []
    for number in range(240):
        one = surges.complaint(number)
        card = one.post.model_copy(update={"at": now - timedelta(seconds=rng.uniform(120, 7_200))})
        late.append(one.model_copy(update={"post": card, "backfill": True, "late": True}))
    assert await surges_of(late, surges) == []


async def test_a_storm_that_was_heard_late_is_told_as_that() -> None:
    surges = SurgeLane()
    for number in range(8 * 24):
        await surges.take(*(surges.complaint(number * 10 + n) for n in range(10)))
        surges.clock.advance(3_600)
    now = surges.clock.now()
    late = []
    for number in range(300):
        one = surges.complaint(number)
        card = one.post.model_copy(update={"at": now - timedelta(seconds=5_400 + 4 * number)})
        late.append(one.model_copy(update={"post": card, "backfill": True, "late": True}))
    (surge, *_) = await surges_of(late, surges)
    assert "heard late" in surge.reason
    assert surge.begins < now - timedelta(hours=1)


def cascade_of(lane: Lane) -> Cascade:
    found = lane.processor._state.cascades.get("x:1")
    assert found is not None
    return found


def waiting_of(cascade: Cascade, now: float) -> list[float]:
    return [
        waiting * math.exp(-(now - cascade.newest) / tau)
        for waiting, tau in zip(cascade.everyone.waiting, KERNEL_SECONDS, strict=True)
    ]


async def grown(
    ages: Sequence[float], *, marked: bool = False, live: bool = False
) -> tuple[Lane, list[CascadeForecast]]:
    """A story whose reposts claim these ages at `NOW`: heard at once, or when each was made."""
    lane = Lane(line=3_000)
    old = max(ages) + 60
    root = heard(1, old, NOW, backfill=marked, kind=PostKind.ORIGINAL)
    lane.clock.advance((NOW - BEGIN).total_seconds())
    if live:
        root = root.model_copy(update={"platform_at": root.created_at})
    said = only(await lane.take(root), CascadeForecast)
    shared = [
        post(
            f"r{n}", PostKind.REPOST, "1", parent_id="1", observed_at=NOW, created_at=NOW - timedelta(seconds=age),
            platform_at=NOW - timedelta(seconds=age) if live else None, backfill=marked,
        )
        for n, age in enumerate(ages)
    ]  # fmt: skip
    for start in range(0, len(shared), 100):
        said += only(await lane.take(*shared[start : start + 100]), CascadeForecast)
    return lane, said


@pytest.mark.parametrize("order", ["oldest first", "newest first", "mixed"])
@pytest.mark.parametrize("marked", [False, True])
async def test_a_story_that_was_heard_late_is_as_fast_as_it_was(order: str, marked: bool) -> None:
    rng = random.Random(9)
    ages = sorted(rng.uniform(130, 7_200) for _ in range(600))
    live, _ = await grown(ages[::-1], live=True)
    if order == "oldest first":
        ages.reverse()
    elif order == "mixed":
        random.Random(10).shuffle(ages)
    late, said = await grown(ages, marked=marked)
    as_live, as_late = cascade_of(live), cascade_of(late)
    now = NOW.timestamp()
    for window in range(3):
        assert as_late.rate(window, now) == pytest.approx(as_live.rate(window, now), rel=0.15)
    assert waiting_of(as_late, now) == pytest.approx(waiting_of(as_live, now), rel=0.15)
    assert as_late.engagements == 600
    assert as_late.doublings[-1] == pytest.approx(as_live.doublings[-1], rel=0.3, abs=900)
    assert all(one.level is not Level.CROSSED for one in said)
    assert as_late.late > 500
    if said:
        assert "of them heard late" in said[-1].reason


async def test_a_restart_in_the_middle_of_a_catch_up_changes_nothing() -> None:
    posts = caught_up(300, random.Random(11))
    one, other = Lane(), Lane()
    said: dict[Lane, list[PostNegative]] = {one: [], other: []}
    for lane in (one, other):
        lane.clock.advance(4 * 3_600 + 60)
        for start in range(0, 300, 50):
            said[lane] += only(await lane.take(*posts[start : start + 50]), PostNegative)
            if lane is other:
                lane.restart()
    assert said[one] == said[other]
    assert one.registry.get_sample_value("firebreak_scorer_late_posts_total") == sum(
        negative.late for negative in said[one]
    )


async def test_the_promise_of_an_answer_counts_from_now_and_the_card_says_when_it_was_written() -> None:
    lane = Lane()
    lane.clock.advance(4 * 3_600 + 60)
    said = only(await lane.take(*caught_up(200, random.Random(12))), PostNegative)
    late = [one for one in said if one.late]
    assert all(one.backfill for one in late)
    assert all(timedelta(0) < NOW + timedelta(minutes=1) - one.post.at < timedelta(hours=2, minutes=2) for one in late)
    assert {one.brand for one in late} == {ACME}


def test_reposts_without_claims_stay_as_they_were() -> None:
    assert late_share(reposts(100, platform_at=None)) == 0
