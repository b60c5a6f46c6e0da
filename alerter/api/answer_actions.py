"""What people do to complaints and questions that wait: one table of actions, behind the API and the console alike.

An action is done to up to 200 of them. What cannot be done to one is said of that one; the others are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from alerter.answers import settling
from alerter.answers.settling import ClockDeed
from alerter.api import schemas
from alerter.api.auth import Caller, Responder, seen_by
from alerter.api.context import ApiContext
from alerter.states import AnsweredBy, Dismissal
from alerter.store import audit
from alerter.store.tables import answer_clocks

ClockId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
UNKNOWN: Final = "there is none with this id"


class ClocksIn(schemas.ActionIn):
    """Which of them, and who says so."""

    ids: tuple[ClockId, ...] = Field(min_length=1, max_length=settling.MOST)


class AnsweredIn(ClocksIn):
    how: AnsweredBy


class DismissedIn(ClocksIn):
    why: Dismissal


class AssignedIn(ClocksIn):
    assignee: Annotated[str, StringConstraints(max_length=100, strip_whitespace=True)] = Field(
        description="who answers them, by name; empty: nobody in particular"
    )


class SnoozedIn(ClocksIn):
    minutes: schemas.Minutes = Field(description="then they are back in the inbox", examples=[60])


class NotDone(schemas.Shape):
    id: str
    why: str


class SettledOut(schemas.Shape):
    done: tuple[str, ...] = Field(description="the ids to which it was done")
    not_done: tuple[NotDone, ...] = Field(description="the others, and why not")


@dataclass(frozen=True, slots=True)
class AnswerAction:
    """`done` is the word of the audit log and of the metric."""

    done: str
    body: type[ClocksIn]
    apply: Callable[[Connection, Sequence[Any], Any, datetime], list[ClockDeed]]
    """Takes rows, a `body` and the time."""


ACTIONS: Final[Mapping[str, AnswerAction]] = {
    "answer": AnswerAction(
        "answered", AnsweredIn, lambda c, r, said, now: settling.answer(c, r, said.how, said.by, now)
    ),
    "dismiss": AnswerAction(
        "dismissed", DismissedIn, lambda c, r, said, now: settling.dismiss(c, r, said.why, said.by, now)
    ),
    "assign": AnswerAction("assigned", AssignedIn, lambda c, r, said, _: settling.assign(c, r, said.assignee)),
    "snooze": AnswerAction(
        "snoozed", SnoozedIn, lambda c, r, said, now: settling.snooze(c, r, now + timedelta(minutes=said.minutes))
    ),
    "reopen": AnswerAction("reopened", ClocksIn, lambda c, r, _, __: settling.take_back(c, r)),
}
"""The last part of the path -> what it does."""


async def perform(service: ApiContext, caller: Caller, name: str, said: ClocksIn) -> SettledOut:
    """Do it to all of them in one transaction, and write each into the audit log."""
    action = ACTIONS[name]
    now = service.context().now
    detail = said.model_dump(mode="json", exclude={"ids"}, exclude_defaults=True)

    def write(connection: Connection) -> list[ClockDeed]:
        rows = settling.visible(connection, said.ids, seen_by(caller, answer_clocks.c.brand))
        deeds = action.apply(connection, rows, said, now)
        for deed in deeds:
            if deed.why_not is None:
                audit.record(connection, now, caller.name, f"answer.{action.done}", deed.clock, deed.brand, detail)
        return deeds

    deeds = await service.database.write(write)
    for reason in (detail.get("how") or detail.get("why") or "" for deed in deeds if deed.why_not is None):
        service.metrics.answers_settled.labels(action.done, reason).inc()
    service.ring()
    why_not = {deed.clock: deed.why_not for deed in deeds}
    return SettledOut(
        done=tuple(clock for clock in dict.fromkeys(said.ids) if clock in why_not and why_not[clock] is None),
        not_done=tuple(
            NotDone(id=clock, why=why)
            for clock in dict.fromkeys(said.ids)
            if (why := why_not.get(clock, UNKNOWN)) is not None
        ),
    )


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/answer-clocks/answer")
    async def answer_elsewhere(caller: Responder, said: AnsweredIn) -> SettledOut:
        """They were answered where Firebreak does not hear it: by phone, by mail, in private, in person."""
        return await perform(service, caller, "answer", said)

    @routes.post("/answer-clocks/dismiss")
    async def dismiss_answers(caller: Responder, said: DismissedIn) -> SettledOut:
        """They need no answer. What is no complaint is counted, and listed with how sure the model was of one
        (`state=dismissed`)."""
        return await perform(service, caller, "dismiss", said)

    @routes.post("/answer-clocks/assign")
    async def assign_answers(caller: Responder, said: AssignedIn) -> SettledOut:
        """Say who answers them. When they are due stays as it is."""
        return await perform(service, caller, "assign", said)

    @routes.post("/answer-clocks/snooze")
    async def snooze_answers(caller: Responder, said: SnoozedIn) -> SettledOut:
        """Take them out of the inbox for a while. When they are due stays as it is, and they count as overdue from then."""
        return await perform(service, caller, "snooze", said)

    @routes.post("/answer-clocks/reopen")
    async def reopen_answers(caller: Responder, said: ClocksIn) -> SettledOut:
        """They wait after all. For what a person settled, not for what was answered on its network."""
        return await perform(service, caller, "reopen", said)
