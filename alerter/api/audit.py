"""The audit log: every change that somebody made, by whom, to what and when. Written with the change, never altered.

    audit.record(connection, service.present(), caller, "endpoint.created", name, brand, {"target": "https://x.example"})

`what` is `thing.deed` in the past tense. `detail` says what the change was, and must hold no secret.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, insert, or_, select

from alerter.api import schemas, views
from alerter.api.auth import Admin, Caller, seen_by
from alerter.api.backstage import Backstage, Cursor, Limit, paged
from alerter.incidents.desk import Present
from alerter.store.tables import audit


def record(
    connection: Connection,
    present: Present,
    who: Caller | str,
    what: str,
    on: str,
    brand: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Write it down, in the transaction that makes the change. `brand` of `None`: it concerns more than one."""
    note(connection, present.now, who.name if isinstance(who, Caller) else who, what, on, brand, detail)


def note(
    connection: Connection,
    at: datetime,
    actor: str,
    what: str,
    on: str,
    brand: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Like `record`, for a change that does not come through the API."""
    values = {"at": at, "actor": actor, "what": what, "subject": on, "brand": brand}
    connection.execute(insert(audit).values(**values, detail=json.dumps(dict(detail or {}))))


def only(brands: Collection[str]) -> str | None:
    """The brand that something concerns alone."""
    return next(iter(brands)) if len(brands) == 1 else None


def mount(routes: APIRouter, service: Backstage) -> None:
    @routes.get("/audit")
    async def list_changes(
        caller: Admin, actor: schemas.Actor | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> schemas.Changes:
        """Every change, newest first. A key that is limited to brands sees what concerns them, and what it did itself."""
        return await paged(service, lambda c: _page(c, caller, actor, cursor, limit))


def _page(connection: Connection, caller: Caller, actor: str | None, cursor: str | None, limit: int) -> schemas.Changes:
    query = select(audit).where(or_(seen_by(caller, audit.c.brand), audit.c.actor == caller.name))
    if actor is not None:
        query = query.where(audit.c.actor == actor)
    rows, after = views.page(connection, query, audit.c.at, audit.c.id, cursor, limit)
    return schemas.Changes(items=tuple(_change(row) for row in rows), next=after)


def _change(row: Any) -> schemas.Change:
    return schemas.Change(
        at=row.at, actor=row.actor, what=row.what, on=row.subject, brand=row.brand, detail=json.loads(row.detail)
    )
