"""What stands between a browser and every page: the session, the form's token, the headers, and errors that people can read.

The content security policy allows our own files and nothing else: no inline script or style, no other site's anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.console import rendering, sessions
from alerter.console.sessions import Visitor
from alerter.console.strip import Strips
from alerter.store.database import DatabaseAway, Overtaken
from services.runtime.reference import PAGE_HEADERS

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

HOME: Final = "/console"
LOGIN: Final = f"{HOME}/login"
LIVE: Final = f"{HOME}/live"
MAX_FIELDS: Final = 300
"""A page of the inbox has a box to tick for each of up to 180 posts."""


def same_origin(request: Request) -> bool:
    """Whether a form comes from a page of ours, as far as the browser says."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def inside(address: str) -> str:
    """Only our own pages: no link to one of them must lead elsewhere."""
    clean = address.startswith(f"{HOME}/") or address == HOME
    return address if clean and "//" not in address and "\\" not in address and address.isprintable() else HOME


def is_secure(service: ApiContext, request: Request) -> bool:
    """Whether browsers reach us by https, so that a cookie may be kept from anything else."""
    return request.url.scheme == "https" or (service.process.settings.public_url or "").startswith("https://")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form. Raises `Problem` 422; the body's size is bounded by the router."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(422, "this page expects a form")
    try:
        text = (await request.body()).decode("utf-8")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Problem(422, "the form cannot be read") from None


def console_route(service: ApiContext, strips: Strips, *, open_to_all: bool = False) -> type[APIRoute]:
    """A route for people with a session (`open_to_all`: for anybody). A form must come from our own page."""

    class ConsoleRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            original = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                try:
                    response = await _admit(service, strips, request, original, open_to_all)
                except Problem as problem:
                    response = _sorry(service, request, problem.status, problem.detail)
                except RequestValidationError:
                    response = _sorry(service, request, 404, "there is no such page")
                except HTTPException as error:
                    response = _sorry(service, request, error.status_code, str(error.detail))
                except (DatabaseAway, Overtaken):
                    response = _sorry(service, request, 503, "the database does not answer right now")
                for name, value in PAGE_HEADERS.items():
                    response.headers.setdefault(name, value)
                return response

            return guarded

    return ConsoleRoute


async def _admit(
    service: ApiContext, strips: Strips, request: Request, original: Handler, open_to_all: bool
) -> Response:
    if not service.started:
        raise Problem(503, "Firebreak is starting; try again in a moment")
    posting = request.method == "POST"
    if posting and not same_origin(request):
        raise Problem(403, "this form came from another site")
    visitor = await sessions.visitor_of(service, request.cookies.get(sessions.COOKIE))
    request.state.visitor = visitor
    if visitor is None and not open_to_all:
        if posting or "text/event-stream" in request.headers.get("accept", ""):
            raise Problem(401, "you are no longer signed in")
        return RedirectResponse(f"{LOGIN}?next={quote(request.url.path)}", 303)
    if visitor is not None and not open_to_all and request.url.path != LIVE:
        request.state.strip = await strips.of(service, visitor.caller)
    if posting:
        request.state.form = form = await form_of(request)
        if visitor is not None and not open_to_all and not _same(form.get("csrf", ""), visitor.csrf):
            raise Problem(403, "this form is too old; go back, reload the page and try again")
    return await original(request)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _sorry(service: ApiContext, request: Request, status: int, detail: str) -> Response:
    return rendering.page(service, request, "sorry.html", status=status, detail=detail)


def _visitor(request: Request) -> Visitor:
    visitor = request.state.visitor
    assert isinstance(visitor, Visitor)
    return visitor


def _form(request: Request) -> dict[str, str]:
    form: dict[str, str] = request.state.form
    return form


Signed = Annotated[Visitor, Depends(_visitor)]
Form = Annotated[dict[str, str], Depends(_form)]
