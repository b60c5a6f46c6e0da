"""The chart: inside its box, never falling, and through what the forecast states."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.console.chart import draw, growth, nice_top, observed_points
from alerter.incidents.record import Facet, outlook
from services.contracts.signal import CrossingTime, Interval, Level, Line
from tests.unit.alerter import make

WIDTH, HEIGHT = 640.0, 240.0
SIZES = st.integers(0, 10**7)
CURVES = st.lists(st.tuples(st.floats(0, 10**6), SIZES), max_size=64).map(tuple)


def facet(**more: Any) -> Facet:
    forecast = make.forecast(**{k: v for k, v in more.items() if k not in ("curve", "rate_60m", "begins")})
    fields: dict[str, Any] = {
        "number": 1,
        "at": forecast.at,
        "severity": 2,
        "words": "",
        "outlook": outlook(forecast),
        "begins": forecast.at - timedelta(seconds=forecast.evidence.age_seconds),
        "rate_60m": 60.0,
        "curve": ((0.0, 1), (600.0, 20), (1200.0, 60)),
    }
    return Facet(**(fields | {k: v for k, v in more.items() if k in fields}))


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


@given(
    CURVES,
    st.tuples(SIZES, SIZES, SIZES),
    st.one_of(st.none(), st.integers(1, 10**6)),
    st.one_of(st.none(), st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3)),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_whatever_is_forecast_the_chart_stays_in_its_box(
    curve: Any, sizes: Any, line: int | None, times: list[float] | None, age: float, rate: float, later: float
) -> None:
    low, median, high = sorted(sizes)
    crossing = None
    if times is not None:
        earliest, expected, latest = (make.NOW + timedelta(seconds=t) for t in sorted(times))
        crossing = CrossingTime(earliest=earliest, expected=expected, latest=latest)
    one = facet(
        final_size=Interval(low=low, median=median, high=high),
        line=Line(engagements=line, audience=None if line else 100),
        crossing=crossing,
        evidence=make.evidence(age_seconds=age),
        curve=curve,
        rate_60m=rate,
    )
    chart = draw(one, make.NOW + timedelta(seconds=later), WIDTH, HEIGHT)
    assert chart is not None
    drawn = [p for text in (chart.observed, chart.median, chart.fan) for p in points(text)]
    for x, y in [*drawn, chart.last, (chart.now, 0.0), (chart.crossing or 0.0, 0.0)]:
        assert 0 <= x <= WIDTH + 0.1
        assert 0 <= y <= HEIGHT + 0.1
    for text in (chart.observed, chart.median):
        for (x, y), (next_x, next_y) in pairwise(points(text)):
            assert next_x >= x
            assert next_y <= y, "a count does not fall"
    assert points(chart.observed)[-1] == chart.last
    assert chart.line is None or 0 <= chart.line <= HEIGHT
    assert 1 <= len(chart.moments) <= 6


@given(SIZES, st.integers(1, 10**6), st.integers(1, 10**6), st.floats(60, 1e6))
def test_an_edge_of_the_fan_is_at_the_line_when_the_forecast_crosses_it(
    start: int, more: int, beyond: int, until: float
) -> None:
    line, final = start + more, start + more + beyond
    curve = growth(start, final, line, until, 0.0)
    assert curve(0) == start
    assert curve(until) == pytest.approx(line, rel=1e-6)
    assert curve(1e30) == pytest.approx(final)


def test_without_a_crossing_time_the_present_rate_goes_on_at_first() -> None:
    curve = growth(100, 1100, None, None, 360.0)
    assert curve(10) == pytest.approx(101, abs=0.01)


def test_the_median_crosses_the_line_where_the_chart_says() -> None:
    chart = draw(facet(), make.NOW, WIDTH, HEIGHT)
    assert chart is not None
    assert chart.crossing is not None
    assert chart.line is not None
    before = [y for x, y in points(chart.median) if x < chart.crossing]
    after = [y for x, y in points(chart.median) if x > chart.crossing]
    assert min(before) >= chart.line >= max(after)


def test_what_has_crossed_shows_no_crossing_to_come() -> None:
    chart = draw(facet(level=Level.CROSSED, crossed_at=make.NOW), make.NOW, WIDTH, HEIGHT)
    assert chart is not None
    assert (chart.crossing, chart.crossing_at) == (None, None)


def test_a_forecast_from_before_it_was_kept_draws_nothing() -> None:
    assert draw(facet(begins=None), make.NOW, WIDTH, HEIGHT) is None


@given(CURVES)
def test_what_was_observed_never_falls_and_ends_at_what_is_known(curve: Any) -> None:
    seen = observed_points(facet(curve=curve), 1200.0)
    assert all(a <= c and b <= d for (a, b), (c, d) in pairwise(seen))
    assert seen[0] == (0.0, 0.0)


@given(st.floats(1, 1e9))
def test_the_top_is_round_and_near(most: float) -> None:
    assert most <= nice_top(most) <= 2 * most
