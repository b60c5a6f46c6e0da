"""The forms that create, change and delete endpoints. A secret can be typed in, and is never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from alerter.api import endpoint_admin, endpoints, schemas, views
from alerter.api.context import ApiContext, found
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.api.versions import Change
from alerter.console import rendering
from alerter.console.actions import may, version_seen
from alerter.console.middleware import HOME, Form, Signed
from alerter.notify.outlet import Kind
from services.config.section import Slug

PAGE: Final = f"{HOME}/endpoints"
LISTS: Final = ("brands", "severities", "types")
PLAIN: Final = ("description", "owner", "fallback", "concurrency", "per_second")
SECRETS: Final = ("url", "key", "inbound_secret")
"""What a field that is left empty leaves as it is."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    # A name begins with a letter or a digit, so that `+new` is nobody's.
    @routes.get("/endpoints/+new")
    async def show_new(request: Request, visit: Signed) -> Response:
        may(visit, Scope.ADMIN)
        return _page(service, request, None, {})

    @routes.post("/endpoints/+new")
    async def create(request: Request, visit: Signed, form: Form) -> Response:
        caller = may(visit, Scope.ADMIN)
        try:
            body = {"name": form.get("name", "").strip(), "kind": form.get("kind", ""), **_asked(form, keep=False)}
            made = await endpoints.create(service, caller, schemas.EndpointIn.model_validate(body), visit.person)
        except (ValidationError, Problem) as error:
            return _page(service, request, None, form, error)
        if made.secret is None:
            return RedirectResponse(f"{PAGE}?done=created", 303)
        return rendering.page(service, request, "endpoint-created.html", name=made.name, secret=made.secret)

    @routes.get("/endpoints/{name}/change")
    async def show_one(request: Request, visit: Signed, name: Slug) -> Response:
        caller = may(visit, Scope.ADMIN)
        one = found(await service.database.read(lambda c: views.endpoint_shown(c, caller, name)))
        return _page(service, request, one, fields_of(one))

    @routes.post("/endpoints/{name}/change")
    async def change(request: Request, visit: Signed, name: Slug, form: Form) -> Response:
        caller = may(visit, Scope.ADMIN)
        one = found(await service.database.read(lambda c: views.endpoint_shown(c, caller, name)))
        try:
            body = schemas.EndpointChange.model_validate(_asked(form, keep=True))
            await endpoint_admin.change(service, caller, name, body, Change(visit.person, version_seen(form)))
        except (ValidationError, Problem) as error:
            return _page(service, request, one, form, error)
        return RedirectResponse(f"{PAGE}?done=changed", 303)

    @routes.post("/endpoints/{name}/delete")
    async def delete(visit: Signed, name: Slug, form: Form) -> Response:
        change = Change(visit.person, version_seen(form))
        insists = form.get("even_if_named") == "on"
        await endpoints.delete(service, may(visit, Scope.ADMIN), name, change, even_if_named=insists)
        return RedirectResponse(f"{PAGE}?done=deleted", 303)


def fields_of(one: schemas.Endpoint) -> dict[str, str]:
    """Returns what the form shows of an endpoint: nothing that is a secret."""
    found = {name: "" if (value := getattr(one, name)) is None else str(value) for name in PLAIN}
    found |= {name: ", ".join(map(str, getattr(one, name))) for name in LISTS}
    return found | ({"subscribed": "on"} if one.subscribed else {})


def _asked(form: Mapping[str, str], *, keep: bool) -> dict[str, Any]:
    """Returns what the form asks for. With `keep` an empty field of a secret leaves it as it is."""
    body: dict[str, Any] = {name: text for name in SECRETS if (text := form.get(name, "").strip())}
    body |= {name: form.get(name, "").strip() or None for name in PLAIN if name != "description"}
    body["description"] = form.get("description", "").strip()
    body |= {name: form.get(name, "").replace(",", " ").split() for name in LISTS}
    body["subscribed"] = form.get("subscribed") == "on"
    auth = {name: text for name in ("bearer", "user", "password") if (text := form.get(name, ""))}
    if auth:
        body["auth"] = auth
    lines = [line.partition(":") for line in form.get("headers", "").splitlines() if line.strip()]
    if lines or not keep:
        body["headers"] = {name.strip(): value.strip() for name, _, value in lines}
    return body


def _page(
    service: ApiContext,
    request: Request,
    one: schemas.Endpoint | None,
    form: Mapping[str, str],
    error: ValidationError | Problem | None = None,
) -> Response:
    """The form, with what was typed into it. What cannot be said beside it is raised."""
    status, problem = 200, ""
    if isinstance(error, Problem):
        if error.status not in (409, 412, 422):
            raise error
        status, problem = error.status, error.detail
    elif error is not None:
        first = error.errors(include_url=False, include_input=False)[0]
        status, problem = 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    shown = {name: form.get(name, "") for name in ("name", "kind", "subscribed", *PLAIN, *LISTS)}
    return rendering.page(
        service,
        request,
        "endpoint-form.html",
        status,
        one=one,
        fields=shown,
        seen=one.version if one is not None else None,
        kinds=tuple(Kind),
        problem=problem,
    )
