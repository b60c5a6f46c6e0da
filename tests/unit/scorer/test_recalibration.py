"""What is said is set right by what earlier stories came to: honest, in order, and not by alarms that were heeded."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.recalibrations import Recalibrations
from scorer.virality.cascade import Cascade
from scorer.virality.forecast import Prediction
from scorer.virality.recalibration import Claim, Recalibration, claim_of, growth_to, log_odds
from services.contracts.signal import Line

LINE = Line(engagements=100)
BEGIN = 1_700_000_000.0
probabilities = st.floats(1e-6, 1 - 1e-6)
claims = st.builds(Claim, st.floats(-15, 15), st.floats(0, 8), st.integers(8, 10**6))
stories = st.lists(st.tuples(st.lists(claims, min_size=1, max_size=5), st.booleans()), max_size=60)


def taught(lessons: list[tuple[list[Claim], bool]]) -> Recalibration:
    known = Recalibration()
    for said, crossed in lessons:
        known.learn(said, crossed)
    return known


def test_who_has_seen_no_story_believes_what_is_said() -> None:
    assert Recalibration().probability(0.37, 1.0) == pytest.approx(0.37)


@given(stories, probabilities, probabilities, st.floats(0, 8))
def test_more_stays_more_and_a_probability_stays_one_whatever_was_learned(
    lessons: list[tuple[list[Claim], bool]], one: float, other: float, growth: float
) -> None:
    known = taught(lessons)
    low, high = sorted((one, other))
    stated = known.probability(low, growth), known.probability(high, growth)
    assert 0.0 <= stated[0] <= stated[1] <= 1.0
    assert all(known.covariance[i][i] > 0 for i in range(3))
    assert all(map(math.isfinite, known.mean))


@pytest.mark.parametrize("nothing", [0.0, 1.0])
def test_certainty_is_no_forecast_and_stays(nothing: float) -> None:
    assert taught([([Claim(0.0, 1.0, 8)], True)] * 50).probability(nothing, 1.0) == nothing


@pytest.mark.parametrize("said", [0.2, 0.6])
@pytest.mark.parametrize("truth", [0.1, 0.4, 0.8])
def test_what_is_always_said_too_high_or_too_low_becomes_what_it_is(said: float, truth: float) -> None:
    rng = random.Random(7)
    known = taught([([Claim(log_odds(said), 1.0, 8)], rng.random() < truth) for _ in range(1_500)])
    assert known.probability(said, 1.0) == pytest.approx(truth, abs=0.05)


def test_an_honest_forecaster_is_left_alone() -> None:
    rng = random.Random(3)
    lessons = []
    for _ in range(1_500):
        p = rng.random()
        lessons.append(([Claim(log_odds(p), rng.random(), 8)], rng.random() < p))
    known = taught(lessons)
    assert all(known.probability(p, 0.5) == pytest.approx(p, abs=0.06) for p in (0.1, 0.3, 0.5, 0.7, 0.9))


def test_many_claims_of_one_story_weigh_as_one_story() -> None:
    claim = Claim(0.0, 1.0, 8)
    once, often = taught([([claim], False)]), taught([([claim] * 7, False)])
    assert often.probability(0.5, 1.0) == pytest.approx(once.probability(0.5, 1.0), abs=0.02)


def test_a_network_that_changes_is_learned_anew() -> None:
    claim = [Claim(0.0, 1.0, 8)]
    rng = random.Random(5)
    known = taught([(claim, True)] * 3_000 + [(claim, rng.random() < 0.2) for _ in range(3_000)])
    assert known.probability(0.5, 1.0) < 0.35


def test_a_story_makes_few_claims_however_large_it_grows() -> None:
    made: list[Claim] = []
    for size in range(1, 100_000):
        claim = claim_of(0.5, growth_to(10, size), size, made)
        if claim is not None:
            made.append(claim)
    assert [claim.size for claim in made] == [8, 32, 128, 512, 2_048, 8_192, 32_768]
    assert claim_of(0.001, 1.0, 8, []) is None, "of what nobody would be told there is nothing to learn"
    assert claim_of(1.0, 0.0, 8, []) is None, "it has crossed"


def story(size: int, network: str = "x") -> Cascade:
    cascade = Cascade(story=f"{network}:1", network=network, brands=["acme"])
    cascade.add_root(BEGIN, 100, velocity=True)
    for n in range(size):
        cascade.add_engagement("repost", BEGIN + n, None, human=True, velocity=True)
    return cascade


def grow(cascade: Cascade, size: int) -> None:
    for n in range(cascade.engagements, size):
        cascade.add_engagement("repost", BEGIN + n, None, human=True, velocity=True)


def test_each_network_has_its_own_experience() -> None:
    known = Recalibrations()
    for _ in range(40):
        one = story(40, "weibo")
        known.follow(one, "acme", LINE, 0.5, over=False)
        known.end(one)
    assert known.probability(story(40, "weibo"), LINE, 0.5) < 0.3
    assert known.probability(story(40, "x"), LINE, 0.5) == 0.5


def test_a_story_teaches_once_when_it_crosses_or_when_its_time_is_over() -> None:
    known = Recalibrations()
    one = story(40)
    known.follow(one, "acme", LINE, 0.3, over=False)
    assert known.changes() == {}, "nobody knows yet"
    grow(one, 100)
    known.follow(one, "acme", LINE, 1.0, over=False)
    assert known.changes() != {}
    known.follow(one, "acme", LINE, 1.0, over=False)
    known.end(one)
    assert known.changes() == {}, "once"
    other = story(40)
    known.follow(other, "acme", LINE, 0.3, over=False)
    known.follow(other, "acme", LINE, 0.0, over=True)
    assert known.changes() != {}
    assert not other.claims


def test_an_alarm_that_was_heeded_is_not_held_against_the_next() -> None:
    known = Recalibrations()
    for _ in range(40):
        one = story(40)
        known.follow(one, "acme", LINE, 0.9, over=False)
        one.be_answered()
        known.follow(one, "acme", LINE, 0.9, over=False)
        known.end(one)
    assert known.probability(story(40), LINE, 0.9) == 0.9


def test_both_probabilities_are_set_right_and_stay_in_order() -> None:
    known = Recalibrations()
    known.learn("x", [Claim(1.0, 1.0, 8)], crossed=False)
    prediction = Prediction(low=1, median=2, high=3, probability=0.8, without_automation=0.4, soon=False)
    set_right = known.prediction(story(40), LINE, prediction)
    assert set_right.without_automation < 0.4
    assert set_right.without_automation < set_right.probability < 0.8
    assert known.prediction(story(40, "weibo"), LINE, prediction) == prediction
