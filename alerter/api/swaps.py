"""Swaps: two people take each other's shifts. Two overrides in one act: both are made, or none."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from alerter.api.auth import Caller, Responder
from alerter.api.context import ApiContext
from alerter.api.oncall import MOST_AHEAD, OverrideIn, OverrideMade, schedule_of, stand_in_for
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import Comment, Person, Shape
from alerter.api.seen import person_of
from alerter.oncall import rosters
from services.base.rfc3339 import Rfc3339
from services.config.section import Slug


class SwappedShift(Shape):
    """A shift, or a part of one, and whose it is."""

    responder: Slug = Field(examples=["dana"])
    begins: Rfc3339
    ends: Rfc3339


class SwapIn(Shape):
    """Each of the two takes the other's shift."""

    first: SwappedShift
    second: SwappedShift
    by: Person
    comment: Comment = ""


class SwapMade(Shape):
    overrides: tuple[OverrideMade, OverrideMade]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/schedules/{schedule}/swaps", status_code=201, responses={**ABSENT, **CONFLICT})
    async def swap_shifts(caller: Responder, schedule: Slug, body: SwapIn) -> SwapMade:
        """Let two people take each other's shifts. To undo it, delete both overrides."""
        return await swap(service, caller, schedule, body)


async def swap(service: ApiContext, caller: Caller, schedule: str, body: SwapIn) -> SwapMade:
    """Raises `Problem` 404, 409 or 422."""
    one, now = schedule_of(service, caller, schedule), service.context().now
    first, second = _ahead("first", body.first, now), _ahead("second", body.second, now)
    if first.responder == second.responder:
        raise _refused("second.responder", "is the same person; a swap is between two")
    if first.begins < second.ends and second.begins < first.ends:
        raise _refused("second.begins", "the two shifts overlap, and one person cannot serve both")
    begin, end = min(first.begins, second.begins), max(first.ends, second.ends)
    roster = await service.database.read(lambda c: rosters.between(c, begin, end, now, [schedule]))
    for name, shift in (("first", first), ("second", second)):
        if person_of(caller, service.process.config, shift.responder) is None:
            raise _refused(f"{name}.responder", f"there is no responder {shift.responder}")
        rota = roster.unroll(one, shift.begins, shift.ends)
        if any(piece.responder != shift.responder for piece in rota):
            raise _refused(f"{name}.responder", f"{shift.responder} is not on call for all of that time")
    bodies = [_override(body, first, second.responder), _override(body, second, first.responder)]
    made = await stand_in_for(service, caller, schedule, bodies)
    return SwapMade(overrides=(made[0], made[1]))


def _ahead(name: str, shift: SwappedShift, now: datetime) -> SwappedShift:
    """Returns the part of the shift that is still to come. Raises `Problem` 422."""
    if shift.ends <= max(shift.begins, now) or shift.ends > now + MOST_AHEAD:
        raise _refused(f"{name}.ends", "must be after begins, and in the coming year")
    return shift.model_copy(update={"begins": max(shift.begins, now)})


def _override(body: SwapIn, shift: SwappedShift, responder: str) -> OverrideIn:
    return OverrideIn(
        begins=shift.begins,
        ends=shift.ends,
        responder=responder,
        replaces=shift.responder,
        by=body.by,
        comment=body.comment,
    )


def _refused(field: str, why: str) -> Problem:
    return Problem(422, f"{field}: {why}", errors=[{"at": f"body.{field}", "why": why}])
