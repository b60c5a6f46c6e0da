"""The audit log, as the API shows it."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, or_, select

from alerter.api import schemas, views
from alerter.api.auth import Admin, Caller, seen_by
from alerter.api.context import ApiContext, Cursor, Limit, paged
from alerter.store.tables import audit


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/audit")
    async def list_changes(
        caller: Admin, actor: schemas.Actor | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> schemas.Changes:
        """Every change, newest first. A key limited to brands sees the changes that concern those brands, and its own."""
        return await paged(service, lambda c: _page(c, caller, actor, cursor, limit))


def _page(connection: Connection, caller: Caller, actor: str | None, cursor: str | None, limit: int) -> schemas.Changes:
    query = select(audit).where(or_(seen_by(caller, audit.c.brand), audit.c.actor == caller.name))
    if actor is not None:
        query = query.where(audit.c.actor == actor)
    rows, after = views.page(connection, query, audit.c.at, audit.c.id, cursor, limit)
    return schemas.Changes(items=tuple(_change(row) for row in rows), next=after)


def _change(row: Any) -> schemas.AuditedChange:
    return schemas.AuditedChange(
        at=row.at, actor=row.actor, what=row.what, on=row.subject, brand=row.brand, detail=json.loads(row.detail)
    )
