"""The routes under /v1, and the webhooks' own documentation beside them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import APIRouter, FastAPI, Query, Security
from fastapi.security import HTTPBearer
from sqlalchemy import Connection

from alerter.api import schemas, views
from alerter.api.auth import PROBLEM_JSON, Problem, guarded_route
from alerter.api.schemas import DeliveryKey, IncidentKey
from alerter.incidents.desk import Desk, Present
from alerter.incidents.dossier import Dossier
from alerter.incidents.model import Refused
from alerter.notify import endpoints, outbox, signing
from alerter.notify.egress import BadTarget, Network, check_url
from alerter.notify.endpoints import EndpointState
from alerter.notify.formats import native
from alerter.notify.outbox import Cause, DeliveryState
from alerter.store.database import Database
from services.config import Slug
from services.contracts.incident import Incident, IncidentState
from services.lifecycle import Context

T = TypeVar("T")
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


class Backstage(Protocol):
    """What the routes need of the service."""

    context: Context
    database: Database
    allowed: tuple[Network, ...]
    started: bool

    def present(self) -> Present: ...
    def ring(self) -> None: ...
    async def act(self, work: Callable[[Desk], T]) -> T: ...


def mount_api(app: FastAPI, service: Backstage) -> None:
    problem: dict[str, Any] = {"content": {PROBLEM_JSON: {"schema": schemas.ProblemShape.model_json_schema()}}}
    said = {
        401: {"description": "no key, or a wrong one", **problem},
        422: {"description": "the request is not valid", **problem},
        503: {"description": "not started, or the database is away", **problem},
    }
    bearer = HTTPBearer(auto_error=False, description="the installation's admin key")
    router = APIRouter(
        prefix="/v1",
        route_class=guarded_route(service.context.settings.admin_key, lambda: service.started),
        responses={code: dict(what) for code, what in said.items()},
        dependencies=[Security(bearer)],
    )
    absent = {404: {"description": "there is none", **problem}}
    conflict = {409: {"description": "not in its present state", **problem}}
    _endpoint_routes(router, service, absent, conflict)
    _incident_routes(router, service, absent, conflict)
    _delivery_routes(router, service, absent)
    app.include_router(router)
    _webhooks(app)


def _endpoint_routes(router: APIRouter, service: Backstage, absent: Any, conflict: Any) -> None:
    @router.post("/endpoints", status_code=201, tags=["endpoints"], responses=conflict)
    async def create_endpoint(body: schemas.EndpointIn) -> schemas.Created:
        """Add an endpoint. Its secret is in this answer and nowhere else."""
        _check_endpoint(service, body)
        secret, now = signing.new_secret(), service.present().now

        row = await service.database.write(
            lambda c: endpoints.add(c, body.name, body.url, body.description, body.brands, secret, now)
        )
        if row is None:
            raise Problem(409, f"there is an endpoint {body.name} already")
        return schemas.Created(**views.endpoint_fields(row), secret=secret)

    @router.get("/endpoints", tags=["endpoints"])
    async def list_endpoints() -> schemas.Endpoints:
        return await service.database.read(views.endpoint_list)

    @router.delete("/endpoints/{name}", status_code=204, tags=["endpoints"], responses=absent)
    async def delete_endpoint(name: Slug) -> None:
        """Remove it; what was waiting for it is cancelled."""
        now = service.present().now

        def write(connection: Connection) -> bool:
            outbox.cancel_for(connection, name, now)
            return endpoints.remove(connection, name)

        if not await service.database.write(write):
            raise Problem(404, f"there is no endpoint {name}")

    @router.post("/endpoints/{name}/test", status_code=202, tags=["endpoints"], responses={**absent, **conflict})
    async def test_endpoint(name: Slug) -> schemas.Queued:
        """Send it an `endpoint.test`. GET /v1/deliveries says what came of it."""
        present = service.present()
        cause = Cause("endpoint.test", None, ("test", uuid.uuid4().hex))

        def write(connection: Connection) -> EndpointState | None:
            state = endpoints.state_of(connection, name)
            if state is EndpointState.ENABLED:
                body = native.render_test(name, present.now)
                outbox.enqueue(connection, cause, body, [name], present.now, present.wall)
            return state

        state = await service.database.write(write)
        if state is None:
            raise Problem(404, f"there is no endpoint {name}")
        if state is not EndpointState.ENABLED:
            raise Problem(409, f"the endpoint {name} is disabled")
        service.ring()
        return schemas.Queued(delivery=outbox.delivery_id(cause, name))


def _check_endpoint(service: Backstage, body: schemas.EndpointIn) -> None:
    try:
        check_url(body.url, service.allowed)
    except BadTarget as error:
        raise Problem(422, f"url {error}", errors=[{"at": "body.url", "why": str(error)}]) from None
    known = {brand.id for brand in service.context.config.brands}
    if strange := sorted(set(body.brands) - known):
        why = f"no brand {', '.join(strange)} in the configuration"
        raise Problem(422, why, errors=[{"at": "body.brands", "why": why}])


def _incident_routes(router: APIRouter, service: Backstage, absent: Any, conflict: Any) -> None:
    @router.get("/incidents", tags=["incidents"])
    async def list_incidents(
        brand: Slug | None = None, state: IncidentState | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> schemas.Incidents:
        """Newest first."""
        return await _paged(service, lambda c: views.incident_page(c, brand, state, cursor, limit))

    @router.get("/incidents/{incident}", tags=["incidents"], responses=absent)
    async def get_incident(incident: IncidentKey) -> Incident:
        return _found(await service.database.read(lambda c: views.dossier_of(c, incident))).incident

    @router.get("/incidents/{incident}/explain", tags=["incidents"], responses=absent)
    async def explain_incident(incident: IncidentKey) -> schemas.Explanation:
        """Every decision with its reason and the record that caused it; the steps, and every attempt to tell somebody."""
        return _found(await service.database.read(lambda c: views.explanation(c, incident)))

    @router.post("/incidents/{incident}/acknowledge", tags=["incidents"], responses={**absent, **conflict})
    async def acknowledge_incident(incident: IncidentKey, deed: schemas.Deed) -> Incident:
        """Somebody has it: the steps that wait are cancelled, everybody told so far hears who. Repeating it is harmless."""
        return await _deed(service, lambda desk: desk.acknowledge(incident, deed.by, deed.comment))

    @router.post("/incidents/{incident}/resolve", tags=["incidents"], responses={**absent, **conflict})
    async def resolve_incident(incident: IncidentKey, deed: schemas.Deed) -> Incident:
        """It is over. It comes back only when the story gets worse than it was."""
        return await _deed(service, lambda desk: desk.resolve(incident, deed.by, deed.comment))


def _delivery_routes(router: APIRouter, service: Backstage, absent: Any) -> None:
    @router.get("/deliveries", tags=["deliveries"])
    async def list_deliveries(
        endpoint: Slug | None = None, state: DeliveryState | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> schemas.Deliveries:
        """Newest first, with every attempt."""
        return await _paged(service, lambda c: views.delivery_page(c, endpoint, state, cursor, limit))

    @router.post("/deliveries/{delivery}/resend", status_code=202, tags=["deliveries"], responses=absent)
    async def resend_delivery(delivery: DeliveryKey) -> schemas.Queued:
        """Send it again, under the same id, from the start of the retry schedule."""
        now = service.present().now
        if not await service.database.write(lambda c: outbox.resend(c, delivery, now)):
            raise Problem(404, "there is no such delivery, or its endpoint is gone or disabled")
        service.ring()
        return schemas.Queued(delivery=delivery)


async def _paged(service: Backstage, work: Callable[[Connection], T]) -> T:
    try:
        return await service.database.read(work)
    except views.BadCursor as error:
        raise Problem(422, f"cursor: {error}", errors=[{"at": "query.cursor", "why": str(error)}]) from None


async def _deed(service: Backstage, work: Callable[[Desk], Dossier | None]) -> Incident:
    try:
        return _found(await service.act(work)).incident
    except Refused as error:
        raise Problem(409, str(error)) from None


def _found(thing: T | None) -> T:
    if thing is None:
        raise Problem(404, "there is none with this id")
    return thing


def _webhooks(app: FastAPI) -> None:
    """What receivers get, in the `webhooks` section of the OpenAPI document."""
    about = (
        "Signed by Standard Webhooks 1.0.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Answer 2xx within 15 s. "
        "The id is the same in every attempt; no order is promised: `data.sequence` tells which state is newer."
    )
    for change in ("opened", "updated", "escalated", "acknowledged", "resolved"):

        @app.webhooks.post(f"incident.{change}", description=about, operation_id=f"webhook_incident_{change}")
        def incident_message(body: schemas.IncidentMessage) -> None: ...

    @app.webhooks.post("post.redacted", description=about, operation_id="webhook_post_redacted")
    def redaction_message(body: schemas.RedactionMessage) -> None: ...
