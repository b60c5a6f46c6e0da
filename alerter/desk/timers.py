"""Applies time to incidents: a step of a policy or a ring is due, a page did not arrive, an incident's timer fires."""

from __future__ import annotations

from alerter.desk.announce import Announcer, Occasion
from alerter.escalation import pages, policy, rings, steps, untold
from alerter.escalation.pages import Page
from alerter.escalation.paging import PageRequest
from alerter.incidents import actions, hearing, model, suppression, transitions
from alerter.incidents.record import Entry, IncidentRecord, Transition
from alerter.incidents.transitions import Trigger
from alerter.oncall.responders import Nobody
from services.contracts.incident import IncidentState


class Timers:
    """Timers, in one transaction. Each returns False if nothing was left to do, because another replica was faster."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._connection = announcer.connection
        self._now = announcer.now
        self._store = announcer.store
        self._paging = announcer.paging

    def step(self, incident: str, number: int, asked: bool = False) -> bool:
        """Do a step of a policy that is due, or hold the incident back. `asked`: a person wants it now."""
        record = self._store.load(incident)
        if record is None:
            return False
        held = self._announcer.why_held(record)
        if held is not None:
            self._announcer.announce(record, suppression.hold(record, held, self._now), occasion=Occasion.HOLD)
            return True
        if number >= policy.count(record.policy):
            return self._insist(record, number, asked)
        early = self._paging.why_early(record, number)
        if not steps.take(self._connection, incident, number, self._now):
            return False
        request = self._paging.request(record, number)
        sooner = steps.because(self._connection, incident, number)
        if sooner is None and early is not None:
            sooner = f"{model.UNANSWERED}; {early}" if record.audience else early
        why = [said for said in (sooner, request.said) if said is not None]
        self._escalate(record, request, "; ".join(why) or None)
        return True

    def _insist(self, record: IncidentRecord, number: int, asked: bool) -> bool:
        """Repeat the last step of a policy that is used up, unless the incident is mild, eases, or the budget is used up, and
        nobody asked for it."""
        request = None
        if asked or (record.is_pressing and self._announcer.gate.may_insist(record)):
            request = self._paging.insist(record, number)
        if request is None:
            self._paging.put_off(record, number)
            return False
        if not steps.take(self._connection, record.incident.id, number, self._now):
            return False
        self._escalate(record, request, None)
        return True

    def unreached(self, incident: str, page: int) -> bool:
        """Follow up a lost page: try the next method, or else the next step at once, or at last the fallback."""
        record = self._store.load(incident)
        wall = self._announcer.context.wall
        taken = pages.take(self._connection, page, self._now, wall) if record is not None else None
        if record is None or taken is None:
            return False
        failed, why = taken
        lost = f"the page to {failed.who} by {failed.endpoint} did not get through ({why})"
        if pages.is_one_of_several(self._connection, page):
            self._note(record, lost)
        else:
            self._next_way(record, failed, lost)
        return True

    def ring(self, incident: str, ring: int) -> bool:
        """Tell a person who was paged once more, by their own rules: nobody has acknowledged the incident."""
        record = self._store.load(incident)
        if record is None:
            return False
        held = self._announcer.why_held(record)
        if held is not None:
            self._announcer.announce(record, suppression.hold(record, held, self._now), occasion=Occasion.HOLD)
            return True
        taken = rings.take(self._connection, ring, self._now)
        if taken is None:
            return False
        if taken.is_hand_over and not actions.is_asked(record, self._now):
            return True
        request = self._paging.ring(record, taken)
        if isinstance(request, Nobody):
            to = (incident, taken.number, taken.target, taken.who, taken.method)
            way = Page(*to, "", taken.rest, taken.fallback, taken.responder)
            self._next_way(record, way, request.because)
        elif request.called:
            over = [nobody.because for nobody in request.missing]
            # One that comes early stands in for a method that failed, and hears the news in its place.
            hears = taken.because is not None
            self._escalate(record, request, "; ".join(over) or taken.why, goes_on=False, hears=hears)
        else:
            self._note(record, "; ".join(nobody.because for nobody in request.missing))
        return True

    def _next_way(self, record: IncidentRecord, failed: Page, lost: str) -> None:
        """Find another way to a person whom a page did not reach, or tell somebody else."""
        incident = record.incident.id
        if failed.is_hand_over and not actions.is_asked(record, self._now):
            self._note(record, lost)
            return
        sooner = rings.hasten(self._connection, incident, failed.responder, self._now, lost)
        if sooner is not None:
            self._note(record, f"{lost}; {sooner} comes at once")
            return
        rest = self._paging.ways_left(failed, record.incident.brand)
        request = None
        if rest:
            request = self._paging.again(failed, rest)
        elif failed.is_hand_over:
            self._not_asked(record, lost)
            return
        elif policy.is_last(record.policy, failed.number):
            request = self._paging.last_resort(record, failed.number)
        if request is not None:
            self._escalate(record, request, f"{lost}; trying {', '.join(request.names)}", goes_on=False)
            return
        if not policy.is_last(record.policy, failed.number):
            steps.hasten(self._connection, incident, failed.number + 1, self._now, lost)
        self._note(record, lost)
        if policy.is_last(record.policy, failed.number) and untold.reached_nobody(self._connection, incident):
            untold.note(self._connection, incident, failed.number, self._now, lost)

    def _not_asked(self, record: IncidentRecord, lost: str) -> None:
        """A hand-over was lost on its last way. Unless another message of it arrived or still may, it ends at once: whoever has
        the incident is told that they still do, and where nobody has it the policy goes on."""
        incident = record.incident
        since = (record.asked_until or self._now) - actions.HAND_OVER
        if pages.reaches(self._connection, incident.id, policy.HAND_OVER, since):
            self._note(record, lost)
            return
        over = actions.not_taken(record, self._now, lost)
        waiting = steps.waiting(self._connection, incident.id)
        if incident.acknowledged_by is None and waiting is not None:
            steps.hasten(self._connection, incident.id, waiting[0], self._now, over.entries[-1].because)
        self._announcer.announce(record, over)

    def look_again(self, incident: str) -> bool:
        """Send the page of a step that reached nobody, if it reaches somebody now, and go on with the policy."""
        record = self._store.load(incident)
        waiting = untold.of(self._connection, incident)
        if record is None or not waiting:
            return False
        held = self._announcer.why_held(record)
        if held is not None:
            self._announcer.announce(record, suppression.hold(record, held, self._now), occasion=Occasion.HOLD)
            return True
        untold.postpone(self._connection, incident, self._now)
        on_the_way = untold.on_the_way(self._connection, incident)
        is_known = not untold.reached_nobody(self._connection, incident)
        for step in waiting:
            if is_known and pages.of_step(self._connection, incident, step.number, False):
                # Its page was lost, and arrived after all, or others were told since.
                untold.settle(self._connection, incident, step.number)
                continue
            request = self._paging.request(record, step.number, on_the_way)
            if not request.called and policy.is_last(record.policy, step.number):
                request = self._paging.last_resort(record, step.number) or request
            if request.called:
                goes_on = untold.through(self._connection, incident, step.number, self._now)
                minutes = int((self._now - step.since).total_seconds() // 60)
                why = (
                    f"nobody could be told for {minutes} minutes: {step.because}" if minutes else "nobody could be told"
                )
                self._escalate(record, request, why, goes_on=goes_on)
                return True
        if is_known:
            self._paging.go_on(record)
        return False

    def _note(self, record: IncidentRecord, because: str) -> None:
        noted = transitions.advance(record, record, Trigger.NOTED, Entry("unreached", because), self._now)
        self._announcer.announce(record, noted)

    def _escalate(
        self,
        record: IncidentRecord,
        request: PageRequest,
        why: str | None,
        goes_on: bool = True,
        hears: bool = False,
    ) -> None:
        """With `hears` all endpoints of the request are told of later changes, or else those that `Paging.news` names."""
        news = request.names if hears else self._paging.news(request)
        if request.is_hand_over:
            asked = actions.ask_again(record, news, self._now, request.words, why or model.UNANSWERED)
            self._announcer.announce(record, asked, occasion=Occasion.STEP, request=request, goes_on=False)
            return
        transition = model.escalate(
            record, request.number, news, self._now, request.words, why, insists=request.insists
        )
        self._announcer.announce(record, transition, occasion=Occasion.STEP, request=request, goes_on=goes_on)

    def fire(self, incident: str) -> bool:
        """Do what is due when an incident's timer fires."""
        record = self._store.load(incident)
        if record is None:
            return False
        if self._reconsider(record):
            return True
        gap = self._announcer.sources.unheard(record)
        if gap is not None and (self._is_looked_at(record) or model.ends_by_silence(record, self._now)):
            return self._wait(record, gap.words)
        if self._is_looked_at(record):
            transition: Transition | None = hearing.hear(record, self._now)
        elif not record.ended and record.incident.unheard != (gap.words if gap is not None else None):
            transition = hearing.note(record, gap.words if gap is not None else None, self._now)
        else:
            transition = model.fire(record, self._now)
        if transition is None:
            self._store.rest(record)
            return False
        self._announcer.announce(record, transition)
        return True

    def _is_looked_at(self, record: IncidentRecord) -> bool:
        """Returns True if the incident waits for its networks to be heard, and this is the time to look."""
        return not record.ended and record.recheck_at is not None and record.recheck_at <= self._now

    def _wait(self, record: IncidentRecord, unheard: str) -> bool:
        """Conclude nothing from silence. The timeline says so once."""
        if record.was_unheard == unheard and record.recheck_at is not None:
            self._store.keep(hearing.waits_on(record, unheard, self._now))
            return False
        self._announcer.announce(record, hearing.wait(record, unheard, self._now))
        return True

    def _reconsider(self, record: IncidentRecord) -> bool:
        """Ask the gate again about an incident that is held back, as a silence may have ended early.

        Returns True if that changed anything.
        """
        was = record.incident.held
        if was is None or record.ended or record.incident.state is IncidentState.EASING:
            return False
        held = self._announcer.why_held(record)
        if held == was:
            return False
        now = self._now
        transition = suppression.release(record, now) if held is None else suppression.hold(record, held, now)
        self._announcer.announce(record, transition, occasion=Occasion.HOLD)
        return True
