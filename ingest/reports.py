"""Reports: what connectors say beside posts, one report or an array or NDJSON, with one result for each.

Keys and answers are those of `POST /v1/posts`; what a report may say, and what becomes of it, is for whoever takes it
(`coverage`, `authors`). A retry is safe, because a report has the same id however often it is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import pydantic_core
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import ValidationError

from ingest.admission import Visit
from ingest.api import BEARER, PostsEndpoint, RequestRefused, rejected
from ingest.brands import BrandBook
from ingest.metrics import RequestOutcome
from ingest.openapi import RESPONSES, reports_body
from ingest.parsing import explain
from ingest.schemas import InputPart, ItemError, Reason, ReportResults
from ingest.strangers import without_strangers
from services.contracts.base import Event, EventId

MAX_BYTES: Final = 500_000
"""Of all reports in one request: so small that they are read on the event loop."""

Report = TypeVar("Report", bound=InputPart)
Said = TypeVar("Said", bound=Event)


class ReportRefused(Exception):
    """A report is rejected, for the reason in `error`."""

    def __init__(self, code: Reason, field: str, message: str) -> None:
        super().__init__(message)
        self.error = ItemError(code, field, message)


@dataclass(frozen=True, slots=True)
class ReportsEndpoint(Generic[Report, Said]):
    """Takes reports of one kind, at most `most` in a request, behind the same door as the posts."""

    door: PostsEndpoint
    kind: type[Report]
    most: int
    normalize: Callable[[Report, BrandBook, datetime], tuple[Said, EventId]]
    """Turns a report into its event, with an id that is the same whenever it is sent again. Raises `ReportRefused`."""
    append: Callable[[Sequence[tuple[Said, EventId]]], Awaitable[None]]
    """Appends the events to the log. Raises `Unavailable`."""

    async def answer(self, request: Request) -> Response:
        """The response to one request. Never raises."""
        return await self.door.answer_with(request, self._take)

    async def _take(self, body: bytes, ndjson: bool, visit: Visit) -> list[dict[str, Any]]:
        now, results = self.door.clock.now(), []
        said: list[tuple[Said, EventId]] = []
        book = self.door.normalizer.now.book
        for index, item in enumerate(self._items(body, ndjson, visit)):
            strangers = without_strangers(item, self.kind) if isinstance(item, dict) else 0
            try:
                event, id_ = self.normalize(self.kind.model_validate_json(pydantic_core.to_json(item)), book, now)
            except ValidationError as error:
                results.append(rejected(index, explain(error, besides=strangers)))
                continue
            except ReportRefused as refused:
                results.append(rejected(index, refused.error))
                continue
            said.append((event, id_))
            results.append({"index": index, "status": "accepted", "event_ids": [id_]})
        if said:
            await self.append(said)
        return results

    def _items(self, body: bytes, ndjson: bool, visit: Visit) -> list[Any]:
        """The reports of a body. Raises `RequestRefused` if it is not JSON, or holds none or too many."""
        if len(body) > MAX_BYTES:
            raise RequestRefused(RequestOutcome.TOO_LARGE, f"more than {MAX_BYTES} bytes of reports in one request")
        try:
            found = [pydantic_core.from_json(line) for line in body.splitlines() if line.strip()] if ndjson else None
            value = found if found is not None else pydantic_core.from_json(body)
        except ValueError as error:
            visit.charge(1)
            raise RequestRefused(RequestOutcome.MALFORMED, f"not JSON: {error}") from None
        items = value if isinstance(value, list) else [value]
        if not items:
            raise RequestRefused(RequestOutcome.MALFORMED, "the body contains no report")
        if len(items) > self.most:
            raise RequestRefused(RequestOutcome.TOO_LARGE, f"more than {self.most} reports in one request")
        visit.charge(len(items))
        return items

    def routes(self, path: str, summary: str, about: str | None, examples: Sequence[Any]) -> APIRouter:
        """The route, with its description for OpenAPI."""
        router = APIRouter()

        @router.post(
            path,
            status_code=202,
            response_model=ReportResults,
            tags=["ingest"],
            summary=summary,
            description=about,
            responses=RESPONSES,
            openapi_extra={"requestBody": reports_body(self.kind, self.most, examples)},
        )
        async def take(
            request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
        ) -> Response:
            return await self.answer(request)

        return router
