"""Folding a conversation: the order of events does not matter within reason, memory is constant, nothing goes wrong."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.seen import RECENT_IDS, SeenEvents
from scorer.virality.cards import Card
from scorer.virality.cascade import CURVE_POINTS, DEFAULT_REACH, Cascade, reach_of
from scorer.virality.excitation import KERNEL_WEIGHTS


class Engagement(NamedTuple):
    kind: str
    at: float
    followers: int | None
    human: bool


engagements = st.lists(
    st.builds(
        Engagement,
        st.sampled_from(["repost", "quote", "reply"]),
        st.floats(1_700_000_000, 1_700_400_000),
        st.none() | st.integers(0, 5_000_000),
        st.booleans(),
    ),
    max_size=60,
)


def folded(events: list[Engagement], velocity: bool = True) -> Cascade:
    cascade = Cascade(story="x:1", network="x")
    for event in events:
        cascade.add_engagement(event.kind, event.at, event.followers, human=event.human, velocity=velocity)
    return cascade


@given(engagements, st.randoms())
def test_the_order_of_events_does_not_change_the_sums(events: list[Engagement], rng: object) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = folded(sorted(events, key=lambda e: e.at)), folded(shuffled)
    assert (one.reposts, one.quotes, one.replies, one.automated, one.known) == (
        other.reposts, other.quotes, other.replies, other.automated, other.known,
    )  # fmt: skip
    assert one.newest == other.newest
    for mine, theirs in ((one.everyone, other.everyone), (one.humans, other.humans)):
        assert mine.waiting == pytest.approx(theirs.waiting, rel=1e-6, abs=1e-6)
        assert mine.reach == pytest.approx(theirs.reach)
    assert one.rates == pytest.approx(other.rates, rel=1e-6, abs=1e-9)


@given(engagements)
def test_a_cascade_survives_its_own_encoding(events: list[Engagement]) -> None:
    cascade = folded(events)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(cascade), type=Cascade) == cascade


@given(engagements)
def test_a_catch_up_counts_but_nobody_is_expected_to_react_to_it(events: list[Engagement]) -> None:
    cascade = folded(events, velocity=False)
    assert cascade.engagements == len(events)
    assert cascade.everyone.waiting == [0.0] * len(KERNEL_WEIGHTS)
    assert cascade.rate(0, cascade.newest) == 0.0


def test_memory_does_not_grow_with_the_cascade() -> None:
    cascade = Cascade(story="x:1", network="x")
    sizes, seen = [], SeenEvents()
    for number in range(60_000):
        seen.remember("x:1", cascade, number.to_bytes(8, "big"))
        cascade.add_engagement("repost", 1e9 + number * 7.3, 400, human=True, velocity=True)
        cascade.remember_question(str(number), 1e9)
        if number in {156 * RECENT_IDS, 937 * RECENT_IDS}:  # there as many ids stand in the cascade itself
            sizes.append(len(msgspec.msgpack.encode(cascade)))
    assert sizes[1] < sizes[0] + 320
    assert sizes[1] < 2_000
    assert len(cascade.curve) <= 2 * CURVE_POINTS
    assert cascade.curve[-1] == 60_000
    assert cascade.curve[::2] == sorted(cascade.curve[::2])


def test_totals_and_single_events_are_not_added_up() -> None:
    cascade = Cascade(story="x:1", network="x")
    cascade.add_counters(1000.0, 50)
    assert cascade.engagements == 50
    for _ in range(40):
        cascade.add_engagement("repost", 1001.0, None, human=True, velocity=True)
    assert cascade.engagements == 50
    cascade.add_counters(1002.0, 45)
    assert cascade.engagements == 50, "a total that falls (a deleted repost) takes nothing back"
    cascade.add_counters(1003.0, 60)
    assert cascade.engagements == 60
    assert cascade.everyone.events == 60


def test_reach_is_used_where_known_and_typical_where_not() -> None:
    assert reach_of(None) == DEFAULT_REACH
    assert reach_of(0) == 1.0
    assert reach_of(2_000_000) == 2e6


def test_rates_fade_with_time() -> None:
    cascade = Cascade(story="x:1", network="x")
    for second in range(600):
        cascade.add_engagement("repost", 1e9 + second, 100, human=True, velocity=True)
    now = 1e9 + 599
    assert cascade.rate(0, now) == pytest.approx(1 - math.exp(-1), rel=0.01)
    assert cascade.rate(0, now + 600) == pytest.approx(cascade.rate(0, now) * math.exp(-1))


def test_deletion_takes_every_trace_of_the_words() -> None:
    cascade = Cascade(story="x:1", network="x")
    secret = Card("x", "7", "reply", 1.0, followers=9, text="private", negative=0.9)
    cascade.root = Card("x", "1", "original", 1.0, text="root words")
    cascade.show(secret)
    assert b"private" in msgspec.msgpack.encode(cascade)
    cascade.forget_post("7")
    cascade.forget_post("1")
    assert b"private" not in msgspec.msgpack.encode(cascade)
    assert b"root words" not in msgspec.msgpack.encode(cascade)


def test_huge_and_zero_gaps_are_taken() -> None:
    cascade = Cascade(story="x:1", network="x")
    for at in (0.0, 1.0, 1.0, 4e9, 2e9):
        cascade.add_engagement("repost", at, 10, human=True, velocity=True)
    assert all(math.isfinite(value) for value in (*cascade.everyone.waiting, *cascade.rates, cascade.rate(1, 8e9)))
