"""What people do to incidents: one table of actions, behind the API and the console alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter

from alerter.api import schemas, seen, views
from alerter.api.auth import Caller, Responder
from alerter.api.context import ApiContext, found
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import IncidentKey
from alerter.desk.context import Context
from alerter.desk.handover import NotThere
from alerter.desk.people import People
from alerter.desk.service import IncidentService
from alerter.incidents.record import IncidentRecord
from alerter.incidents.transitions import Refused
from alerter.store import audit
from services.contracts.incident import Incident


@dataclass(frozen=True, slots=True)
class Action:
    """`done` is the word of the audit log, `body` what a person says with it."""

    done: str
    body: type[schemas.ActionIn]
    apply: Callable[[People, str, Any], IncidentRecord | None]
    """Takes a `body`."""


ACTIONS: Final[Mapping[str, Action]] = {
    "acknowledge": Action(
        "acknowledged",
        schemas.Acknowledgement,
        lambda p, i, said: p.acknowledge(i, said.by, said.comment, said.minutes),
    ),
    "escalate": Action("escalated", schemas.ActionIn, lambda p, i, said: p.escalate(i, said.by, said.comment)),
    "resolve": Action("resolved", schemas.ActionIn, lambda p, i, said: p.resolve(i, said.by, said.comment)),
    "reopen": Action("reopened", schemas.ActionIn, lambda p, i, said: p.reopen(i, said.by, said.comment)),
    "snooze": Action("snoozed", schemas.Snooze, lambda p, i, said: p.snooze(i, said.by, said.comment, said.minutes)),
    "reassign": Action(
        "reassigned", schemas.Reassignment, lambda p, i, said: p.reassign(i, said.by, said.to, said.comment)
    ),
    "outcome": Action("marked", schemas.OutcomeIn, lambda p, i, said: p.mark(i, said.by, said.outcome, said.comment)),
    "note": Action("noted", schemas.NoteIn, lambda p, i, said: p.note(i, said.by, said.comment)),
    "severity": Action(
        "regraded", schemas.Regrading, lambda p, i, said: p.regrade(i, said.by, said.severity, said.comment)
    ),
    "playbook": Action("ticked", schemas.TickIn, lambda p, i, said: p.tick(i, said.by, said.step, said.done)),
    "labels": Action("labelled", schemas.LabelsIn, lambda p, i, said: p.label(i, said.by, said.add, said.remove)),
}
"""The last part of the path -> what it does."""


HOLDING: Final = frozenset({"acknowledge", "snooze"})
"""Actions by which somebody has the incident, under the name that they give."""


def _check_asked(desk: IncidentService, caller: Caller, context: Context, record: IncidentRecord, name: str) -> None:
    """Raises `NotThere` if the caller may not hand the incident to whoever has this name."""
    if not seen.may_ask(desk.connection, caller, context.config, record.incident.brand, name, context.now):
        raise NotThere(f"there is nobody called {name}")


async def perform(service: ApiContext, caller: Caller, name: str, incident: str, said: schemas.ActionIn) -> Incident:
    """Do what a person asked for, and write it into the audit log if it changed something.

    Raises `Problem` 404 where the caller knows no such incident, 409 where this cannot be done to it now, and 422 where it is
    handed to nobody who can be told.
    """
    action = ACTIONS[name]

    def act(desk: IncidentService) -> IncidentRecord | None:
        before = views.record_of(desk.connection, caller, incident)
        if before is not None and isinstance(said, schemas.Reassignment):
            _check_asked(desk, caller, service.context(), before, said.to)
        after = action.apply(desk.people, incident, said) if before is not None else None
        if after is not None and caller.outside and after != before and name in HOLDING:
            after = seen.held_from_outside(desk, after)
        if before is not None and after is not None and after != before:
            now, brand = service.context().now, after.incident.brand
            detail = {"by": said.by, "comment": said.comment}
            audit.record(desk.connection, now, caller.name, f"incident.{action.done}", incident, brand, detail)
        return after

    try:
        done = found(await service.act(act))
    except Refused as error:
        raise Problem(409, str(error)) from None
    except NotThere as error:
        # Who else there is, is nothing that a key from outside the house learns by guessing.
        why = "nobody who can be told of this incident has that name" if caller.outside else str(error)
        raise Problem(422, f"to: {why}", errors=[{"at": "body.to", "why": why}]) from None
    return views.shown_to(caller, done, service.context().config.source_policy).incident


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/incidents/{incident}/acknowledge", responses={**ABSENT, **CONFLICT})
    async def acknowledge_incident(caller: Responder, incident: IncidentKey, said: schemas.Acknowledgement) -> Incident:
        """Take the incident for a while. The remaining steps are cancelled, and everybody told so far hears who has it.
        Repeating it extends it. When it expires, whoever had it is told, and the policy continues."""
        return await perform(service, caller, "acknowledge", incident, said)

    @routes.post("/incidents/{incident}/escalate", responses={**ABSENT, **CONFLICT})
    async def escalate_incident(caller: Responder, incident: IncidentKey, said: schemas.ActionIn) -> Incident:
        """Do the next step of its policy now. Whoever had it no longer does, until somebody acknowledges again. After the
        last step that step is done once more."""
        return await perform(service, caller, "escalate", incident, said)

    @routes.post("/incidents/{incident}/resolve", responses={**ABSENT, **CONFLICT})
    async def resolve_incident(caller: Responder, incident: IncidentKey, said: schemas.ActionIn) -> Incident:
        """Mark it as over. It comes back only if the story gets worse than it was, or by `reopen`."""
        return await perform(service, caller, "resolve", incident, said)

    @routes.post("/incidents/{incident}/reopen", responses={**ABSENT, **CONFLICT})
    async def reopen_incident(caller: Responder, incident: IncidentKey, said: schemas.ActionIn) -> Incident:
        """It is not over. Within ten minutes of `resolve` everything is as it was before; later nobody has it. Where nobody
        has it, the policy goes on where it stopped, in two minutes. Everybody who was told hears so. 409 if it is not over,
        or if its story has gone on in a newer incident."""
        return await perform(service, caller, "reopen", incident, said)

    @routes.post("/incidents/{incident}/snooze", responses={**ABSENT, **CONFLICT})
    async def snooze_incident(caller: Responder, incident: IncidentKey, said: schemas.Snooze) -> Incident:
        """Put it off: nobody is told for a while, unless it becomes SEV1 (`severity: 1`). Then the policy continues.
        SEV1 cannot be snoozed."""
        return await perform(service, caller, "snooze", incident, said)

    @routes.post("/incidents/{incident}/reassign", responses={**ABSENT, **CONFLICT})
    async def reassign_incident(caller: Responder, incident: IncidentKey, said: schemas.Reassignment) -> Incident:
        """Ask somebody to take it: a responder, whoever is on call for a schedule, or an endpoint. They are paged by their own
        rules, and have five minutes to acknowledge it. Whoever has it keeps it until they do; if nobody has it, the policy
        then continues, at once if they cannot be reached. Somebody who does not exist or cannot be told is a 422 with the
        names of those who can."""
        return await perform(service, caller, "reassign", incident, said)

    @routes.post("/incidents/{incident}/outcome", responses=ABSENT)
    async def mark_incident(caller: Responder, incident: IncidentKey, said: schemas.OutcomeIn) -> Incident:
        """Say how good the alarm was, even after it has ended. The latest mark counts."""
        return await perform(service, caller, "outcome", incident, said)

    @routes.post("/incidents/{incident}/note", responses=ABSENT)
    async def note_incident(caller: Responder, incident: IncidentKey, said: schemas.NoteIn) -> Incident:
        """Leave a note for the others, even after it has ended. Nobody is told of it; it stands in the incident, on its page
        and in the next message about it."""
        return await perform(service, caller, "note", incident, said)

    @routes.post("/incidents/{incident}/labels", responses=ABSENT)
    async def label_incident(caller: Responder, incident: IncidentKey, said: schemas.LabelsIn) -> Incident:
        """Add and remove labels, at most 20 of them. Nobody is told of it."""
        return await perform(service, caller, "labels", incident, said)

    @routes.post("/incidents/{incident}/severity", responses={**ABSENT, **CONFLICT})
    async def regrade_incident(caller: Responder, incident: IncidentKey, said: schemas.Regrading) -> Incident:
        """Give it another severity, and say why. That holds until the story gets worse than it is now. Everybody who was told
        hears so."""
        return await perform(service, caller, "severity", incident, said)

    @routes.post("/incidents/{incident}/playbook", responses={**ABSENT, **CONFLICT})
    async def tick_step(caller: Responder, incident: IncidentKey, said: schemas.TickIn) -> Incident:
        """Tick a step of its playbook off, or take that back, even after it has ended. Nobody is told of it. 409 if the
        playbook has no such step."""
        return await perform(service, caller, "playbook", incident, said)
