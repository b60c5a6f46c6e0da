"""What people do: who has it, for how long, what the others hear of it, and where the policy goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerter.incidents import actions, model, words
from alerter.incidents.record import IncidentRecord, Transition
from alerter.incidents.telling import Announcement
from alerter.incidents.transitions import Refused
from alerter.rules import decide
from alerter.rules.severity import grade
from alerter.states import TellReason
from services.contracts.base import StoryId
from services.contracts.incident import Change, IncidentState, OutcomeMark
from services.contracts.signal import Level
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)


def opened() -> IncidentRecord:
    signal = make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    story = StoryId(make.STORY)
    return model.open_incident(signal, decision, story, make.UNKNOWN, make.setting("Answer."), make.NOW).record


def sure(outcome: Transition | None) -> Transition:
    assert outcome is not None
    return outcome


def joined(record: IncidentRecord, level: Level, minutes: int, number: int = 2, **more: Any) -> Announcement:
    signal, now = make.forecast(number, level, **more), make.NOW + minutes * MINUTE
    return make.announced(record, sure(model.join(record, signal, grade(signal, make.LINE, None), now)), now)


def test_an_acknowledgement_is_told_with_its_comment_and_stops_the_policy() -> None:
    first = sure(actions.acknowledge(opened(), "dana", "on it", make.NOW))
    assert make.said(first).because == "dana acknowledged it: on it"
    assert (first.halts, first.record.incident.comment) == (True, "on it")
    assert first.record.incident.acknowledged_until == make.NOW + 30 * MINUTE


def test_a_repeated_acknowledgement_changes_nothing_and_a_later_one_prolongs_it_silently() -> None:
    first = sure(actions.acknowledge(opened(), "dana", "on it", make.NOW)).record
    assert actions.acknowledge(first, "dana", "", make.NOW) is None
    assert actions.acknowledge(first, "dana", "on it", make.NOW) is None
    later = sure(actions.acknowledge(first, "dana", "", make.NOW + 10 * MINUTE))
    assert make.said(later).tell is TellReason.RECORDED
    assert later.record.incident.acknowledged_until == make.NOW + 40 * MINUTE
    assert later.record.incident.acknowledged_at == make.NOW
    assert later.record.incident.comment == "on it"
    other = sure(actions.acknowledge(first, "lee", "", make.NOW))
    assert (other.record.incident.acknowledged_by, make.said(other).tell) == ("lee", TellReason.ACTED)


def test_an_acknowledgement_expires_and_the_policy_goes_on() -> None:
    until = make.NOW + 5 * MINUTE
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW, until)).record
    assert model.due(held) == until
    assert model.fire(held, until - timedelta(seconds=1)) is None
    lapsed = sure(model.fire(held, until))
    message = make.said(lapsed)
    assert (message.tell, message.person) == (TellReason.REMINDED, "dana")
    assert message.because.startswith("dana's acknowledgement has expired")
    assert lapsed.resumes_at == until + actions.GRACE
    assert lapsed.record.incident.acknowledged_by is None
    assert model.fire(lapsed.record, until) is None


def test_who_acted_once_counts_also_after_the_acknowledgement_expired() -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW, make.NOW + MINUTE)).record
    lapsed = sure(model.fire(held, make.NOW + MINUTE)).record
    assert joined(lapsed, Level.EASING, 5).record.incident.state is IncidentState.RESOLVED


def test_nobody_is_reminded_of_what_eases() -> None:
    active = joined(opened(), Level.CROSSED, 1).record
    held = sure(actions.acknowledge(active, "dana", "", make.NOW, make.NOW + 30 * MINUTE)).record
    eased = joined(held, Level.EASING, 10, number=3)
    assert model.due(eased.record) == make.NOW + 10 * MINUTE + model.CALM_FOR
    back = joined(eased.record, Level.CROSSED, 40, number=4).record
    assert sure(model.fire(back, make.NOW + 40 * MINUTE)).entries[0].kind == "lapsed"


def test_an_acknowledged_incident_updates_silently_until_it_is_severity_1() -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW, make.NOW + 600 * MINUTE)).record
    crossed = joined(held, Level.CROSSED, 20)
    assert make.said(crossed).tell is TellReason.ACKNOWLEDGED
    assert model.due(crossed.record) == make.NOW + 600 * MINUTE
    worst = joined(crossed.record, Level.CROSSED, 21, number=3, mood=make.mood())
    assert worst.record.incident.severity == 1
    assert make.said(worst).tell is TellReason.WORSE


def test_a_snooze_is_silent_and_wakes_the_policy() -> None:
    until = make.NOW + 20 * MINUTE
    asleep = sure(actions.snooze(opened(), "dana", "after the call", make.NOW, until))
    assert (asleep.halts, make.said(asleep).tell) == (True, TellReason.RECORDED)
    assert actions.snooze(asleep.record, "dana", "", make.NOW, until) is None
    assert make.said(joined(asleep.record, Level.IMMINENT, 15)).tell is TellReason.SNOOZED
    woken = sure(model.fire(asleep.record, until))
    assert (woken.resumes_at, make.said(woken).person, make.said(woken).tell) == (until, "dana", TellReason.REMINDED)
    assert woken.record.incident.snoozed_until is None


def test_severity_1_cannot_be_put_off_and_wakes_what_was() -> None:
    until = make.NOW + 600 * MINUTE
    asleep = sure(actions.snooze(opened(), "dana", "", make.NOW, until)).record
    worst = joined(asleep, Level.IMMINENT, 1, probability=0.95, mood=make.mood())
    assert worst.record.incident.severity == 1
    assert make.said(worst).tell is TellReason.WORSE
    assert worst.resumes_at == make.NOW + MINUTE
    with pytest.raises(Refused, match="acknowledge it"):
        actions.snooze(worst.record, "dana", "", make.NOW + MINUTE, until)


def test_whoever_is_asked_to_take_it_hears_it_and_the_policy_waits_a_little() -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW)).record
    given = sure(actions.reassign(held, "dana", "lee", "your airline", make.NOW + MINUTE))
    message = make.said(given)
    assert message.because == "dana asked lee to take it: your airline"
    assert (given.halts, given.resumes_at) == (True, None), "dana has it until lee does"
    assert given.record.incident.acknowledged_by == "dana"
    assert given.record.incident.acknowledged_until == held.incident.acknowledged_until
    assert words.who_has_it(given.record.incident).endswith("; lee was asked to take it over.")
    assert actions.reassign(given.record, "dana", "lee", "", make.NOW + MINUTE) is None
    taken = sure(actions.acknowledge(given.record, "lee", "", make.NOW + 2 * MINUTE))
    assert taken.halts
    assert (taken.record.incident.acknowledged_by, taken.record.incident.assigned_to) == ("lee", None)
    assert actions.reassign(taken.record, "dana", "lee", "", make.NOW + 2 * MINUTE) is None
    assert model.due(taken.record) == make.NOW + 32 * MINUTE, "nobody is asked any more"


def test_whoever_has_it_is_told_that_the_other_did_not_take_it() -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW)).record
    given = sure(actions.reassign(held, "dana", "lee", "", make.NOW)).record
    over = make.NOW + actions.HAND_OVER
    assert model.due(given) == over
    told = sure(model.fire(given, over))
    assert (make.said(told).person, make.said(told).tell) == ("dana", TellReason.REMINDED)
    assert make.said(told).because == (
        "lee did not take it within 5 minutes; dana still has it until 2026-03-01 09:30 UTC"
    )
    assert (told.record.incident.acknowledged_by, told.record.incident.assigned_to) == ("dana", None)
    assert model.fire(told.record, over) is None
    assert sure(model.fire(told.record, make.NOW + 30 * MINUTE)).entries[0].kind == "lapsed"
    again = sure(actions.reassign(told.record, "dana", "lee", "", over))
    assert again.record.incident.assigned_to == "lee", "they may be asked again"


def test_a_hand_over_of_what_nobody_has_waits_for_the_one_who_was_asked_and_then_goes_on() -> None:
    given = sure(actions.reassign(opened(), "max", "lee", "", make.NOW))
    assert given.resumes_at == make.NOW + actions.HAND_OVER
    assert model.fire(given.record, make.NOW + actions.HAND_OVER) is None, "the policy's step says it"
    assert actions.reassign(given.record, "max", "lee", "", make.NOW + MINUTE) is None
    assert actions.reassign(given.record, "max", "lee", "", make.NOW + actions.HAND_OVER) is not None


def test_an_acknowledgement_that_ends_before_the_other_answers_ends_as_ever() -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW, make.NOW + 3 * MINUTE)).record
    given = sure(actions.reassign(held, "dana", "lee", "", make.NOW)).record
    lapsed = sure(model.fire(given, make.NOW + 3 * MINUTE))
    assert lapsed.entries[0].kind == "lapsed"
    assert lapsed.resumes_at == make.NOW + 3 * MINUTE + actions.GRACE
    assert model.fire(lapsed.record, make.NOW + actions.HAND_OVER) is None


def test_what_is_over_or_would_be_over_is_refused() -> None:
    over = actions.resolve(opened(), "dana", "", make.NOW).record
    with pytest.raises(Refused):
        actions.acknowledge(over, "dana", "", make.NOW)
    with pytest.raises(Refused):
        actions.snooze(over, "dana", "", make.NOW, make.NOW + MINUTE)
    with pytest.raises(Refused):
        actions.reassign(over, "dana", "lee", "", make.NOW)
    with pytest.raises(Refused):
        actions.acknowledge(opened(), "dana", "", make.NOW, make.NOW)
    with pytest.raises(Refused):
        actions.snooze(opened(), "dana", "", make.NOW, make.NOW)


def test_what_was_resolved_can_be_taken_back_for_ten_minutes_and_is_as_it_was() -> None:
    active = joined(opened(), Level.CROSSED, 1).record
    held = sure(actions.acknowledge(active, "dana", "on it", make.NOW, make.NOW + 60 * MINUTE)).record
    over = make.announced(held, actions.resolve(held, "lee", "", make.NOW + 5 * MINUTE), make.NOW + 5 * MINUTE).record
    assert actions.undo_until(over) == make.NOW + 15 * MINUTE
    back = actions.reopen(over, "lee", "the wrong one", make.NOW + 14 * MINUTE)
    incident = back.record.incident
    assert (incident.state, incident.acknowledged_by) == (IncidentState.ACTIVE, "dana")
    assert incident.acknowledged_until == make.NOW + 60 * MINUTE
    assert back.resumes_at is None, "somebody has it, so nobody is paged"
    assert make.said(back).because == (
        "lee took back that it is over: the wrong one; dana still has it until 2026-03-01 10:00 UTC"
    )
    assert (make.said(back).change, make.said(back).tell) == (Change.UPDATED, TellReason.ACTED)
    assert (back.record.by_hand, back.record.resolved_by, back.record.ended_at) == (False, None, None)
    assert actions.undo_until(back.record) is None
    assert model.due(back.record) == make.NOW + 60 * MINUTE


@pytest.mark.parametrize("minutes", [0, 9, 10, 600])
def test_what_nobody_has_when_it_is_opened_again_goes_on_after_a_grace(minutes: int) -> None:
    held = sure(actions.acknowledge(opened(), "dana", "", make.NOW, make.NOW + 5 * MINUTE)).record
    ended = make.NOW + (6 if minutes < 10 else 1) * MINUTE
    over = actions.resolve(held, "dana", "", ended).record
    now = ended + minutes * MINUTE
    back = actions.reopen(over, "lee", "", now)
    assert back.record.incident.acknowledged_by is None
    assert back.resumes_at == now + actions.GRACE
    word = "took back that it is over" if minutes < 10 else "reopened it"
    assert make.said(back).because == (f"lee {word}; the policy goes on in 2 minutes unless somebody acknowledges it")
    assert back.record.incident.state is IncidentState.PRIOR, "it never crossed"
    assert back.record.touched_at == now, "silence is counted from now"


def test_a_snooze_that_was_running_runs_on_when_the_end_is_taken_back() -> None:
    asleep = sure(actions.snooze(opened(), "dana", "", make.NOW, make.NOW + 60 * MINUTE)).record
    over = actions.resolve(asleep, "dana", "", make.NOW).record
    back = actions.reopen(over, "dana", "", make.NOW + MINUTE)
    assert (back.record.incident.snoozed_until, back.resumes_at) == (make.NOW + 60 * MINUTE, None)
    later = actions.reopen(over, "dana", "", make.NOW + 11 * MINUTE)
    assert (later.record.incident.snoozed_until, later.resumes_at) == (None, make.NOW + 11 * MINUTE + actions.GRACE)


def test_only_what_is_over_can_be_reopened_and_its_signals_count_again() -> None:
    with pytest.raises(Refused, match="only what is over"):
        actions.reopen(opened(), "dana", "", make.NOW)
    expired = joined(opened(), Level.EASING, 5).record
    assert expired.incident.state is IncidentState.EXPIRED
    assert actions.undo_until(expired) is None, "nobody said so"
    back = actions.reopen(expired, "dana", "I know them", make.NOW + 6 * MINUTE).record
    assert back.incident.state is IncidentState.PRIOR
    crossed = joined(back, Level.CROSSED, 20, number=3)
    assert (crossed.record.incident.state, make.said(crossed).tell) == (IncidentState.ACTIVE, TellReason.CROSSED)
    calm = sure(model.fire(back, back.touched_at + model.SILENT_AFTER))
    assert calm.record.ended, "it ends by itself as any other does"


@pytest.mark.parametrize("outcome", list(OutcomeMark))
def test_what_the_alarm_was_worth_can_be_said_also_after_its_end(outcome: OutcomeMark) -> None:
    over = actions.resolve(opened(), "dana", "", make.NOW).record
    said = sure(actions.mark(over, "lee", outcome, "the press had it first", make.NOW))
    assert said.record.incident.outcome is outcome
    assert said.record.incident.state is IncidentState.RESOLVED
    assert (make.said(said).change, make.said(said).tell) == (Change.UPDATED, TellReason.RECORDED)
    assert actions.mark(said.record, "lee", outcome, "", make.NOW) is None


def test_the_policy_s_first_word_is_opened_and_every_further_one_escalated() -> None:
    unheard = opened()
    first = model.escalate(unheard, 0, ("desk",), make.NOW)
    assert make.said(first).change is Change.OPENED
    again = model.escalate(first.record, 0, ("desk",), make.NOW)
    assert make.said(again).change is Change.ESCALATED
