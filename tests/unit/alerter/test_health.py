"""An endpoint that only fails costs little, is never forgotten, and its owner hears once; rates hold exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerter.notify.health import (
    DISABLE_AFTER,
    LONGEST_PAUSE_SECONDS,
    TRIP_FAILURES,
    Health,
    Turn,
    after_sending,
    sends_allowed,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 7200)), max_size=60))
def test_its_owner_hears_once_of_each_outage_and_once_of_its_end(story: list[tuple[bool, float]]) -> None:
    health, now, heard = Health(), NOW, []
    for works, seconds in story:
        now += timedelta(seconds=seconds)
        health, turn = health.worked() if works else health.failed(now, None)
        if turn is not None:
            heard.append(turn)
        assert health.tripped == (health.failures >= TRIP_FAILURES)
        if health.paused_until is not None:
            assert (health.paused_until - now).total_seconds() <= LONGEST_PAUSE_SECONDS
    told = [turn for turn in heard if turn is not Turn.DISABLED]
    assert told == [Turn.FAILING, Turn.RECOVERED] * (len(told) // 2) + [Turn.FAILING] * (len(told) % 2)


def test_it_is_paused_after_five_failures_and_a_success_ends_it_all() -> None:
    health, turns = Health(), []
    for _ in range(TRIP_FAILURES):
        assert health.paused_until is None
        health, turn = health.failed(NOW, None)
        turns.append(turn)
    assert turns == [None] * 4 + [Turn.FAILING]
    assert health.paused_until == NOW + timedelta(seconds=2)
    assert health.places(8) == 1
    assert health.worked() == (Health(), Turn.RECOVERED)


@given(st.floats(0, 1e9))
def test_a_receiver_that_asks_for_patience_gets_a_minute_at_most(asked: float) -> None:
    health, _ = Health().failed(NOW, asked)
    paused = (health.paused_until or NOW) - NOW
    assert timedelta(0) <= paused <= timedelta(seconds=LONGEST_PAUSE_SECONDS)


def test_it_is_disabled_after_five_days_of_nothing_but_failures_and_not_for_two_in_a_quiet_week() -> None:
    quiet, turn = Health().failed(NOW, None)
    quiet, turn = quiet.failed(NOW + 2 * DISABLE_AFTER, None)
    assert turn is None
    busy, turns = Health(), set()
    for hours in range(0, 122, 2):
        busy, turn = busy.failed(NOW + timedelta(hours=hours), None)
        turns.add(turn)
        assert (Turn.DISABLED in turns) == (hours >= 120)


@given(st.floats(0.05, 200), st.lists(st.floats(0, 5), min_size=1, max_size=80))
def test_no_more_is_sent_than_the_rate_allows_and_a_second_of_burst(rate: float, gaps: list[float]) -> None:
    mark, wall, sent = None, NOW, 0
    for gap in gaps:
        wall += timedelta(seconds=gap)
        allowed = sends_allowed(mark, wall, rate)
        if allowed:
            mark = after_sending(allowed, mark, wall, rate)
            sent += allowed
        assert sends_allowed(mark, wall, rate) == 0
    passed = (wall - NOW).total_seconds()
    assert sent <= rate * passed + max(1.0, rate) + 1


def test_a_rate_that_is_not_used_up_is_not_lost_to_rounding() -> None:
    mark, wall, sent = None, NOW, 0
    for _ in range(1000):
        wall += timedelta(milliseconds=100)
        allowed = sends_allowed(mark, wall, 5.0)
        mark = after_sending(allowed, mark, wall, 5.0) if allowed else mark
        sent += allowed
    assert 495 <= sent <= 510
