"""A person's own page: by which methods they are reached, and what they do about them; and their part in a drill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from sqlalchemy import Connection

from alerter.api import contact_methods as api
from alerter.api import drills as drills_api
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.oncall import responder_of
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import flash, live, rendering
from alerter.console.actions import may
from alerter.console.middleware import HOME, Form, Signed
from alerter.console.sessions import Visitor
from alerter.escalation import page_drills
from alerter.notify import methods
from alerter.oncall.responders import Directory
from services.config.model import Config
from services.config.rota import Responder
from services.config.section import Slug

MOST_LISTED: Final = 200
"""People that the page *On call* lists."""
HOW: Final = {"code": "by a code", "drill": "in a drill", "acknowledgement": "by acknowledging an incident"}
"""By what a method was confirmed, in words."""


class PersonView(NamedTuple):
    """A person on the list of people: `trouble` says in words what is wrong with their methods."""

    id: str
    called: str
    counting: int
    confirmed: int
    methods: int
    trouble: str | None


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/me")
    async def show_me(visit: Signed) -> Response:
        found = Directory(service.process.config).responder_called(visit.person)
        if found is None:
            raise Problem(404, "there is no responder of your name: sign in with the name that the rota has for you")
        return RedirectResponse(f"{HOME}/people/{found.id}", 303)

    @routes.get("/people/{responder}")
    async def show_person(request: Request, visit: Signed, responder: Slug, done: str = "", sent: str = "") -> Response:
        config = service.process.config
        person = responder_of(service, visit.caller, responder)
        found, drill, version = await service.database.read(
            lambda c: (
                methods.of_person(c, person),
                None if visit.caller.outside else page_drills.latest(c),
                live.fingerprint(c, visit.caller),
            )
        )
        part = next((one for one in drill.people if one.responder == person.id), None) if drill is not None else None
        is_open = drill is not None and not drill.is_over(service.context().now)
        return rendering.page(
            service,
            request,
            "person.html",
            person=person,
            listed=api.shown(person, found, config),
            how=HOW,
            drill=drill if part is not None else None,
            part=part,
            confirmed=part.confirmed(drill.every_method) if drill is not None and part is not None else None,
            may_confirm=is_open
            and part is not None
            and part.confirmed(drill is not None and drill.every_method) is None,
            may_change=visit.caller.may(Scope.RESPOND) and api.is_own(config, visit.caller, visit.person, person.id),
            sent=sent,
            version=version,
            said=flash.WORDS.get(done),
        )

    @routes.post("/people/{responder}/methods/{method}/{action}")
    async def change_method(visit: Signed, responder: Slug, method: Slug, action: str, form: Form) -> Response:
        if action not in _ACTIONS:
            raise Problem(404, "there is no such page")
        work, done = _ACTIONS[action]
        await work(service, visit, responder, method, form)
        sent = f"&sent={method}" if action == "code" else ""
        return RedirectResponse(f"{HOME}/people/{responder}?done={done}{sent}", 303)

    @routes.post("/people/{responder}/drill")
    async def confirm_drill(visit: Signed, responder: Slug, form: Form) -> Response:
        caller = _acting(service, visit, responder)
        way = (responder, form.get("method", ""))
        await drills_api.confirm_for(service, caller, form.get("drill", ""), way, visit.person)
        return RedirectResponse(f"{HOME}/people/{responder}?done=drill_confirmed", 303)


def _acting(service: ApiContext, visit: Visitor, responder: str) -> Caller:
    """Raises `Problem` 403 or 404."""
    caller = may(visit, Scope.RESPOND)
    person = responder_of(service, caller, responder)
    if not api.is_own(service.process.config, caller, visit.person, person.id):
        raise Problem(403, f"only {person.called} may do that, or somebody with an admin key")
    return caller


_Act = Callable[[ApiContext, Visitor, str, str, dict[str, str]], Awaitable[object]]


async def _send_code(service: ApiContext, visit: Visitor, responder: str, method: str, _: dict[str, str]) -> None:
    await api.send_code(service, may(visit, Scope.RESPOND), responder, method, visit.person)


async def _enter_code(service: ApiContext, visit: Visitor, responder: str, method: str, form: dict[str, str]) -> None:
    code = "".join(form.get("code", "").split())
    try:
        asked = api.CodeIn(by=visit.person, code=code)
    except ValidationError:
        raise Problem(422, "a code has six digits") from None
    await api.enter_code(service, may(visit, Scope.RESPOND), responder, method, visit.person, asked.code)


async def _test(service: ApiContext, visit: Visitor, responder: str, method: str, _: dict[str, str]) -> None:
    await api.send_test(service, may(visit, Scope.RESPOND), responder, method, visit.person)


async def _off(service: ApiContext, visit: Visitor, responder: str, method: str, _: dict[str, str]) -> None:
    await api.switch(service, may(visit, Scope.RESPOND), responder, method, visit.person, off=True)


async def _on(service: ApiContext, visit: Visitor, responder: str, method: str, _: dict[str, str]) -> None:
    await api.switch(service, may(visit, Scope.RESPOND), responder, method, visit.person, off=False)


_ACTIONS: Final[dict[str, tuple[_Act, str]]] = {
    "code": (_send_code, "code_sent"),
    "confirm": (_enter_code, "confirmed"),
    "test": (_test, "method_tested"),
    "off": (_off, "switched_off"),
    "on": (_on, "switched_on"),
}


def overview(connection: Connection, people: Sequence[Responder], config: Config) -> list[PersonView]:
    """Returns the people with what is known of their methods, those with trouble first, at most `MOST_LISTED`."""
    found = methods.of_people(connection, people[:MOST_LISTED])
    listed = [_view(person, found[person.id], config) for person in people[:MOST_LISTED]]
    return sorted(listed, key=lambda one: (one.trouble is None, one.called.casefold()))


def _view(person: Responder, found: Sequence[methods.Method], config: Config) -> PersonView:
    counting = api.counted(tuple(found), config)
    confirmed = [one for one in counting if one.confirmed_at is not None]
    trouble = None
    if not counting:
        trouble = "cannot be reached: no method works"
    elif not confirmed and config.only_confirmed_methods:
        trouble = "no method is confirmed: the others are used until one is"
    return PersonView(person.id, person.called, len(counting), len(confirmed), len(found), trouble)
