"""Whoever stalls keeps no place from those that answer; nobody gets more than there is; and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify.places import (
    FORGET_SECONDS,
    PROCESSES,
    REQUESTS,
    Limits,
    Places,
)

USUAL = 16
LIMITS = pytest.mark.parametrize("limits", [REQUESTS, PROCESSES], ids=["requests", "processes"])


class World:
    """Receivers whose attempts are begun as the places allow; `end` lets those of one end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.places = Places(limits)
        self.in_flight: dict[str, list[str]] = {}
        self.now = 1000.0
        self.number = 0

    def claim(self, *names: str, most: int = USUAL) -> Counter[str]:
        view = self.places.view(self.now)
        wanted = {name: most - view.in_flight(name) for name in names}
        given = view.dealt({name: more for name, more in wanted.items() if more > 0})
        for name, count in given.items():
            for _ in range(count):
                self.number += 1
                self.places.begin(name, str(self.number), self.now)
                self.in_flight.setdefault(name, []).append(str(self.number))
        return Counter(given)

    def end(self, name: str) -> None:
        for one in self.in_flight.pop(name, []):
            self.places.end(name, one, self.now)

    def meet(self, *names: str) -> None:
        """They have answered quickly once."""
        for name in names:
            self.claim(name)
            self.now += 0.01
            self.end(name)

    @property
    def total(self) -> int:
        return sum(map(len, self.in_flight.values()))


def test_a_receiver_that_has_not_answered_yet_gets_few_places_and_then_as_many_as_it_takes() -> None:
    world = World(REQUESTS)
    assert world.claim("desk") == {"desk": REQUESTS.unknown}
    assert world.claim("desk") == {}
    world.end("desk")
    assert world.claim("desk") == {"desk": USUAL}


def test_thirty_that_stall_in_the_same_moment_leave_the_other_thirty_their_share() -> None:
    world = World(REQUESTS)
    stalling, well = [f"s{n}" for n in range(30)], [f"w{n}" for n in range(30)]
    world.meet(*stalling, *well)
    world.claim(*stalling)
    for _ in range(100):
        assert set(world.claim(*stalling, *well)) >= set(well), "each of them is served in every turn"
        world.now += 0.02
        for name in well:
            world.end(name)


def test_what_those_that_stall_hold_is_not_missing_once_they_are_known_to() -> None:
    world = World(REQUESTS)
    stalling, well = [f"s{n}" for n in range(16)], ["well"]
    world.meet(*stalling, *well)
    world.claim(*stalling)
    world.now += REQUESTS.slow_seconds + 0.01
    assert world.claim("well") == {"well": USUAL}


@LIMITS
def test_receivers_that_stall_from_the_start_leave_all_places_of_the_quick_ones(limits: Limits) -> None:
    world = World(limits)
    world.meet("well")
    stalling = [f"s{n}" for n in range(1000)]
    for _ in range(5):
        world.claim(*stalling)
        world.now += 60
    given = world.claim("well", *stalling)
    assert given["well"] == min(USUAL, limits.quick.total)


@LIMITS
def test_of_many_that_nobody_knows_each_gets_its_turn_although_most_of_them_stall(limits: Limits) -> None:
    world = World(limits)
    names = [f"s{n}" for n in range(100)]
    served: set[str] = set()
    for _ in names:
        served |= set(world.claim(*names))
        world.now += 15
        for name in list(world.in_flight):
            world.end(name)
    assert served == set(names)


def test_a_slow_receiver_that_is_alone_is_served_as_much_as_it_takes() -> None:
    world = World(REQUESTS)
    world.claim("slow")
    world.now += 3
    world.end("slow")
    assert world.claim("slow") == {"slow": USUAL}


def test_a_thousand_messages_for_one_receiver_leave_room_for_the_others() -> None:
    world = World(REQUESTS)
    names = [f"w{n}" for n in range(60)]
    world.meet("loud", *names)
    world.claim("loud", most=1000)
    given = world.claim(*names)
    assert set(given) == set(names)


def test_a_receiver_that_stalled_is_quick_again_after_one_quick_answer() -> None:
    world = World(REQUESTS)
    world.meet("desk")
    world.claim("desk")
    world.now += 20
    assert not world.places.view(world.now).held["desk"].quick
    world.end("desk")
    world.claim("desk", most=1)
    world.now += 0.1
    world.end("desk")
    assert world.places.view(world.now).held["desk"].quick


def test_a_receiver_that_is_gone_is_forgotten() -> None:
    world = World(REQUESTS)
    world.meet("gone")
    world.claim("busy")
    world.now += FORGET_SECONDS + 1
    assert set(world.places.view(world.now).held) == {"busy"}


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.floats(0, 20)), max_size=80)


@LIMITS
@given(steps=STEPS)
def test_there_are_never_more_attempts_in_flight_than_there_are_places(
    limits: Limits, steps: list[tuple[bool, int, float]]
) -> None:
    world = World(limits)
    names = [f"r{n}" for n in range(41)]
    for claims, which, seconds in steps:
        if claims:
            world.claim(*names[which:])
        else:
            world.end(names[which])
        world.now += seconds
        assert world.total <= limits.total
        assert max(map(len, world.in_flight.values()), default=0) <= USUAL
