"""Keys for the API: made, listed and revoked through it. A key is shown once; only its hash is kept.

A name is never used again, so that the audit log stays clear about who did what.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import ColumnElement, Connection, or_, select, update

from alerter.api import schemas
from alerter.api.auth import ROOT, Admin, Caller, digest, root_caller
from alerter.api.context import ApiContext
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.scopes import Scope
from alerter.store import audit
from alerter.store.database import insert_missing
from alerter.store.tables import keys
from services.config.section import Slug

PREFIX: Final = "fbk_"
"""So that scanners of repositories recognise one that was committed."""
KEY_BYTES: Final = 32


async def caller_of(service: ApiContext, given: str) -> Caller | None:
    """Whose key has the digest `given`. Asked of the database each time, so that a revoked key ends at once everywhere."""
    root = root_caller(given, service.process.settings.admin_key)
    if root is not None:
        return root
    # An index finds the digest: whoever can guess by its timing has to invert SHA-256 first.
    row = await _valid(service, keys.c.digest == given)
    return None if row is None else _caller(row)


async def named(service: ApiContext, name: str) -> tuple[Caller, str] | None:
    """Whose key has this name, and its digest; `None` when it was revoked or has expired."""
    if name == ROOT:
        key = service.process.settings.admin_key
        known = "" if key is None else digest(key.get_secret_value())
        root = root_caller(known, key)
        return None if root is None else (root, known)
    row = await _valid(service, keys.c.name == name)
    return None if row is None else (_caller(row), row.digest)


async def _valid(service: ApiContext, which: ColumnElement[bool]) -> Any:
    alive = or_(keys.c.ends_wall.is_(None), keys.c.ends_wall > service.context().wall)
    query = select(keys).where(which, keys.c.revoked_wall.is_(None), alive)
    return await service.database.read(lambda c: c.execute(query).one_or_none())


def _caller(row: Any) -> Caller:
    brands = json.loads(row.brands)
    return Caller(row.name, Scope(row.scope), frozenset(brands) or None)


def brands_for(service: ApiContext, caller: Caller, wanted: Collection[str]) -> tuple[str, ...]:
    """The brands that something new is for: those wanted, or all that the caller sees; none stand for all there are.
    Raises `Problem` 422 for a brand that does not exist, or not for this caller."""
    known = {brand.id for brand in service.process.config.brands if caller.sees(brand.id)}
    if strange := sorted(set(wanted) - known):
        why = f"no brand {', '.join(strange)} in the configuration"
        raise Problem(422, why, errors=[{"at": "body.brands", "why": why}])
    return tuple(wanted) or tuple(sorted(caller.brands or ()))


def check_name(service: ApiContext, caller: Caller, name: str) -> None:
    """A limited key makes names that begin with a brand of its own: if it could ask for any name, it would learn by the answer
    which ones others have. Raises `Problem` 422."""
    if caller.brands is None:
        return
    brands = caller.brands | {brand.id for brand in service.process.config.brands}
    # Of `acme` and `acme-air` the longer one has `acme-air-desk`.
    owner = max((brand for brand in brands if f"{name}-".startswith(f"{brand}-")), key=len, default=None)
    if owner not in caller.brands:
        why = f"must begin with a brand of your key, such as {min(caller.brands)}-{name}"
        raise Problem(422, f"name {why}", errors=[{"at": "body.name", "why": why}])


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/keys", status_code=201, responses=CONFLICT)
    async def create_key(caller: Admin, body: schemas.KeyIn) -> schemas.KeyCreated:
        """Create a key. It is in this response and nowhere else. A limited key can only create keys within its own limits."""
        check_name(service, caller, body.name)
        brands, context = brands_for(service, caller, body.brands), service.context()
        if body.expires_at is not None and body.expires_at <= context.wall:
            why = "is in the past"
            raise Problem(422, f"expires_at {why}", errors=[{"at": "body.expires_at", "why": why}])
        key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        row = {
            "name": body.name,
            "digest": digest(key),
            "scope": body.scope,
            "brands": json.dumps(brands),
            "created_by": caller.name,
            "created_at": context.now,
            "ends_wall": body.expires_at,
        }

        def write(connection: Connection) -> Any:
            if not insert_missing(connection, keys, [row]):
                return None
            detail = {"scope": body.scope.value, "brands": list(brands)}
            audit.record(connection, context.now, caller.name, "key.created", body.name, audit.only(brands), detail)
            return connection.execute(select(keys).where(keys.c.name == body.name)).one()

        made = await service.database.write(write) if body.name != ROOT else None
        if made is None:
            raise Problem(409, f"there is, or was, a key {body.name}; a name can be used only once")
        return schemas.KeyCreated(**_fields(made), key=key)

    @routes.get("/keys")
    async def list_keys(caller: Admin) -> schemas.KeysOut:
        """Every key ever created, including revoked ones, but not the admin key from the settings."""
        rows = await service.database.read(lambda c: c.execute(select(keys).order_by(keys.c.name)).all())
        return schemas.KeysOut(
            items=tuple(schemas.Key(**_fields(row)) for row in rows if caller.covers(json.loads(row.brands)))
        )

    @routes.delete("/keys/{name}", status_code=204, responses=ABSENT)
    async def revoke_key(caller: Admin, name: Slug) -> None:
        """The key stops working at once, and so does every session signed in with it. Repeating this is harmless."""
        context = service.context()

        def write(connection: Connection) -> bool:
            row = connection.execute(select(keys).where(keys.c.name == name)).one_or_none()
            if row is None or not caller.covers(brands := json.loads(row.brands)):
                return False
            if row.revoked_wall is None:
                connection.execute(update(keys).where(keys.c.name == name).values(revoked_wall=context.wall))
                audit.record(connection, context.now, caller.name, "key.revoked", name, audit.only(brands))
            return True

        if not await service.database.write(write):
            raise Problem(404, f"there is no key {name}")


def _fields(row: Any) -> dict[str, Any]:
    ends: datetime | None = row.ends_wall
    return {
        "name": row.name,
        "scope": Scope(row.scope),
        "brands": tuple(json.loads(row.brands)),
        "created_by": row.created_by,
        "created_at": row.created_at,
        "expires_at": ends,
        "revoked_at": row.revoked_wall,
    }
