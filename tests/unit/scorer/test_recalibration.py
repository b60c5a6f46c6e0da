"""What is said is set right by what earlier stories came to: honest, in order, and not by alarms that were heeded."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.recalibration_state import RecalibrationState
from scorer.virality.cascade import Cascade
from scorer.virality.forecast import IMMINENT_AT, LIKELY_AT, Prediction
from scorer.virality.recalibration import Claim, Recalibration, claim_of, growth_to, log_odds
from services.config.model import Brand
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


@pytest.mark.parametrize(("said", "truth"), [(0.3, 0.2), (0.3, 0.5), (0.6, 0.4), (0.6, 0.75)])
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


def test_stories_that_grow_claim_more_and_that_alone_teaches_nothing() -> None:
    """Of sizes as `P(size > s) = 8 / s`, every claim of an honest forecaster for a line of 64 is `size / 64`."""
    rng = random.Random(11)
    lessons = []
    for _ in range(3_000):
        final = 8 / (1 - rng.random())
        made = [Claim(log_odds(n / 64), growth_to(64 - n, n), n) for n in (8, 32) if n <= final]
        lessons.append((made, final >= 64))
    known = taught(lessons)
    for n in (8, 32):
        assert known.probability(n / 64, growth_to(64 - n, n)) == pytest.approx(n / 64, rel=0.2)


def test_a_hundred_thousand_stories_leave_variances_that_are_variances() -> None:
    rng, known = random.Random(1), Recalibration()
    for _ in range(100_000):
        p = rng.random()
        known.learn([Claim(log_odds(p), rng.random() * 4, 8)], rng.random() < p)
    (a, b, c), (_, d, e), (_, _, f) = known.covariance
    assert min(a, a * d - b * b, a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)) > 0
    assert known.probability(0.7, 1.0) == pytest.approx(0.7, abs=0.05)


def test_what_is_sure_and_always_wrong_turns_nothing_round() -> None:
    known = taught([([Claim(log_odds(0.98), 1.0, 8)], False)] * 3_000)
    assert known.probability(0.3, 1.0) < 0.3
    assert known.probability(0.3, 1.0) < known.probability(0.98, 1.0)


def test_a_flood_of_small_stories_does_not_make_what_is_known_of_alarms_forgotten() -> None:
    rng = random.Random(2)
    honest = [([Claim(log_odds(p), 0.5, 100)], rng.random() < p) for p in (rng.random() for _ in range(2_000))]
    flood = [([Claim(log_odds(0.01), 4.0, 8)], False)] * 3_000
    false_alarms = [([Claim(log_odds(0.9), 0.3, 300)], False)] * 6
    assert taught([*honest, *flood, *false_alarms]).probability(0.9, 0.3) > 0.8


def test_a_network_that_changes_is_learned_anew() -> None:
    claim = [Claim(0.0, 1.0, 8)]
    rng = random.Random(5)
    known = taught([(claim, True)] * 3_000 + [(claim, rng.random() < 0.2) for _ in range(3_000)])
    assert known.probability(0.5, 1.0) < 0.35


def test_alarms_that_were_heeded_unseen_do_not_silence_the_next() -> None:
    known = taught([([Claim(log_odds(0.9), 0.5, 100)], False)] * 5_000)
    assert LIKELY_AT < known.probability(0.9, 0.5) < IMMINENT_AT < known.probability(0.93, 0.5)


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


BRANDS = {name: Brand(id=name, name=name, line=LINE) for name in ("acme", "blue")}
HORIZON = 72 * 3_600.0


def test_each_network_has_its_own_experience() -> None:
    known = RecalibrationState()
    for _ in range(40):
        one = story(40, "weibo")
        known.follow(one, "acme", LINE, 0.5)
        known.end(one, BRANDS, HORIZON)
    assert known.probability(story(40, "weibo"), LINE, 0.5) < 0.35
    assert known.probability(story(40, "x"), LINE, 0.5) == 0.5


def odds_moved(known: RecalibrationState) -> float:
    return log_odds(known.probability(story(40), LINE, 0.3)) - log_odds(0.3)


@pytest.mark.parametrize("grows_to", [40, 100])
def test_a_story_teaches_once_and_not_before_its_time_is_over(grows_to: int) -> None:
    known = RecalibrationState()
    one = story(40)
    known.follow(one, "acme", LINE, 0.3)
    grow(one, grows_to)
    known.follow(one, "acme", LINE, 1.0 if grows_to == 100 else 0.3)
    assert known.changes() == {}, "a crossing is known earlier than that there was none: both wait"
    known.end(one, BRANDS, HORIZON)
    assert known.changes() != {}
    assert odds_moved(known) > 0 if grows_to == 100 else odds_moved(known) < 0
    known.end(one, BRANDS, HORIZON)
    assert known.changes() == {}, "once"


def test_a_crossing_that_nobody_looked_at_in_time_counts_where_it_was_in_time() -> None:
    for late, teaches in ((0.0, True), (HORIZON, False)):
        known = RecalibrationState()
        one = story(40)
        known.follow(one, "acme", LINE, 0.3)
        for n in range(40, 100):
            one.add_engagement("repost", BEGIN + late + n, None, human=True, velocity=True)
        known.end(one, BRANDS, HORIZON)
        assert (odds_moved(known) > 0) is teaches
        assert (known.changes() != {}) is teaches


def test_a_brand_that_is_no_longer_watched_teaches_nothing_and_two_weigh_as_one() -> None:
    gone, one, both = RecalibrationState(), RecalibrationState(), RecalibrationState()
    for known, brands in ((gone, ["acme"]), (one, ["acme"]), (both, ["acme", "blue"])):
        cascade = story(40)
        for brand in brands:
            known.follow(cascade, brand, LINE, 0.3)
        known.end(cascade, {} if known is gone else BRANDS, HORIZON)
    assert gone.changes() == {}
    assert odds_moved(both) == pytest.approx(odds_moved(one), rel=0.1)


@pytest.mark.parametrize("grows_to", [40, 100])
def test_an_alarm_that_was_heeded_is_not_held_against_the_next(grows_to: int) -> None:
    known = RecalibrationState()
    for _ in range(40):
        one = story(40)
        known.follow(one, "acme", LINE, 0.9)
        grow(one, grows_to)
        known.follow(one, "acme", LINE, 0.9)
        one.be_answered()
        known.follow(one, "acme", LINE, 0.9)
        known.end(one, BRANDS, HORIZON)
    assert known.probability(story(40), LINE, 0.9) == 0.9


def test_both_probabilities_are_set_right_and_stay_in_order() -> None:
    known = RecalibrationState()
    known.learn("x", [Claim(1.0, 1.0, 8)], crossed=False)
    prediction = Prediction(low=1, median=2, high=3, probability=0.8, without_automation=0.4, soon=False)
    set_right = known.prediction(story(40), LINE, prediction)
    assert set_right.without_automation < 0.4
    assert set_right.without_automation < set_right.probability < 0.8
    assert known.prediction(story(40, "weibo"), LINE, prediction) == prediction
