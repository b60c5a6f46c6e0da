"""Beyond its line a story goes on: each doubling is told once, and no deadline contradicts what is said beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from alerter.incidents import actions, model, words
from alerter.incidents.record import IncidentRecord
from alerter.incidents.telling import Announcement
from alerter.rules import decide
from alerter.rules.severity import grade
from alerter.states import TellReason
from services.contracts.base import StoryId
from services.contracts.incident import IncidentState
from services.contracts.signal import CascadeForecast, CrossingTime, Interval, Level, Line, SurgePhase
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)


def opened(signal: Any = None) -> IncidentRecord:
    signal = signal or make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    return model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW).record


def joined(record: IncidentRecord, signal: Any, now: datetime) -> Announcement:
    transition = model.join(record, signal, grade(signal, make.LINE, None), now)
    assert transition is not None
    return make.announced(record, transition, now)


def beyond(number: int, engagements: int, **more: Any) -> CascadeForecast:
    fields: dict[str, Any] = {
        "evidence": make.evidence(engagements=engagements),
        "final_size": Interval(low=engagements, median=1490, high=90_000),
        "probability": 1.0,
        "crossing": None,
        "crossed_at": make.NOW,
    }
    return make.forecast(number, Level.CROSSED, **(fields | more))


def test_each_doubling_past_the_line_is_told_once_and_the_numbers_are_of_now() -> None:
    record = joined(opened(), beyond(2, 505), make.NOW).record
    told: list[str] = []
    for number, engagements in enumerate([600, 800, 990, 1000, 1100, 1500, 1999, 2050, 2051, 3000, 4001], start=3):
        now = make.NOW + 11 * MINUTE * number
        outcome = joined(record, beyond(number, engagements), now)
        record = outcome.record
        assert record.incident.outlook is not None
        assert record.incident.outlook.observed == engagements
        if outcome.message is not None:
            assert outcome.tell is TellReason.WORSE
            told.append(outcome.message.because)
        else:
            assert (outcome.tell, outcome.entries) == (TellReason.NOT_WORSE, ()), "thinned in the timeline"
    assert told == [
        "it has passed 2 times its line: 1,000 engagements (the line is 500 engagements)",
        "it has passed 4 times its line: 2,050 engagements (the line is 500 engagements)",
        "it has passed 8 times its line: 4,001 engagements (the line is 500 engagements)",
    ]


def test_a_doubling_waits_ten_minutes_and_while_somebody_has_it() -> None:
    record = joined(opened(), beyond(2, 505), make.NOW).record
    soon = joined(record, beyond(3, 1010), make.NOW + MINUTE)
    assert (soon.message, soon.tell) == (None, TellReason.TOLD_RECENTLY)
    assert model.due(soon.record) == make.NOW + 10 * MINUTE
    taken = actions.acknowledge(record, "dana", "", make.NOW)
    assert taken is not None
    assert joined(taken.record, beyond(3, 1010), make.NOW + 20 * MINUTE).tell is TellReason.ACKNOWLEDGED


def test_a_story_that_opens_far_beyond_its_line_is_told_of_the_next_doubling() -> None:
    record = opened(beyond(1, 2100))
    assert joined(record, beyond(2, 2300), make.NOW + 20 * MINUTE).message is None
    assert "8 times" in make.said(joined(record, beyond(2, 4300), make.NOW + 20 * MINUTE)).because


def test_an_audience_is_a_line_that_can_be_doubled_too() -> None:
    line = Line(audience=100_000)
    crossed = beyond(2, 50, line=line, evidence=make.evidence(engagements=50, reach=110_000))
    record = joined(opened(), crossed, make.NOW).record
    later = beyond(3, 60, line=line, evidence=make.evidence(engagements=60, reach=430_000))
    said = make.said(joined(record, later, make.NOW + 20 * MINUTE)).because
    assert "it has passed 4 times its line: 60 engagements and an audience of 430,000" in said


def test_of_two_conversations_beyond_the_line_the_larger_one_is_shown() -> None:
    record = joined(opened(), beyond(2, 505), make.NOW).record
    record = joined(record, beyond(1, 900, conversation="bsky:q1"), make.NOW + MINUTE).record
    assert record.incident.outlook is not None
    assert record.incident.outlook.observed == 900


def rising(number: int, **more: Any) -> CascadeForecast:
    crossing = CrossingTime(earliest=make.NOW + timedelta(hours=2), expected=make.NOW + timedelta(hours=3))
    return make.forecast(number, Level.LIKELY, crossing=crossing, **more)


@pytest.mark.parametrize("end", ["resolved", "averted"])
def test_what_is_over_has_no_deadline(end: str) -> None:
    record = joined(opened(), rising(2, conversation="bsky:q1"), make.NOW).record
    assert record.incident.answer_by is not None
    if end == "resolved":
        record = actions.resolve(record, "dana", "", make.NOW).record
    else:
        for conversation in (make.STORY, "bsky:q1"):
            signal = make.forecast(9, Level.EASING, conversation=conversation)
            record = joined(record, signal, make.NOW + MINUTE).record
    assert record.incident.state.is_over
    assert record.incident.answer_by is None
    assert words.by_when(record.incident) == "There is no deadline."


def test_what_crossed_and_goes_on_is_answered_now_whatever_its_quotes_may_do_later() -> None:
    record = joined(opened(), beyond(2, 505), make.NOW).record
    record = joined(record, rising(1, conversation="bsky:q1"), make.NOW).record
    assert (record.incident.answer_by, words.by_when(record.incident)) == (None, "Answer now: it is ongoing.")
    record = joined(record, make.forecast(3, Level.EASING, crossed_at=make.NOW), make.NOW).record
    assert record.incident.state is IncidentState.ACTIVE
    assert (record.incident.answer_by, words.by_when(record.incident)) == (None, "Answer now: it is ongoing.")
    surging = joined(record, make.surge(SurgePhase.START), make.NOW).record
    assert words.by_when(surging.incident) == "Answer now: it is ongoing."
