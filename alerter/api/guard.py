"""The route class of everything under /v1: asks for the key and its scope first, and says every trouble as a problem.

The key is checked before anything of the request is read, and never repeated in an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from alerter.api import keys
from alerter.api.auth import bearer, digest, scope_of
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.store.database import DatabaseAway, Overtaken

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

MAX_ERRORS: Final = 20
MAX_PLACE_CHARS: Final = 200
"""Of an error's place: names of fields come from the client, and may be as long as the body."""


def guarded_route(service: ApiContext) -> type[APIRoute]:
    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            original = super().get_route_handler()
            known = {parameter.alias for parameter in self.dependant.query_params}
            scope = scope_of([dependency.call for dependency in self.dependant.dependencies])
            if scope is None:
                raise TypeError(f"{self.path}: the route does not say which scope it needs; see alerter.api.auth")

            async def guarded(request: Request) -> Response:
                try:
                    return await _answer(service, request, original, known, scope)
                except Problem as problem:
                    return problem.response()

            return guarded

    return GuardedRoute


async def _answer(service: ApiContext, request: Request, original: Handler, known: set[str], scope: Scope) -> Response:
    key = bearer(request)
    if key is None:
        raise Problem(401, "a bearer key is needed", {"www-authenticate": "Bearer"})
    if not service.started:
        raise Problem(503, "not started yet", {"retry-after": "1"})
    try:
        caller = await keys.caller_of(service, digest(key))
        if caller is None:
            raise Problem(401, "a bearer key is needed", {"www-authenticate": "Bearer"})
        if not caller.may(scope):
            raise Problem(403, f"this needs a key with scope {scope.value}; yours has scope {caller.scope.value}")
        if set(request.query_params) - known:
            # A filter that is misspelt would otherwise list everything as if nothing had been asked.
            raise Problem(422, f"unknown query parameter; this route takes {', '.join(sorted(known)) or 'none'}")
        request.state.caller = caller
        return await original(request)
    except RequestValidationError as error:
        # Places and reasons only: the values may be secrets.
        found = error.errors()
        wrong = [{"at": ".".join(map(str, e["loc"]))[:MAX_PLACE_CHARS], "why": e["msg"]} for e in found[:MAX_ERRORS]]
        more = f" in {len(found)} places, of which these are the first" if len(found) > MAX_ERRORS else ""
        raise Problem(422, f"the request is not valid{more}", errors=wrong) from None
    except HTTPException as error:
        # What FastAPI says of a body that it cannot even take apart.
        status = 422 if error.status_code == 400 else error.status_code
        raise Problem(status, str(error.detail)) from None
    except (DatabaseAway, Overtaken):
        raise Problem(503, "the database does not answer right now", {"retry-after": "1"}) from None
