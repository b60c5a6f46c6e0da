"""The API under /v1, one module a resource, and the webhooks' own documentation beside them."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import HTTPBearer

from alerter.api import (
    absences,
    actions,
    answers,
    audit,
    config,
    contact_methods,
    deliveries,
    drills,
    endpoints,
    feeds,
    incidents,
    keys,
    oncall,
    outcomes,
    page_now,
    rota,
    schemas,
    silences,
    swaps,
)
from alerter.api.context import ApiContext
from alerter.api.guard import guarded_route
from alerter.api.inbound import mount_inbound
from alerter.api.problems import ALWAYS

MODULES: Final = (
    incidents,
    actions,
    page_now,
    outcomes,
    silences,
    deliveries,
    endpoints,
    rota,
    oncall,
    swaps,
    absences,
    contact_methods,
    drills,
    feeds,
    answers,
    keys,
    audit,
    config,
)
"""Each has `mount(routes, service)`; `alerter.api.auth` tells what a new one must know."""
MAX_BODY_BYTES: Final = 256_000


def mount_api(app: FastAPI, service: ApiContext) -> None:
    bearer = HTTPBearer(auto_error=False, description="the installation's admin key, or a key created with it")
    route_class = guarded_route(service)
    for module in MODULES:
        routes = APIRouter(
            prefix="/v1",
            tags=[module.__name__.rpartition(".")[2]],
            route_class=route_class,
            responses=ALWAYS,
            dependencies=[Security(bearer)],
            max_body_size=MAX_BODY_BYTES,
        )
        module.mount(routes, service)
        app.include_router(routes)
    mount_inbound(app, service)
    feeds.mount_feeds(app, service)
    _webhooks(app)


def _webhooks(app: FastAPI) -> None:
    """What receivers get, in the `webhooks` section of the OpenAPI document."""
    about = (
        "Signed according to Standard Webhooks 1.0.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Answer 2xx "
        "within 15 s. The id is the same in every attempt. Messages may arrive in any order; "
        "`data.sequence` says which is newer."
    )
    for change in ("opened", "updated", "escalated", "acknowledged", "resolved"):

        @app.webhooks.post(f"incident.{change}", description=about, operation_id=f"webhook_incident_{change}")
        def incident_message(body: schemas.IncidentMessage) -> None: ...

    _post_webhooks(app, about)
    for stage in ("test", "over"):

        @app.webhooks.post(f"page.{stage}", description=about, operation_id=f"webhook_page_{stage}")
        def drill_message(body: drills.DrillMessage) -> None: ...

    @app.webhooks.post("method.code", description=about, operation_id="webhook_method_code")
    def code_message(body: contact_methods.CodeMessage) -> None: ...

    for news in ("failing", "recovered", "disabled", "test"):

        @app.webhooks.post(f"endpoint.{news}", description=about, operation_id=f"webhook_endpoint_{news}")
        def endpoint_message(body: schemas.EndpointMessage) -> None: ...

    for outcome in ("refused", "accepted"):

        @app.webhooks.post(f"config.{outcome}", description=about, operation_id=f"webhook_config_{outcome}")
        def config_message(body: schemas.ConfigMessage) -> None: ...

    for what in ("restored", "dropped"):

        @app.webhooks.post(f"log.{what}", description=about, operation_id=f"webhook_log_{what}")
        def log_message(body: schemas.LogMessage) -> None: ...

    @app.webhooks.post("answer.due", description=about, operation_id="webhook_answer_due")
    def overdue_message(body: answers.OverdueMessage) -> None: ...


def _post_webhooks(app: FastAPI, about: str) -> None:
    """What is sent when a post that receivers got has changed."""

    @app.webhooks.post("post.edited", description=about, operation_id="webhook_post_edited")
    def edit_message(body: schemas.EditMessage) -> None: ...

    @app.webhooks.post("post.redacted", description=about, operation_id="webhook_post_redacted")
    def redaction_message(body: schemas.RedactionMessage) -> None: ...
