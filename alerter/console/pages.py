"""The pages, and how they are mounted beside the API."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from alerter.api import views
from alerter.api.auth import Caller
from alerter.api.context import ApiContext, found
from alerter.api.problems import Problem
from alerter.api.schemas import IncidentKey
from alerter.api.scopes import Scope
from alerter.api.seen import to_ask
from alerter.console import (
    actions,
    answers,
    board,
    brands,
    declared,
    endpoint_forms,
    endpoints,
    flash,
    live,
    page_now,
    people,
    rendering,
    rota,
    sessions,
    silences,
    zone_page,
    zones,
)
from alerter.console.board import Card
from alerter.console.live import About, LiveUpdates
from alerter.console.middleware import HOME, Form, Signed, console_route, inside, is_secure
from alerter.console.sign_ins import SignIns
from alerter.incidents import words
from alerter.incidents.actions import undo_until
from alerter.incidents.record import IncidentRecord
from alerter.incidents.store import read_record
from services.config.model import Config

WRONG: Final = "That key does not work. It may have expired or been revoked."
MAX_FORM_BYTES: Final = 32_000
MAX_NAMES: Final = 200
MAX_FIRST: Final = 1_000_000
BOARD_CHART: Final = (220, 56)
PAGE_CHART: Final = (640, 240)
First = Annotated[int, Query(alias="from", ge=0, le=MAX_FIRST)]
Since = Annotated[str, Query(max_length=40)]


def mount_console(app: FastAPI, service: ApiContext, live_updates: LiveUpdates, sign_ins: SignIns) -> None:
    for open_to_all, fill in (
        (True, _door),
        (False, _pages),
        (False, actions.mount),
        (False, rota.mount),
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
            route_class=console_route(service, open_to_all=open_to_all),
            include_in_schema=False,
            max_body_size=MAX_FORM_BYTES,
        )
        fill(routes, service)
        if fill is _door:
            _sign_in(routes, service, sign_ins)
        if fill is _pages:
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


def _pages(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("")
    async def show_board(request: Request, visit: Signed, done: str = "", first: First = 0) -> Response:
        caller, now = visit.caller, service.context().now
        opened, ended, version = await service.database.read(
            lambda c: (
                board.open_page(c, caller, now, first),
                board.ended_texts(c, caller),
                live.fingerprint(c, caller),
            )
        )
        cards = _cards(service, caller, opened, BOARD_CHART)
        return rendering.page(
            service,
            request,
            "board.html",
            free=[one for one in cards if one.incident.acknowledged_by is None],
            held=[one for one in cards if one.incident.acknowledged_by is not None],
            counts=(opened.free, opened.held),
            untold=opened.untold,
            first=first,
            step=board.SHOWN,
            ended=[read_record(text) for text in ended],
            undo_until=undo_until,
            version=version,
            may_act=caller.may(Scope.RESPOND),
            said=flash.WORDS.get(done),
            state_words=words.STATE_WORDS,
            refused=service.process.current.refused,
            tell_mistakes=not caller.outside,
        )

    @routes.get("/incidents/{incident}")
    async def show_incident(request: Request, visit: Signed, incident: IncidentKey, done: str = "") -> Response:
        return await _incident_page(service, request, visit.caller, incident, flash.WORDS.get(done))


async def _incident_page(
    service: ApiContext, request: Request, caller: Caller, incident: str, word: str | None
) -> Response:
    config = service.process.config

    def read(connection: Any) -> Any:
        record = views.record_shown(connection, caller, config.source_policy, incident)
        explained = views.explanation(connection, caller, config.source_policy, incident)
        return (record, explained, live.fingerprint(connection, caller)) if record is not None else None

    record, explained, version = found(await service.database.read(read))
    one = board.card(record, config, service.context().now, *PAGE_CHART, explained.untold)
    return rendering.page(
        service,
        request,
        "incident.html",
        one=one,
        incident=record.incident,
        record=record,
        explained=explained,
        exemplars=board.unsaid(record.incident),
        playbook=_playbook(config, record),
        responders=to_ask(caller, config, record.incident.brand)[:MAX_NAMES],
        version=version,
        ended=record.ended,
        undo_until=undo_until(record),
        may_act=caller.may(Scope.RESPOND),
        state_words=words.STATE_WORDS,
        said=word,
    )


def _cards(service: ApiContext, caller: Caller, opened: board.Open, size: tuple[float, float]) -> list[Card]:
    context, why = service.context(), opened.why_untold
    shown = (views.shown_to(caller, record, context.config.source_policy) for record in opened.records)
    return [board.card(one, context.config, context.now, *size, why.get(one.incident.id)) for one in shown]


def _playbook(config: Config, record: IncidentRecord) -> str | None:
    """As the configuration has it now; the first step is the one that was sent."""
    rule = next((rule for rule in config.rules if rule.id == record.incident.rule), None)
    return config.playbooks.get(rule.playbook or "") if rule is not None else None


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
