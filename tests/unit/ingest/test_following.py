"""Which followed posts are asked about: the promises of the scheduler, held over simulated days."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ingest.sources.following import RECHECK_SECONDS, Following
from ingest.sources.purse import Purse
from services.base.clock import ManualClock
from services.config.connectors.base import Spending
from tests.load.bench_following import compared

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
AT = BEGIN.timestamp()
DAY = 86_400.0


def free() -> Purse:
    return Purse(Spending(), ManualClock(BEGIN))


def play(following: Following, posts: int, hours: float, seed: int = 1, calls: int = 1) -> list[tuple[float, str]]:
    """Posts that grow, each at its own pace. Returns who was asked about when."""
    rng = random.Random(seed)
    paces = {str(number): rng.choice((0.0, 0.001, 0.05)) for number in range(posts)}
    for post in paces:
        following.follow(post, AT, AT + DAY, 60.0, AT)
    asked, now = [], AT
    while now < AT + hours * 3600:
        chosen = following.next_look(now, free())
        asked += [(now, post) for post in chosen]
        following.looked(chosen, {post: int(paces[post] * (now - AT)) for post in chosen}, (), now)
        now += following.tick_seconds / calls
    return asked


def times_of(post: str, asked: list[tuple[float, str]]) -> list[float]:
    return [at for at, one in asked if one == post]


@pytest.mark.parametrize(("posts_per_look", "price"), [(1, 0.01), (1, 0.0), (4, 0.0)])
def test_every_post_is_asked_about_within_its_window_however_quiet(posts_per_look: int, price: float) -> None:
    posts = 40 * posts_per_look
    asked = play(Following(posts_per_look, 6, price), posts, 5)
    for number in range(posts):
        times = [*times_of(str(number), asked), AT + 5 * 3600]
        assert times[0] - AT <= 2 * 40 * 10, "half of the rate serves whoever was never asked about"
        assert max(b - a for a, b in pairwise(times)) <= RECHECK_SECONDS + 2 * 40 * 10


def test_where_the_rate_is_far_too_low_nobody_starves_all_the_same() -> None:
    asked = play(Following(1, 1, 0.01), 200, 8)
    assert {post for _, post in asked} == {str(number) for number in range(200)}


def test_the_rate_holds_however_often_it_is_asked() -> None:
    asked = play(Following(5, 6, 0.0), 50, 3, calls=7)
    calls = sorted({at for at, _ in asked})
    assert len(asked) > 0
    assert min(b - a for a, b in pairwise(calls)) >= 10 - 1e-6
    assert all(len([post for at, post in asked if at == call]) <= 5 for call in calls)


def test_what_grows_is_asked_about_more_often_than_what_is_quiet_and_never_closer_than_requested() -> None:
    following = Following(1, 60, 0.01)
    for post in ("loud", "quiet"):
        following.follow(post, AT, AT + DAY, 120.0, AT)
    asked: list[tuple[float, str]] = []
    for second in range(6 * 3600):
        now = AT + second
        chosen = following.next_look(now, free())
        asked += [(now, post) for post in chosen]
        following.looked(chosen, {post: second // 10 if post == "loud" else 7 for post in chosen}, (), now)
    loud, quiet = times_of("loud", asked), times_of("quiet", asked)
    assert len(loud) > 3 * len(quiet) > 0
    assert min(b - a for a, b in pairwise(loud)) >= 120


def test_the_budget_is_never_passed_and_what_is_left_is_used() -> None:
    clock = ManualClock(BEGIN)
    purse = Purse(Spending(day_dollars=1.0), clock)
    following = Following(10, 60, 0.03)
    for number in range(40):
        following.follow(str(number), AT, AT + DAY, 60.0, AT)
    for _ in range(600):
        now = clock.now().timestamp()
        chosen = following.next_look(now, purse)
        if chosen:
            assert purse.may(len(chosen) * 0.03)
            purse.paid(len(chosen) * 0.03)
        following.looked(chosen, {post: int(now - AT) for post in chosen}, (), now)
        assert purse.spent.today <= 1.0 + 1e-9
        clock.advance(30)
    assert purse.spent.today > 1.0 - 0.03 - 1e-9


def test_a_post_is_followed_until_its_end_or_its_deletion_and_no_further() -> None:
    following = Following(10, 60, 0.0)
    following.follow("short", AT, AT + 100, 1.0, AT)
    following.follow("gone", AT, AT + DAY, 1.0, AT)
    following.follow("over", AT - DAY, AT, 1.0, AT)
    assert set(following.next_look(AT, free())) == {"short", "gone"}
    following.looked(["short", "gone"], {}, {"gone"}, AT)
    assert len(following) == 1
    assert following.next_look(AT + 100, free()) == ()
    assert len(following) == 0
    assert following.next_look(AT + 101, free()) == ()


def test_memory_is_bounded_and_the_post_that_ends_first_makes_room() -> None:
    following = Following(1, 6, 0.0, most=3)
    for number in (3, 1, 4, 2, 5):
        following.follow(str(number), AT, AT + number * 100, 60.0, AT)
    assert [str(number) in following for number in range(1, 6)] == [False, False, True, True, True]
    assert following.displaced == 2


def test_equal_histories_decide_equally() -> None:
    assert play(Following(3, 6, 0.0), 60, 4) == play(Following(3, 6, 0.0), 60, 4)


def test_half_the_looks_see_the_shared_cascades_grow_no_later_than_equal_spacing() -> None:
    found = compared(6.0)
    if found is None:
        pytest.skip("no shared cascades here")
    equal, ours = found["equal_spacing"], found["following"]
    assert ours["looks"] <= equal["looks"] / 2
    assert ours["late_seconds_mean"] <= equal["late_seconds_mean"]
    assert ours["late_seconds_median"] <= equal["late_seconds_median"] / 2
