"""Tries to sign in: bounded for each address and for all, and never for long."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.console.sign_ins import ALL_SECONDS, ALL_TRIES, MAX_ADDRESSES, OWN_SECONDS, OWN_TRIES, SignIn, SignIns


class Door:
    def __init__(self) -> None:
        self.now = 0.0
        self.counted: Counter[SignIn] = Counter()
        self.tries = SignIns(lambda what: self.counted.update([what]), lambda: self.now)


def test_many_tries_at_once_are_no_way_around_the_bound() -> None:
    door = Door()
    taken = [door.tries.take("192.0.2.1") for _ in range(100)]  # before any answer is known
    assert taken.count(0.0) == OWN_TRIES
    assert door.counted[SignIn.THROTTLED] == 100 - OWN_TRIES


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3)), max_size=200))
def test_nobody_waits_longer_than_ten_seconds_and_who_never_failed_does_not_wait(
    tries: list[tuple[float, int]],
) -> None:
    door = Door()
    for pause, address in tries:
        door.now += pause
        assert door.tries.take(f"192.0.2.{address}") <= max(OWN_SECONDS, ALL_SECONDS)
    assert door.tries.take("198.51.100.1") == 0.0
    door.now += OWN_SECONDS
    assert door.tries.take("192.0.2.0") == 0.0


def test_all_addresses_together_are_bounded_and_a_fresh_one_is_still_looked_at() -> None:
    door = Door()
    looked = sum(door.tries.take(f"10.0.{n % 200}.1") == 0.0 for n in range(1000))
    # One look for each of two hundred; of the others as many as all together have.
    assert looked <= 200 + ALL_TRIES
    assert door.tries.take("203.0.113.7") == 0.0
    assert door.tries.take("10.0.0.1") > 0
    door.now += OWN_SECONDS * OWN_TRIES
    assert door.tries.take("10.0.0.1") == 0.0


def test_a_right_key_takes_back_what_was_held_against_its_address() -> None:
    door = Door()
    for _ in range(OWN_TRIES - 1):
        assert door.tries.take("192.0.2.1") == 0.0
        door.tries.wrong("192.0.2.1")
    assert door.tries.take("192.0.2.1") == 0.0
    door.tries.right("192.0.2.1")
    assert [door.tries.take("192.0.2.1") for _ in range(OWN_TRIES)] == [0.0] * OWN_TRIES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
        ("testclient", "testclient", True),
    ],
)
def test_a_block_of_addresses_that_one_holder_has_counts_as_one(one: str, other: str, same: bool) -> None:
    door = Door()
    for _ in range(OWN_TRIES):
        door.tries.take(one)
    assert (door.tries.take(other) > 0) is same


def test_a_million_addresses_do_not_fill_the_memory() -> None:
    door = Door()
    for number in range(MAX_ADDRESSES + 500):
        door.tries.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(door.tries._own) == MAX_ADDRESSES
