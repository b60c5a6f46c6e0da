"""The hours of an endpoint follow the clocks of their zone, also in the nights in which these change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify.hours import Hours, opens_at

DAY = {"windows": [{"begins": "08:00", "ends": "20:00"}]}
NIGHT = {"windows": [{"begins": "22:00", "ends": "06:00"}]}
HALF_PAST_TWO = {"windows": [{"begins": "02:30", "ends": "02:45"}]}


@pytest.mark.parametrize(
    ("hours", "zone", "now", "opens"),
    [
        ({}, "UTC", "2026-03-01T03:00", None),
        (DAY, "Europe/Berlin", "2026-03-28T12:00", None),
        (DAY, "Europe/Berlin", "2026-03-28T19:00", "2026-03-29T06:00"),  # the night is an hour shorter
        (DAY, "Europe/Berlin", "2026-10-24T18:00", "2026-10-25T07:00"),  # and longer
        (DAY, "America/New_York", "2026-03-08T01:00", "2026-03-08T12:00"),
        (DAY, "America/New_York", "2026-11-01T01:00", "2026-11-01T13:00"),
        (DAY, "Australia/Lord_Howe", "2026-04-04T10:00", "2026-04-04T21:30"),  # by half an hour
        (DAY, "Australia/Lord_Howe", "2026-10-03T10:00", "2026-10-03T21:00"),
        (NIGHT, "Europe/Berlin", "2026-03-29T03:30", None),
        (NIGHT, "Europe/Berlin", "2026-03-29T04:00", "2026-03-29T20:00"),
        (HALF_PAST_TWO, "Europe/Berlin", "2026-03-28T12:00", "2026-03-30T00:30"),  # there is no half past two on the 29th
        ({"windows": [{"days": ["sun"], "begins": "08:00", "ends": "09:00"}]}, "UTC", "2026-03-01T09:00", "2026-03-08T08:00"),
    ],
)  # fmt: skip
def test_a_window_opens_by_the_clocks_of_its_zone(hours: Any, zone: str, now: str, opens: str | None) -> None:
    found = opens_at(Hours.model_validate({**hours, "zone": zone}), datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (None if opens is None else datetime.fromisoformat(opens).replace(tzinfo=UTC))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds it
    st.integers(0, 23), st.integers(1, 24),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
)  # fmt: skip
def test_what_waits_waits_for_a_moment_at_which_it_may_be_sent(now: datetime, begin: int, end: int, zone: str) -> None:
    windows = [{"begins": f"{begin}:00", "ends": f"{end}:00"}]
    hours = Hours.model_validate({"zone": zone, "windows": windows})
    opens = opens_at(hours, now)
    assert opens is None or (opens > now and opens_at(hours, opens) is None)
