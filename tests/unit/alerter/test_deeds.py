"""What people do: who has it, for how long, what the others hear of it, and where the policy goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from alerter.incidents import actions, model
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
    assert (message.person, message.because) == ("lee", "dana asked lee to take it: your airline")
    assert given.resumes_at == make.NOW + MINUTE + actions.HAND_OVER
    assert given.record.incident.acknowledged_by is None
    assert actions.reassign(given.record, "dana", "lee", "", make.NOW + MINUTE) is None
    taken = sure(actions.acknowledge(given.record, "lee", "", make.NOW + 2 * MINUTE))
    assert taken.halts
    assert actions.reassign(taken.record, "dana", "lee", "", make.NOW + 2 * MINUTE) is None


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
