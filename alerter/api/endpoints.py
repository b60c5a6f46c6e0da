"""Where webhooks go: endpoints made, listed, tested and removed. A limited key sees those that are for its brands alone."""

from __future__ import annotations

import json

from fastapi import APIRouter
from sqlalchemy import Connection

from alerter.api import endpoint_trouble, schemas, views
from alerter.api.auth import Admin, Caller, Reader
from alerter.api.context import ApiContext, found
from alerter.api.endpoint_admin import mount_care
from alerter.api.endpoint_checks import check_apprise, checked, wrong
from alerter.api.keys import brands_for, check_name
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.desk.context import Context
from alerter.escalation import pages, untold
from alerter.notify import endpoints, outbox, signing
from alerter.notify.kinds import TRAITS
from alerter.notify.outlet import Kind
from alerter.store import audit
from services.config.section import Slug


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/endpoints", status_code=201, responses=CONFLICT)
    async def create_endpoint(caller: Admin, body: schemas.EndpointIn) -> schemas.Created:
        """Create an endpoint. Its secret is in this response and nowhere else."""
        check_name(service, caller, body.name)
        brands = brands_for(service, caller, body.brands)
        secret = signing.new_secret() if TRAITS[body.kind].signs else None
        draft, context = checked(service, body, brands, secret), service.context()
        if draft.kind is Kind.APPRISE:
            await check_apprise(service, draft.url)

        def write(connection: Connection) -> schemas.Created | None:
            for at, name in (("owner", body.owner), ("fallback", body.fallback)):
                if name is not None and _brands(connection, caller, name) is None:
                    raise wrong(at, f"there is no endpoint {name}")
            row = endpoints.add(connection, draft, context.now)
            if row is None:
                return None
            made = schemas.Created(**views.endpoint_fields(row), secret=secret)
            detail = {"target": made.target, "brands": list(brands)} | (
                {"kind": body.kind} if body.kind is not Kind.WEBHOOK else {}
            )
            audit.record(
                connection, context.now, caller.name, "endpoint.created", body.name, audit.only(brands), detail
            )
            untold.look_now(connection, context.now)
            return made

        made = await service.database.write(write)
        if made is None:
            raise Problem(409, f"there already is an endpoint {body.name}")
        service.ring()
        return made

    @routes.get("/endpoints")
    async def list_endpoints(caller: Reader) -> schemas.Endpoints:
        """All of them, those in trouble first: failing ones, then disabled ones."""
        config = service.process.config
        return await service.database.read(lambda c: views.endpoint_list(c, caller, config))

    @routes.get("/endpoints/{name}", responses=ABSENT)
    async def get_endpoint(caller: Reader, name: Slug) -> schemas.Endpoint:
        """How it is: since when it fails, what waits for it, what it answered last, and which policies page it."""
        config = service.process.config

        def read(connection: Connection) -> schemas.Endpoint:
            shown = found(views.endpoint_shown(connection, caller, name))
            return endpoint_trouble.with_trouble(connection, caller, [shown], config)[0]

        return await service.database.read(read)

    @routes.delete("/endpoints/{name}", status_code=204, responses=ABSENT)
    async def delete_endpoint(caller: Admin, name: Slug) -> None:
        """Delete it. Messages waiting for it are cancelled."""
        context = service.context()
        if not await service.database.write(lambda c: _remove(c, context, caller, name)):
            raise Problem(404, f"there is no endpoint {name}")

    mount_care(routes, service)


def _remove(connection: Connection, context: Context, caller: Caller, name: str) -> bool:
    brands = _brands(connection, caller, name)
    if brands is None:
        return False
    outbox.cancel_for(connection, name, context.now, pages)
    audit.record(connection, context.now, caller.name, "endpoint.deleted", name, audit.only(brands))
    return endpoints.remove(connection, name)


def _brands(connection: Connection, caller: Caller, name: str) -> list[str] | None:
    """The brands that the endpoint is for; `None`: there is none, for this caller."""
    text = endpoints.brands_of(connection, name)
    if text is None or not caller.covers(brands := json.loads(text)):
        return None
    return list(brands)
