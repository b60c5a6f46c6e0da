"""Where webhooks go: endpoints made, listed, tested and removed. A limited key sees those that are for its brands alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from alerter.api import endpoint_trouble, schemas, views
from alerter.api.auth import Admin, Caller, Reader
from alerter.api.context import ApiContext, found
from alerter.api.declared_checks import check_endpoint_unnamed
from alerter.api.endpoint_admin import mount_care
from alerter.api.endpoint_checks import check_apprise, check_others, checked
from alerter.api.keys import brands_for, check_name
from alerter.api.problems import ABSENT, CONFLICT, STALE, Problem
from alerter.api.versions import By, Change, IfMatch, check_version, version_in
from alerter.escalation import pages, untold
from alerter.notify import endpoints, outbox, signing
from alerter.notify.kinds import TRAITS
from alerter.notify.outlet import Kind
from alerter.store import audit
from services.config.section import Slug

EvenIfNamed = Annotated[
    bool, Query(description="true: also if it is still named, so that whoever names it reaches nobody by it")
]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/endpoints", status_code=201, responses=CONFLICT)
    async def create_endpoint(caller: Admin, body: schemas.EndpointIn, by: By = None) -> schemas.Created:
        """Create an endpoint. Its secret is in this response and nowhere else."""
        return await create(service, caller, body, by)

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

    @routes.delete("/endpoints/{name}", status_code=204, responses={**ABSENT, **CONFLICT, **STALE})
    async def delete_endpoint(
        caller: Admin, name: Slug, by: By = None, even_if_named: EvenIfNamed = False, if_match: IfMatch = None
    ) -> None:
        """Delete it. Messages waiting for it are cancelled. 409 with every place that still names it."""
        await delete(service, caller, name, Change(by, version_in(if_match)), even_if_named=even_if_named)

    mount_care(routes, service)


async def create(service: ApiContext, caller: Caller, body: schemas.EndpointIn, by: str | None) -> schemas.Created:
    """Raises `Problem` 409, 422 or 503."""
    check_name(service, caller, body.name)
    brands = brands_for(service, caller, body.brands)
    secret = signing.new_secret() if TRAITS[body.kind].signs else None
    draft, context = checked(service, body, brands, secret), service.context()
    if draft.kind is Kind.APPRISE:
        await check_apprise(service, draft.url)

    def write(connection: Connection) -> schemas.Created | None:
        check_others(connection, caller, {"owner", "fallback"}, body.owner, body.fallback)
        row = endpoints.add(connection, draft, context.now)
        if row is None:
            return None
        made = schemas.Created(**views.endpoint_fields(row), secret=secret)
        detail = {"target": made.target, "brands": list(brands)} | (
            {"kind": body.kind} if body.kind is not Kind.WEBHOOK else {}
        )
        detail |= {"by": by} if by else {}
        audit.record(connection, context.now, caller.name, "endpoint.created", body.name, audit.only(brands), detail)
        untold.look_now(connection, context.now)
        return made

    made = await service.database.write(write)
    if made is None:
        raise Problem(409, f"there already is an endpoint {body.name}")
    service.ring()
    return made


async def delete(
    service: ApiContext, caller: Caller, name: str, change: Change, *, even_if_named: bool = False
) -> None:
    """Raises `Problem` 404, 409 with the places that name it, or 412."""
    context = service.context()

    def remove(connection: Connection) -> None:
        shown = views.endpoint_shown(connection, caller, name)
        if shown is None:
            raise Problem(404, f"there is no endpoint {name}")
        check_version(f"endpoint {name}", change.expected, shown.version, shown.model_dump(mode="json"))
        if not even_if_named:
            check_endpoint_unnamed(connection, caller, context.config, name)
        outbox.cancel_for(connection, name, context.now, pages)
        detail = {"by": change.by or caller.name, "version": shown.version}
        audit.record(connection, context.now, caller.name, "endpoint.deleted", name, audit.only(shown.brands), detail)
        endpoints.remove(connection, name)

    await service.database.write(remove)
    service.ring()
