"""The page on which a person chooses the zone of all times. It works without scripts; with them it offers the device's own."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.console import rendering, zones
from alerter.console.middleware import HOME, Form, Signed, inside, is_secure

PAGE: Final = f"{HOME}/zone"
YEAR_SECONDS: Final = 365 * 86400
Next = Annotated[str, Query(max_length=500)]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/zone")
    async def show_zones(request: Request, visit: Signed, next: Next = HOME) -> Response:  # noqa: A002 - its name in the address
        own = zones.own(visit, service.process.config)
        return rendering.page(service, request, "zone.html", names=zones.names(), own=own, next=inside(next))

    @routes.post("/zone")
    async def choose_zone(request: Request, form: Form) -> Response:
        name = form.get("zone", "")
        if name and not zones.known(name):
            raise Problem(422, "that is not a zone of the IANA database; Europe/Berlin is one")
        response = RedirectResponse(inside(form.get("next", HOME)), 303)
        if name:
            remember(response, zones.kept(name), secure=is_secure(service, request))
        else:
            response.delete_cookie(zones.COOKIE, path=HOME)
        return response


def remember(response: Response, value: str, *, secure: bool) -> None:
    response.set_cookie(
        zones.COOKIE, value, max_age=YEAR_SECONDS, path=HOME, secure=secure, httponly=True, samesite="lax"
    )
