"""A surge is what a brand's own week does not explain: seen early, told once, never learned as usual, ended by silence."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.surge_model import HOUR, KEPT_BUCKETS, Baseline, SurgeModel, SurgeRule, surprise

BEGIN = 1_772_400_000.0
BUCKET = 300.0
DAY = 24 * HOUR


def usual(at: float) -> float:
    """Posts a bucket: busy by day, quiet by night."""
    return 4.0 + 3.0 * math.sin(2 * math.pi * (at % DAY) / DAY)


def lived(model: SurgeModel, days: float, rng: random.Random, begin: float = BEGIN) -> tuple[float, list[float]]:
    """Ordinary days; where they ended, and when alarms rang."""
    rang, at = [], begin
    while at < begin + days * DAY:
        model.advance(at)
        model.add(at, sum(rng.random() < usual(at) / 20 for _ in range(20)))
        if model.alarm.step(SurgeRule(), at, model.measure(at)) == "start":
            rang.append(at)
        at += BUCKET
    return at, rang


@pytest.mark.parametrize("seed", range(3))
def test_two_ordinary_weeks_ring_no_alarm_and_an_outage_rings_one_within_sixty_posts(seed: int) -> None:
    model = SurgeModel.new()
    at, rang = lived(model, 14, random.Random(seed))
    assert rang == []
    told = []
    for number in range(200):
        now = at + 2.0 * number
        model.advance(now)
        model.add(now)
        if model.alarm.step(SurgeRule(), now, model.measure(now)) == "start":
            told.append(number + 1 - usual(at) * number * 2 / BUCKET)
    assert len(told) == 1
    assert told[0] <= 60


def test_the_first_day_sees_an_outage_too() -> None:
    model = SurgeModel.new()
    at, rang = lived(model, 0.3, random.Random(1))
    assert rang == []
    for number in range(300):
        now = at + 2.0 * number
        model.advance(now)
        model.add(now)
        if model.alarm.step(SurgeRule(), now, model.measure(now)) == "start":
            return
    pytest.fail("300 posts in ten minutes, and nobody was told")


def test_an_incident_does_not_become_the_usual() -> None:
    model = SurgeModel.new()
    at, _ = lived(model, 14, random.Random(2))
    before = model.baseline.expected(at)
    for _ in range(36):
        model.advance(at)
        model.add(at, 200)
        at += BUCKET
    model.advance(at)
    assert model.baseline.expected(at - 3 * HOUR) < 2 * before


def test_what_a_blind_source_missed_is_not_learned_as_silence() -> None:
    blind, open_eyed = SurgeModel.new(), SurgeModel.new()
    at, _ = lived(blind, 7, random.Random(3))
    lived(open_eyed, 7, random.Random(3))
    blind.lose_sight(at, at + DAY)
    for model in (blind, open_eyed):
        model.advance(at + DAY)
    assert blind.baseline.buckets < open_eyed.baseline.buckets
    assert blind.baseline.expected(at) > open_eyed.baseline.expected(at)


def test_a_surge_ends_when_it_is_quiet_and_the_next_must_wait_or_be_larger() -> None:
    model = SurgeModel.new()
    at, _ = lived(model, 8, random.Random(4))
    said: list[str] = []

    def burst(begin: float, posts: int) -> float:
        for minute in range(180):
            now = begin + 60 * minute
            model.advance(now)
            if minute < 20:
                model.add(now, posts)
            said.extend(filter(None, [model.alarm.step(SurgeRule(), now, model.measure(now))]))
        return begin + 180 * 60

    at = burst(at, 40)
    assert said == ["start", "end"]
    at = burst(at, 30)
    assert said == ["start", "end"], "a smaller one so soon is not told"
    burst(at, 90)
    assert said == ["start", "end", "start", "end"]


@given(st.floats(0.01, 500), st.floats(0.02, 4), st.integers(0, 5000))
def test_more_posts_are_never_less_surprising(mean: float, dispersion: float, count: int) -> None:
    less, more = surprise(count, mean, dispersion), surprise(count + 1, mean, dispersion)
    assert 0.0 <= less <= more + 1e-6
    assert math.isfinite(more)


def test_the_surprise_is_that_of_the_negative_binomial() -> None:
    mean, dispersion = 3.0, 0.5
    size = 1 / dispersion
    p = mean / (mean + size)
    terms = [math.exp(math.lgamma(k + size) - math.lgamma(size) - math.lgamma(k + 1)) * p**k * (1 - p) ** size
             for k in range(10)]  # fmt: skip
    assert surprise(10, mean, dispersion) == pytest.approx(-math.log10(1 - sum(terms)), abs=1e-3)


@settings(deadline=None)  # a week of silence is learned bucket by bucket
@given(st.lists(st.tuples(st.floats(-1e7, 1e7), st.integers(0, 1000)), max_size=30))
def test_any_order_and_any_gap_is_taken(steps: list[tuple[float, int]]) -> None:
    model = SurgeModel.new()
    for offset, count in steps:
        model.advance(BEGIN + offset)
        model.add(BEGIN + offset, count)
        deviation = model.measure(BEGIN + offset)
        assert math.isfinite(deviation.surprise)
        assert deviation.expected > 0
        assert len(model.window) <= KEPT_BUCKETS


def test_nothing_known_expects_little() -> None:
    assert 0 < Baseline(BUCKET).expected(BEGIN) <= 1


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_storm_that_its_source_tells_late_is_seen_where_it_happened(newest_first: bool) -> None:
    model = SurgeModel.new()
    now, _ = lived(model, 8, random.Random(5))
    model.advance(now)
    storm = [now - 2 * HOUR + 10 * number for number in range(60)]
    said = []
    for at in reversed(storm) if newest_first else storm:
        past = model.add(at)
        assert past is not None
        said.append(model.alarm.step(SurgeRule(), now, past))
    assert said.count("start") == 1
    assert now - 3 * HOUR < (model.alarm.begins or 0) < now - HOUR


def test_a_catch_up_of_ordinary_hours_is_no_storm() -> None:
    model, usual = SurgeModel.new(), SurgeModel.new()
    now, _ = lived(model, 8, random.Random(6))
    lived(usual, 8, random.Random(6))
    expected = usual.baseline.expected(now - 5 * HOUR)
    model.lose_sight(now, now + 5 * HOUR)
    now += 5 * HOUR
    model.advance(now)
    begins = [begin for begin, _, _ in model.window[:-6] if begin >= now - 5 * HOUR]
    for begin in begins:
        for _ in range(round(expected)):
            past = model.add(begin)
            assert past is None or model.alarm.step(SurgeRule(), now, past) is None
    assert model.baseline.expected(now) < 1.5 * usual.baseline.expected(now), "the blind hours teach nothing"


def test_a_source_that_is_always_late_becomes_usual() -> None:
    model, rang = SurgeModel.new(), []
    for number in range(8 * 288):
        now = BEGIN + number * BUCKET
        model.advance(now)
        past = [model.add(now - HOUR) for _ in range(4)][-1]
        said = [
            model.alarm.step(SurgeRule(), now, deviation)
            for deviation in (past, model.measure(now))
            if deviation is not None
        ]
        rang += [number // 288] * said.count("start")
    assert set(rang) <= {0}, "news on the first day at most"
    assert model.baseline.expected(now) == pytest.approx(4, rel=0.35)


def test_what_is_hours_old_says_nothing_about_now() -> None:
    model = SurgeModel.new()
    model.advance(BEGIN)
    model.advance(BEGIN + DAY)
    assert model.add(BEGIN + HOUR, 1000) is None
    assert model.measure(BEGIN + DAY).observed == 0
