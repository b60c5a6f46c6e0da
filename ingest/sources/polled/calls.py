"""One call of a network's JSON API: the price is asked for before, the answer is bounded, and each way in which it can go wrong
has a name. A proxy's error page, a cut answer and a 200 that is no JSON are troubles, never "nothing new".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Protocol, TypeVar

import httpx2
import msgspec

from ingest.sources.base import Away, Refused, SourceContext, SourceTrouble

MAX_ANSWER_BYTES: Final = 16_000_000
LARGE_BYTES: Final = 100_000
"""From here on decoding goes to a thread."""
LONGEST_WAIT_SECONDS: Final = 86_400
REMEMBERED_TAGS: Final = 200
TRUST_UNCHANGED: Final = timedelta(hours=1)
"""So long "not modified" is believed. A cache that says it for ever would look like a quiet network."""
_Shape = TypeVar("_Shape")


Params = Mapping[str, str | int]


class Closed(SourceTrouble):
    """This one list or post is not for us (403), or not there (404, 410); others may be."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Bearer(Protocol):
    """Gives the headers that let us in."""

    async def headers(self) -> Mapping[str, str]: ...

    def forget(self) -> None:
        """The network did not take them."""


class UnitPurse(Protocol):
    """What a call is paid from, besides `Spend`: a quota in units of the network's own."""

    def take(self, units: float) -> None:
        """Counts `units` for the call that follows. Raises `Away` if there are none left."""


@dataclass(slots=True)
class _Tag:
    etag: str
    at: datetime


@dataclass(slots=True)
class Caller:
    """Calls one API. `name` is what people read in errors."""

    context: SourceContext
    name: str
    address: str
    bearer: Bearer
    purse: UnitPurse | None = None
    dollars: float = 0.0
    _tags: dict[str, _Tag] = field(default_factory=dict)
    _not_before: datetime | None = None

    def forget_tags(self) -> None:
        """From now on nothing is "not modified": what was answered before may not have been kept."""
        self._tags.clear()

    async def get(self, path: str, params: Params, *, units: float = 1, conditional: bool = False) -> bytes | None:
        """Returns the body of a GET; `None` if it is as it was (only if `conditional`).

        Raises `Closed`, `Refused` or `Away`."""
        tag_key = f"{path}?{sorted(params.items())}"
        headers: dict[str, str] = {}
        tag = self._tags.get(tag_key) if conditional else None
        if tag is not None and self.context.clock.now() - tag.at < TRUST_UNCHANGED:
            headers["if-none-match"] = tag.etag
        status, answered, body = await self._let_in(path, params, headers, units)
        if status == 304 and headers:
            return None
        if status != 200:
            raise self._trouble(status, answered, body)
        if conditional and (etag := answered.get("etag")):
            if len(self._tags) >= REMEMBERED_TAGS:
                self._tags.clear()
            self._tags[tag_key] = _Tag(etag, self.context.clock.now())
        return body

    async def _let_in(
        self, path: str, params: Params, headers: Mapping[str, str], units: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The call, and once more with a new token where the old one ended before its time."""
        answer = await self._call(path, params, headers, units)
        if answer[0] != 401:
            return answer
        self.bearer.forget()
        answer = await self._call(path, params, headers, units)
        if answer[0] == 401:
            raise Refused(f"{self.name} does not take our credentials (401)")
        return answer

    async def _call(
        self, path: str, params: Params, headers: Mapping[str, str], units: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        now = self.context.clock.now()
        if self._not_before is not None and now < self._not_before:
            wait = (self._not_before - now).total_seconds()
            raise Away(f"the rate of calls that {self.name} allows is used up", wait)
        ours = await self.bearer.headers()
        if self.dollars and not self.context.spend.may(self.dollars):
            raise Away(f"the budget for {self.name} is spent", _to_midnight(now))
        if self.purse is not None:
            self.purse.take(units)
        if self.dollars:
            self.context.spend.paid(self.dollars)
        status, answered, body = await fetched(
            self.context.http, self.name, "GET", f"{self.address}{path}", params=params, headers={**ours, **headers}
        )
        self._not_before = _not_before(status, answered, self.context.clock.now())
        return status, answered, body

    def _trouble(self, status: int, headers: Mapping[str, str], body: bytes) -> SourceTrouble:
        if status == 429 or (status == 403 and _is_about_rate(body)):
            return Away(f"{self.name} asks to wait ({status})", retry_after(headers, self.context.clock.now()))
        if status in (403, 404, 410):
            return Closed(f"{self.name} answers {status}", status, body)
        if status >= 500 or status in (408, 425):
            return Away(f"{self.name} answers {status}", retry_after(headers, self.context.clock.now()))
        if status == 400:
            return Refused(f"{self.name} does not understand what we ask (400)")
        return Away(f"{self.name} answers {status}")


async def fetched(
    http: httpx2.AsyncClient,
    name: str,
    method: str,
    url: str,
    *,
    params: Params | None = None,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of a request. Raises `Away` if there is no whole answer of a bounded size."""
    body = bytearray()
    try:
        async with http.stream(
            method,
            url,
            params=None if params is None else dict(params),
            headers=None if headers is None else dict(headers),
            data=None if form is None else dict(form),
        ) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise Away(f"{name} answers with more than {MAX_ANSWER_BYTES:,} bytes")
            return response.status_code, response.headers, bytes(body)
    except httpx2.HTTPError as error:
        raise Away(f"{name} cannot be reached ({type(error).__name__})") from None


async def decoded(body: bytes, shape: type[_Shape], name: str) -> _Shape:
    """The body in its shape. Raises `Away` if it has another: no page of a proxy is taken for an empty list."""
    try:
        if len(body) > LARGE_BYTES:
            return await asyncio.to_thread(msgspec.json.decode, body, type=shape)
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Away(f"{name} answered something that cannot be read") from None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a network asks to wait, between nothing and a day."""
    for name in ("retry-after", "x-ratelimit-reset"):
        said = headers.get(name, "").strip()
        if not said:
            continue
        try:
            return min(max(0.0, float(said)), LONGEST_WAIT_SECONDS)
        except ValueError:
            pass
        try:
            until = parsedate_to_datetime(said)
        except ValueError:
            continue
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT_SECONDS)
    return None


def _not_before(status: int, headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Until when not to call, where the answer says so: a list that is asked next must not add to a storm."""
    if status == 429 and (wait := retry_after(headers, now)):
        return now + timedelta(seconds=wait)
    try:
        remaining, reset = float(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"])
    except (KeyError, ValueError):
        return None
    return now + timedelta(seconds=min(max(0.0, reset), 3600)) if remaining < 1 else None


def _is_about_rate(body: bytes) -> bool:
    """Google says 403 where others say 429."""
    words = (b"quotaExceeded", b"ateLimitExceeded", b"dailyLimitExceeded", b"RATE_LIMIT")
    return any(word in body[:4000] for word in words)


def _to_midnight(now: datetime) -> float:
    return (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()
