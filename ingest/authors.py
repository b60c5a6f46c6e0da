"""`POST /v1/authors` takes who is gone from a network, or is back: a report or an array of reports, and returns one result for
each.

One report forgets every post of an author, everywhere: nothing of them is shown or sent any more, whoever was sent a text is
told to forget it, and what still comes of them is not kept. After `reinstated` what they post counts again; nothing that was
forgotten comes back. Of two reports about an author the one with the later `at` counts. Keys and answers are those of
`POST /v1/posts`. A retry is safe.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter

from ingest.api import PostsEndpoint
from ingest.brands import BrandBook
from ingest.normalize import AHEAD
from ingest.reports import ReportRefused, ReportsEndpoint
from ingest.schemas import AUTHOR_EXAMPLES, AuthorChangeIn, Reason
from services.contracts.base import EventId, event_id
from services.contracts.post import AuthorChanged

MAX_REPORTS: Final = 1_000
"""In one request: networks report who is gone in lists."""


def author_routes(door: PostsEndpoint) -> APIRouter:
    """The changes of authors, behind the same door as the posts."""
    endpoint = ReportsEndpoint(door, AuthorChangeIn, MAX_REPORTS, normalize_author, door.publisher.report_to_all)
    return endpoint.routes("/v1/authors", "Report who is gone, or back", __doc__, AUTHOR_EXAMPLES)


def normalize_author(report: AuthorChangeIn, _: BrandBook, now: datetime) -> tuple[AuthorChanged, EventId]:
    """The report as an event. Raises `ReportRefused`."""
    at = None if report.at is None else report.at.astimezone(UTC)
    if at is not None and at > now + AHEAD:
        raise ReportRefused(Reason.BAD_TIME, "at", "more than an hour ahead of our clock")
    event = AuthorChanged(network=report.network, author_id=report.author_id, state=report.state, at=at or now)
    return event, event_id(event.TYPE, event.network, event.author_id, event.state, at)
