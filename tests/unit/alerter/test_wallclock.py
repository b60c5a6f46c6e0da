"""Wall times become moments in order, on every night in which any zone's clocks changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.oncall.wallclock import Span, instant, merged, open_spans, wall_of
from services.config.rota import Window
from tests.unit.alerter import make

ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix", "right")))
HARD = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "America/Santiago")
WALLS = st.datetimes(datetime(2005, 1, 1), datetime(2037, 12, 31))  # noqa: DTZ001 - a wall time has no zone
Y = 2026


@pytest.mark.parametrize(
    ("zone", "wall", "moment"),
    [
        ("Europe/Berlin", datetime(Y, 3, 29, 2, 30), datetime(Y, 3, 29, 1, 0)),  # noqa: DTZ001 - skipped
        ("Europe/Berlin", datetime(Y, 3, 29, 3, 0), datetime(Y, 3, 29, 1, 0)),  # noqa: DTZ001
        ("Europe/Berlin", datetime(Y, 10, 25, 2, 30), datetime(Y, 10, 25, 0, 30)),  # noqa: DTZ001 - the first of two
        ("Europe/Berlin", datetime(Y, 10, 25, 3, 0), datetime(Y, 10, 25, 2, 0)),  # noqa: DTZ001
        ("America/New_York", datetime(Y, 3, 8, 2, 59), datetime(Y, 3, 8, 7, 0)),  # noqa: DTZ001
        ("America/New_York", datetime(Y, 11, 1, 1, 30), datetime(Y, 11, 1, 5, 30)),  # noqa: DTZ001
        ("Australia/Lord_Howe", datetime(Y, 10, 4, 2, 15), datetime(Y, 10, 3, 15, 30)),  # noqa: DTZ001 - half an hour
        ("Australia/Lord_Howe", datetime(Y, 4, 5, 1, 45), datetime(Y, 4, 4, 14, 45)),  # noqa: DTZ001
        ("Pacific/Apia", datetime(2011, 12, 30, 12, 0), datetime(2011, 12, 30, 10, 0)),  # noqa: DTZ001 - a whole day
    ],
)
def test_a_skipped_time_is_the_skip_and_a_doubled_one_the_first(zone: str, wall: datetime, moment: datetime) -> None:
    assert instant(wall, ZoneInfo(zone)) == moment.replace(tzinfo=UTC)


@given(st.sampled_from(ZONES), WALLS)
def test_a_moment_is_the_first_at_which_the_wall_shows_it(zone: str, wall: datetime) -> None:
    there = ZoneInfo(zone)
    moment = instant(wall, there)
    assert wall_of(moment, there) >= wall
    assert wall_of(moment - timedelta(microseconds=1), there) < wall


@given(st.sampled_from(HARD) | st.sampled_from(ZONES), WALLS, st.timedeltas(timedelta(0), timedelta(hours=30)))
def test_what_is_later_on_the_wall_is_never_earlier_in_time(zone: str, wall: datetime, more: timedelta) -> None:
    assert instant(wall, ZoneInfo(zone)) <= instant(wall + more, ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_two_years_keeps_the_order(zone: str) -> None:
    there = ZoneInfo(zone)
    last, day = instant(datetime(2025, 1, 1), there), datetime(2025, 1, 1)  # noqa: DTZ001
    while day.year < 2027:
        following = day + timedelta(days=1)
        if there.utcoffset(day) != there.utcoffset(following):
            for minute in range(0, 24 * 60, 15):
                moment = instant(day + timedelta(minutes=minute), there)
                assert moment >= last
                last = moment
        day = following


windows = st.lists(
    st.builds(
        lambda days, begins, ends: Window(days=tuple(days), begins=make.clock(begins), ends=make.clock(ends)),
        st.lists(st.sampled_from(list(Window().days)), min_size=1, max_size=7, unique=True),
        st.integers(0, 1439),
        st.integers(0, 1440),
    ),
    min_size=1,
    max_size=4,
)


@given(windows, st.sampled_from(HARD), WALLS, st.integers(1, 21 * 24))
def test_it_is_open_when_the_wall_says_so(some: list[Window], zone: str, wall: datetime, hours: int) -> None:
    """Against a model that asks the wall alone, away from the hours in which it shows a time twice or skips one."""
    there = ZoneInfo(zone)
    begin = wall.replace(tzinfo=UTC)
    end = begin + timedelta(hours=hours)
    spans = open_spans(some, there, begin, end)
    assert spans == merged(spans)
    for number in range(40):
        moment = begin + (end - begin) * number / 40
        near = [there.utcoffset(moment.astimezone(there) + timedelta(hours=h)) for h in (-30, -26, -3, 0, 3, 26, 30)]
        if len(set(near)) > 1:
            continue
        shown = wall_of(moment, there)
        assert any(s.begins <= moment < s.ends for s in spans) == any(_says(w, shown) for w in some)


def _says(window: Window, shown: datetime) -> bool:
    for back in (0, 1):
        day = shown - timedelta(days=back)
        opens = datetime.combine(day.date(), datetime.min.time()) + timedelta(minutes=window.begins)
        if day.strftime("%a").lower() in window.days and opens <= shown < opens + timedelta(minutes=window.minutes):
            return True
    return False


def test_spans_that_touch_are_one() -> None:
    a, b, c = (datetime(Y, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    assert merged([Span(b, c), Span(a, b)]) == [Span(a, c)]
