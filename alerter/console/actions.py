"""What a person does on a page: a form, sent back to where it came from. The same functions as behind the API do it."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from alerter.api import incidents, schemas
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.schemas import IncidentKey
from alerter.api.scopes import Scope
from alerter.console import sessions
from alerter.console.middleware import HOME, LOGIN, Form, Signed
from alerter.console.sessions import Visitor

Filled = TypeVar("Filled", bound=schemas.Shape)


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/logout")
    async def log_out(visit: Signed) -> Response:
        await sessions.close_session(service, visit)
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(sessions.COOKIE, path=HOME)
        return response

    @routes.post("/incidents/{incident}/acknowledge")
    async def acknowledge(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = filled(schemas.Deed, visit, form)
        caller = may(visit, Scope.RESPOND)
        await incidents.do(
            service, caller, incident, "acknowledged", deed, lambda d: d.acknowledge(incident, deed.by, deed.comment)
        )
        return _back(form, f"{HOME}/incidents/{incident}", "acknowledged")

    @routes.post("/incidents/{incident}/resolve")
    async def resolve(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = filled(schemas.Deed, visit, form)
        caller = may(visit, Scope.RESPOND)
        await incidents.do(
            service, caller, incident, "resolved", deed, lambda d: d.resolve(incident, deed.by, deed.comment)
        )
        return _back(form, f"{HOME}/incidents/{incident}", "resolved")

    @routes.post("/incidents/{incident}/snooze")
    async def snooze(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = filled(schemas.Snooze, visit, form, minutes=form.get("minutes", ""))
        caller = may(visit, Scope.RESPOND)
        await incidents.do(
            service,
            caller,
            incident,
            "snoozed",
            deed,
            lambda d: d.snooze(incident, deed.by, deed.comment, deed.minutes),
        )
        return _back(form, f"{HOME}/incidents/{incident}", "snoozed")

    @routes.post("/incidents/{incident}/reassign")
    async def reassign(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = filled(schemas.Reassignment, visit, form, to=form.get("to", "").strip())
        caller = may(visit, Scope.RESPOND)
        await incidents.do(
            service,
            caller,
            incident,
            "reassigned",
            deed,
            lambda d: d.reassign(incident, deed.by, deed.to, deed.comment),
        )
        return _back(form, f"{HOME}/incidents/{incident}", "reassigned")

    @routes.post("/incidents/{incident}/outcome")
    async def mark(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = filled(schemas.OutcomeIn, visit, form, outcome=form.get("outcome", ""))
        caller = may(visit, Scope.RESPOND)
        await incidents.do(
            service, caller, incident, "marked", deed, lambda d: d.mark(incident, deed.by, deed.outcome, deed.comment)
        )
        return _back(form, f"{HOME}/incidents/{incident}", "marked")


def may(visit: Visitor, scope: Scope) -> Caller:
    if not visit.caller.may(scope):
        raise Problem(403, f"this needs a key with the scope {scope.value}; yours has {visit.caller.scope.value}")
    return visit.caller


def filled(kind: type[Filled], visit: Visitor, form: dict[str, str], **more: object) -> Filled:
    """What the form asks for, checked like a request to the API. Raises `Problem` 422 that says what is wrong."""
    try:
        return kind.model_validate({"by": visit.person, "comment": form.get("comment", "").strip(), **more})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _back(form: dict[str, str], otherwise: str, done: str) -> Response:
    """To the board if the form was there, else to the page of the thing."""
    target = HOME if form.get("from") == "board" else otherwise
    return RedirectResponse(f"{target}?done={done}", 303)
