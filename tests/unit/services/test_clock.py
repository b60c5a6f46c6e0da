"""Time: scaled clocks of several processes agree, manual ones move when told, waits end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from services.base.clock import ManualClock, RealClock, ScaledClock, epoch, moment, wait
from services.base.retry import backoff

BEGIN = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def test_two_scaled_clocks_with_one_origin_agree() -> None:
    one, other = ScaledClock(BEGIN, 60, origin=1e9), ScaledClock(BEGIN, 60, origin=1e9)
    assert abs((one.now() - other.now()).total_seconds()) < 30
    assert one.real_seconds(60) == 1.0
    assert one.real_seconds(-5) == 0.0


def test_a_clock_cannot_stand_or_run_backwards() -> None:
    with pytest.raises(ValueError, match="positive"):
        ScaledClock(BEGIN, 0)
    with pytest.raises(ValueError, match="backwards"):
        ManualClock(BEGIN).advance(-1)


async def test_a_manual_clock_wakes_sleepers_exactly_when_their_time_has_come() -> None:
    clock = ManualClock(BEGIN)
    sleeper = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(9.9)
    await asyncio.sleep(0.01)
    assert not sleeper.done()
    clock.advance(0.1)
    await sleeper
    assert clock.now() == BEGIN + timedelta(seconds=10)


async def test_a_wait_ends_with_the_event_or_with_the_time() -> None:
    event = asyncio.Event()
    assert not await wait(event, RealClock(), 0.01)
    event.set()
    assert await wait(event, RealClock(), 100)


def test_moments_and_epochs_are_each_others_inverse() -> None:
    assert moment(epoch(BEGIN)) == BEGIN


def test_waits_grow_are_spread_and_bounded() -> None:
    waits = list(islice(backoff(1, 8), 200))
    assert 0.5 <= waits[0] <= 1
    assert all(4 <= w <= 8 for w in waits[4:])
    assert len(set(waits)) > 190
