"""An incident's life: every state with every trigger, what is told again, and what never is."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from alerter.incidents import actions, model, reopening, telling, transitions, words
from alerter.incidents.record import AnswerTerms, Entry, IncidentRecord, Story, Transition, outlook
from alerter.incidents.store import read_record
from alerter.incidents.telling import Announcement
from alerter.incidents.transitions import TRANSITIONS, Trigger
from alerter.rules import decide
from alerter.rules.conditions import Opening
from alerter.rules.severity import Grade, grade
from alerter.states import ENDED, TellReason
from services.contracts.base import StoryId
from services.contracts.incident import Change, IncidentState, OutcomeMark
from services.contracts.signal import CrossingTime, Interval, Level, SurgePhase
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)


def opened(signal: Opening | None = None, now: datetime = make.NOW, ordinal: int = 0) -> Transition:
    signal = signal or make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    story = StoryId(make.STORY)
    return model.open_incident(signal, decision, story, Story(openings=ordinal), make.setting("Answer."), now)


def joined(record: IncidentRecord, signal: Opening, now: datetime) -> Announcement:
    transition = model.join(record, signal, grade(signal, make.LINE, None), now)
    assert transition is not None
    return make.announced(record, transition, now)


def fired(record: IncidentRecord, now: datetime) -> Announcement:
    transition = model.fire(record, now)
    assert transition is not None
    return make.announced(record, transition, now)


def in_state(state: IncidentState) -> IncidentRecord:
    record = opened().record
    return record.model_copy(
        update={
            "incident": record.incident.model_copy(update={"state": state}),
            "eased_at": make.NOW if state is IncidentState.EASING else None,
        }
    )


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(IncidentState, Trigger)))
def test_every_state_answers_every_trigger_as_the_table_says(state: IncidentState, trigger: Trigger) -> None:
    record = in_state(state)
    entry = Entry("surge", "something happened")
    wanted = TRANSITIONS.get((state, trigger))
    if wanted is None:
        with pytest.raises(transitions.Refused):
            transitions.advance(record, record, trigger, entry, make.NOW)
        return
    after = make.announced(record, transitions.advance(record, record, trigger, entry, make.NOW), make.NOW)
    assert after.record.incident.state is wanted
    assert after.record.incident.sequence == record.incident.sequence + 1
    assert (wanted in ENDED) == (after.message is not None and after.message.change is Change.RESOLVED)
    assert (wanted in ENDED) == (after.tell is TellReason.ENDED)
    assert (after.record.eased_at is not None) == (wanted is IncidentState.EASING)


def test_an_end_is_final() -> None:
    people = {Trigger.REOPENS, Trigger.REOPENS_ACTIVE}
    assert {trigger for state, trigger in TRANSITIONS if state in ENDED} == people, (
        "no signal and no timer opens it again"
    )
    for state in ENDED:
        record = in_state(state)
        assert model.join(record, make.forecast(9, Level.CROSSED), Grade(1, ""), make.NOW) is None
        assert model.due(record) is None
        with pytest.raises(transitions.Refused):
            actions.acknowledge(record, "dana", "", make.NOW)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {IncidentState.PRIOR} | set(TRANSITIONS.values())
    assert reached == set(IncidentState)
    assert {state for (state, _), to in TRANSITIONS.items() if to is not state} == set(IncidentState)


def test_the_id_depends_on_brand_story_and_opening_alone() -> None:
    first = opened().record.incident.id
    assert opened(make.forecast(7, Level.CROSSED), make.NOW + MINUTE).record.incident.id == first
    assert opened(ordinal=1).record.incident.id != first


@pytest.mark.parametrize(
    ("acted", "end"),
    [
        ("", IncidentState.EXPIRED),
        ("acknowledged", IncidentState.RESOLVED),
        ("answered", IncidentState.AVERTED),
        ("both", IncidentState.AVERTED),
    ],
)
def test_what_never_crossed_ends_by_who_acted(acted: str, end: IncidentState) -> None:
    record = opened().record
    if acted in ("acknowledged", "both"):
        taken = actions.acknowledge(record, "dana", "", make.NOW)
        assert taken is not None
        record = taken.record
    if acted in ("answered", "both"):
        answer = model.join(record, make.answered(), None, make.NOW)
        assert answer is not None
        record = answer.record
    outcome = joined(record, make.forecast(2, Level.EASING), make.NOW + MINUTE)
    assert outcome.record.incident.state is end
    assert (make.said(outcome).change, outcome.tell) == (Change.RESOLVED, TellReason.ENDED)


def test_what_crossed_eases_and_is_over_after_an_hour_of_calm() -> None:
    record = joined(opened().record, make.forecast(2, Level.CROSSED), make.NOW).record
    eased = joined(record, make.forecast(3, Level.EASING), make.NOW + MINUTE)
    assert eased.record.incident.state is IncidentState.EASING
    assert make.said(eased).tell is TellReason.NOT_WORSE
    due = model.due(eased.record)
    assert due == make.NOW + MINUTE + model.CALM_FOR
    assert model.fire(eased.record, due - timedelta(seconds=1)) is None
    over = model.fire(eased.record, due)
    assert over is not None
    assert over.record.incident.state is IncidentState.RESOLVED
    again = joined(eased.record, make.forecast(4, Level.WATCH), make.NOW + 30 * MINUTE)
    assert model.due(again.record) == make.NOW + 30 * MINUTE + model.CALM_FOR
    back = joined(again.record, make.forecast(5, Level.CROSSED), make.NOW + 40 * MINUTE)
    assert back.record.incident.state is IncidentState.ACTIVE
    assert make.said(back).tell is TellReason.CROSSED


def test_a_silent_story_ends_by_itself() -> None:
    record = opened().record
    due = model.due(record)
    assert due == make.NOW + model.SILENT_AFTER
    ended = model.fire(record, due)
    assert ended is not None
    assert ended.record.incident.state is IncidentState.EXPIRED


def test_a_story_eases_only_when_all_its_conversations_do() -> None:
    record = joined(opened().record, make.forecast(1, Level.CROSSED, conversation="bsky:q1"), make.NOW).record
    still = joined(record, make.forecast(2, Level.EASING), make.NOW)
    assert still.record.incident.state is IncidentState.ACTIVE
    eased = joined(still.record, make.forecast(2, Level.EASING, conversation="bsky:q1"), make.NOW)
    assert eased.record.incident.state is IncidentState.EASING


def test_a_surge_keeps_it_active_until_it_ends() -> None:
    record = joined(opened().record, make.surge(), make.NOW).record
    assert record.incident.state is IncidentState.ACTIVE
    eased = joined(record, make.forecast(2, Level.EASING), make.NOW)
    assert eased.record.incident.state is IncidentState.ACTIVE
    ended = joined(eased.record, make.surge(SurgePhase.END, minutes=9), make.NOW)
    assert ended.record.incident.state is IncidentState.EASING


def test_old_and_doubled_signals_change_nothing() -> None:
    record = joined(opened(make.forecast(5)).record, make.surge(minutes=5), make.NOW).record
    worst = Grade(1, "")
    for number in (4, 5):
        assert model.join(record, make.forecast(number, Level.CROSSED), worst, make.NOW) is None
    for minutes in (4, 5):
        assert model.join(record, make.surge(minutes=minutes), worst, make.NOW) is None
    first = joined(record, make.negative("p7"), make.NOW)
    assert model.join(first.record, make.negative("p7"), grade(make.negative("p7"), make.LINE, None), make.NOW) is None
    answered = model.join(record, make.answered(), None, make.NOW)
    assert answered is not None
    assert model.join(answered.record, make.answered(), None, make.NOW) is None


def test_only_what_is_worse_is_told_again_and_at_most_once_in_ten_minutes() -> None:
    record = opened(make.forecast(1, Level.LIKELY)).record
    better = joined(record, make.forecast(2, Level.WATCH, probability=0.4), make.NOW + 20 * MINUTE)
    assert (better.message, better.tell, better.record.incident.severity) == (None, TellReason.NOT_WORSE, 4)
    soon = joined(record, make.forecast(2, Level.IMMINENT), make.NOW + MINUTE)
    assert (soon.message, soon.tell) == (None, TellReason.TOLD_RECENTLY)
    due = model.due(soon.record)
    assert due == make.NOW + telling.TELL_AGAIN_AFTER
    told = fired(soon.record, due)
    assert told.tell is TellReason.WORSE
    assert make.said(told).because == "it rose from SEV3 to SEV2; it is about to cross the line"
    assert model.fire(told.record, due + MINUTE) is None
    late = joined(record, make.forecast(2, Level.IMMINENT), make.NOW + 10 * MINUTE)
    assert (make.said(late).change, late.tell) == (Change.UPDATED, TellReason.WORSE)


def test_severity_1_waits_for_nothing_but_is_told_once() -> None:
    record = opened(make.forecast(1, Level.LIKELY)).record
    worst = make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood())
    told = joined(record, worst, make.NOW + MINUTE)
    assert make.said(told).tell is TellReason.WORSE
    again = joined(told.record, worst.model_copy(update={"number": 3}), make.NOW + 2 * MINUTE)
    assert (again.message, again.tell) == (None, TellReason.NOT_WORSE)


def test_crossing_is_told_at_once() -> None:
    crossed = joined(opened().record, make.forecast(2, Level.CROSSED), make.NOW + MINUTE)
    assert make.said(crossed).tell is TellReason.CROSSED
    assert make.said(crossed).because.startswith("it has crossed the line")
    assert make.said(crossed).because.count("crossed the line") == 1
    assert crossed.record.incident.answer_by is None


@pytest.mark.parametrize(
    ("level", "title"),
    [
        (Level.WATCH, "a story on bsky may cross the line of 500 engagements"),
        (Level.LIKELY, "a story on bsky is likely to cross the line of 500 engagements"),
        (Level.IMMINENT, "a story on bsky is about to cross the line of 500 engagements"),
        (Level.CROSSED, "a story on bsky has crossed the line of 500 engagements"),
        (Level.EASING, "a story on bsky is easing (its line: 500 engagements)"),
    ],
)
def test_the_title_says_how_the_story_stands_to_its_line(level: Level, title: str) -> None:
    assert words.title("Acme", outlook(make.forecast(level=level)), "bsky", False) == f"Acme: {title}"


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (SurgePhase.START, "a surge began: "),
        (SurgePhase.GROWING, "the surge is growing: "),
        (SurgePhase.END, "the surge has ended: "),
    ],
)
def test_the_timeline_says_what_a_surge_does(phase: SurgePhase, said: str) -> None:
    transition = model.join(opened().record, make.surge(phase), Grade(3, "60 where 10.0 are usual"), make.NOW + MINUTE)
    assert transition is not None
    assert transition.entries[-1].because == f"{said}60 where 10.0 are usual"


def test_a_forecast_beyond_what_was_told_is_told() -> None:
    record = opened(make.forecast(1, final_size=Interval(low=300, median=700, high=1400))).record
    inside = make.forecast(2, final_size=Interval(low=1400, median=1450, high=2000))
    beyond = make.forecast(3, final_size=Interval(low=1401, median=1450, high=2000))
    later = make.NOW + 20 * MINUTE
    assert joined(record, inside, later).message is None
    assert "at least 1,401" in make.said(joined(record, beyond, later)).because


def test_answer_by_is_the_earliest_bound_of_any_conversation() -> None:
    early = CrossingTime(earliest=make.NOW + 5 * MINUTE, expected=make.NOW + 9 * MINUTE)
    record = joined(opened().record, make.forecast(conversation="bsky:q1", crossing=early), make.NOW).record
    assert record.incident.answer_by == make.NOW + 5 * MINUTE


def test_what_a_person_closed_comes_back_only_when_it_got_worse() -> None:
    closed = actions.resolve(opened().record, "dana", "", make.NOW).record
    days = make.NOW + timedelta(days=2)
    assert not reopening.why_reopened(closed, make.forecast(2, Level.LIKELY), 3, days)
    assert reopening.why_reopened(closed, make.forecast(2, Level.LIKELY), 2, days)
    assert reopening.why_reopened(closed, make.forecast(2, Level.CROSSED), 3, days)


def test_a_story_that_flickers_around_its_rule_cools_down_unless_it_is_worse_than_it_ever_was() -> None:
    signal = make.forecast(1, Level.IMMINENT)
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    terms = AnswerTerms(cool_down_minutes=30)
    first = model.open_incident(
        signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(None, terms), make.NOW
    )
    over = joined(first.record, make.forecast(2, Level.EASING), make.NOW).record
    soon, later = make.NOW + 29 * MINUTE, make.NOW + 30 * MINUTE
    assert not reopening.why_reopened(over, make.forecast(3, Level.IMMINENT), 2, soon)
    assert reopening.why_reopened(over, make.forecast(3, Level.CROSSED), 2, soon)
    assert reopening.why_reopened(over, make.forecast(3, Level.LIKELY), 1, soon)
    assert reopening.why_reopened(over, make.forecast(3, Level.LIKELY), 4, later)
    marked = actions.mark(over, "dana", OutcomeMark.USEFUL, "", soon)
    assert marked is not None
    assert reopening.why_reopened(marked.record, make.forecast(3, Level.LIKELY), 4, later), (
        "a mark does not begin it anew"
    )


def in_a_surge(usual: float, promise: float | None) -> IncidentRecord:
    signal = make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    terms = AnswerTerms(usual_answer_minutes=usual, promise_minutes=promise)
    first = model.open_incident(
        signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(None, terms), make.NOW
    )
    return joined(first.record, make.surge(), make.NOW).record


def test_an_answer_is_due_before_the_line_by_as_long_as_one_usually_takes() -> None:
    incident = in_a_surge(20, None).incident
    assert incident.answer_by == make.NOW + 25 * MINUTE
    assert words.by_when(incident) == (
        "Answer by 2026-03-01 09:25 UTC: it may cross the line as early as 09:45 UTC, and an answer usually takes 20 minutes."
    )
    late = in_a_surge(60, None).incident
    assert words.by_when(late).startswith("Answer now: it may cross the line as early as 09:45 UTC")
    assert late.answer_by == late.opened_at, "nobody is late for what could not be known"


def test_a_surge_uses_the_brand_s_promise_and_whichever_is_first_counts() -> None:
    assert in_a_surge(20, 60).incident.answer_by == make.NOW + 25 * MINUTE
    record = in_a_surge(20, 10)
    assert record.incident.answer_by == make.NOW + 10 * MINUTE
    assert "the brand promises an answer within 10 minutes" in words.by_when(record.incident)
    over = joined(record, make.surge(SurgePhase.END, minutes=5), make.NOW)
    assert over.record.incident.answer_by == make.NOW + 25 * MINUTE


def test_what_a_rule_raised_stays_raised() -> None:
    signal = make.forecast()
    decision = decide.Decision(make.rule(), Grade(1, "raised", 1), "because")
    first = model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW)
    assert joined(first.record, make.forecast(2, Level.WATCH), make.NOW).record.incident.severity == 1
    plain = opened().record
    raised = model.join(plain, make.negative(severity=1), Grade(2, "raised", 2), make.NOW)
    assert raised is not None
    assert raised.record.incident.severity == 2
    assert joined(raised.record, make.forecast(2, Level.WATCH), make.NOW).record.incident.severity == 2


def test_a_deleted_post_is_forgotten_and_does_not_come_back() -> None:
    record = joined(opened().record, make.negative("p7"), make.NOW).record
    for post in ("p1", "p7"):
        outcome = model.redact(record, ("bsky", post), make.NOW)
        assert outcome is not None
        record = outcome.record
        assert model.redact(record, ("bsky", post), make.NOW) is None
    again = joined(record, make.forecast(2, exemplars=(make.card("p7"),), loudest=(make.card("p1"),)), make.NOW)
    text = again.record.model_dump_json()
    assert "the text of" not in text
    assert "angry" not in text


def test_the_cards_kept_are_few_and_the_best() -> None:
    many = tuple(make.card(f"e{n}", followers=n, negative=n / 100) for n in range(50))
    record = joined(opened().record, make.forecast(2, loudest=many, exemplars=many), make.NOW).record
    assert [c.post_id for c in record.incident.loudest] == ["e49", "e48", "e47", "e46", "e45"]
    assert len(record.incident.exemplars) == 5


def test_a_story_with_endless_quotes_stays_bounded() -> None:
    record = opened(make.forecast(1, Level.CROSSED)).record
    for n in range(100):
        record = joined(record, make.forecast(1, Level.WATCH, conversation=f"bsky:q{n}"), make.NOW).record
    assert len(record.facets) == model.MAX_CONVERSATIONS
    assert record.incident.state is IncidentState.ACTIVE
    assert len(record.model_dump_json()) < 60_000


def test_a_calm_post_about_danger_opens_an_incident_that_says_so_and_later_ones_join_it() -> None:
    danger = make.rule(id="danger", level=None, topics=("safety",), raises_to=2)
    decision = decide.decide(make.flagged(), [danger], make.LINE, None, make.NOW)
    assert decision is not None
    record = model.open_incident(
        make.flagged(), decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW
    ).record
    assert record.incident.title == "Acme: a post about safety on bsky"
    assert (record.incident.severity, record.incident.state) == (2, IncidentState.PRIOR)
    assert record.incident.root is not None
    assert model.join(record, make.flagged(), decision.grade, make.NOW) is None, "the same post says nothing new"
    worse = decide.raised(make.flagged("p2"), [danger.model_copy(update={"raises_to": 1})], decision.grade, None)
    joined = model.join(record, make.flagged("p2"), worse, make.NOW)
    assert joined is not None
    assert joined.entries[-1].because.startswith("a post was flagged by its words")
    assert joined.record.incident.severity == 1


@pytest.mark.parametrize(
    ("signal", "title"),
    [
        (make.asked(), "Acme: a question on bsky"),
        (make.unread(), "Acme: a post that could not be read on bsky"),
        (make.negative(), "Acme: a severe complaint on bsky"),
        (make.surge(unread=True), "Acme: a surge of posts that could not be read"),
    ],
)
def test_an_incident_says_what_opened_it(signal: Opening, title: str) -> None:
    assert opened(signal).record.incident.title == title


def test_a_complaint_says_more_than_the_question_before_it() -> None:
    record = opened(make.asked()).record
    joined = model.join(record, make.negative("p2"), grade(make.negative(), make.LINE, None), make.NOW)
    assert joined is not None
    assert joined.record.incident.title == "Acme: a severe complaint on bsky"


def with_a_newer_field(value: Any) -> Any:
    """As JSON, each part of it with one field more."""
    if isinstance(value, BaseModel):
        fields = {name: with_a_newer_field(one) for name, one in dict(value).items()}
        return {**fields, "newer_than_this": {"some": ["thing"]}}
    if isinstance(value, dict):
        return {key: with_a_newer_field(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [with_a_newer_field(one) for one in value]
    return to_jsonable_python(value)


def test_a_record_that_a_newer_version_wrote_is_read() -> None:
    record = opened().record
    written = json.dumps(with_a_newer_field(record))
    assert written.count("newer_than_this") > 5, "parts of parts have newer fields, too"
    assert read_record(written) == record


def test_a_record_that_lacks_what_it_needs_is_not_read() -> None:
    with pytest.raises(ValidationError, match="ordinal"):
        read_record('{"incident": {}, "brand_name": "Acme Air"}')
