"""One action on many incidents: each is done like a single one, with its own reasons and its own line in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field

from alerter.api import actions, schemas
from alerter.api.auth import Caller, Responder
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.schemas import IncidentKey, Shape

MOST: Final = 100


class BulkAction(StrEnum):
    """What may be done to many at once: what needs nothing besides, and can be taken back."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class BulkIn(schemas.ActionIn):
    """The same action on each of these incidents."""

    action: BulkAction
    incidents: Annotated[tuple[IncidentKey, ...], Field(min_length=1, max_length=MOST)] = Field(
        examples=[["0123456789abcdef0123456789abcdef"]]
    )


class Done(Shape):
    """What became of one of them."""

    incident: str
    status: int = Field(description="as the single action would answer: 200, 404 or 409")
    why_not: str | None = Field(None, description="why it was not done")


class BulkOut(Shape):
    done: int = Field(description="how many of them")
    results: tuple[Done, ...]


async def perform(
    service: ApiContext, caller: Caller, action: BulkAction, incidents: Sequence[str], by: str, comment: str
) -> BulkOut:
    """Do it to each, one after the other. One that cannot be done holds up no other."""
    said = actions.ACTIONS[action].body(by=by, comment=comment)
    results = []
    for incident in dict.fromkeys(incidents):
        try:
            await actions.perform(service, caller, action, incident, said)
        except Problem as problem:
            if problem.status not in (404, 409):
                raise
            results.append(Done(incident=incident, status=problem.status, why_not=problem.detail))
        else:
            results.append(Done(incident=incident, status=200))
    return BulkOut(done=sum(one.why_not is None for one in results), results=tuple(results))


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/incidents/bulk")
    async def act_on_many(caller: Responder, asked: BulkIn) -> BulkOut:
        """Acknowledge or resolve several incidents. The answer is 200 also where some could not be done: each has its own
        status and reason, as the single action would answer."""
        return await perform(service, caller, asked.action, asked.incidents, asked.by, asked.comment)
