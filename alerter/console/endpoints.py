"""The pages of endpoints: how they are, what was sent there and what came back, and what an administrator does about it."""

from __future__ import annotations

import json
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api import deliveries, endpoint_admin, views
from alerter.api.context import ApiContext, found
from alerter.api.schemas import DeliveryKey
from alerter.api.scopes import Scope
from alerter.console import flash, live, rendering
from alerter.console.actions import may
from alerter.console.middleware import HOME, Signed
from alerter.notify.kinds import TRAITS
from services.config.section import Slug

PAGE: Final = f"{HOME}/endpoints"
MAX_SHOWN: Final = 50
RECENT: Final = 10
GRACE_HOURS: Final = 24.0
"""The old secret signs beside the new one for a day, unless the API asks for another time."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/endpoints")
    async def show_endpoints(request: Request, visit: Signed, done: str = "") -> Response:
        caller = visit.caller
        config = service.process.config
        every, version = await service.database.read(
            lambda c: (views.endpoint_list(c, caller, config), live.fingerprint(c, caller))
        )
        own = every.items
        recent = await service.database.read(
            lambda c: {
                one.name: views.delivery_page(c, caller, one.name, None, None, RECENT).items for one in own[:MAX_SHOWN]
            }
        )
        return rendering.page(
            service,
            request,
            "endpoints.html",
            endpoints=own,
            recent=recent,
            version=version,
            may_act=caller.may(Scope.RESPOND),
            may_manage=caller.may(Scope.ADMIN),
            signs={one.name for one in own if TRAITS[one.kind].signs},
            said=flash.WORDS.get(done),
        )

    @routes.get("/deliveries/{delivery}")
    async def show_delivery(request: Request, visit: Signed, delivery: DeliveryKey) -> Response:
        caller = visit.caller
        shown = found(await service.database.read(lambda c: views.delivery_shown(c, caller, delivery)))
        body = json.dumps(shown.body, indent=2, ensure_ascii=False)
        return rendering.page(service, request, "delivery.html", delivery=shown, body=body)

    @routes.post("/endpoints/{name}/test")
    async def test(visit: Signed, name: Slug) -> Response:
        await endpoint_admin.send_test(service, may(visit, Scope.ADMIN), name)
        return RedirectResponse(f"{PAGE}?done=tested", 303)

    @routes.post("/endpoints/{name}/enable")
    async def enable(visit: Signed, name: Slug) -> Response:
        await endpoint_admin.enable(service, may(visit, Scope.ADMIN), name)
        return RedirectResponse(f"{PAGE}?done=enabled", 303)

    @routes.post("/endpoints/{name}/secret")
    async def rotate(request: Request, visit: Signed, name: Slug) -> Response:
        """The new secret stands on the answer and nowhere else, so there is nothing to go back to."""
        made = await endpoint_admin.rotate(service, may(visit, Scope.ADMIN), name, GRACE_HOURS)
        return rendering.page(service, request, "secret.html", name=name, made=made)

    @routes.post("/deliveries/{delivery}/resend")
    async def resend(visit: Signed, delivery: DeliveryKey) -> Response:
        await deliveries.send_again(service, may(visit, Scope.RESPOND), delivery)
        return RedirectResponse(f"{PAGE}?done=resent", 303)
