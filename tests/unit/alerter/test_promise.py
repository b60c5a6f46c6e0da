"""An answer is due after so many minutes of opening hours, and never before them; quantiles are the usual ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.answers import fairness, sla
from alerter.answers.fairness import Waited
from alerter.oncall.wallclock import open_spans
from services.config.rota import Promise, zone_of

OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}


def office(minutes: float = 60, zone: str = "Europe/Berlin") -> Promise:
    return Promise.model_validate({"minutes": minutes, "hours": [OFFICE], "zone": zone})


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-03-02T10:00", "2026-03-02T11:00"),
        ("2026-03-02T16:30", "2026-03-03T09:30"),  # half of it in the evening, half the next morning
        ("2026-03-02T03:00", "2026-03-02T10:00"),  # who writes at night waits from the morning on
        ("2026-03-06T16:30", "2026-03-09T09:30"),  # over the weekend
        ("2026-03-27T16:30", "2026-03-30T09:30"),  # over the weekend in which the clocks change
        ("2026-10-23T16:30", "2026-10-26T09:30"),
    ],
)
def test_only_opening_hours_count(asked: str, due: str) -> None:
    berlin = zone_of("Europe/Berlin")
    moment = datetime.fromisoformat(asked).replace(tzinfo=berlin).astimezone(UTC)
    assert sla.due(office(), moment) == datetime.fromisoformat(due).replace(tzinfo=berlin)


def test_around_the_clock_it_is_just_later() -> None:
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert sla.due(Promise(minutes=90), at) == at + timedelta(minutes=90)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 3000),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_between_asking_and_due_lie_just_so_many_opening_minutes(at: datetime, minutes: int, zone: str) -> None:
    of = office(minutes, zone)
    spans = open_spans(of.hours, zone_of(zone), at, sla.due(of, at))
    assert sum(((s.ends - s.begins) for s in spans), timedelta(0)) == timedelta(minutes=minutes)


def test_hours_that_never_suffice_end_somewhere() -> None:
    never = Promise.model_validate({"minutes": 14 * 1440, "hours": [{**OFFICE, "days": ["mon"], "ends": "09:01"}]})
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert sla.due(never, at) == at + sla.MOST


def test_each_follower_count_has_its_band() -> None:
    counts = [None, 0, 99, 100, 999, 1000, 99_999, 100_000, 10**9]
    assert [fairness.ALL_BANDS.index(fairness.band_of(n)) for n in counts] == [5, 0, 0, 1, 1, 2, 3, 4, 4]


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60))
def test_median_and_90th_percentile_are_the_usual_ones(times: list[float]) -> None:
    seen = fairness.treatments(Waited("x", "unknown", t, False) for t in times)[0]
    assert seen.median_seconds == pytest.approx(median(times))
    assert seen.p90_seconds == pytest.approx(quantiles(times, n=10, method="inclusive")[8])


def test_groups_are_told_apart_and_what_waits_counts_against_them() -> None:
    small, large = fairness.band_of(40), fairness.band_of(2_000_000)
    waited = [
        Waited("x", small, None, True),
        Waited("x", small, 600.0, False),
        Waited("x", large, 60.0, False),
        Waited("bsky", small, None, False),
    ]
    seen = fairness.treatments(waited)
    assert [(t.network, t.band, t.asked, t.answered, t.late, t.share, t.median_seconds) for t in seen] == [
        ("bsky", small, 1, 0, 0, 0.0, None),
        ("x", small, 2, 1, 1, 0.5, 600.0),
        ("x", large, 1, 1, 0, 1.0, 60.0),
    ]
