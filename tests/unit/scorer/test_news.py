"""The numbers of a story that people were told of stay those of now, at a bounded rate, and crossing is told at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.virality.cascade import LastAnnounced
from scorer.virality.forecast import ClosedForm, Forecaster, Prediction, has_news, level_of
from scorer.virality.learned import shipped
from services.contracts.base import Event
from services.contracts.post import PostObserved
from services.contracts.signal import CascadeForecast, Level, Line
from tests.unit.scorer.test_forecast import BEGIN, HORIZON, LINE, cascades, grown
from tests.unit.scorer.test_pipeline import BEGIN as EVENING
from tests.unit.scorer.test_pipeline import Lane, complaint, only, reposts

FRESH = timedelta(seconds=60)


def repost(number: int, at: datetime) -> PostObserved:
    return reposts(1, start=number, platform_at=at, observed_at=at)[0]


async def night(lane: Lane, seconds_between: list[float]) -> list[tuple[datetime, int, CascadeForecast]]:
    """Plays one story, event by event and timer by timer. Returns each forecast with its time and the true size then."""
    at, true = EVENING, 0
    told: list[tuple[datetime, int, CascadeForecast]] = []

    def note(said: list[Event]) -> None:
        told.extend((lane.clock.now(), true, one) for one in only(said, CascadeForecast))

    note(await lane.take(complaint()))
    for number, seconds in enumerate(seconds_between):
        at += timedelta(seconds=seconds)
        while (due := lane.processor.due()) is not None and due < at:
            lane.clock.advance(max(0.0, (due - lane.clock.now()).total_seconds()))
            note(await lane.fire())
        lane.clock.advance((at - lane.clock.now()).total_seconds())
        true += 1
        note(await lane.take(repost(number, at)))
    return told


@pytest.mark.parametrize("gap", [1.0, 7.0, 40.0, 300.0])
async def test_a_number_is_never_older_than_a_minute_or_a_tenth(gap: float) -> None:
    lane = Lane(line=60)
    told = await night(lane, [2.0] * 80 + [gap] * 200)
    known = {moment: forecast.evidence.engagements for moment, _, forecast in told}
    first = told[0][0]
    sizes = {EVENING + timedelta(seconds=2.0 * n): n for n in range(1, 81)}
    sizes |= {EVENING + timedelta(seconds=160 + gap * n): 80 + n for n in range(1, 201)}
    for moment, size in sizes.items():
        if moment <= first:
            continue
        heard, shown = max((when, number) for when, number in known.items() if when <= moment)
        assert size <= shown * 1.1 + 1 or moment - heard < FRESH, (moment, size, shown)


async def test_a_story_that_grows_fast_costs_a_bounded_number_of_forecasts() -> None:
    lane = Lane(line=60)
    told = await night(lane, [0.5] * 3000)
    assert told[-1][2].evidence.engagements > 2500
    minutes = 3000 * 0.5 / 60
    assert len(told) <= minutes + len(Level) + 2


async def test_what_grew_just_before_it_fell_silent_is_told_a_minute_later() -> None:
    lane = Lane(line=60)
    told = await night(lane, [2.0] * 80)
    shown = told[-1][2].evidence.engagements
    if shown * 1.1 >= 80:
        more = [repost(n, lane.clock.now()) for n in range(80, 100)]
        assert not only(await lane.take(*more), CascadeForecast), "a minute has not passed"
    lane.clock.advance(60)
    (late,) = only(await lane.fire(), CascadeForecast)
    assert late.evidence.engagements > shown * 1.1


@pytest.mark.parametrize("age_hours", [0.1, 3, 30])
async def test_the_event_that_crosses_the_line_is_told_with_it(age_hours: float) -> None:
    """An old story was looked at only every twentieth of its age: it was over its line and nobody knew."""
    lane = Lane(line=200)
    told = await night(lane, [1.0] * 190 + [age_hours * 360] + [20.0] * 10)
    (crossing, *_) = [one for _, true, one in told if true == 200]
    assert (crossing.level, crossing.evidence.engagements) == (Level.CROSSED, 200)


def test_a_story_that_crosses_ever_so_slowly_is_not_said_to_have_eased_without_crossing() -> None:
    cascade = grown(500, over=600)
    last = LastAnnounced(3, Level.EASING.value, 0.4, 480, BEGIN + 700, None, 480, 150_000)
    prediction = Prediction(500, 510, 600, 1.0, 1.0, soon=True)
    later = cascade.newest + 7200
    assert has_news(cascade, LINE, last, later)
    assert level_of(cascade, LINE, prediction, last, later) is Level.CROSSED
    said = LastAnnounced(4, Level.CROSSED.value, 1.0, 510, later, later, 500, cascade.everyone.reach)
    assert level_of(cascade, LINE, prediction, said, later + 60) is Level.EASING
    assert not has_news(cascade, LINE, said, later + 3600)


def test_a_crossing_that_was_promised_for_a_time_that_has_passed_is_forecast_again() -> None:
    cascade = grown(60)
    said = LastAnnounced(1, "likely", 0.7, 900, cascade.newest, None, 60, cascade.everyone.reach, cascade.newest + 600)
    assert not has_news(cascade, LINE, said, cascade.newest + 600)
    assert has_news(cascade, LINE, said, cascade.newest + 901)


models = st.sampled_from([shipped(), ClosedForm()])


@given(cascades, st.integers(1, 5_000), st.floats(0, 72 * 3600), models)
@settings(deadline=None)
def test_a_crossing_beyond_the_horizon_is_not_stated(cascade, engagements, after, model: Forecaster) -> None:  # type: ignore[no-untyped-def]
    now = cascade.newest + after
    left = cascade.begins + HORIZON - now
    crossing = model.crossing(cascade, Line(engagements=engagements), now, HORIZON)
    assert all(at is None or at <= max(0.0, left) for at in crossing)


@given(cascades, st.integers(1, 300), st.floats(0, 72 * 3600), models)
@settings(deadline=None)
def test_a_forecast_after_the_crossing_contains_what_happened(cascade, engagements, after, model: Forecaster) -> None:  # type: ignore[no-untyped-def]
    size = model.predict(cascade, Line(engagements=engagements), cascade.newest + after, HORIZON)
    assert cascade.engagements <= round(size.low, 1) <= round(size.median, 1) <= round(size.high, 1)
