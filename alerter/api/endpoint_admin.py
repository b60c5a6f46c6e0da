"""Looking after endpoints: a test, a new secret, switching one on again, sending again what did not arrive."""

from __future__ import annotations

import uuid
from datetime import timedelta

from fastapi import APIRouter
from sqlalchemy import Connection

from alerter.api import schemas, views
from alerter.api.auth import Admin, Caller
from alerter.api.context import ApiContext, found
from alerter.api.endpoint_checks import checked_change
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.desk.context import Context
from alerter.escalation import untold
from alerter.notify import endpoints, outbox, signing
from alerter.notify.formats import native
from alerter.notify.kinds import TRAITS
from alerter.notify.outbox import Cause
from alerter.notify.outlet import Keys
from alerter.states import EndpointState
from alerter.store import audit
from services.config.section import Slug


def mount_care(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/endpoints/{name}/test", status_code=202, responses={**ABSENT, **CONFLICT})
    async def test_endpoint(caller: Admin, name: Slug) -> schemas.Queued:
        """Send it an `endpoint.test` message. GET /v1/deliveries shows how that went."""
        return schemas.Queued(delivery=await send_test(service, caller, name))

    @routes.patch("/endpoints/{name}", responses=ABSENT)
    async def change_endpoint(caller: Admin, name: Slug, body: schemas.EndpointChange) -> schemas.Endpoint:
        """Change its headers, authorization or hours. Its queue and its signing secret stay as they are."""
        changed = await change(service, caller, name, body)
        service.ring()
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


async def change(service: ApiContext, caller: Caller, name: str, body: schemas.EndpointChange) -> schemas.Endpoint:
    """Raises `Problem` 404 or 422."""
    context = service.context()

    def write(connection: Connection) -> schemas.Endpoint:
        shown = found(views.endpoint_shown(connection, caller, name))
        had = endpoints.keys_of_many(connection, [name], context.wall).get(name, Keys())
        headers = checked_change(shown.kind, had, body)
        if headers is not None:
            endpoints.set_headers(connection, name, headers)
        if body.hours is not None:
            endpoints.set_hours(connection, name, body.hours)
            outbox.hurry(connection, name, context.now)  # what waits for its old hours
        detail = {"changed": sorted(body.model_fields_set)}
        audit.record(connection, context.now, caller.name, "endpoint.changed", name, audit.only(shown.brands), detail)
        return found(views.endpoint_shown(connection, caller, name))

    return await service.database.write(write)


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
