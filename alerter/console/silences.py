"""The page of silences: which hold people back now, until when, and forms to make, change and end one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api import schemas
from alerter.api import silences as api
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import flash, rendering, zones
from alerter.console.actions import filled, may, version_seen
from alerter.console.middleware import HOME, Form, Signed
from alerter.console.rota import moment_in, zone_in
from alerter.oncall.wallclock import wall_of
from alerter.silences.matching import Covers, Field
from services.config.rota import zone_of

PAGE: Final = f"{HOME}/silences"
MAX_SHOWN: Final = 100
LASTS: Final = timedelta(hours=2)
"""What the form of a new one suggests."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/silences")
    async def show_silences(
        request: Request, visit: Signed, done: str = "", matchers: Annotated[str, Query(max_length=2000)] = ""
    ) -> Response:
        form = {"matchers": matchers} if matchers else None
        return await _page(service, request, visit, said=flash.WORDS.get(done), form=form)

    @routes.post("/silences")
    async def make_silence(request: Request, visit: Signed, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        try:
            fields = {"covers": form.get("covers", ""), "matchers": matchers_in(form.get("matchers", ""))}
            until = moment_in(form, "ends", zone_in(service, request, visit, form))
            await api.create(service, caller, filled(schemas.SilenceIn, visit, form, **fields, ends_at=until))
        except Problem as problem:
            return await _page(service, request, visit, form=form, problem=problem)
        return RedirectResponse(f"{PAGE}?done=silenced", 303)

    @routes.post("/silences/{silence}")
    async def change_silence(request: Request, visit: Signed, silence: api.Key, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        fields: dict[str, Any] = {"matchers": matchers_in(form.get("matchers", ""))}
        fields["ends_at"] = moment_in(form, "ends", zone_in(service, request, visit, form))
        asked = filled(schemas.SilenceChange, visit, form, **fields)
        await api.change(service, caller, silence, asked, version_seen(form))
        return RedirectResponse(f"{PAGE}?done=changed-silence", 303)

    @routes.post("/silences/{silence}/end")
    async def end_silence(visit: Signed, silence: api.Key) -> Response:
        await api.end(service, may(visit, Scope.RESPOND), silence, visit.person)
        return RedirectResponse(f"{PAGE}?done=unsilenced", 303)


def matchers_in(text: str) -> list[dict[str, Any]]:
    """Returns the matchers in a text: one a line, such as `brand = acme, other` or `severity != 3`."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, equals, values = line.partition("=")
        found.append(
            {
                "field": name.strip().removesuffix("!").strip() if equals else line.strip(),
                "values": [value for one in values.split(",") if (value := one.strip())],
                "negate": name.strip().endswith("!"),
            }
        )
    return found


def matchers_text(silence: schemas.SilenceOut) -> str:
    """Returns the matchers as `matchers_in` reads them."""
    return "\n".join(
        f"{matcher.field.value} {'!=' if matcher.negate else '='} {', '.join(matcher.values)}"
        for matcher in silence.matchers
    )


async def _page(
    service: ApiContext,
    request: Request,
    visit: Signed,
    said: str | None = None,
    form: Mapping[str, str] | None = None,
    problem: Problem | None = None,
) -> Response:
    if problem is not None and problem.status not in (404, 409, 422):
        raise problem
    listed = (await api.listed(service, visit.caller, MAX_SHOWN)).items
    now = service.context().now
    zone = zone_of(zones.chosen(request, visit, service.process.config))
    suggested = {
        "ends": f"{wall_of(now + LASTS, zone):%Y-%m-%dT%H:%M}",
        "matchers": "brand = ",
        "covers": "",
        "comment": "",
    }
    return rendering.page(
        service,
        request,
        "silences.html",
        200 if problem is None else problem.status,
        silences=[(one, matchers_text(one), f"{wall_of(one.ends_at, zone):%Y-%m-%dT%H:%M}") for one in listed],
        fields={**suggested, **(form or {})},
        problem="" if problem is None else problem.detail,
        covers=tuple(Covers),
        known=", ".join(field.value for field in Field),
        may_act=visit.caller.may(Scope.RESPOND),
        said=said,
    )
