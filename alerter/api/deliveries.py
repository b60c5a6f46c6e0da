"""What was sent, or waits to be: deliveries with every attempt, and sending one again."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import Connection

from alerter.api import schemas, views
from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext, Cursor, Limit, found, paged
from alerter.api.problems import ABSENT, Problem
from alerter.api.schemas import DeliveryKey
from alerter.notify import outbox
from alerter.states import DeliveryState
from alerter.store import audit
from services.config.section import Slug


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/deliveries")
    async def list_deliveries(
        caller: Reader,
        endpoint: Slug | None = None,
        state: DeliveryState | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.Deliveries:
        """Newest first, with every attempt."""
        return await paged(service, lambda c: views.delivery_page(c, caller, endpoint, state, cursor, limit))

    @routes.get("/deliveries/{delivery}", responses=ABSENT)
    async def get_delivery(caller: Reader, delivery: DeliveryKey) -> schemas.DeliveryShown:
        """One delivery with its body, and the response to each attempt."""
        return found(await service.database.read(lambda c: views.delivery_shown(c, caller, delivery)))

    @routes.post("/deliveries/{delivery}/resend", status_code=202, responses=ABSENT)
    async def resend_delivery(caller: Responder, delivery: DeliveryKey) -> schemas.Queued:
        """Send it again under the same id, with the full schedule of retries."""
        await send_again(service, caller, delivery)
        return schemas.Queued(delivery=delivery)


async def send_again(service: ApiContext, caller: Caller, delivery: str) -> None:
    """Raises `Problem` 404."""
    context = service.context()

    def write(connection: Connection) -> bool:
        seen, brand = views.delivery_brand(connection, caller, delivery)
        if not seen or not outbox.resend(connection, delivery, context.now):
            return False
        audit.record(connection, context.now, caller.name, "delivery.resent", delivery, brand)
        return True

    if not await service.database.write(write):
        raise Problem(404, "there is no such delivery, or its endpoint is deleted or disabled")
    service.ring()
