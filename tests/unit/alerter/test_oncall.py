"""Schedules: nobody is missed, nobody serves twice at once, on any night of any zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.oncall import shifts
from alerter.oncall.shifts import Override, Shift, unroll
from alerter.oncall.wallclock import wall_of
from services.config.rota import Layer, Rotation, Schedule, Window, zone_of
from tests.unit.alerter import make

HARD = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu")
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
PEOPLE = ("ana", "ben", "cem", "dee", "eva", "fay", "gus")
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
MONDAY = datetime(2026, 1, 5)  # noqa: DTZ001 - a wall time has no zone


def layer(**more: Any) -> Layer:
    fields = {"id": "base", "rotation": "daily", "begins": "2026-01-05T09:00", "responders": PEOPLE[:2]}
    return Layer.model_validate(fields | more)


def schedule(*layers: Layer, zone: str = "Europe/Berlin") -> Schedule:
    return Schedule(id="night", zone=zone, layers=layers or (layer(),))


def override(responder: str | None, begins: datetime, hours: float, **more: Any) -> Override:
    fields = {"id": "o1", "schedule": "night", "replaces": None, "by": "lee", "comment": "", "made_at": BEGIN}
    return Override(**(fields | {"begins": begins, "ends": begins + hours * HOUR, "responder": responder} | more))


def at(moment: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=zone_of(zone)).astimezone(UTC)


def who(of: Schedule, moment: datetime, *overrides: Override) -> str | None:
    return shifts.on_call(of, overrides, moment).responder


some_windows = st.lists(
    st.builds(
        lambda days, begins, ends: Window(days=tuple(days), begins=make.clock(begins), ends=make.clock(ends)),
        st.lists(st.sampled_from(list(Window().days)), min_size=1, max_size=7, unique=True),
        st.integers(0, 95).map(lambda n: 15 * n),
        st.integers(0, 96).map(lambda n: 15 * n),
    ),
    max_size=3,
).map(tuple)
some_layers = st.builds(
    lambda number, hours, begins, ends, people, only, zone: Layer(
        id=f"l{number}",
        zone=zone,
        rotation=Rotation.CUSTOM,
        shift_hours=hours,
        begins=begins,
        ends=None if ends is None else begins + ends,
        responders=tuple(people),
        only=only,
    ),
    st.integers(0, 99),
    st.sampled_from([1, 5, 8, 12, 24, 72, 168, 336]),
    st.integers(0, 395 * 24).map(lambda n: datetime(2025, 10, 1) + n * HOUR),  # noqa: DTZ001 - a wall time has no zone
    st.none() | st.timedeltas(HOUR, timedelta(days=90)),
    st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=7),
    some_windows,
    st.none() | st.sampled_from(HARD),
)
schedules = st.builds(
    lambda zone, layers: Schedule(id="night", zone=zone, layers=tuple(layers)),
    st.sampled_from(HARD),
    st.lists(some_layers, min_size=1, max_size=3),
)
overrides_ = st.lists(
    st.builds(
        lambda number, begins, hours, responder, replaces: override(
            responder, begins, hours, id=f"o{number}", replaces=replaces, made_at=BEGIN + number * HOUR
        ),
        st.integers(0, 9),
        st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        st.integers(1, 400),
        st.none() | st.sampled_from(PEOPLE),
        st.none() | st.sampled_from(PEOPLE),
    ),
    max_size=3,
    unique_by=lambda o: o.id,
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(schedules, overrides_, moments, st.integers(1, 40 * 24))
def test_shifts_fill_the_time_without_gap_or_overlap(
    of: Schedule, others: list[Override], begin: datetime, hours: int
) -> None:
    end = begin + hours * HOUR
    rota = unroll(of, others, begin, end)
    assert (rota[0].begins, rota[-1].ends) == (begin, end)
    assert all(a.ends == b.begins for a, b in pairwise(rota))
    assert all(shift.begins < shift.ends for shift in rota)


@given(schedules, overrides_, moments, st.integers(0, 30 * 24))
def test_who_is_on_call_does_not_depend_on_where_one_begins_to_look(
    of: Schedule, others: list[Override], begin: datetime, hours: int
) -> None:
    moment = begin + hours * HOUR
    seen = next(s for s in unroll(of, others, begin, moment + HOUR) if s.begins <= moment < s.ends)
    now = shifts.on_call(of, others, moment)
    assert (now.responder, now.why) == (seen.responder, seen.why)


def _model(of: Schedule, moment: datetime) -> str | None:
    """Who the wall says is on call: counts turns one by one. Only where no clock changes nearby."""
    for one in reversed(of.layers):
        shown = wall_of(moment, zone_of(one.zone or of.zone))
        period, turn, begins = 0, 0, one.begins
        if shown < begins or (one.ends is not None and shown >= one.ends):
            continue
        while begins + one.shift <= shown:
            turn += _serves(one, begins - (begins - MONDAY) // WEEK * WEEK)
            period, begins = period + 1, begins + one.shift
        if not one.only or any(_open(w, shown) for w in one.only):
            return one.responders[turn % len(one.responders)]
    return None


@cache
def _serves(one: Layer, begins: datetime) -> bool:
    quarters = range(0, int(one.shift / HOUR) * 60, 15)
    return not one.only or any(_open(w, begins + timedelta(minutes=q)) for q in quarters for w in one.only)


def _open(window: Window, shown: datetime) -> bool:
    for back in (0, 1):
        day = shown - timedelta(days=back)
        opens = datetime.combine(day.date(), datetime.min.time()) + timedelta(minutes=window.begins)
        if day.strftime("%a").lower() in window.days and opens <= shown < opens + timedelta(minutes=window.minutes):
            return True
    return False


@given(schedules, moments)
def test_the_wall_decides_who_is_on_call(of: Schedule, moment: datetime) -> None:
    zones = {zone_of(one.zone or of.zone) for one in of.layers}
    near = {(z, z.utcoffset(moment.astimezone(z) + timedelta(hours=h))) for z in zones for h in (-30, -6, 0, 6, 30)}
    if len(near) == len(zones):
        assert who(of, moment) == _model(of, moment)


@pytest.mark.parametrize(
    ("zone", "nights"),
    [
        ("Europe/Berlin", ("2026-03-29", "2026-10-25")),
        ("America/New_York", ("2026-03-08", "2026-11-01")),
        ("Australia/Lord_Howe", ("2026-04-05", "2026-10-04")),
    ],
)
def test_hand_offs_stay_on_the_wall_when_the_clocks_change(zone: str, nights: tuple[str, str]) -> None:
    twelve = layer(rotation="custom", shift_hours=12, begins="2026-01-05T08:00")
    lengths = set()
    for night in nights:
        begin = at(f"{night}T00:00", zone) - timedelta(days=1)
        rota = unroll(schedule(twelve, zone=zone), (), begin, begin + timedelta(days=4))
        for a, b in pairwise(rota):
            assert a.ends == b.begins
            assert wall_of(a.ends, zone_of(zone)).strftime("%H:%M") in ("08:00", "20:00")
            assert {a.responder, b.responder} == {"ana", "ben"}
        lengths |= {shift.seconds / 3600 for shift in rota[1:-1]}
    change = 0.5 if zone.endswith("Lord_Howe") else 1
    assert lengths == {12, 12 - change, 12 + change}


@pytest.mark.parametrize("zone", HARD)
def test_night_and_day_layers_meet_on_every_day_of_the_year(zone: str) -> None:
    day = layer(id="day", only=[{"begins": "02:30", "ends": "14:15"}])
    night = layer(id="night", responders=["gus"], only=[{"begins": "14:15", "ends": "02:30"}])
    seen = shifts.coverage(schedule(day, night, zone=zone), (), BEGIN + timedelta(days=2), BEGIN + timedelta(days=360))
    assert seen.gaps == ()
    assert sum(seen.hours.values()) == pytest.approx(358 * 24)


def test_everybody_serves_although_weekends_are_skipped() -> None:
    working = layer(
        responders=PEOPLE, only=[{"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}]
    )
    seen = shifts.coverage(schedule(working), (), BEGIN, BEGIN + timedelta(days=7 * 7))
    assert seen.hours == dict.fromkeys(PEOPLE, 5 * 8.0)
    order = [s.responder for s in unroll(schedule(working), (), BEGIN, BEGIN + timedelta(days=12)) if s.responder]
    assert order == ["ana", "ben", "cem", "dee", "eva", "fay", "gus", "ana", "ben", "cem"]


def test_a_later_layer_stands_above_and_what_it_leaves_is_the_one_below() -> None:
    weekend = layer(id="weekend", responders=["gus"], only=[{"days": ["sat", "sun"]}])
    of = schedule(layer(rotation="weekly"), weekend)
    assert who(of, at("2026-01-09T23:59")) == "ana"
    assert who(of, at("2026-01-10T00:00")) == "gus"
    assert who(of, at("2026-01-12T00:00")) == "ana"
    assert who(of, at("2026-01-12T09:00")) == "ben"


def test_a_gap_is_reported_with_its_length() -> None:
    office = layer(
        rotation="weekly", only=[{"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}]
    )
    seen = shifts.coverage(schedule(office), (), at("2026-01-05T09:00"), at("2026-01-12T09:00"))
    assert [round(gap.seconds / 3600) for gap in seen.gaps] == [16, 16, 16, 16, 64]
    assert seen.gap_seconds == 128 * 3600
    assert seen.hours == {"ana": 40.0}


def test_before_its_first_hand_off_a_layer_has_nobody() -> None:
    assert shifts.on_call(schedule(), (), at("2026-01-05T08:00")) == Shift(
        at("2026-01-05T08:00"), at("2026-01-05T09:00")
    )


def test_an_override_takes_over_and_the_newest_wins() -> None:
    noon = at("2026-01-06T12:00")
    first = override("cem", noon, 4)
    second = override(None, noon + HOUR, 1, id="o2", made_at=BEGIN + HOUR)
    of = schedule()
    assert [who(of, noon + n * HOUR, first, second) for n in (-1, 0, 1, 2, 4)] == ["ben", "cem", None, "cem", "ben"]


def test_a_replacement_counts_only_where_the_person_would_be_on_call() -> None:
    begin = at("2026-01-05T09:00")
    swap = override("gus", begin, 72, replaces="ben")
    rota = unroll(schedule(), [swap], begin, begin + 72 * HOUR)
    assert [shift.responder for shift in rota] == ["ana", "gus", "ana"]


def test_an_override_of_another_schedule_changes_nothing() -> None:
    noon = at("2026-01-06T12:00")
    assert who(schedule(), noon, override("cem", noon, 4, schedule="day")) == "ben"
