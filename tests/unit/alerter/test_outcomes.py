"""What alarms were worth: a person's word first, then what was seen; what was answered in time is no false alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.incidents import outcomes
from alerter.incidents.outcomes import Alarm, Worth, summarize, worth
from services.contracts.incident import IncidentState, OutcomeMark
from tests.unit.alerter import make

HOUR = timedelta(hours=1)


def alarm(**more: Any) -> Alarm:
    fields: dict[str, Any] = {
        "incident": "i",
        "brand": "acme",
        "rule": "viral",
        "state": IncidentState.EXPIRED,
        "forecast": True,
        "opened_at": make.NOW,
        "told_at": make.NOW,
        "crossed_at": None,
        "answered_at": None,
        "mark": None,
    }
    return Alarm(**(fields | more))


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, Worth.NEVER_CROSSED),
        ({"state": IncidentState.RESOLVED}, Worth.HANDLED),
        ({"state": IncidentState.PRIOR}, Worth.OPEN),
        ({"state": IncidentState.AVERTED, "answered_at": make.NOW}, Worth.AVERTED),
        ({"state": IncidentState.RESOLVED, "answered_at": make.NOW}, Worth.AVERTED),
        ({"crossed_at": make.NOW + HOUR, "state": IncidentState.RESOLVED}, Worth.CROSSED),
        ({"crossed_at": make.NOW + HOUR, "answered_at": make.NOW, "state": IncidentState.RESOLVED}, Worth.CROSSED),
        ({"crossed_at": make.NOW, "state": IncidentState.RESOLVED}, Worth.CROSSED_BEFORE),
        ({"crossed_at": make.NOW + HOUR, "told_at": None, "state": IncidentState.RESOLVED}, Worth.CROSSED_BEFORE),
        ({"forecast": False}, Worth.NO_FORECAST),
        ({"mark": OutcomeMark.USEFUL}, Worth.USEFUL),
        ({"mark": OutcomeMark.FALSE_ALARM, "crossed_at": make.NOW + HOUR}, Worth.FALSE_ALARM),
        ({"mark": OutcomeMark.TOO_LATE, "forecast": False}, Worth.TOO_LATE),
    ],
)
def test_a_person_s_word_counts_for_more_than_what_was_seen(more: dict[str, Any], wanted: Worth) -> None:
    assert worth(alarm(**more)) is wanted


def test_precision_leaves_out_what_was_answered_before_it_crossed() -> None:
    averted = alarm(state=IncidentState.AVERTED, answered_at=make.NOW)
    crossed = alarm(crossed_at=make.NOW + HOUR, state=IncidentState.RESOLVED)
    summary = summarize([averted, averted, crossed, alarm()])
    assert (summary.right, summary.false, summary.apart, summary.precision) == (1, 1, 2, 0.5)
    assert summarize([averted]).precision is None
    assert summarize([]).lead is None


def test_the_lead_is_from_the_first_message_to_the_line_and_may_be_negative() -> None:
    late = alarm(told_at=make.NOW + 2 * HOUR, crossed_at=make.NOW + HOUR)
    soon = alarm(crossed_at=make.NOW + 3 * HOUR)
    summary = summarize([late, soon, alarm()])
    assert summary.lead is not None
    assert (summary.lead.of, summary.lead.in_time, summary.lead.median_minutes) == (2, 1, 60)


@given(
    st.lists(
        st.builds(
            alarm,
            state=st.sampled_from(IncidentState),
            forecast=st.booleans(),
            told_at=st.none() | st.just(make.NOW),
            crossed_at=st.none() | st.integers(-10, 10).map(lambda hours: make.NOW + hours * HOUR),
            answered_at=st.none() | st.just(make.NOW),
            mark=st.none() | st.sampled_from(OutcomeMark),
        )
    )
)
def test_every_alarm_is_counted_once(alarms: list[Alarm]) -> None:
    summary = summarize(alarms)
    assert sum(summary.counts.values()) == len(alarms)
    assert summary.right + summary.false + summary.apart <= len(alarms)
    assert summary.precision is None or 0 <= summary.precision <= 1
    if summary.lead is not None:
        assert summary.lead.low_minutes <= summary.lead.median_minutes <= summary.lead.high_minutes


def test_right_and_false_share_nothing() -> None:
    assert not outcomes.RIGHT & outcomes.FALSE
