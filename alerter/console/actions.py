"""What a person does on a page: a form, sent back to where it came from. The same functions as behind the API do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar, get_origin

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from alerter.api import actions, schemas
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.schemas import IncidentKey
from alerter.api.scopes import Scope
from alerter.console import sessions
from alerter.console.middleware import HOME, LOGIN, Form, Signed
from alerter.console.sessions import Visitor

Filled = TypeVar("Filled", bound=schemas.Shape)
FILLED: Final = frozenset({"by", "comment"})
"""What `filled` fills in of every action."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/logout")
    async def log_out(visit: Signed) -> Response:
        await sessions.close_session(service, visit)
        response = RedirectResponse(LOGIN, 303)
        response.delete_cookie(sessions.COOKIE, path=HOME)
        return response

    for name in actions.ACTIONS:
        _mount_action(routes, service, name)


def _mount_action(routes: APIRouter, service: ApiContext, name: str) -> None:
    @routes.post(f"/incidents/{{incident}}/{name}")
    async def act(visit: Signed, incident: IncidentKey, form: Form) -> Response:
        action = actions.ACTIONS[name]
        fields = action.body.model_fields.keys() - FILLED
        own = {field: given(action.body, field, form[field]) for field in fields if form.get(field)}
        said = filled(action.body, visit, form, **own)
        await actions.perform(service, may(visit, Scope.RESPOND), name, incident, said)
        return _back(form, f"{HOME}/incidents/{incident}", action.done)


def given(body: type[schemas.ActionIn], field: str, text: str) -> str | list[str]:
    """Returns what a form says in a field. One that takes several is filled in with commas."""
    if get_origin(body.model_fields[field].annotation) is not tuple:
        return text.strip()
    return [part.strip() for part in text.split(",") if part.strip()]


def may(visit: Visitor, scope: Scope) -> Caller:
    if not visit.caller.may(scope):
        raise Problem(403, f"this needs a key with the scope {scope.value}; yours has {visit.caller.scope.value}")
    return visit.caller


def filled(kind: type[Filled], visit: Visitor, form: dict[str, str], /, **more: object) -> Filled:
    """What the form asks for, checked like a request to the API. Raises `Problem` 422 that says what is wrong."""
    try:
        return kind.model_validate({"by": visit.person, "comment": form.get("comment", "").strip(), **more})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def version_seen(form: Mapping[str, str]) -> int | None:
    """Returns the version that the page showed from which the form comes, or `None` if it says none."""
    text = form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _back(form: dict[str, str], otherwise: str, done: str) -> Response:
    """To the board if the form was there, else to the page of the thing."""
    target = HOME if form.get("from") == "board" else otherwise
    return RedirectResponse(f"{target}?done={done}", 303)
