"""`POST /v1/posts` takes one post, an array of posts, or NDJSON, and returns one result for each item.

The answer is 202 when the log has every item that is marked `accepted`; every other item is marked `rejected`, with the reason.
What a post can do without (`language`, `created_at`, links, all about the author, totals beside a post) never rejects it: a
claim that cannot be read or believed is dropped, and named in `ignored`.
It is 422 when every item was rejected. Any other status is about the request as a whole, and nothing was stored. Errors are RFC
9457 problems. Where it is worth trying again they carry `Retry-After`; a retry is always safe, because ids are deterministic.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import pydantic_core
import structlog
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route

from ingest.admission import Admission, Shed, Visit
from ingest.auth import ApiKeys
from ingest.body import ENCODINGS, BodyDamaged, BodyTooLarge, BodyTooSlow, read_body
from ingest.claims import Reduced
from ingest.metrics import IngestMetrics, RequestOutcome, ShedReason
from ingest.normalize import ItemRefused, NormalizedPost, Normalizer
from ingest.openapi import RESPONSES, request_body
from ingest.parsing import Malformed, Parser, TooMany
from ingest.publisher import BREATH_ITEMS, Publisher
from ingest.schemas import ItemError, Results
from services.base.clock import Clock
from services.base.settings import Settings
from services.config.current import Derived
from services.eventlog.base import Unavailable

logger = structlog.get_logger()

JSON: Final = frozenset({"", "application/json"})
NDJSON: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
UTF8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
LOG_AWAY_SECONDS: Final = 5.0
LARGE_BYTES: Final = 65_536
"""A larger body is read off the event loop."""
BYTES_OF_A_POST: Final = 1000
"""So many bytes count as a post towards the rate of a key, however few posts they hold."""
_READERS: Final = ThreadPoolExecutor(1, "ingest-reader")
"""One at a time: more would only share the interpreter."""
BEARER: Final = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="A key of `FIREBREAK_API_KEYS`")

STATUS: Final = {
    RequestOutcome.MALFORMED: (400, "Malformed body"),
    RequestOutcome.UNAUTHENTICATED: (401, "API key required"),
    RequestOutcome.TOO_SLOW: (408, "Request timed out"),
    RequestOutcome.TOO_LARGE: (413, "Request too large"),
    RequestOutcome.UNSUPPORTED: (415, "Unsupported media type"),
    RequestOutcome.REJECTED: (422, "All posts rejected"),
    RequestOutcome.LIMITED: (429, "Rate limit exceeded"),
    RequestOutcome.FAILED: (500, "Internal error"),
    RequestOutcome.SHED: (503, "Temporarily unavailable"),
}


Take = Callable[[bytes, bool, Visit], Awaitable[list[dict[str, Any]]]]
"""Takes the items of a body in (the flag says that it is NDJSON) and returns one result for each."""


class RequestRefused(Exception):
    """The request as a whole is refused. Its outcome decides the status and title; `detail` says what is wrong."""

    def __init__(self, outcome: RequestOutcome, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class PostsEndpoint:
    """Everything that stands between a request and the log, in the order in which a request passes it."""

    settings: Settings
    clock: Clock
    keys: ApiKeys
    admission: Admission
    parser: Parser
    normalizer: Derived[Normalizer]
    publisher: Publisher
    metrics: IngestMetrics

    async def answer(self, request: Request) -> Response:
        """The response to a request with posts. Never raises."""
        return await self.answer_with(request, self._take_posts)

    async def answer_with(self, request: Request, take: Take) -> Response:
        """The response to one request, whose items `take` takes in. Never raises."""
        try:
            response, outcome = await self._serve(request, take)
        except RequestRefused as refusal:
            response, outcome = _problem(refusal.outcome, refusal.detail, refusal.headers), refusal.outcome
        except Shed as shed:
            self.metrics.shed.labels(shed.reason.value).inc()
            outcome = RequestOutcome.LIMITED if shed.reason is ShedReason.RATE else RequestOutcome.SHED
            response = _problem(outcome, shed.why, {"Retry-After": _whole_seconds(shed.retry_after)})
        except ClientDisconnect:
            response, outcome = (
                _problem(RequestOutcome.MALFORMED, "the client closed the connection", {}),
                RequestOutcome.DISCONNECTED,
            )
        except Exception:  # the root of a request: the next one may fare better
            logger.exception("posts_request_failed")
            response, outcome = (
                _problem(RequestOutcome.FAILED, "the service's log has the details", {}),
                RequestOutcome.FAILED,
            )
        self.metrics.requests.labels(outcome.value).inc()
        return response

    async def _serve(self, request: Request, take: Take) -> tuple[Response, RequestOutcome]:
        key = self.keys.name_of(request.headers.get("authorization"))
        if key is None:
            why = (
                "send a configured key: Authorization: Bearer KEY"
                if self.keys.names
                else "this installation has no API keys configured"
            )
            raise RequestRefused(RequestOutcome.UNAUTHENTICATED, why, WWW_Authenticate='Bearer realm="firebreak"')
        with self.admission.visit(key) as visit:
            try:
                self.publisher.check_reachable()
                ndjson = _is_ndjson(request)
                body = await self._body(request, visit)
                results = await take(body, ndjson, visit)
            except Unavailable as error:
                raise Shed(ShedReason.LOG_AWAY, str(error), LOG_AWAY_SECONDS) from error
        accepted = sum(result["status"] == "accepted" for result in results)
        if not accepted:
            return _problem(
                RequestOutcome.REJECTED, f"none of {len(results)} items was accepted", {}, results
            ), RequestOutcome.REJECTED
        content = pydantic_core.to_json({"results": results})
        outcome = RequestOutcome.ACCEPTED if accepted == len(results) else RequestOutcome.PARTIAL
        return Response(content, status_code=202, media_type="application/json"), outcome

    async def _take_posts(self, body: bytes, ndjson: bool, visit: Visit) -> list[dict[str, Any]]:
        return await self._take(await self._items(body, ndjson, visit))

    async def _body(self, request: Request, visit: Visit) -> bytes:
        limit = self.settings.max_body_bytes
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            raise RequestRefused(
                RequestOutcome.UNSUPPORTED,
                "supported content encodings are gzip and identity",
                Accept_Encoding="gzip",
            )
        # The connection stays open: if it were closed while the client still sends, it would be reset, and the answer lost.
        too_large = RequestRefused(
            RequestOutcome.TOO_LARGE, f"the body is larger than {limit} bytes (after decompression)"
        )
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and len(claimed) < 20 and int(claimed) > limit:
            raise too_large  # the header is only a hint: what really comes is counted below
        try:
            body = await read_body(
                request.stream(),
                encoding=encoding,
                limit=limit,
                seconds=self.settings.body_timeout_seconds,
                hold=visit.hold,
            )
        except BodyTooLarge:
            raise too_large from None
        except BodyTooSlow:
            why = f"the body was not complete after {self.settings.body_timeout_seconds:g} s"
            raise RequestRefused(RequestOutcome.TOO_SLOW, why, Connection="close") from None
        except BodyDamaged as error:
            raise RequestRefused(RequestOutcome.MALFORMED, str(error)) from error
        self.metrics.body_bytes.inc(len(body))
        return body

    async def _items(self, body: bytes, ndjson: bool, visit: Visit) -> Sequence[Any]:
        try:
            if len(body) <= LARGE_BYTES:
                items = self.parser.items(body, ndjson)
            else:
                reading = partial(self.parser.items, body, ndjson)
                items = await asyncio.get_running_loop().run_in_executor(_READERS, reading)
        except TooMany as error:
            visit.charge(_cost(1, body))
            raise RequestRefused(RequestOutcome.TOO_LARGE, str(error)) from error
        except Malformed as error:
            visit.charge(_cost(1, body))
            raise RequestRefused(RequestOutcome.MALFORMED, str(error)) from error
        if not items:
            raise RequestRefused(RequestOutcome.MALFORMED, "the body contains no post")
        visit.charge(_cost(len(items), body))
        return items

    async def _take(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """Normalise and publish all items that can be. Returns one result for each."""
        now, normalizer = self.clock.now(), self.normalizer.now
        normal: dict[int, NormalizedPost] = {}
        errors: dict[int, ItemError] = {}
        for index, item in enumerate(items):
            if isinstance(item, ItemError):
                errors[index] = item
            else:
                post, unread = item if isinstance(item, Reduced) else (item, ())
                try:
                    normal[index] = normalizer.normalize(post, now, unread)
                except ItemRefused as refused:
                    errors[index] = refused.error
            if index % BREATH_ITEMS == BREATH_ITEMS - 1:
                await asyncio.sleep(0)  # thousands of posts must not delay other requests and heartbeats
        errors.update(await self.publisher.publish({i: (*n.observations, *n.notices) for i, n in normal.items()}))
        for index, error in errors.items():
            normal.pop(index, None)
            self.metrics.rejected.labels(error.code.value).inc()
        self._count(normal)
        return [_accepted(i, normal[i]) if i in normal else rejected(i, errors[i]) for i in range(len(items))]

    def _count(self, accepted: dict[int, NormalizedPost]) -> None:
        self.metrics.heard({normal.observations[0].event.network for normal in accepted.values()})
        every = accepted.values()
        kinds = Counter(normal.observations[0].event.kind for normal in every)
        reasons = Counter(match.why for normal in every for match in normal.found.matches)
        fields = Counter(claim.field for normal in every for claim in normal.ignored)
        for kind, count in kinds.items():
            self.metrics.accepted.labels(kind.value).inc(count)
        for why, count in reasons.items():
            self.metrics.mentions.labels(why.value).inc(count)
        for field, count in fields.items():
            self.metrics.ignored.labels(field.value).inc(count)
        self.metrics.unbelieved.inc(sum(normal.dropped_claim for normal in every))


def direct_route(endpoint: PostsEndpoint) -> BaseRoute:
    """The route of ingest as it is served: half of the time of a request with one post went into finding the route among all
    others, and into parameters that it does not have."""
    return Route("/v1/posts", endpoint.answer, methods=["POST"], include_in_schema=False)


def posts_routes(endpoint: PostsEndpoint) -> APIRouter:
    """The same with its description for OpenAPI."""
    router = APIRouter()

    @router.post(
        "/v1/posts",
        status_code=202,
        response_model=Results,
        tags=["ingest"],
        summary="Send posts",
        description=__doc__,
        responses=RESPONSES,
        openapi_extra={"requestBody": request_body(endpoint.settings)},
    )
    async def take_posts(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> Response:
        return await endpoint.answer(request)

    return router


def _is_ndjson(request: Request) -> bool:
    """Returns True for NDJSON and False for JSON. Raises `RequestRefused` for any other content type."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    charset = next(
        (
            p.partition("=")[2].strip(' "').lower()
            for p in parameters.split(";")
            if p.strip().lower().startswith("charset=")
        ),
        "",
    )
    if media not in JSON | NDJSON or charset not in UTF8:
        raise RequestRefused(
            RequestOutcome.UNSUPPORTED,
            "send application/json or application/x-ndjson in UTF-8",
            Accept_Post="application/json, application/x-ndjson",
        )
    return media in NDJSON


def _accepted(index: int, normal: NormalizedPost) -> dict[str, Any]:
    ids = [observation.id for observation in normal.observations]
    result = {"index": index, "status": "accepted", "post": normal.post, "event_ids": ids}
    if normal.ignored:
        result["ignored"] = [claim._asdict() for claim in normal.ignored]
    return result


def rejected(index: int, error: ItemError) -> dict[str, Any]:
    return {"index": index, "status": "rejected", "error": error._asdict()}


def _cost(items: int, body: bytes) -> int:
    """What a body costs its key, in posts: what is no post, or a huge one, is read as well."""
    return max(items, len(body) // BYTES_OF_A_POST)


def _whole_seconds(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))


def _problem(
    outcome: RequestOutcome, detail: str, headers: dict[str, str], results: Sequence[Any] | None = None
) -> Response:
    status, title = STATUS[outcome]
    kind = f"urn:firebreak:problem:{outcome.value.replace('_', '-')}"
    problem: dict[str, Any] = {"type": kind, "title": title, "status": status, "detail": detail}
    if results is not None:
        problem["results"] = results
    return Response(pydantic_core.to_json(problem), status, headers, media_type="application/problem+json")
