"""The closed form and the levels: probabilities behave, one loud voice moves them at once, levels do not flutter."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.virality import hawkes
from scorer.virality.cards import Card
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.excitation import KERNEL_SECONDS
from scorer.virality.forecast import (
    IMMINENT_AT,
    KEEP,
    LIKELY_AT,
    WATCH_AT,
    ClosedForm,
    Crossing,
    Forecaster,
    Prediction,
    has_crossed,
    is_quiet,
    level_of,
    reason_in_words,
    worth_telling,
)
from scorer.virality.learned import shipped
from services.contracts.signal import Level, Line

BEGIN = 1_700_000_000.0
HORIZON = 72 * 3600.0
LINE = Line(engagements=500)


def grown(count: int, over: float = 3600.0, followers: int | None = 300) -> Cascade:
    cascade = Cascade(story="x:1", network="x", brands=["acme"])
    cascade.add_root(BEGIN, 40, velocity=True)
    for number in range(count):
        cascade.add_engagement("repost", BEGIN + over * (number + 1) / count, followers, human=True, velocity=True)
    return cascade


MODEL = shipped()


def predicted(cascade: Cascade, line: Line = LINE, after: float = 0.0, model: Forecaster = MODEL) -> Prediction:
    return model.predict(cascade, line, cascade.newest + after, HORIZON)


cascades = st.builds(grown, st.integers(0, 400), st.floats(1, 200_000), st.none() | st.integers(0, 3_000_000))


models = st.sampled_from([MODEL, ClosedForm()])


@given(cascades, st.integers(1, 100_000), st.floats(0, 1e6), models)
def test_a_prediction_is_always_in_order_and_finite(
    cascade: Cascade, engagements: int, after: float, model: Forecaster
) -> None:
    line = Line(engagements=engagements)
    p = predicted(cascade, line, after, model)
    assert model.probability(cascade, line, cascade.newest + after, HORIZON) == p.probability
    assert 0.0 <= p.probability <= 1.0
    assert cascade.engagements <= p.low <= p.median <= p.high < math.inf
    crossing = model.crossing(cascade, line, cascade.newest + after, HORIZON)
    told = [t for t in crossing if t is not None]
    assert told == sorted(told)
    assert all(t >= 0 for t in told)


@given(cascades, st.integers(1, 10_000), models)
def test_a_farther_line_is_never_likelier(cascade: Cascade, engagements: int, model: Forecaster) -> None:
    near = predicted(cascade, Line(engagements=engagements), model=model)
    far = predicted(cascade, Line(engagements=2 * engagements), model=model)
    assert far.probability <= near.probability + 1e-9


@pytest.mark.parametrize("model", [MODEL, ClosedForm()])
def test_silence_lowers_the_probability(model: Forecaster) -> None:
    cascade = grown(120, over=1200)
    steps = [predicted(cascade, after=t, model=model).probability for t in (0, 3600, 24 * 3600)]
    assert steps[0] > steps[1] > steps[2]


@pytest.mark.parametrize("model", [MODEL, ClosedForm()])
def test_one_quote_by_two_million_followers_moves_the_probability_at_once(model: Forecaster) -> None:
    cascade = grown(6, over=1200)
    before = predicted(cascade, model=model).probability
    cascade.add_engagement("quote", cascade.newest + 1, 2_000_000, human=True, velocity=True)
    after = predicted(cascade, model=model).probability
    assert before < 0.2
    assert after > 0.8


@pytest.mark.parametrize("model", [MODEL, ClosedForm()])
def test_accounts_that_look_automated_are_left_out_of_the_second_figure(model: Forecaster) -> None:
    cascade = grown(10)
    for number in range(200):
        cascade.add_engagement("repost", cascade.newest + number, 300, human=False, velocity=True)
    p = predicted(cascade, Line(engagements=260), model=model)
    assert p.without_automation < p.probability - 0.2


def test_an_audience_is_a_line_too() -> None:
    cascade = grown(20, followers=10_000)
    line = Line(audience=150_000)
    assert has_crossed(cascade, line)
    assert not has_crossed(cascade, Line(audience=10_000_000))
    assert predicted(cascade, line).probability == 1.0


def test_what_is_still_to_come_is_spread_like_the_kernel() -> None:
    weights = (1.0, *[0.0] * (len(KERNEL_SECONDS) - 1))
    assert hawkes.share_within(KERNEL_SECONDS[0], weights) == pytest.approx(1 - math.exp(-1))
    half = hawkes.seconds_until(50, 100, weights)
    assert half == pytest.approx(KERNEL_SECONDS[0] * math.log(2), rel=1e-3)
    assert hawkes.seconds_until(101, 100, weights) is None
    assert hawkes.seconds_until(0, 100, weights) == 0.0


def prediction(p: float, soon: bool = False) -> Prediction:
    return Prediction(low=10, median=100, high=1000, probability=p, without_automation=p, soon=soon)


def told(level: Level, p: float = 0.5, at: float = BEGIN, size: float = 100) -> LastAnnounced:
    return LastAnnounced(1, level.value, p, size, at)


@pytest.mark.parametrize(
    ("before", "p", "soon", "level"),
    [
        (None, WATCH_AT - 0.01, False, None),
        (None, WATCH_AT, False, Level.WATCH),
        (None, LIKELY_AT, False, Level.LIKELY),
        (None, IMMINENT_AT, False, Level.LIKELY),
        (None, IMMINENT_AT, True, Level.IMMINENT),
        (Level.LIKELY, KEEP * LIKELY_AT, False, Level.LIKELY),
        (Level.LIKELY, KEEP * LIKELY_AT - 0.01, False, Level.WATCH),
        (Level.IMMINENT, KEEP * IMMINENT_AT, True, Level.IMMINENT),
        (Level.IMMINENT, KEEP * IMMINENT_AT - 0.01, True, Level.LIKELY),
        (Level.WATCH, 0.40, False, Level.WATCH),
        (Level.WATCH, 0.01, False, Level.WATCH),
        (Level.EASING, 0.01, False, Level.EASING),
        (Level.EASING, LIKELY_AT, False, Level.LIKELY),
    ],
)
def test_levels_rise_at_their_threshold_and_fall_below_it(
    before: Level | None, p: float, soon: bool, level: Level | None
) -> None:
    cascade = grown(20, over=600)
    now = cascade.newest
    assert level_of(cascade, LINE, prediction(p, soon), told(before) if before else None, now) is level


def test_little_evidence_opens_nothing_unless_the_voice_is_loud() -> None:
    cascade = grown(2)
    assert level_of(cascade, LINE, prediction(0.9), None, cascade.newest) is None
    cascade.show(Card("x", "2", "quote", BEGIN, followers=500_000))
    assert level_of(cascade, LINE, prediction(0.9), None, cascade.newest) is Level.LIKELY


def test_what_was_told_eases_when_nothing_follows() -> None:
    cascade = grown(600, over=600)
    now = cascade.newest
    assert level_of(cascade, LINE, prediction(1.0), told(Level.CROSSED), now) is Level.CROSSED
    assert not is_quiet(cascade, now)
    later = now + 6 * 3600
    assert level_of(cascade, LINE, prediction(1.0), told(Level.CROSSED), later) is Level.EASING


def test_the_same_is_not_told_twice_and_never_too_often() -> None:
    before = told(Level.LIKELY, p=0.55)
    assert not worth_telling(None, prediction(0.0), None, BEGIN)
    assert worth_telling(Level.WATCH, prediction(0.2), None, BEGIN)
    assert worth_telling(Level.IMMINENT, prediction(0.9), before, BEGIN + 1)
    assert not worth_telling(Level.LIKELY, prediction(0.9), before, BEGIN + 1)
    assert worth_telling(Level.LIKELY, prediction(0.9), before, BEGIN + 601)
    assert not worth_telling(Level.LIKELY, prediction(0.56), before, BEGIN + 601)


def test_the_reason_says_what_a_person_at_night_needs() -> None:
    cascade = grown(60)
    cascade.show(Card("x", "2", "quote", BEGIN, followers=2_000_000))
    words = reason_in_words(
        cascade,
        LINE,
        Level.LIKELY,
        Prediction(60, 900, 4000, 0.7, 0.3, soon=False),
        Crossing(600, 1500, None),
        cascade.newest,
    )
    for piece in ("60 engagements in 60 min", "2,000,000 followers", "70%", "500 engagements", "25 min", "30% without"):
        assert piece in words, words
