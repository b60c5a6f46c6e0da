"""Applies the scorer's signals: starts and stops answer clocks, opens and updates incidents, counts volume."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from typing import Final

from alerter.answers import answer_clocks, digest
from alerter.answers.known_clocks import KnownClocks
from alerter.desk import correction, erasure, groups, redaction
from alerter.desk.announce import Announcer
from alerter.incidents import model, reopening, words
from alerter.incidents.model import Setting
from alerter.incidents.record import AnswerTerms, IncidentRecord, Story
from alerter.incidents.store import Origin
from alerter.notify import operators
from alerter.rules import decide, severity
from alerter.rules.conditions import Opening
from alerter.rules.decide import Decision
from alerter.store import volume
from services.contracts.base import BrandId, Event, StoryId
from services.contracts.changed import PostEdited, PostShown
from services.contracts.post import AuthorChanged, AuthorState, SourceCoverage
from services.contracts.signal import (
    BrandSurge,
    BrandVolume,
    CascadeForecast,
    Line,
    PostAnswered,
    PostAsked,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
    SurgePhase,
)
from services.contracts.stage import StageMoved

MAX_SURGE_STORIES: Final = 200
"""Most stories of one surge that join its incident; more would make one transaction long."""

_OF_A_STORY: Final = (CascadeForecast, PostNegative, PostAsked, PostFlagged, PostUnread, PostAnswered)


class SignalResult(StrEnum):
    """What a signal did: opened or joined an incident, was noted without one, was ignored, or was a duplicate."""

    OPENED = "opened"
    JOINED = "joined"
    NOTED = "noted"
    IGNORED = "ignored"
    REPEATED = "repeated"


class Signals:
    """Signals, in one transaction."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._connection = announcer.connection
        self._config = announcer.context.config
        self._now = announcer.now
        self._store = announcer.store
        self._redactions = redaction.Redactions(announcer.connection)
        self._clocks = KnownClocks(announcer.connection, announcer.now)
        self._groups = groups.Groups(announcer.connection, announcer.store, announcer.gate, announcer.now)

    def prefetch(self, signals: Collection[Event]) -> None:
        """Read what these signals may need in one query of each kind: most are about stories that nothing is known of."""
        places = {(signal.brand, signal.story) for signal in signals if isinstance(signal, _OF_A_STORY)}
        if places:
            self._store.prefetch(places)
        self._redactions.prefetch(signals)
        self._clocks.prefetch(want for signal in signals if (want := answer_clocks.wanted(signal)) is not None)

    def apply(self, signal: Event, origin: Origin) -> SignalResult:
        """Apply a signal. Types that concern no incident, answer clock or volume are ignored, and so is what is said of a
        post that was deleted."""
        if isinstance(signal, AuthorChanged):
            return self._change_author(signal, origin)
        if isinstance(signal, PostRedacted):
            self._redactions.remember(signal, self._now)
        event = self._redactions.without(signal)
        if event is None:
            return SignalResult.IGNORED
        timed = self._time(event)
        result = self._apply(event, origin)
        return SignalResult.NOTED if timed and result is SignalResult.IGNORED else result

    def _change_author(self, change: AuthorChanged, origin: Origin) -> SignalResult:
        """Forget every post of an author who was erased, as if each were deleted. Of one who is back nothing comes back."""
        if not erasure.note(self._connection, change, self._now):
            return SignalResult.IGNORED
        self._redactions.forget_authors()
        if change.state is AuthorState.ERASED:
            for post in erasure.posts_of(self._connection, change):
                self._redactions.remember(post, self._now)
                self._time(post)
                self._apply(post, origin)
        return SignalResult.NOTED

    def _time(self, event: Event) -> bool:
        """Returns True if an answer clock started or stopped."""
        if isinstance(event, (PostNegative, PostFlagged, PostAsked, PostUnread)):
            return answer_clocks.start(self._connection, event, self._config, self._now, self._clocks)
        if isinstance(event, PostAnswered):
            self._clocks.forget()
            return answer_clocks.stop(self._connection, event, self._now)
        if isinstance(event, PostEdited):
            self._clocks.forget()
            return answer_clocks.correct(self._connection, event, self._config)
        if isinstance(event, PostRedacted):
            self._clocks.forget()
            digest.redact(self._connection, event, self._config)
            return answer_clocks.withdraw(self._connection, event, self._config)
        return False

    def _apply(self, event: Event, origin: Origin) -> SignalResult:
        match event:
            case BrandSurge():
                return self._surge(event, origin)
            case CascadeForecast() | PostNegative() | PostAsked() | PostFlagged() | PostUnread():
                return self._of_story(event, event.story, origin)
            case PostAnswered():
                record = self._store.open_incident_of(event.brand, event.story)
                return self._join(record, event, origin) if record is not None else SignalResult.IGNORED
            case PostRedacted():
                forgotten = redaction.redact(self._announcer, event, origin)
                return SignalResult.JOINED if forgotten else SignalResult.IGNORED
            case PostEdited():
                corrected = correction.correct(self._announcer, event, origin)
                return SignalResult.JOINED if corrected else SignalResult.IGNORED
            case PostShown():
                return SignalResult.NOTED if self._redactions.restore(event) else SignalResult.IGNORED
            case SourceCoverage():
                return SignalResult.NOTED if self._announcer.sources.note(event) else SignalResult.IGNORED
            case StageMoved():
                context = self._announcer.context
                operators.tell_of_log(self._connection, self._config.operators, event.moved, self._now, context.wall)
                return SignalResult.NOTED
            case BrandVolume():
                volume.add(self._connection, event)
                return SignalResult.NOTED
        return SignalResult.IGNORED

    def _of_story(self, signal: Opening, story: StoryId, origin: Origin) -> SignalResult:
        """Apply a signal to its story's incident, or open one if a rule fires."""
        known = self._store.story(signal.brand, story)
        noted = isinstance(signal, PostNegative) and (signal.severity or 0) > (known.complaint or 0)
        if isinstance(signal, PostNegative) and noted:
            known = known._replace(complaint=signal.severity)
        record = self._store.load(known.incident) if known.incident is not None else None
        joins = record is not None and not record.ended
        decision = None if joins else self._decide(signal, known.complaint)
        followed = False
        if decision is not None:
            opens = decision if record is None else self._again(record, signal, decision)
            if opens is not None:
                return self._open(signal, story, known, opens, origin, record)
            followed = True
        if noted:
            self._store.put_story(signal.brand, story, known, self._now)
        if joins and record is not None:
            return self._join(record, signal, origin)
        return SignalResult.NOTED if noted or followed else SignalResult.IGNORED

    def _again(self, ended: IncidentRecord, signal: Opening, decision: Decision) -> Decision | None:
        """Returns the decision to open another incident, with what became of the one before, or `None` if none opens."""
        brand = self._config.brand(signal.brand)
        factor = brand.reopen_factor if brand is not None else reopening.DEFAULT_FACTOR
        why = reopening.why_reopened(ended, signal, decision.grade.severity, self._now, factor)
        if why is None:
            self._store.keep(reopening.follow(ended, signal))
            return None
        return replace(decision, reason=f"{why} {decision.reason}")

    def _surge(self, surge: BrandSurge, origin: Origin) -> SignalResult:
        """A surge joins the incident of one of its stories if there is one, and its other stories join it."""
        kind = "surge-unread" if surge.unread else "surge"
        story = StoryId(f"{kind}:{surge.begins.timestamp():.0f}")
        members = surge.stories[:MAX_SURGE_STORIES]
        if self._store.open_incident_of(surge.brand, story) is None and surge.phase is not SurgePhase.END:
            found = [self._store.open_incident_of(surge.brand, member) for member in members]
            hosts = [record for record in found if record is not None]
            if hosts:
                host = min(hosts, key=lambda record: (record.incident.severity, record.incident.opened_at))
                self._link(surge.brand, story, host.incident.id)
        result = self._of_story(surge, story, origin)
        joined = self._store.open_incident_of(surge.brand, story)
        if joined is not None:
            for member in members:
                if self._store.open_incident_of(surge.brand, member) is None:
                    self._link(surge.brand, member, joined.incident.id)
        return result

    def _link(self, brand: BrandId, story: StoryId, incident: str) -> None:
        self._store.put_story(brand, story, self._store.story(brand, story)._replace(incident=incident), self._now)

    def _line(self, brand: BrandId) -> Line:
        configured = self._config.brand(brand)
        return configured.line if configured is not None else Line()

    def _decide(self, signal: Opening, complaint: int | None) -> Decision | None:
        config = self._config
        line = self._line(signal.brand)
        return decide.decide(signal, config.rules, line, complaint, self._now, topics=config.topics_about(signal.brand))

    def _join(self, record: IncidentRecord, signal: Opening | PostAnswered, origin: Origin) -> SignalResult:
        grade = None
        if not isinstance(signal, PostAnswered):
            grade = severity.grade(signal, self._line(signal.brand), record.complaint)
            topics = self._config.topics_about(signal.brand)
            grade = decide.raised(signal, self._config.rules, grade, record.complaint, topics)
        gap = self._announcer.sources.unheard(record)
        transition = model.join(record, signal, grade, self._now, None if gap is None else gap.words)
        if transition is None:
            return SignalResult.IGNORED
        self._announcer.announce(record, transition, origin)
        return SignalResult.JOINED

    def _open(
        self,
        signal: Opening,
        story: StoryId,
        known: Story,
        decision: Decision,
        origin: Origin,
        ended: IncidentRecord | None,
    ) -> SignalResult:
        """Open an incident, unless one of the same group takes the story in. `ended` is the story's incident before."""
        earlier = reopening.sizes_now(ended) if ended is not None else None
        setting = self._setting(signal, decision)
        opening = model.open_incident(signal, decision, story, known, setting, self._now, earlier)
        group = decision.group
        host = self._groups.host(group, opening.record)
        if group is not None and host is not None:
            joined = groups.join(host, signal, story, decision, group, known.complaint, self._config, self._now)
            self._announcer.announce(host, joined, origin)
            self._store.put_story(signal.brand, story, known._replace(incident=host.incident.id), self._now)
            self._groups.joined(group)
            return SignalResult.JOINED
        opened = self._announcer.open(opening, known, origin)
        self._groups.opened(group, opened.incident.id)
        return SignalResult.OPENED

    def _setting(self, signal: Opening, decision: Decision) -> Setting:
        brand = self._config.brand(signal.brand)
        return Setting(
            brand_name=brand.name if brand is not None else signal.brand,
            policy=self._config.policy(decision.rule.policy),
            first_step=words.first_step(self._config.playbooks.get(decision.rule.playbook or "")),
            terms=AnswerTerms(
                usual_answer_minutes=brand.usual_answer_minutes if brand is not None else 0,
                promise_minutes=brand.promise.minutes if brand is not None else None,
                cool_down_minutes=decision.rule.cool_down_minutes,
            ),
        )
