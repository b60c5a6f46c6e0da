"""Silences and campaign mutes: made, listed, changed, ended. What they held back is looked at again when they no longer do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints
from sqlalchemy import Connection, select

from alerter.api import schemas
from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext, Limit
from alerter.api.problems import ABSENT, CONFLICT, STALE, Problem
from alerter.api.versions import IfMatch, check_version, version_in
from alerter.silences import store
from alerter.silences.matching import Field, Matcher, Silence
from alerter.store import audit, tables
from alerter.store.database import Overtaken

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/silences", status_code=201)
    async def create_silence(caller: Responder, body: schemas.SilenceIn) -> schemas.SilenceOut:
        """Nobody is told of matching incidents until the silence ends; then people are told of what is still open. It never
        covers SEV1. With `covers: volume` (a planned campaign) it holds back only what the number of posts explains,
        never complaints or anger."""
        return await create(service, caller, body)

    @routes.get("/silences")
    async def list_silences(
        caller: Reader,
        ended: Annotated[bool, Query(description="include those that have ended")] = False,
        limit: Limit = 50,
    ) -> schemas.Silences:
        """Silences that are in force or planned; the one that ends last comes first."""
        return await listed(service, caller, limit, ended=ended)

    @routes.get("/silences/{silence}", responses=ABSENT)
    async def get_silence(caller: Reader, silence: Key, response: Response) -> schemas.SilenceOut:
        """`ETag` is its version, for `If-Match`."""
        known = await service.database.read(lambda c: store.find(c, silence))
        return _tagged(response, _shown(_visible(caller, known)))

    @routes.patch("/silences/{silence}", responses={**ABSENT, **CONFLICT, **STALE})
    async def change_silence(
        caller: Responder, silence: Key, body: schemas.SilenceChange, response: Response, if_match: IfMatch = None
    ) -> schemas.SilenceOut:
        """Change what it matches, until when it lasts, or its comment. People are told at once of what it no longer holds back
        and is still open. One that is over cannot be changed."""
        return _tagged(response, await change(service, caller, silence, body, version_in(if_match)))

    @routes.delete("/silences/{silence}", status_code=204, responses=ABSENT)
    async def end_silence(caller: Responder, silence: Key) -> None:
        """End it now. People are told at once of what it held back and is still open."""
        await end(service, caller, silence)


async def listed(service: ApiContext, caller: Caller, most: int, *, ended: bool = False) -> schemas.Silences:
    """Returns the silences that the caller sees; with `ended` also those that are over."""
    now = service.context().now

    def read(connection: Connection) -> list[Silence]:
        query = select(tables.silences).order_by(tables.silences.c.ends_at.desc(), tables.silences.c.id)
        if not ended:
            query = query.where(tables.silences.c.ends_at > now)
        every = (store.silence_of(row) for row in connection.execute(query))
        return [silence for silence in every if caller.covers(silence.brands)][:most]

    return schemas.Silences(items=tuple(_shown(s) for s in await service.database.read(read)))


async def create(service: ApiContext, caller: Caller, body: schemas.SilenceIn) -> schemas.SilenceOut:
    """Raises `Problem` 404 or 422."""
    now = service.context().now
    starts_at = body.starts_at or now
    if body.ends_at <= max(starts_at, now):
        raise _ends_too_soon()
    _check_brands(service, caller, body.matchers)

    def write(connection: Connection) -> Silence:
        made = store.add(connection, body.covers, body.matchers, starts_at, body.ends_at, body.by, body.comment, now)
        _check_limits(caller, made)
        _record(connection, service, caller, "silence.created", made, body.by)
        return made

    return _shown(await service.database.write(write))


async def change(
    service: ApiContext, caller: Caller, silence: str, body: schemas.SilenceChange, expected: int | None
) -> schemas.SilenceOut:
    """Raises `Problem` 404, 409 if it is over, 412 or 422."""
    now = service.context().now
    given = {name: value for name in body.model_fields_set - {"by"} if (value := getattr(body, name)) is not None}
    if body.matchers is not None:
        _check_brands(service, caller, body.matchers)

    def write(connection: Connection) -> Silence:
        known = _visible(caller, store.find(connection, silence))
        check_version(f"silence {silence}", expected, known.version, _shown(known).model_dump(mode="json"))
        if known.ends_at <= now:
            raise Problem(409, "it is over, and what is over stays as it was: create another one")
        if body.starts_at not in (None, known.starts_at) and known.starts_at <= now:
            why = "cannot be changed: it has begun"
            raise Problem(422, f"starts_at {why}", errors=[{"at": "body.starts_at", "why": why}])
        wanted = replace(known, **given)
        if wanted.ends_at <= max(wanted.starts_at, now):
            raise _ends_too_soon()
        _check_limits(caller, wanted)
        changed = store.change(connection, wanted, now, body.by)
        if changed is None:
            raise Overtaken
        _record(connection, service, caller, "silence.changed", changed, body.by, {"fields": sorted(given)})
        return changed

    changed = await service.database.write(write)
    service.ring()
    return _shown(changed)


async def end(service: ApiContext, caller: Caller, silence: str, by: str | None = None) -> None:
    """Raises `Problem` 404."""
    now = service.context().now

    def write(connection: Connection) -> None:
        known = _visible(caller, store.find(connection, silence))
        if store.end(connection, silence, now):
            _record(connection, service, caller, "silence.ended", known, by or known.author)

    await service.database.write(write)
    service.ring()


def _ends_too_soon() -> Problem:
    why = "is before the start, or in the past"
    return Problem(422, f"ends_at {why}", errors=[{"at": "body.ends_at", "why": why}])


def _check_brands(service: ApiContext, caller: Caller, matchers: Collection[Matcher]) -> None:
    """Raises `Problem` 422 for a brand that does not exist."""
    wanted = {value for m in matchers if m.field is Field.BRAND and not m.negate for value in m.values}
    known = {brand.id for brand in service.process.config.brands}
    strange = sorted(value for value in wanted if "*" not in value and value not in known)
    # To a limited key a brand of others is like one that does not exist: both are refused by `_check_limits`.
    if strange and not caller.outside:
        why = f"no brand {', '.join(strange)} in the configuration"
        raise Problem(422, why, errors=[{"at": "body.matchers", "why": why}])


def _check_limits(caller: Caller, silence: Silence) -> None:
    if not caller.covers(silence.brands):
        raise Problem(404, "your key is limited to brands: add a matcher on `brand` with only those brands")


def _tagged(response: Response, silence: schemas.SilenceOut) -> schemas.SilenceOut:
    response.headers["etag"] = f'"{silence.version}"'
    return silence


def _visible(caller: Caller, silence: Silence | None) -> Silence:
    if silence is None or not caller.covers(silence.brands):
        raise Problem(404, "there is none with this id")
    return silence


def _record(
    connection: Connection,
    service: ApiContext,
    caller: Caller,
    what: str,
    silence: Silence,
    by: str,
    more: Mapping[str, object] | None = None,
) -> None:
    detail = {"by": by, "comment": silence.comment, "ends_at": silence.ends_at.isoformat(), **(more or {})}
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
        version=silence.version,
        changed_at=silence.changed_at,
        changed_by=silence.changed_by,
    )
