"""Whatever comes in whatever order: an incident's promises hold after every step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerter.incidents import actions, model, telling
from alerter.incidents.record import IncidentRecord, Transition, material
from alerter.incidents.transitions import TRANSITIONS, Refused
from alerter.rules import decide
from alerter.rules.severity import grade
from alerter.states import ENDED, TellReason
from services.contracts.base import StoryId
from services.contracts.incident import Change, IncidentState, OutcomeMark
from services.contracts.signal import Interval, Level, SurgePhase
from tests.unit.alerter import make

PEOPLE = st.sampled_from(["dana", "lee"])
CONVERSATIONS = st.sampled_from([make.STORY, "bsky:q1", "bsky:q2"])


class Life(RuleBasedStateMachine):
    record: IncidentRecord

    @initialize(level=st.sampled_from(Level))
    def opens(self, level: Level) -> None:
        self.now = make.NOW
        self.numbers = {make.STORY: 1}
        self.surged = 0
        self.paged: list[tuple[Change, object]] = []
        self.crossed = level is Level.CROSSED
        self.waits = True
        self.reopening = False
        signal = make.forecast(1, level)
        decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
        self.record = model.open_incident(
            signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), self.now
        ).record

    def take(self, transition: Transition | None) -> None:
        if transition is None:
            return
        outcome = make.announced(self.record, transition, self.now)
        before, after, message = self.record.incident, outcome.record.incident, outcome.message
        if outcome.resumes_at is not None:
            self.waits = True
        elif outcome.halts or after.state in ENDED:
            self.waits = False
        assert after.sequence == before.sequence + 1
        assert before.state not in ENDED or after.state is before.state or self.reopening
        allowed = {to for (state, _), to in TRANSITIONS.items() if state is before.state}
        assert after.state in allowed | {before.state}
        assert outcome.tell.is_told <= (message is not None), "whoever is told is told something"
        if after.state in ENDED and before.state not in ENDED:
            assert message is not None
            assert (message.change, outcome.tell) == (Change.RESOLVED, TellReason.ENDED)
        if after.state is IncidentState.ACTIVE and before.state is not IncidentState.ACTIVE:
            assert outcome.tell.is_told or telling.is_muted(outcome.record)
        if message is not None:
            assert message.because
            assert message.tell is outcome.tell
        if outcome.tell in (TellReason.WORSE, TellReason.CROSSED, TellReason.SURGING):
            became_active = after.state is IncidentState.ACTIVE and before.state is not after.state
            # Severity 1 is never put off: it ends a snooze, also where people heard of a severity 1 before.
            worst = after.severity == 1 and (self.record.told.severity > 1 or before.snoozed_until is not None)
            assert worst or not telling.is_muted(self.record), "whoever has it is not disturbed"
            # Nor is what gets worse when the policy was used up and nobody had answered.
            is_alone = self.record.used_up_at is not None and outcome.record.is_pressing
            alone = is_alone and material(self.record.told, outcome.record)
            assert became_active or worst or alone or self.now - self.record.told.at >= telling.TELL_AGAIN_AFTER
        self.record = outcome.record

    @rule(
        level=st.sampled_from(Level), conversation=CONVERSATIONS, probability=st.floats(0, 1), size=st.integers(1, 10**6),
        without=st.none() | st.floats(0, 1), sour=st.booleans(),
    )  # fmt: skip
    def forecasts(
        self, level: Level, conversation: str, probability: float, size: int, without: float | None, sour: bool
    ) -> None:
        number = self.numbers[conversation] = self.numbers.get(conversation, 0) + 1
        signal = make.forecast(
            number, level, conversation=conversation, probability=probability, probability_without_automation=without,
            final_size=Interval(low=size / 2, median=size, high=size * 2), mood=make.mood() if sour else None,
        )  # fmt: skip
        self.crossed = self.crossed or (level is Level.CROSSED and not self.record.ended)
        outcome = model.join(self.record, signal, grade(signal, make.LINE, None), self.now)
        assert (outcome is None) == self.record.ended
        self.take(outcome)
        assert model.join(self.record, signal, grade(signal, make.LINE, None), self.now) is None

    @rule(phase=st.sampled_from(SurgePhase), factor=st.floats(1, 50))
    def surges(self, phase: SurgePhase, factor: float) -> None:
        self.surged += 1
        signal = make.surge(phase, minutes=self.surged, factor=factor)
        self.take(model.join(self.record, signal, grade(signal, make.LINE, None), self.now))

    @rule(post=st.integers(0, 20), severity=st.integers(0, 4))
    def somebody_complains(self, post: int, severity: int) -> None:
        signal = make.negative(f"n{post}", severity)
        self.take(model.join(self.record, signal, grade(signal, make.LINE, None), self.now))

    @rule()
    def brand_answers(self) -> None:
        self.take(model.join(self.record, make.answered(at=self.now), None, self.now))

    @rule(post=st.integers(0, 20))
    def post_is_deleted(self, post: int) -> None:
        self.take(model.redact(self.record, ("bsky", f"n{post}"), self.now))

    @rule(by=PEOPLE, minutes=st.none() | st.integers(1, 600))
    def acknowledged(self, by: str, minutes: int | None) -> None:
        until = None if minutes is None else self.now + timedelta(minutes=minutes)
        if self.record.ended:
            with pytest.raises(Refused):
                actions.acknowledge(self.record, by, "", self.now, until)
        else:
            self.take(actions.acknowledge(self.record, by, "", self.now, until))

    @rule(by=PEOPLE, minutes=st.integers(1, 600))
    def snoozed(self, by: str, minutes: int) -> None:
        until = self.now + timedelta(minutes=minutes)
        if self.record.ended or self.record.incident.severity == 1:
            with pytest.raises(Refused):
                actions.snooze(self.record, by, "", self.now, until)
        else:
            self.take(actions.snooze(self.record, by, "", self.now, until))

    @rule(by=PEOPLE, to=PEOPLE)
    def reassigned(self, by: str, to: str) -> None:
        if not self.record.ended:
            self.take(actions.reassign(self.record, by, to, "", self.now))

    @rule(by=PEOPLE)
    def resolved(self, by: str) -> None:
        if not self.record.ended:
            self.take(actions.resolve(self.record, by, "", self.now))

    @rule(by=PEOPLE)
    def reopened(self, by: str) -> None:
        if not self.record.ended:
            with pytest.raises(Refused):
                actions.reopen(self.record, by, "", self.now)
            return
        self.reopening = True
        self.take(actions.reopen(self.record, by, "", self.now))
        self.reopening = False
        beyond = self.crossed or self.record.surge is not None
        assert self.record.incident.state is (IncidentState.ACTIVE if beyond else IncidentState.PRIOR)

    @rule(by=PEOPLE, outcome=st.sampled_from(OutcomeMark))
    def marked(self, by: str, outcome: OutcomeMark) -> None:
        self.take(actions.mark(self.record, by, outcome, "", self.now))
        assert self.record.incident.outcome is outcome

    @rule()
    def escalates(self) -> None:
        if not self.record.ended:
            self.take(model.escalate(self.record, 1, ("desk",), self.now))

    @rule(minutes=st.integers(1, 2000))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        for _ in range(10):
            outcome = model.fire(self.record, self.now)
            if outcome is None:
                break
            self.take(outcome)
        due = model.due(self.record)
        assert due is None or due > self.now, "a timer that stays due would spin"

    @invariant()
    def survives_storage(self) -> None:
        text = self.record.model_dump_json(exclude_defaults=True)
        assert IncidentRecord.model_validate_json(text) == self.record

    @invariant()
    def stays_in_bounds(self) -> None:
        incident = self.record.incident
        assert 1 <= incident.severity <= 4
        assert len(incident.exemplars) <= 5
        if incident.state in (IncidentState.AVERTED, IncidentState.EXPIRED):
            assert not self.crossed
        if self.record.ended:
            assert model.due(self.record) is None
        if incident.severity == 1 and not self.record.ended:
            assert incident.snoozed_until is None, "severity 1 is never put off"
        if not self.record.ended:
            assert self.waits != telling.is_muted(self.record), "either somebody has it or the policy goes on"
        forgotten = {post for _, post in self.record.cards.redacted}
        assert not forgotten & {card.post_id for card in incident.exemplars}


Life.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
