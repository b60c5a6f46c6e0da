"""Silences and campaign mutes: made, listed, ended. What they held back is looked at again when they end, also early."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints
from sqlalchemy import Connection, select

from alerter.api import schemas
from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext, Limit
from alerter.api.problems import ABSENT, Problem
from alerter.silences import store
from alerter.silences.matching import Field, Silence
from alerter.store import audit, tables

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/silences", status_code=201)
    async def create_silence(caller: Responder, body: schemas.SilenceIn) -> schemas.SilenceOut:
        """Nobody is told of matching incidents until the silence ends; then people are told of what is still open. It never
        covers SEV1. With `covers: volume` (a planned campaign) it holds back only what the number of posts explains,
        never complaints or anger."""
        now = service.context().now
        starts_at = body.starts_at or now
        if body.ends_at <= max(starts_at, now):
            why = "is before the start, or in the past"
            raise Problem(422, f"ends_at {why}", errors=[{"at": "body.ends_at", "why": why}])
        named = {value for m in body.matchers if m.field is Field.BRAND and not m.negate for value in m.values}
        known = {brand.id for brand in service.process.config.brands}
        strange = sorted(value for value in named if "*" not in value and value not in known)
        # To a limited key a brand of others is like one that does not exist: both are refused below.
        if strange and not caller.outside:
            why = f"no brand {', '.join(strange)} in the configuration"
            raise Problem(422, why, errors=[{"at": "body.matchers", "why": why}])

        def write(connection: Connection) -> Silence:
            made = store.add(
                connection, body.covers, body.matchers, starts_at, body.ends_at, body.by, body.comment, now
            )
            if not caller.covers(made.brands):
                raise Problem(404, "your key is limited to brands: add a matcher on `brand` with only those brands")
            _record(connection, service, caller, "silence.created", made)
            return made

        return _shown(await service.database.write(write))

    @routes.get("/silences")
    async def list_silences(
        caller: Reader,
        ended: Annotated[bool, Query(description="include those that have ended")] = False,
        limit: Limit = 50,
    ) -> schemas.Silences:
        """Silences that are in force or planned; the one that ends last comes first."""
        now = service.context().now

        def read(connection: Connection) -> list[Silence]:
            query = select(tables.silences).order_by(tables.silences.c.ends_at.desc(), tables.silences.c.id)
            if not ended:
                query = query.where(tables.silences.c.ends_at > now)
            every = (store.silence_of(row) for row in connection.execute(query))
            return [silence for silence in every if caller.covers(silence.brands)][:limit]

        return schemas.Silences(items=tuple(_shown(s) for s in await service.database.read(read)))

    @routes.get("/silences/{silence}", responses=ABSENT)
    async def get_silence(caller: Reader, silence: Key) -> schemas.SilenceOut:
        known = await service.database.read(lambda c: store.find(c, silence))
        return _shown(_visible(caller, known))

    @routes.delete("/silences/{silence}", status_code=204, responses=ABSENT)
    async def end_silence(caller: Responder, silence: Key) -> None:
        """End it now. People are told at once of what it held back and is still open."""
        now = service.context().now

        def write(connection: Connection) -> None:
            known = _visible(caller, store.find(connection, silence))
            if store.end(connection, silence, now):
                _record(connection, service, caller, "silence.ended", known)

        await service.database.write(write)
        service.ring()


def _visible(caller: Caller, silence: Silence | None) -> Silence:
    if silence is None or not caller.covers(silence.brands):
        raise Problem(404, "there is none with this id")
    return silence


def _record(connection: Connection, service: ApiContext, caller: Caller, what: str, silence: Silence) -> None:
    detail = {"by": silence.author, "comment": silence.comment, "ends_at": silence.ends_at.isoformat()}
    audit.record(connection, service.context().now, caller.name, what, silence.id, audit.only(silence.brands), detail)


def _shown(silence: Silence) -> schemas.SilenceOut:
    return schemas.SilenceOut(
        id=silence.id,
        covers=silence.covers,
        matchers=silence.matchers,
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        by=silence.author,
        comment=silence.comment,
        created_at=silence.created_at,
    )
