"""A brand's days as bars: sums that add up, inside the box, against the usual day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.console.days import month
from alerter.store.volume import Hour
from tests.unit.alerter import make

COUNTS = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(sorted)
HOURS = st.lists(st.tuples(st.integers(0, 29 * 24), COUNTS), max_size=100)


def hours(said: Any) -> list[Hour]:
    return [Hour(make.NOW - timedelta(hours=ago), scored, scored, negative) for ago, (negative, scored) in said]


@given(HOURS)
def test_whatever_was_said_adds_up_and_stays_in_the_box(said: Any) -> None:
    found = month(hours(said), make.NOW, 30, 720.0, 160.0)
    assert len(found.days) == 30
    assert found.posts == sum(scored for _, (_, scored) in said)
    assert found.negative == sum(negative for _, (negative, _) in said)
    for bar in found.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= 720.1
        assert 0 <= bar.y <= bar.y + bar.height <= 160.1
    assert found.usual_at is None or 0 <= found.usual_at <= 160


def test_a_day_that_is_much_worse_than_usual_stands_out() -> None:
    said = [(24 * n, (10, 100)) for n in range(1, 20)] + [(0, (40, 100))]
    found = month(hours(said), make.NOW, 30, 720.0, 160.0)
    assert found.usual == pytest.approx(0.1)
    assert [bar.day.day for bar in found.bars if bar.above] == [make.NOW.date()]
    assert found.worst is not None
    assert found.worst.day == make.NOW.date()


def test_where_nothing_was_said_there_is_nothing_usual() -> None:
    found = month([], make.NOW, 30, 720.0, 160.0)
    assert (found.usual, found.worst, found.share, found.bars) == (None, None, None, ())
