"""Applies what people do to incidents; what an action means is decided in `incidents.actions`.

Each action returns the incident after it, or `None` if there is no such incident. It raises `Refused` if the state of
the incident does not allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from alerter.desk import handover
from alerter.desk.announce import Announcer
from alerter.desk.timers import Timers
from alerter.escalation import steps
from alerter.incidents import actions, by_hand, notes, playbook, regrading
from alerter.incidents.record import Entry, IncidentRecord, Transition
from alerter.incidents.transitions import Refused
from alerter.rules.severity import WORST
from services.config.model import Brand
from services.contracts.incident import HeldBy, OutcomeMark


class People:
    """People's actions, in one transaction."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._now = announcer.now

    def acknowledge(self, incident: str, by: str, comment: str, minutes: float | None = None) -> IncidentRecord | None:
        until = None if minutes is None else self._now + timedelta(minutes=minutes)
        return self._act(incident, lambda record: actions.acknowledge(record, by, comment, self._now, until))

    def snooze(self, incident: str, by: str, comment: str, minutes: float) -> IncidentRecord | None:
        until = self._now + timedelta(minutes=minutes)
        return self._act(incident, lambda record: actions.snooze(record, by, comment, self._now, until))

    def reassign(self, incident: str, by: str, to: str, comment: str) -> IncidentRecord | None:
        """Page `to`, as a step would, and ask them to take it.

        Raises `NotThere` if nobody called `to` can be told, and `Refused` if nobody may be told of it now.
        """
        record = self._announcer.store.load(incident)
        if record is None:
            return None
        actions.refuse_ended(record)
        was = record.incident.held
        # What joined the storm stays in it for an hour, also if the budget has room by now.
        is_in_storm = was is not None and was.by is HeldBy.PAGE_BUDGET and record.incident.severity > WORST
        held = was if is_in_storm else self._announcer.why_held(record)
        if held is not None:
            raise Refused(f"nobody may be told of it: {held.reason}")
        paging = self._announcer.paging
        whom = handover.receiver(paging, record, to, self._now)
        request = paging.hand_over(record, whom)
        asked = actions.reassign(record, by, whom.who, comment, self._now, request.names)
        if asked is None:
            return record
        if request.goes_on:
            asked = replace(asked, entries=(Entry("told", request.words), *asked.entries))
        return self._announcer.announce(record, asked, request=request, goes_on=False)

    def escalate(self, incident: str, by: str, comment: str) -> IncidentRecord | None:
        """Do the next step of the policy now: the one that waits or was cancelled, or else the last one once more."""
        record = self._act(incident, lambda record: actions.escalate(record, by, comment, self._now))
        if record is None:
            return None
        connection, because = self._announcer.connection, f"{by} asked for it"
        steps.resume(connection, incident, self._now, record.policy.step_count - 1, because)
        waiting = steps.waiting(connection, incident)
        if waiting is not None:
            steps.hasten(connection, incident, waiting[0], self._now, because)
            Timers(self._announcer).step(incident, waiting[0], asked=True)
        return self._announcer.store.load(incident)

    def page(
        self, brand: Brand, key: str, targets: Sequence[str], message: str, by: str, severity: int
    ) -> tuple[IncidentRecord, bool]:
        """Page people now, outside any policy.

        Returns the incident, and False if an earlier page with the same `key` opened it: then nobody is told. Raises
        `Refused` if nobody would be told.
        """
        store = self._announcer.store
        known = store.story(brand.key, by_hand.story_of(key))
        before = store.load(known.incident) if known.incident is not None else None
        if before is not None:
            return before, False
        opening = by_hand.open_page(brand, key, known, targets, message, by, severity, self._now)
        request = self._announcer.paging.request(opening.record, 0)
        if not request.called:
            why = "; ".join(nobody.because for nobody in request.missing) or "there is no endpoint"
            raise Refused(f"nobody would be told: {why}")
        return self._announcer.open(opening, known, None), True

    def resolve(self, incident: str, by: str, comment: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: actions.resolve(record, by, comment, self._now))

    def reopen(self, incident: str, by: str, comment: str) -> IncidentRecord | None:
        """The story's signals go to it again. Refused where the story has gone on in a newer incident."""

        def again(record: IncidentRecord) -> Transition:
            transition = actions.reopen(record, by, comment, self._now)
            store, brand, story = self._announcer.store, record.incident.brand, record.incident.story
            known = store.story(brand, story)
            if known.incident not in (None, incident):
                raise Refused(f"its story went on in incident {known.incident}, which is the one to reopen or work on")
            openings = max(known.openings, record.ordinal + 1)
            store.put_story(brand, story, known._replace(incident=incident, openings=openings), self._now)
            return transition

        return self._act(incident, again)

    def mark(self, incident: str, by: str, outcome: OutcomeMark, comment: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: actions.mark(record, by, outcome, comment, self._now))

    def note(self, incident: str, by: str, text: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: notes.note(record, by, text, self._now))

    def label(self, incident: str, by: str, added: Sequence[str], removed: Sequence[str]) -> IncidentRecord | None:
        return self._act(incident, lambda record: notes.label(record, by, added, removed, self._now))

    def regrade(self, incident: str, by: str, severity: int, because: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: regrading.regrade(record, by, severity, because, self._now))

    def tick(self, incident: str, by: str, step: str, done: bool) -> IncidentRecord | None:
        """Raises `Refused` if the playbook has no such step."""

        def ticked(record: IncidentRecord) -> Transition | None:
            text = playbook.playbook_of(self._announcer.context.config, record.incident)
            if done and step not in playbook.steps_in(text):
                raise Refused("its playbook has no such step")
            return playbook.tick(record, by, step, done, self._now)

        return self._act(incident, ticked)

    def _act(self, incident: str, action: Callable[[IncidentRecord], Transition | None]) -> IncidentRecord | None:
        record = self._announcer.store.load(incident)
        if record is None:
            return None
        transition = action(record)
        return record if transition is None else self._announcer.announce(record, transition)
