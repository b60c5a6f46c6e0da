"""Who may call: whoever holds the admin key. Without a key in the settings nobody may. What goes wrong is said as RFC 9457.

The key is checked before anything of the request is read, in constant time, and never repeated in an answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from alerter.store.database import DatabaseAway, Overtaken

PROBLEM_JSON = "application/problem+json"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Problem(Exception):
    """An answer that says what is wrong; `detail` must hold nothing private."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more

    def response(self) -> Response:
        body = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status} | (
            {"detail": self.detail} | self.more
        )
        return JSONResponse(body, self.status, self.headers, PROBLEM_JSON)


def may(request: Request, key: SecretStr | None) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if key is None or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode("utf-8", "replace"), key.get_secret_value().encode())


def guarded_route(key: SecretStr | None, started: Callable[[], bool]) -> type[APIRoute]:
    """A route that asks for the key first, and says every trouble as a problem."""

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            original = super().get_route_handler()
            known = {parameter.alias for parameter in self.dependant.query_params}

            async def guarded(request: Request) -> Response:
                try:
                    return await _answer(request, original, known)
                except Problem as problem:
                    return problem.response()

            return guarded

    async def _answer(request: Request, original: Handler, known: set[str]) -> Response:
        if not may(request, key):
            raise Problem(401, "a bearer key is needed", {"www-authenticate": "Bearer"})
        if not started():
            raise Problem(503, "not started yet", {"retry-after": "1"})
        if set(request.query_params) - known:
            # A filter that is misspelt would otherwise list everything as if nothing had been asked.
            raise Problem(422, f"unknown query parameter; there are {', '.join(sorted(known)) or 'none'}")
        try:
            return await original(request)
        except RequestValidationError as error:
            # Places and reasons only: the values may be secrets.
            wrong = [{"at": ".".join(map(str, e["loc"])), "why": e["msg"]} for e in error.errors()]
            raise Problem(422, "the request is not valid", errors=wrong) from None
        except HTTPException as error:
            # What FastAPI says of a body that it cannot even take apart.
            status = 422 if error.status_code == 400 else error.status_code
            raise Problem(status, str(error.detail)) from None
        except (DatabaseAway, Overtaken):
            raise Problem(503, "the database does not answer right now", {"retry-after": "1"}) from None

    return GuardedRoute
