"""What a person does on a page: a form, sent back to where it came from. The same functions as behind the API do it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from alerter.api import deliveries, endpoints, incidents, schemas
from alerter.api.auth import Caller
from alerter.api.backstage import Backstage
from alerter.api.problems import Problem
from alerter.api.schemas import DeliveryKey, IncidentKey
from alerter.api.scopes import Scope
from alerter.console import sessions
from alerter.console.door import HOME, LOGIN, Form, Signed
from alerter.console.sessions import Visitor
from services.config import Slug

SAID: Final = {
    "acknowledged": "You have it. Everybody who was told hears so.",
    "resolved": "It is marked as over.",
    "tested": "A test event is on its way; it shows below in a moment.",
    "resent": "It is being sent again, under the same id.",
}
"""What a page says after a deed, by the word in its address: no page shows words that stand in an address."""


def mount(routes: APIRouter, service: Backstage) -> None:
    @routes.post("/logout")
    async def log_out(visit: Signed) -> Response:
        await sessions.close_session(service, visit)
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(sessions.COOKIE, path=HOME)
        return response

    @routes.post("/incidents/{incident}/acknowledge")
    async def acknowledge(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = _deed(visit, form)
        caller = _may(visit, Scope.RESPOND)
        await incidents.do(
            service, caller, incident, "acknowledged", deed, lambda d: d.acknowledge(incident, deed.by, deed.comment)
        )
        return _back(form, f"{HOME}/incidents/{incident}", "acknowledged")

    @routes.post("/incidents/{incident}/resolve")
    async def resolve(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        deed = _deed(visit, form)
        caller = _may(visit, Scope.RESPOND)
        await incidents.do(
            service, caller, incident, "resolved", deed, lambda d: d.resolve(incident, deed.by, deed.comment)
        )
        return _back(form, f"{HOME}/incidents/{incident}", "resolved")

    @routes.post("/endpoints/{name}/test")
    async def test(visit: Signed, name: Slug, form: Form) -> Response:
        await endpoints.send_test(service, _may(visit, Scope.ADMIN), name)
        return _back(form, f"{HOME}/endpoints", "tested")

    @routes.post("/deliveries/{delivery}/resend")
    async def resend(visit: Signed, delivery: DeliveryKey, form: Form) -> Response:
        await deliveries.send_again(service, _may(visit, Scope.RESPOND), delivery)
        return _back(form, f"{HOME}/endpoints", "resent")


def _may(visit: Visitor, scope: Scope) -> Caller:
    if not visit.caller.may(scope):
        raise Problem(403, f"this needs a key with the scope {scope.value}; yours has {visit.caller.scope.value}")
    return visit.caller


def _deed(visit: Visitor, form: dict[str, str]) -> schemas.Deed:
    try:
        return schemas.Deed(by=visit.person, comment=form.get("comment", "").strip())
    except ValidationError:
        raise Problem(422, "a comment has at most 1,000 characters") from None


def _back(form: dict[str, str], otherwise: str, done: str) -> Response:
    """To the board if the form was there, else to the page of the thing."""
    target = HOME if form.get("from") == "board" else otherwise
    return RedirectResponse(f"{target}?done={done}", 303)
