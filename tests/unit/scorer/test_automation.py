"""Signs of automation: copies are recognised, ordinary talk is not, arrivals in step out of nothing are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.virality.automation import SKETCH_BYTES, TEXTS, is_copy, remembering, sketch
from scorer.virality.cascade import STEPS, Cascade

LONG = "they took my money in march and since then nobody has answered any of my seven letters"


@pytest.mark.parametrize(
    "other",
    [
        LONG,
        LONG.upper() + "!!!",
        f"@acme @support {LONG} https://t.example/9f3",
        LONG.replace("seven", "eleven"),
    ],
)
def test_a_copy_is_one_whatever_was_done_to_hide_it(other: str) -> None:
    one, two = sketch(LONG), sketch(other)
    assert one is not None
    assert two is not None
    assert is_copy(two, one)


def test_two_people_who_say_it_in_their_own_words_are_no_copies() -> None:
    one, two = sketch(LONG), sketch("nobody has answered me since march and my money is gone, seven letters later")
    assert one is not None
    assert two is not None
    assert not is_copy(two, one)


@pytest.mark.parametrize("short", ["", "so true", "@acme http://a.example", "hello acme please answer", "好的"])
def test_what_is_short_proves_nothing(short: str) -> None:
    assert sketch(short) is None


def test_scripts_that_do_not_part_their_words_are_read_too() -> None:
    one, two = sketch("他们三月份拿走了我的钱至今没有人回复我"), sketch("今天天气很好我们一起去公园散步吧朋友们")
    assert one is not None
    assert two is not None
    assert is_copy(one, one)
    assert not is_copy(two, one)


@given(st.lists(st.text(max_size=200), max_size=40))
def test_memory_is_bounded_and_nothing_goes_wrong(texts: list[str]) -> None:
    remembered = b""
    for text in texts:
        one = sketch(text)
        if one is not None:
            assert len(one) == SKETCH_BYTES
            remembered = remembering(one, remembered)
            assert is_copy(one, remembered)
    assert len(remembered) <= SKETCH_BYTES * TEXTS


def told_in_step(cascade: Cascade, times: list[float]) -> int:
    found = 0
    for at in times:
        found += cascade.note_step(at)
        cascade.add_engagement("repost", at, 100, human=True, velocity=True)
    return found


def quiet_hour() -> Cascade:
    cascade = Cascade(story="x:1", network="x")
    cascade.add_root(1e9, 500, velocity=True)
    told_in_step(cascade, [1e9 + 60 * minute for minute in range(60)])
    return cascade


def test_many_at_once_out_of_nothing_come_in_step() -> None:
    assert told_in_step(quiet_hour(), [1e9 + 5_000 + 0.1 * number for number in range(30)]) == 30 - STEPS


def test_a_storm_that_grew_and_readers_of_a_loud_voice_do_not() -> None:
    rng = random.Random(1)
    storm = quiet_hour()
    grown = sorted(5_000 + 1_800 * rng.random() ** 0.5 for _ in range(4_000))
    assert told_in_step(storm, [1e9 + at for at in grown]) < 40
    loud = quiet_hour()
    loud.add_engagement("quote", 1e9 + 5_000, 2_000_000, human=True, velocity=True)
    assert told_in_step(loud, [1e9 + 5_002 + 0.1 * number for number in range(30)]) == 0
