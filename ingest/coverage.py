"""`POST /v1/coverage` takes what connectors cover: a report or an array of reports, and returns one result for each.

A connector that reports its heartbeat and its gaps lets Firebreak tell a quiet story from one that is not heard. Keys, limits
and answers are those of `POST /v1/posts`. A retry is safe: a gap has the same id however often it is sent, and of heartbeats
the newest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import pydantic_core
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import ValidationError

from ingest.admission import Visit
from ingest.api import BEARER, PostsEndpoint, RequestRefused, rejected
from ingest.brands import BrandBook
from ingest.metrics import RequestOutcome
from ingest.normalize import AHEAD
from ingest.openapi import RESPONSES, coverage_body
from ingest.parsing import explain
from ingest.schemas import CoverageIn, CoverageResults, ItemError, Reason
from ingest.strangers import without_strangers
from services.contracts.base import BrandId, EventId, event_id
from services.contracts.codec import encode
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.topics import POSTS
from services.eventlog.base import Message

MAX_REPORTS: Final = 100
"""In one request."""
MAX_BYTES: Final = 500_000
"""Of all of them: so small that they are read on the event loop."""


class ReportRefused(Exception):
    """A report is rejected, for the reason in `error`."""

    def __init__(self, code: Reason, field: str, message: str) -> None:
        super().__init__(message)
        self.error = ItemError(code, field, message)


@dataclass(frozen=True, slots=True)
class CoverageEndpoint:
    """The reports of connectors, behind the same door as the posts."""

    door: PostsEndpoint

    async def answer(self, request: Request) -> Response:
        """The response to one request. Never raises."""
        return await self.door.answer_with(request, self._take)

    async def _take(self, body: bytes, ndjson: bool, visit: Visit) -> list[dict[str, Any]]:
        items = _items(body, ndjson, visit)
        now, results, messages = self.door.clock.now(), [], []
        book = self.door.normalizer.now.book
        for index, item in enumerate(items):
            strangers = without_strangers(item, CoverageIn) if isinstance(item, dict) else 0
            try:
                event, id_ = _normalize(CoverageIn.model_validate_json(pydantic_core.to_json(item)), book, now)
            except ValidationError as error:
                results.append(rejected(index, explain(error, besides=strangers)))
                continue
            except ReportRefused as refused:
                results.append(rejected(index, refused.error))
                continue
            messages.append(Message(POSTS.name, f"{event.network}:{event.connector}", encode(event, id_)))
            results.append({"index": index, "status": "accepted", "event_ids": [id_]})
        if messages:
            await self.door.publisher.report(messages)
        return results


def _normalize(report: CoverageIn, book: BrandBook, now: datetime) -> tuple[SourceCoverage, EventId]:
    """The report as an event, with an id that is the same whenever it is sent again. Raises `ReportRefused`."""
    gap = report.state is CoverageState.GAP
    begins = None if report.begins is None else report.begins.astimezone(UTC)
    ends = None if report.ends is None else report.ends.astimezone(UTC)
    for brand in report.brands:
        if brand not in book:
            raise ReportRefused(Reason.UNKNOWN_BRAND, "brands", f"there is no brand {brand!r}")
    if gap and begins is None:
        raise ReportRefused(Reason.MISSING, "begins", "a gap needs the time at which it began")
    if gap and report.every_seconds is not None:
        raise ReportRefused(Reason.CONTRADICTION, "every_seconds", "a gap promises no heartbeat")
    if not gap and report.missed is not None:
        raise ReportRefused(Reason.CONTRADICTION, "missed", "a heartbeat misses nothing; report a gap")
    if begins is not None and ends is not None and ends < begins:
        raise ReportRefused(Reason.CONTRADICTION, "ends", "it ends before it begins")
    if any(at is not None and at > now + AHEAD for at in (begins, ends)):
        raise ReportRefused(Reason.BAD_TIME, "begins", "more than an hour ahead of our clock")
    event = SourceCoverage(
        network=report.network,
        connector=report.connector,
        state=report.state,
        begins=begins or ends or now,
        ends=ends if gap else ends or now,
        every_seconds=report.every_seconds,
        brands=tuple(sorted(map(BrandId, set(report.brands)))),
        missed=report.missed,
        reason=report.reason,
        observed_at=now,
    )
    said = (event.network, event.connector, event.state, event.begins, event.ends, event.missed, event.reason)
    return event, event_id("coverage", *said, event.every_seconds, *event.brands)


def _items(body: bytes, ndjson: bool, visit: Visit) -> list[Any]:
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
    if len(items) > MAX_REPORTS:
        raise RequestRefused(RequestOutcome.TOO_LARGE, f"more than {MAX_REPORTS} reports in one request")
    visit.charge(len(items))
    return items


def coverage_routes(endpoint: CoverageEndpoint) -> APIRouter:
    """The route, with its description for OpenAPI."""
    router = APIRouter()

    @router.post(
        "/v1/coverage",
        status_code=202,
        response_model=CoverageResults,
        tags=["ingest"],
        summary="Report what a connector covers",
        description=__doc__,
        responses=RESPONSES,
        openapi_extra={"requestBody": coverage_body(MAX_REPORTS)},
    )
    async def take_coverage(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> Response:
        return await endpoint.answer(request)

    return router
