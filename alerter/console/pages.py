"""The pages, and how they are mounted beside the API."""

from __future__ import annotations

import math
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.console import (
    actions,
    answers,
    board,
    brands,
    declared,
    endpoint_forms,
    endpoints,
    incident_page,
    page_now,
    people,
    rendering,
    rota,
    sessions,
    silences,
    week_page,
    zone_page,
    zones,
)
from alerter.console.live import About, LiveUpdates
from alerter.console.middleware import HOME, Form, Signed, console_route, inside, is_secure
from alerter.console.sign_ins import SignIns
from alerter.console.strip import Strips

WRONG: Final = "That key does not work. It may have expired or been revoked."
MAX_FORM_BYTES: Final = 32_000
Since = Annotated[str, Query(max_length=40)]


def mount_console(
    app: FastAPI, service: ApiContext, live_updates: LiveUpdates, sign_ins: SignIns, strips: Strips
) -> None:
    for open_to_all, fill in (
        (True, _door),
        (False, board.mount),
        (False, incident_page.mount),
        (False, actions.mount),
        (False, rota.mount),
        (False, week_page.mount),
        (False, answers.mount),
        (False, brands.mount),
        (False, endpoint_forms.mount),
        (False, endpoints.mount),
        (False, declared.mount),
        (False, silences.mount),
        (False, page_now.mount),
        (False, people.mount),
        (False, zone_page.mount),
    ):
        routes = APIRouter(
            prefix=HOME,
            route_class=console_route(service, strips, open_to_all=open_to_all),
            include_in_schema=False,
            max_body_size=MAX_FORM_BYTES,
        )
        fill(routes, service)
        if fill is _door:
            _sign_in(routes, service, sign_ins)
        if fill is board.mount:
            _live(routes, service, live_updates)
        app.include_router(routes)

    @app.get("/", include_in_schema=False)
    @app.get(f"{HOME}/", include_in_schema=False)
    async def front() -> Response:
        return RedirectResponse(HOME, 307)


def _door(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/login")
    async def ask_for_key(request: Request, next: str = HOME) -> Response:  # noqa: A002 - its name in the address
        if request.state.visitor is not None:
            return RedirectResponse(inside(next), 303)
        return rendering.page(service, request, "login.html", next=inside(next), problem="", person="")

    @routes.get("/static/{version}/{name}")
    async def static(version: str, name: str) -> Response:
        if name not in rendering.KINDS or version != rendering.static(name)[1]:
            raise Problem(404, "there is no such file")
        headers = {"cache-control": rendering.FOREVER}
        return Response(rendering.static(name)[0], media_type=rendering.KINDS[name], headers=headers)


def _sign_in(routes: APIRouter, service: ApiContext, sign_ins: SignIns) -> None:
    @routes.post("/login")
    async def log_in(request: Request, form: Form) -> Response:
        person = form.get("person", "").strip()[:100]
        if not person.isprintable():
            raise Problem(422, "a name has letters, digits and spaces")
        target = inside(form.get("next", HOME))
        address = request.client.host if request.client is not None else ""
        if wait := sign_ins.take(address):
            problem = f"Too many tries. Try again in {math.ceil(wait)} seconds."
            page = rendering.page(service, request, "login.html", 429, next=target, problem=problem, person=person)
            page.headers["retry-after"] = str(math.ceil(wait))
            return page
        token = await sessions.open_session(service, form.get("key", "").strip(), person)
        if token is None:
            sign_ins.wrong(address)
            return rendering.page(service, request, "login.html", 401, next=target, problem=WRONG, person=person)
        sign_ins.right(address)
        response = RedirectResponse(target, 303)
        secure = is_secure(service, request)
        response.set_cookie(
            sessions.COOKIE,
            token,
            max_age=int(sessions.LASTS.total_seconds()),
            path=HOME,
            secure=secure,
            httponly=True,
            # Not strict: the link in a page that wakes somebody must open signed in.
            samesite="lax",
        )
        device = form.get("device", "")
        if zones.COOKIE not in request.cookies and zones.known(device):
            zone_page.remember(response, zones.kept(device, found=True), secure=secure)
        return response


def _live(routes: APIRouter, service: ApiContext, live_updates: LiveUpdates) -> None:
    @routes.get("/live")
    async def listen(request: Request, visit: Signed, since: Since = "", about: About = About.INCIDENTS) -> Response:
        token = request.cookies.get(sessions.COOKIE)

        async def still() -> bool:
            return await sessions.visitor_of(service, token) is not None

        known = request.headers.get("last-event-id", since)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        stream = live_updates.stream(visit.caller, known, still, about, visit.session)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
