"""A form that pages somebody now, with a message."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from alerter.api import page_now, schemas
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import rendering
from alerter.console.actions import may
from alerter.console.middleware import HOME, Form, Signed

MOST_LISTED: Final = 500
"""Brands, and people, that the form lists: a page stays below 100 kB."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/page")
    async def ask_whom(request: Request, visit: Signed, brand: Annotated[str, Query(max_length=64)] = "") -> Response:
        caller, config = may(visit, Scope.RESPOND), service.process.config
        brands = [one for one in config.brands if caller.sees(one.id)]
        targets = page_now.may_page(caller, config)
        return rendering.page(
            service,
            request,
            "page.html",
            brands=[(one.id, one.name) for one in brands[:MOST_LISTED]],
            chosen=brand,
            targets=targets[:MOST_LISTED],
            is_short=max(len(brands), len(targets)) > MOST_LISTED,
            names={f"responder:{one.id}": one.called for one in config.responders},
            once=secrets.token_hex(8),  # the same form that is sent twice pages once
        )

    @routes.post("/page")
    async def send_page(visit: Signed, form: Form) -> Response:
        given = {name: form.get(name, "").strip() for name in ("brand", "message", "severity", "id")}
        try:
            asked = schemas.PageIn.model_validate({**given, "to": [form.get("to", "").strip()], "by": visit.person})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise Problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        record = await page_now.page(service, may(visit, Scope.RESPOND), asked)
        return RedirectResponse(f"{HOME}/incidents/{record.incident.id}?done=paged", 303)
