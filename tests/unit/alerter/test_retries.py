"""A page is tried often at first and for more than a day; a receiver may ask for patience, within bounds."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify import retries


def test_nine_tries_fall_into_the_first_eight_minutes_and_the_last_after_three_days() -> None:
    waits = [retries.wait(tries, None, Random(1)) for tries in range(1, 18)]
    assert waits[-1] is None
    seconds = [wait for wait in waits if wait is not None]
    assert len(seconds) == 16
    assert sum(seconds[:8]) < 9 * 60
    assert 3 * 86_400 < sum(seconds) < 4.5 * 86_400


@given(st.integers(1, 16), st.none() | st.floats(0, 1e12), st.integers())
def test_a_wait_is_at_least_its_base_and_bounded_whatever_is_asked(tries: int, asked: float | None, seed: int) -> None:
    base = retries.WAITS_SECONDS[tries - 1]
    wait = retries.wait(tries, asked, Random(seed))
    assert wait is not None
    assert base <= wait <= max(2 * base, retries.ASKED_SECONDS) * 1.1
    if asked is None:
        assert wait <= base * 1.1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("7", 7.0), (" 7 ", 7.0), ("9" * 400, 999999999999.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("\u0663", None), ("1.5", None),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date_or_nothing(header: str | None, seconds: float | None) -> None:
    assert retries.parse_retry_after(header, 40.0) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_us(header: str) -> None:
    found = retries.parse_retry_after(header, 0.0)
    assert found is None or found >= 0
