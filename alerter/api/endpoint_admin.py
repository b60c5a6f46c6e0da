"""Looking after endpoints: a test, a new secret, switching one on again, sending again what did not arrive."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Response
from sqlalchemy import Connection, select

from alerter.api import schemas, views
from alerter.api.auth import Admin, Caller
from alerter.api.context import ApiContext, found
from alerter.api.endpoint_checks import as_asked, check_apprise, check_others, checked
from alerter.api.keys import brands_for
from alerter.api.problems import ABSENT, CONFLICT, STALE, Problem
from alerter.api.versions import MOST_TRIES, By, Change, IfMatch, check_version, version_in
from alerter.desk.context import Context
from alerter.escalation import untold
from alerter.notify import endpoints, outbox, signing
from alerter.notify.endpoints import Draft
from alerter.notify.formats import native
from alerter.notify.kinds import TRAITS
from alerter.notify.outbox import Cause
from alerter.notify.outlet import Keys, Kind
from alerter.states import EndpointState
from alerter.store import audit, tables
from alerter.store.database import Overtaken
from services.config.section import Slug

SENT_ANEW: Final = frozenset({"url", "key", "headers", "auth", "hours", "options", "brands"})
"""What makes it worth trying again what waits."""


def mount_care(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/endpoints/{name}/test", status_code=202, responses={**ABSENT, **CONFLICT})
    async def test_endpoint(caller: Admin, name: Slug) -> schemas.Queued:
        """Send it an `endpoint.test` message. GET /v1/deliveries shows how that went."""
        return schemas.Queued(delivery=await send_test(service, caller, name))

    @routes.patch("/endpoints/{name}", responses={**ABSENT, **STALE})
    async def change_endpoint(
        caller: Admin,
        name: Slug,
        body: schemas.EndpointChange,
        response: Response,
        by: By = None,
        if_match: IfMatch = None,
    ) -> schemas.Endpoint:
        """Change what is given of it. Its queue and its signing secret stay as they are, and so does what is left out. With
        another address, key, header or hours, what waits is tried again at once."""
        changed = await change(service, caller, name, body, Change(by, version_in(if_match)))
        response.headers["etag"] = f'"{changed.version}"'
        return changed

    @routes.post("/endpoints/{name}/secret", status_code=201, responses={**ABSENT, **CONFLICT})
    async def rotate_secret(caller: Admin, name: Slug, body: schemas.RotateIn) -> schemas.Rotated:
        """Create a new secret. It signs from now on, and the old ones keep signing during the grace period, so that the
        receiver can change over in its own time."""
        return await rotate(service, caller, name, body.grace_hours)

    @routes.post("/endpoints/{name}/enable", responses=ABSENT)
    async def enable_endpoint(caller: Admin, name: Slug) -> schemas.Endpoint:
        """Messages go there again. Use `resend` for what was cancelled in the meantime."""
        return await enable(service, caller, name)

    @routes.post("/endpoints/{name}/resend", status_code=202, responses={**ABSENT, **CONFLICT})
    async def resend_failed(caller: Admin, name: Slug, body: schemas.ResendIn) -> schemas.Resent:
        """Send again everything that has not arrived there since then, each message under its own id."""
        context = service.context()

        def write(connection: Connection) -> int:
            shown = found(views.endpoint_shown(connection, caller, name))
            if shown.state is not EndpointState.ENABLED:
                raise Problem(409, f"the endpoint {name} is disabled")
            count = outbox.resend_failed(connection, name, body.since, context.now)
            detail = {"since": body.since.isoformat(), "deliveries": count}
            audit.record(
                connection, context.now, caller.name, "endpoint.resent", name, audit.only(shown.brands), detail
            )
            return count

        count = await service.database.write(write)
        service.ring()
        return schemas.Resent(deliveries=count)


async def change(
    service: ApiContext, caller: Caller, name: str, body: schemas.EndpointChange, edit: Change
) -> schemas.Endpoint:
    """Raises `Problem` 404, 412 or 422."""
    for _ in range(MOST_TRIES):
        row, had, inbound = await service.database.read(lambda c: _as_it_is(c, service, caller, name))
        shown = schemas.Endpoint(**views.endpoint_fields(row))
        check_version(f"endpoint {name}", edit.expected, row.version, shown.model_dump(mode="json"))
        brands = shown.brands if body.brands is None else brands_for(service, caller, body.brands)
        asked = as_asked(row, had, inbound, body)
        is_new_url = not body.model_fields_set.isdisjoint({"url", "options"})
        draft = checked(service, asked, brands, None, is_new_url=is_new_url)
        if draft.kind is Kind.APPRISE and body.url is not None:
            await check_apprise(service, draft.url)
        written = _Edited(caller, draft, row.version, edit, frozenset(body.model_fields_set), service.context().now)
        changed = await service.database.write(written.commit)
        if changed is not None:
            service.ring()
            return changed
    raise Overtaken


def _as_it_is(connection: Connection, service: ApiContext, caller: Caller, name: str) -> tuple[Any, Keys, str | None]:
    found(views.endpoint_shown(connection, caller, name))
    row = connection.execute(select(tables.endpoints).where(tables.endpoints.c.name == name)).one()
    had = endpoints.keys_of_many(connection, [name], service.context().wall).get(name, Keys())
    return row, had, endpoints.inbound_secret(connection, name, row.kind)


@dataclass(frozen=True, slots=True)
class _Edited:
    """An endpoint as it is to be from now on, where it still has the version that was `seen`."""

    caller: Caller
    draft: Draft
    seen: int
    edit: Change
    fields: frozenset[str]
    now: datetime

    def commit(self, connection: Connection) -> schemas.Endpoint | None:
        """Returns `None` if somebody else was quicker. Raises `Problem` 404 or 422."""
        name, now = self.draft.name, self.now
        check_others(connection, self.caller, self.fields, self.draft.owner, self.draft.fallback)
        by = self.edit.by or self.caller.name
        if not endpoints.change(connection, self.draft, self.seen, now, by):
            return None
        if self.fields & SENT_ANEW:
            # What waits for its old hours, or failed by what is now another.
            outbox.end_pause(connection, name)
            outbox.hurry(connection, name, now)
            untold.look_now(connection, now)
        detail = {"changed": sorted(self.fields), "version": self.seen + 1, "by": by}
        brands = audit.only(self.draft.brands)
        audit.record(connection, now, self.caller.name, "endpoint.changed", name, brands, detail)
        return found(views.endpoint_shown(connection, self.caller, name))


async def rotate(service: ApiContext, caller: Caller, name: str, grace_hours: float) -> schemas.Rotated:
    """Raises `Problem` 404, or 409 where there is no secret of ours."""
    context = service.context()
    secret, old_end = signing.new_secret(), context.wall + timedelta(hours=grace_hours)

    def write(connection: Connection) -> None:
        shown = found(views.endpoint_shown(connection, caller, name))
        if not TRAITS[shown.kind].signs:
            raise Problem(409, f"an endpoint of kind {shown.kind} has no signing secret")
        endpoints.rotate(connection, name, secret, old_end)
        detail = {"old_ends_at": old_end.isoformat()}
        audit.record(connection, context.now, caller.name, "endpoint.rotated", name, audit.only(shown.brands), detail)

    await service.database.write(write)
    return schemas.Rotated(secret=secret, old_ends_at=old_end)


async def enable(service: ApiContext, caller: Caller, name: str) -> schemas.Endpoint:
    """Raises `Problem` 404."""
    context = service.context()

    def write(connection: Connection) -> schemas.Endpoint:
        shown = found(views.endpoint_shown(connection, caller, name))
        endpoints.enable(connection, name)
        untold.look_now(connection, context.now)
        audit.record(connection, context.now, caller.name, "endpoint.enabled", name, audit.only(shown.brands))
        return found(views.endpoint_shown(connection, caller, name))

    enabled = await service.database.write(write)
    service.ring()
    return enabled


async def send_test(service: ApiContext, caller: Caller, name: str) -> str:
    """The delivery's id. Raises `Problem` 404 or 409."""
    context = service.context()
    cause = Cause("endpoint.test", None, ("test", uuid.uuid4().hex))
    state = await service.database.write(lambda c: _test(c, context, caller, name, cause))
    if state is None:
        raise Problem(404, f"there is no endpoint {name}")
    if state is not EndpointState.ENABLED:
        raise Problem(409, f"the endpoint {name} is disabled")
    service.ring()
    return outbox.delivery_id(cause, name)


def _test(connection: Connection, context: Context, caller: Caller, name: str, cause: Cause) -> EndpointState | None:
    shown = views.endpoint_shown(connection, caller, name)
    if shown is None:
        return None
    state, brands = shown.state, shown.brands
    if state is EndpointState.ENABLED:
        outbox.end_pause(connection, name)
        outbox.enqueue(connection, cause, native.render_test(name, context.now), [name], context.now, context.wall)
        audit.record(connection, context.now, caller.name, "endpoint.tested", name, audit.only(brands))
    return state
