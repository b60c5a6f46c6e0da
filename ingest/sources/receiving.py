"""`/v1/sources/NAME`: where networks call us. On every replica, whoever holds the source; the answer goes out after the log
has what was heard. Bounds and limits are those of `POST /v1/posts`.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import pydantic_core
import structlog
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from ingest.admission import Admission, Shed
from ingest.api import LOG_AWAY_SECONDS
from ingest.body import BodyDamaged, BodyTooLarge, BodyTooSlow, read_body
from ingest.metrics import ShedReason
from ingest.publisher import Publisher
from ingest.sources.base import Heard, Received, Refused, Reply
from ingest.sources.building import Wanted, build_source
from ingest.sources.covering import healthy
from ingest.sources.intake import Intake, pieces
from ingest.sources.metrics import SourceMetrics
from ingest.sources.purse import Purse
from ingest.sources.runner import SourceRunner
from services.base.clock import Clock, epoch
from services.base.settings import Settings
from services.contracts.source_status import Phase, SourceStatus, encode_status
from services.contracts.topics import SOURCES
from services.eventlog.base import Message, Unavailable

logger = structlog.get_logger()

STATUS_SECONDS: Final = 10.0
"""How often a process that is called says so at most."""
CLOSE_SECONDS: Final = 2.0
METHODS: Final = ("GET", "POST")


class Receivers:
    """The sources of this process that are called."""

    def __init__(
        self,
        runner: SourceRunner,
        intake: Intake,
        publisher: Publisher,
        admission: Admission,
        settings: Settings,
        clock: Clock,
        metrics: SourceMetrics,
    ) -> None:
        self._runner = runner
        self._intake = intake
        self._publisher = publisher
        self._admission = admission
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._built: dict[str, tuple[Wanted, Any]] = {}
        self._said_at: dict[str, datetime] = {}

    async def answer(self, request: Request, name: str) -> Response:
        """The response to one call. Never raises."""
        one = self._runner.wanted.get(name)
        if one is None:
            return _problem(404, "Not Found", "there is no such source")
        try:
            receiver = self._receiver(one)
            if not hasattr(receiver, "receive"):
                return _problem(404, "Not Found", "this source is not called")
            with self._admission.visit(f"source:{name}") as visit:
                self._publisher.check_reachable()
                body = await read_body(
                    request.stream(),
                    encoding=request.headers.get("content-encoding", "").strip().lower(),
                    limit=self._settings.max_body_bytes,
                    seconds=self._settings.body_timeout_seconds,
                    hold=visit.hold,
                )
                headers = {key.lower(): value for key, value in request.headers.items()}
                call = Received(request.method, headers, dict(request.query_params), body)
                reply: Reply = await receiver.receive(call)
                visit.charge(max(1, len(reply.heard.items)))
                await self._store(one, receiver, reply.heard)
            return Response(reply.body, reply.status, media_type=reply.content_type)
        except Refused:
            return _problem(401, "Not authorised", "the signature or the secret is not right")
        except (BodyDamaged, ValueError):
            return _problem(400, "Malformed body", "this cannot be read")
        except BodyTooLarge:
            return _problem(413, "Request too large", f"more than {self._settings.max_body_bytes} bytes")
        except BodyTooSlow:
            return _problem(408, "Request timed out", "the body did not come in time")
        except ClientDisconnect:
            return _problem(400, "Malformed body", "the client closed the connection")
        except Shed as shed:
            status = 429 if shed.reason is ShedReason.RATE else 503
            return _problem(status, "Try again later", shed.why, shed.retry_after)
        except Unavailable:
            return _problem(503, "Try again later", "the event log cannot be reached", LOG_AWAY_SECONDS)
        except Exception:  # the root of a request: the next one may fare better
            logger.exception("source_call_failed", source=name)
            return _problem(500, "Internal error", "the service's log has the details")

    def _receiver(self, one: Wanted) -> Any:
        """The source as it is wanted now. One that cannot be built is tried again with the next call."""
        built = self._built.get(one.name)
        if built is None or built[0] != one:
            purse = Purse(one.section.spending, self._clock)
            made = build_source(one, self._runner.wanted, self._clock, self._runner.http, purse)
            self._built[one.name] = built = (one, made)
            self._metrics.begin(one.name)
        return built[1]

    async def _store(self, one: Wanted, receiver: Any, heard: Heard) -> None:
        """Append what was heard, then how the source fares. Raises `Unavailable`."""
        now, posts, rejected, messages = self._clock.now(), 0, 0, []
        for piece in pieces(heard.items, self._intake.piece_items):
            taken = await self._intake.take(one.name, one.network, piece)
            messages += taken.messages
            posts, rejected = posts + taken.posts, rejected + len(taken.rejected)
        if heard.authors:
            messages += (await self._intake.authors(one.name, one.network, heard.authors)).messages
        messages += self._said(one, receiver, now, posts)
        if messages:
            await self._publisher.report(messages)
        self._metrics.posts.labels(one.name).inc(posts)
        self._metrics.rejected.labels(one.name).inc(rejected)
        if posts:
            self._metrics.last_post.labels(one.name).set(epoch(now))

    def _said(self, one: Wanted, receiver: Any, now: datetime, posts: int) -> list[Message]:
        """A call is a sign of life, which promises the next one where the operator said within what time it comes."""
        said = self._said_at.get(one.name)
        if said is not None and now - said < timedelta(seconds=STATUS_SECONDS):
            return []
        self._said_at[one.name] = now
        promise = getattr(receiver, "silence_seconds", None)
        status = SourceStatus(
            one.name,
            one.network,
            one.kind,
            Phase.CALLED,
            self._runner.holder,
            now,
            heard_at=now,
            last_post_at=now if posts else None,
        )
        return [
            healthy(one.network, one.name, one.section.brands, now, promise),
            Message(SOURCES.name, one.name, encode_status(status)),
        ]

    async def close(self) -> None:
        """Give everything back. One that does not let go keeps nobody."""
        for name, (_, receiver) in self._built.items():
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await receiver.close()
            except Exception as error:  # noqa: BLE001 - it is over anyway
                logger.warning("source_did_not_close", source=name, why=repr(error))


def receiver_routes(receivers: Receivers) -> APIRouter:
    """The one route of all sources that are called."""
    router = APIRouter()

    @router.api_route("/v1/sources/{name}", methods=list(METHODS), include_in_schema=False)
    async def take_call(request: Request, name: str) -> Response:
        return await receivers.answer(request, name)

    return router


def _problem(status: int, title: str, detail: str, retry_after: float | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}
    content = pydantic_core.to_json({"type": "about:blank", "title": title, "status": status, "detail": detail})
    return Response(content, status, headers, media_type="application/problem+json")
