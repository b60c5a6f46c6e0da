"""What goes wrong, said as RFC 9457: `application/problem+json`, for every answer of 400 and above."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse

from alerter.api import schemas

PROBLEM_JSON: Final = "application/problem+json"


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


def described(status: int, text: str) -> dict[int | str, dict[str, Any]]:
    """Returns what the description of a route says of an answer."""
    content = {PROBLEM_JSON: {"schema": schemas.ProblemShape.model_json_schema()}}
    return {status: {"description": text, "content": content}}


ALWAYS: Final = {
    **described(401, "no key, or a wrong one"),
    **described(403, "the key's scope does not allow this"),
    **described(422, "the request is not valid"),
    **described(503, "not started yet, or the database does not answer"),
}
"""What every route may answer."""
ABSENT: Final = described(404, "there is none, or it belongs to a brand that the key cannot see")
CONFLICT: Final = described(409, "not possible in its present state")
STALE: Final = described(412, "somebody has changed it since the version in `If-Match`; `current` is what it is now")
