"""Where webhooks go: endpoints made, listed, tested and removed. A limited key sees those that are for its brands alone."""

from __future__ import annotations

import json
import uuid

from fastapi import APIRouter
from sqlalchemy import Connection

from alerter.api import audit, schemas, views
from alerter.api.auth import Admin, Caller, Reader
from alerter.api.backstage import Backstage
from alerter.api.keys import brands_for
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.incidents.desk import Present
from alerter.notify import endpoints, outbox, signing
from alerter.notify.egress import BadTarget, check_url
from alerter.notify.endpoints import Draft, EndpointState, Purpose
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from services.config import Slug


def mount(routes: APIRouter, service: Backstage) -> None:
    @routes.post("/endpoints", status_code=201, responses=CONFLICT)
    async def create_endpoint(caller: Admin, body: schemas.EndpointIn) -> schemas.Created:
        """Add an endpoint. Its secret is in this answer and nowhere else."""
        brands = brands_for(service, caller, body.brands)
        try:
            check_url(body.url, service.allowed)
        except BadTarget as error:
            raise Problem(422, f"url {error}", errors=[{"at": "body.url", "why": str(error)}]) from None
        secret, present = signing.new_secret(), service.present()

        def write(connection: Connection) -> schemas.Created | None:
            draft = Draft(
                name=body.name,
                url=body.url,
                description=body.description,
                brands=tuple(brands),
                secrets={Purpose.SIGNING: secret},
            )
            row = endpoints.add(connection, draft, present.now)
            if row is None:
                return None
            made = schemas.Created(**views.endpoint_fields(row), secret=secret)
            detail = {"target": made.target, "brands": list(brands)}
            audit.record(connection, present, caller, "endpoint.created", body.name, audit.only(brands), detail)
            return made

        made = await service.database.write(write)
        if made is None:
            raise Problem(409, f"there is an endpoint {body.name} already")
        return made

    @routes.get("/endpoints")
    async def list_endpoints(caller: Reader) -> schemas.Endpoints:
        every = await service.database.read(views.endpoint_list)
        return schemas.Endpoints(items=tuple(one for one in every.items if caller.covers(one.brands)))

    @routes.delete("/endpoints/{name}", status_code=204, responses=ABSENT)
    async def delete_endpoint(caller: Admin, name: Slug) -> None:
        """Remove it; what was waiting for it is cancelled."""
        present = service.present()
        if not await service.database.write(lambda c: _remove(c, present, caller, name)):
            raise Problem(404, f"there is no endpoint {name}")

    @routes.post("/endpoints/{name}/test", status_code=202, responses={**ABSENT, **CONFLICT})
    async def test_endpoint(caller: Admin, name: Slug) -> schemas.Queued:
        """Send it an `endpoint.test`. GET /v1/deliveries says what came of it."""
        return schemas.Queued(delivery=await send_test(service, caller, name))


async def send_test(service: Backstage, caller: Caller, name: str) -> str:
    """The delivery's id. Raises `Problem` 404 or 409."""
    present = service.present()
    cause = Cause("endpoint.test", None, ("test", uuid.uuid4().hex))
    state = await service.database.write(lambda c: _test(c, present, caller, name, cause))
    if state is None:
        raise Problem(404, f"there is no endpoint {name}")
    if state is not EndpointState.ENABLED:
        raise Problem(409, f"the endpoint {name} is disabled")
    service.ring()
    return outbox.delivery_id(cause, name)


def _remove(connection: Connection, present: Present, caller: Caller, name: str) -> bool:
    brands = _brands(connection, caller, name)
    if brands is None:
        return False
    outbox.cancel_for(connection, name, present.now)
    audit.record(connection, present, caller, "endpoint.deleted", name, audit.only(brands))
    return endpoints.remove(connection, name)


def _test(connection: Connection, present: Present, caller: Caller, name: str, cause: Cause) -> EndpointState | None:
    brands = _brands(connection, caller, name)
    if brands is None:
        return None
    state = endpoints.state_of(connection, name)
    if state is EndpointState.ENABLED:
        outbox.end_pause(connection, name)
        outbox.enqueue(connection, cause, native.render_test(name, present.now), [name], present.now, present.wall)
        audit.record(connection, present, caller, "endpoint.tested", name, audit.only(brands))
    return state


def _brands(connection: Connection, caller: Caller, name: str) -> list[str] | None:
    """The brands that the endpoint is for; `None`: there is none, for this caller."""
    text = endpoints.brands_of(connection, name)
    if text is None or not caller.covers(brands := json.loads(text)):
        return None
    return list(brands)
