"""`POST /v1/coverage` takes what connectors cover: a report or an array of reports, and returns one result for each.

A connector that reports its heartbeat and its gaps lets Firebreak tell a quiet story from one that is not heard. Keys, limits
and answers are those of `POST /v1/posts`. A retry is safe: a gap has the same id however often it is sent, and of heartbeats
the newest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter

from ingest.api import PostsEndpoint
from ingest.brands import BrandBook
from ingest.normalize import AHEAD
from ingest.reports import ReportRefused, ReportsEndpoint
from ingest.schemas import COVERAGE_EXAMPLES, CoverageIn, Reason
from services.contracts.base import BrandId, EventId, event_id
from services.contracts.codec import encode
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.topics import POSTS
from services.eventlog.base import Message

MAX_REPORTS: Final = 100
"""In one request."""


def coverage_routes(door: PostsEndpoint) -> APIRouter:
    """The reports of connectors, behind the same door as the posts."""

    async def append(said: Sequence[tuple[SourceCoverage, EventId]]) -> None:
        await door.publisher.report(
            [Message(POSTS.name, f"{event.network}:{event.connector}", encode(event, id_)) for event, id_ in said]
        )

    endpoint = ReportsEndpoint(door, CoverageIn, MAX_REPORTS, _normalize, append)
    return endpoint.routes("/v1/coverage", "Report what a connector covers", __doc__, COVERAGE_EXAMPLES)


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
