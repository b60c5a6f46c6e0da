"""While a network is not heard, nothing is concluded from its silence; what is heard counts as ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from alerter.incidents import hearing, model, words
from alerter.incidents.record import IncidentRecord
from alerter.rules import decide
from alerter.rules.severity import grade
from services.contracts.base import StoryId
from services.contracts.incident import IncidentState
from services.contracts.signal import Interval, Level, SurgePhase
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)
GAP = "unknown since 09:05 UTC: bsky is not heard (connector firehose: it reports a gap)"


def opened(signal: Any = None) -> IncidentRecord:
    signal = signal or make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    return model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW).record


def joined(record: IncidentRecord, signal: Any, now: datetime, unheard: str | None = GAP) -> IncidentRecord | None:
    transition = model.join(record, signal, grade(signal, make.LINE, None), now, unheard)
    return None if transition is None else make.announced(record, transition, now).record


def test_an_easing_in_a_gap_is_kept_and_applied_when_it_is_heard_again() -> None:
    record = opened()
    eased = joined(record, make.forecast(2, Level.EASING), make.NOW + 35 * MINUTE)
    assert eased is not None
    assert (eased.incident.state, eased.incident.severity) == (IncidentState.PRIOR, record.incident.severity)
    assert eased.incident.title == record.incident.title
    assert model.due(eased) == make.NOW + 40 * MINUTE
    heard = make.announced(eased, hearing.hear(eased, make.NOW + 200 * MINUTE), make.NOW + 200 * MINUTE)
    assert heard.record.incident.state is IncidentState.EXPIRED
    said = make.said(heard).because
    assert said.startswith("it is heard again, and nothing followed: unknown since 09:05 UTC")
    assert "as far as it was heard, it eased on its own and never crossed the line" in said


def test_what_goes_on_when_it_is_heard_again_forgets_the_easing() -> None:
    eased = joined(opened(), make.forecast(2, Level.EASING), make.NOW + 35 * MINUTE)
    assert eased is not None
    back = joined(eased, make.forecast(3, Level.LIKELY, evidence=make.evidence(engagements=90)), make.NOW, None)
    assert back is not None
    assert not any(facet.unheard for facet in back.facets.values())
    after = hearing.hear(back, make.NOW + 60 * MINUTE).record
    assert (after.incident.state, after.recheck_at) == (IncidentState.PRIOR, None)


def test_a_forecast_that_fell_for_want_of_news_changes_nothing() -> None:
    record = opened(make.forecast(1, Level.IMMINENT, probability=0.95))
    assert joined(record, make.forecast(2, Level.WATCH, probability=0.1), make.NOW + 20 * MINUTE) is None


def test_what_is_heard_in_a_gap_counts() -> None:
    more = make.evidence(engagements=505)
    size = Interval(low=505, median=900, high=1500)
    crossed = joined(opened(), make.forecast(2, Level.CROSSED, evidence=more, final_size=size), make.NOW)
    assert crossed is not None
    assert crossed.incident.state is IncidentState.ACTIVE
    assert joined(opened(), make.negative("p9", severity=4), make.NOW) is not None


def test_a_surge_does_not_end_in_a_gap() -> None:
    record = joined(opened(), make.surge(), make.NOW)
    assert record is not None
    ended = joined(record, make.surge(SurgePhase.END, minutes=9), make.NOW + 9 * MINUTE)
    assert ended is not None
    assert ended.incident.state is IncidentState.ACTIVE
    assert ended.surge is not None
    assert not ended.surge.ended
    heard = hearing.hear(ended, make.NOW + 60 * MINUTE).record
    assert heard.surge is not None
    assert heard.surge.ended


def test_time_alone_ends_nothing_while_it_waits() -> None:
    active = joined(opened(), make.forecast(2, Level.CROSSED), make.NOW, None)
    assert active is not None
    easing = joined(active, make.forecast(3, Level.EASING), make.NOW, None)
    assert easing is not None
    late = make.NOW + 61 * MINUTE
    assert model.ends_by_silence(easing, late)
    waiting = hearing.wait(easing, GAP, late).record
    assert waiting.incident.state is IncidentState.EASING
    assert model.due(waiting) == late + hearing.LOOKS_EVERY
    assert model.fire(waiting, late + MINUTE) is None
    silent = hearing.wait(opened(), GAP, make.NOW + model.SILENT_AFTER).record
    assert not model.is_silent(silent, make.NOW + model.SILENT_AFTER + MINUTE)
    assert not model.ends_by_silence(opened().model_copy(update={"storm": 2}), late + 100 * model.SILENT_AFTER)


def test_every_message_states_the_gap() -> None:
    record = opened().with_incident(unknown_since=make.NOW, unheard=GAP)
    assert words.how_sure(record.incident).startswith("Unknown since 09:05 UTC: bsky is not heard (connector firehose")
    assert "70 % likely" in words.how_sure(record.incident)
