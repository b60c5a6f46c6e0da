"""What holds people's pages back: what it matches, until when, and that severity 1 is never among it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.incidents import model, suppression, telling
from alerter.incidents.record import Entry, IncidentRecord, Transition
from alerter.incidents.telling import Announcement
from alerter.incidents.transitions import Trigger, advance
from alerter.rules import decide
from alerter.rules.conditions import Opening
from alerter.rules.severity import grade
from alerter.silences import matching
from alerter.silences.matching import Covers, Field, Matcher, Silence
from alerter.states import TellReason
from services.config.quiet_hours import QuietHours
from services.contracts.base import StoryId
from services.contracts.incident import HeldBy, IncidentState
from services.contracts.signal import Level, SurgePhase
from tests.unit.alerter import make

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def opened(signal: Opening | None = None) -> Transition:
    signal = signal or make.forecast()
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    return model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW)


def of_severity(severity: int) -> IncidentRecord:
    record = opened().record
    return record.model_copy(update={"incident": record.incident.model_copy(update={"severity": severity})})


def silence(
    *matchers: Matcher, covers: Covers = Covers.ALL, starts: float = 0, lasts: float = 1, **more: Any
) -> Silence:
    fields: dict[str, Any] = {
        "id": "s1",
        "covers": covers,
        "matchers": matchers,
        "starts_at": make.NOW + starts * HOUR,
        "ends_at": make.NOW + (starts + lasts) * HOUR,
        "author": "dana",
        "comment": "the app is rolled out",
        "created_at": make.NOW,
    }
    return Silence(**(fields | more))


def matcher(field: Field, *values: str, negate: bool = False) -> Matcher:
    return Matcher(field=field, values=values, negate=negate)


BRAND = matcher(Field.BRAND, "acme")


@pytest.mark.parametrize(
    ("field", "hit", "miss"),
    [
        (Field.BRAND, "acme", "other"),
        (Field.BRAND, "ac*", "*x"),
        (Field.ACCOUNT, "bsky:ACME", "x:acme"),
        (Field.NETWORK, "bsky", "x"),
        (Field.LANGUAGE, "en", "de"),
        (Field.STORY, "bsky:p1", "bsky:p"),
        (Field.RULE, "viral", "surge"),
        (Field.SEVERITY, "3", "2"),
        (Field.KIND, "forecast", "surge"),
        (Field.BRAND, "*", "[a]cme"),
        (Field.BRAND, "a*e", "acm?"),
    ],
)
def test_a_matcher_matches_what_the_incident_has(field: Field, hit: str, miss: str) -> None:
    record = opened(make.forecast(root=make.card(language="en-GB"))).record
    assert matching.covers(silence(matcher(field, hit)), record)
    assert matching.covers(silence(matcher(field, "zzz", hit)), record)
    assert not matching.covers(silence(matcher(field, miss)), record)
    assert not matching.covers(silence(matcher(field, hit, negate=True)), record)
    assert matching.covers(silence(matcher(field, miss, negate=True)), record)


def test_every_matcher_must_match() -> None:
    record = opened().record
    assert matching.covers(silence(BRAND, matcher(Field.NETWORK, "bsky")), record)
    assert not matching.covers(silence(BRAND, matcher(Field.NETWORK, "x")), record)


def test_a_silence_holds_from_its_start_to_its_end_and_says_who_and_why() -> None:
    record = opened().record
    one = silence(BRAND, starts=1)
    held = matching.held(record, [one], (), make.NOW + HOUR)
    assert held is not None
    assert (held.by, held.until) == (HeldBy.SILENCE, make.NOW + 2 * HOUR)
    assert held.reason == "silence by dana until 2026-03-01 11:00 UTC: the app is rolled out"
    for hours in (0.99, 2):
        assert matching.held(record, [one], (), make.NOW + hours * HOUR) is None


def test_of_several_the_last_to_end_counts() -> None:
    held = matching.held(opened().record, [silence(BRAND, lasts=3), silence(BRAND, lasts=2)], (), make.NOW)
    assert held is not None
    assert held.until == make.NOW + 3 * HOUR


fine = make.mood(0.2, 0.2)
cheerful = make.card(negative=0.05)


@pytest.mark.parametrize(
    ("signal", "covered"),
    [
        (make.forecast(root=cheerful, mood=fine), True),
        (make.forecast(root=cheerful, mood=None), True),
        (make.forecast(root=cheerful, mood=make.mood(0.5, 0.2)), False),
        (make.forecast(root=cheerful, mood=make.mood(0.5, 0.2, scored=3)), False),
        (make.forecast(root=make.card(negative=0.9), mood=fine), False),
        (make.forecast(root=make.card(negative=None), mood=fine), False),
        (make.forecast(root=None, mood=fine), False),
        (make.negative(severity=2), False),
        (make.surge(share=0.1), True),
        (make.surge(share=0.6), False),
        (make.surge(share=None), False),
    ],
)
def test_a_mute_covers_volume_and_never_mood(signal: Opening, covered: bool) -> None:
    record = opened(signal).record
    held = matching.held(record, [silence(BRAND, covers=Covers.VOLUME)], (), make.NOW)
    if record.incident.severity == 1:
        pytest.skip("severity 1 is never held back")
    assert (held is not None and held.by is HeldBy.MUTE) == covered


def test_a_mute_ends_for_a_story_whose_mood_turns() -> None:
    record = opened(make.forecast(root=cheerful, mood=fine)).record
    turned = make.forecast(2, root=cheerful, mood=make.mood())
    after = model.join(record, turned, grade(turned, make.LINE, None), make.NOW)
    assert after is not None
    assert matching.held(after.record, [silence(BRAND, covers=Covers.VOLUME)], (), make.NOW) is None


NIGHT = QuietHours.model_validate(
    {"id": "night", "windows": [{"begins": "22:00", "ends": "07:00"}], "zone": "Europe/Berlin"}
)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (datetime(2026, 1, 10, 21, 30, tzinfo=UTC), datetime(2026, 1, 11, 6, 0, tzinfo=UTC)),
        # Two nights in which the clocks change: they go on to 07:00 on the wall all the same.
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 5, 0, tzinfo=UTC)),
        (datetime(2026, 10, 24, 23, 0, tzinfo=UTC), datetime(2026, 10, 25, 6, 0, tzinfo=UTC)),
        (datetime(2026, 1, 10, 12, 0, tzinfo=UTC), None),
    ],
)
def test_quiet_hours_are_what_the_clock_on_the_wall_shows(at: datetime, until: datetime | None) -> None:
    held = matching.held(of_severity(3), (), (NIGHT,), at)
    assert (held.until if held is not None else None) == until


@pytest.mark.parametrize(
    ("severity", "holds_from", "held"),
    [(1, 3, False), (1, 4, False), (2, 4, False), (2, 3, True), (3, 4, True), (4, 4, True)],
)
def test_quiet_hours_lower_by_one_and_hold_the_mildest(severity: int, holds_from: int, held: bool) -> None:
    hours = NIGHT.model_copy(update={"holds_from": holds_from})
    found = matching.held(of_severity(severity), (), (hours,), datetime(2026, 1, 10, 23, 0, tzinfo=UTC))
    assert (found is not None) == held
    if found is not None:
        assert f"SEV{severity} counts as SEV{min(4, severity + 1)}" in found.reason
    other = hours.model_copy(update={"brands": ("other",)})
    assert matching.held(of_severity(4), (), (other,), datetime(2026, 1, 10, 23, 0, tzinfo=UTC)) is None


anything = st.lists(
    st.builds(
        silence,
        st.just(BRAND),
        covers=st.sampled_from(Covers),
        starts=st.floats(-5, 5),
        lasts=st.floats(0.1, 100),
    ),
    max_size=5,
)


@given(anything, st.booleans(), st.integers(0, 5000))
def test_nothing_ever_holds_back_severity_1(silences: list[Silence], night: bool, minutes: int) -> None:
    hours = (NIGHT.model_copy(update={"holds_from": 3}),) if night else ()
    assert matching.held(of_severity(1), silences, hours, make.NOW + minutes * MINUTE) is None


@given(anything, st.integers(2, 4), st.integers(0, 5000))
def test_whatever_holds_back_ends_later_than_now_and_has_a_reason(
    silences: list[Silence], severity: int, minutes: int
) -> None:
    now = make.NOW + minutes * MINUTE
    held = matching.held(of_severity(severity), silences, (NIGHT,), now)
    if held is not None:
        assert held.until > now
        assert held.reason
        free = matching.held(of_severity(severity), silences, (NIGHT,), held.until)
        assert free is None or free.until > held.until, "looked at again at the end, it is not the same reason"


def held_back() -> IncidentRecord:
    held = matching.held(opened().record, [silence(BRAND)], (), make.NOW)
    assert held is not None
    return suppression.hold_from_the_start(opened(), held).record


def test_what_is_held_back_is_silent_until_it_is_released_and_then_says_what_became_worse() -> None:
    record = held_back()
    assert model.due(record) == make.NOW + HOUR
    signal = make.forecast(2, Level.IMMINENT)
    came = model.join(record, signal, grade(signal, make.LINE, None), make.NOW + 30 * MINUTE)
    assert came is not None
    kept = make.announced(record, came, make.NOW + 30 * MINUTE)
    assert make.said(kept).tell is TellReason.SILENCE
    released = make.announced(kept.record, suppression.release(kept.record, make.NOW + HOUR), make.NOW + HOUR)
    assert released.resumes_at == make.NOW + HOUR
    assert released.record.incident.held is None
    assert make.said(released).tell is TellReason.WORSE
    assert "it is about to cross the line" in make.said(released).because
    assert released.entries[0].kind == "released"
    assert released.entries[0].because.startswith("no longer held back: silence by dana"), "first why only now"
    assert released.entries[0].because.endswith("it is about to cross the line")


def test_what_was_not_told_is_not_taken_for_told() -> None:
    before = held_back()
    crossed = make.forecast(2, Level.CROSSED)
    now, free = make.NOW + 20 * MINUTE, opened().record
    came = model.join(free, crossed, grade(crossed, make.LINE, None), now)
    assert came is not None
    assert make.said(make.announced(free, came, now)).tell is TellReason.CROSSED
    kept = telling.decide(before, came, lambda _: before.incident.held, now)
    assert make.said(kept).tell is TellReason.SILENCE
    assert kept.record.told == before.told
    assert kept.halts


def test_an_end_ends_what_held_it_back() -> None:
    eased = make.forecast(2, Level.EASING)
    over = model.join(held_back(), eased, grade(eased, make.LINE, None), make.NOW + MINUTE)
    assert over is not None
    assert (over.record.incident.state, over.record.incident.held) == (IncidentState.EXPIRED, None)


def gathered(storm: IncidentRecord, severity: int, now: datetime) -> Announcement:
    return make.announced(storm, suppression.join_storm(storm, of_severity(severity), now), now)


def test_a_storm_counts_what_it_stands_for_and_is_as_bad_as_the_worst() -> None:
    member = of_severity(3)
    storm = suppression.open_storm(member, 0, 12, None, make.NOW)
    assert storm.record.incident.state is IncidentState.ACTIVE
    assert "12 incidents an hour" in make.said(storm).because
    assert storm.record.incident.title == "Acme: a storm: 1 further incident beyond the page budget"
    soon = gathered(storm.record, 4, make.NOW + MINUTE)
    assert (soon.message, soon.record.incident.severity) == (None, 3)
    worse = gathered(soon.record, 2, make.NOW + 11 * MINUTE)
    assert "it rose from SEV3 to SEV2" in make.said(worse).because
    assert worse.record.incident.title.startswith("Acme: a storm: 3 further incidents")
    assert matching.kinds(worse.record) == ("storm",)


def test_a_storm_is_over_an_hour_after_the_last_and_another_of_calm() -> None:
    record = suppression.open_storm(of_severity(3), 0, 12, None, make.NOW).record
    due = model.due(record)
    assert due == make.NOW + model.CALM_FOR
    eased = model.fire(record, due)
    assert eased is not None
    assert eased.record.incident.state is IncidentState.EASING
    over = model.fire(eased.record, due + model.CALM_FOR)
    assert over is not None
    assert over.record.incident.state is IncidentState.RESOLVED


def test_severity_1_breaks_what_holds_it_back() -> None:
    before = held_back()
    worst = before.model_copy(update={"floor": 1})
    came = advance(before, worst, Trigger.NOTED, Entry("negative", "a fire"), make.NOW)
    out = telling.decide(before, came, lambda _: None, make.NOW)
    assert make.said(out).tell is TellReason.WORSE
    assert out.entries[-1] == Entry("released", "SEV1 is never held back")
    assert out.resumes_at == make.NOW
    assert out.record.incident.held is None


def test_a_surge_that_ended_does_not_count_against_a_mute() -> None:
    record = opened(make.forecast(root=cheerful, mood=fine)).record
    for phase, minutes in ((SurgePhase.START, 1), (SurgePhase.END, 2)):
        signal = make.surge(phase, minutes=minutes, share=0.9)
        after = model.join(record, signal, grade(signal, make.LINE, None), make.NOW)
        assert after is not None
        record = after.record
    assert matching.volume_alone(record)


@pytest.mark.parametrize(
    ("tag", "wanted"), [("nb-NO", "no"), ("iw", "he"), ("pt_BR", "PT"), ("fil-PH", "tl"), ("zsm", "m*")]
)
def test_a_silence_knows_a_language_in_any_spelling(tag: str, wanted: str) -> None:
    record = opened(make.forecast(root=make.card(language=tag))).record
    found = matching.facts_of(record)[Field.LANGUAGE]
    assert matching.matches(Matcher(field=Field.LANGUAGE, values=(wanted,)), found)
    assert not matching.matches(Matcher(field=Field.LANGUAGE, values=("de",)), found)
    assert not matching.matches(Matcher(field=Field.LANGUAGE, values=(wanted,), negate=True), found)
