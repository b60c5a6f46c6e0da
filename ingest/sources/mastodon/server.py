"""Asks a server with Mastodon's API, and says what every answer means for the source: come back, or people must mend it.

The server says how many questions are left (300 in five minutes on Mastodon). The last of them are kept for probes and for
what somebody waits for; a catch-up waits until there are new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import httpx2

from ingest.sources.base import Away, Refused, SourceTrouble
from ingest.sources.mastodon.shapes import Unreadable, decode, decode_each
from services.base.clock import Clock

MAX_ANSWER_BYTES: Final = 8_000_000
LARGE_BYTES: Final = 200_000
"""From here on an answer is read in a thread."""
RESERVE: Final = 20
LONGEST_WAIT_SECONDS: Final = 900.0
T = TypeVar("T")

Parameters = Mapping[str, str | int | Sequence[str]]


class NotThere(SourceTrouble):
    """The server has no such thing (404, 410): a status was deleted, or this server does not know the question."""


class MastodonServer:
    """The REST part. `token` is that of the brand's account."""

    def __init__(self, http: httpx2.AsyncClient, base: str, token: str, clock: Clock) -> None:
        self.base = base.rstrip("/")
        self.http = http
        self._clock = clock
        self._token = token
        self._left: int | None = None
        self._anew: datetime | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The token is never part of an address: those stand in the logs of servers and proxies."""
        return {"authorization": f"Bearer {self._token}"}

    async def one(self, path: str, kind: type[T], parameters: Parameters | None = None) -> T:
        """Raises `SourceTrouble`."""
        content = await self._answer("GET", path, parameters)
        try:
            return (
                await asyncio.to_thread(decode, content, kind) if len(content) > LARGE_BYTES else decode(content, kind)
            )
        except Unreadable as error:
            raise Away(f"{path} was answered with something else: {error}") from None

    async def many(self, path: str, kind: type[T], parameters: Parameters | None = None) -> tuple[list[T], int]:
        """The elements, and how many could not be read. Raises `SourceTrouble`."""
        content = await self._answer("GET", path, parameters)
        try:
            if len(content) > LARGE_BYTES:
                return await asyncio.to_thread(decode_each, content, kind)
            return decode_each(content, kind)
        except Unreadable as error:
            raise Away(f"{path} was answered with something else: {error}") from None

    async def post(self, path: str, kind: type[T], form: Mapping[str, str], key: str) -> T:
        """`key` makes a second try the same as the first (Idempotency-Key). Raises `SourceTrouble`."""
        content = await self._answer("POST", path, None, form, {"idempotency-key": key})
        try:
            return decode(content, kind)
        except Unreadable as error:
            raise Away(f"{path} was answered with something else: {error}") from None

    async def spare(self) -> None:
        """Wait until there are questions left that nobody else needs."""
        if self._left is not None and self._left <= RESERVE and self._anew is not None:
            wait = (self._anew - self._clock.now()).total_seconds()
            await self._clock.sleep(min(max(wait, 0.0), LONGEST_WAIT_SECONDS))
            self._left = None

    async def _answer(
        self,
        method: str,
        path: str,
        parameters: Parameters | None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        request = self.http.build_request(
            method, self.base + path, params=parameters, data=form, headers={**self.headers, **(headers or {})}
        )
        try:
            answer = await self.http.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise Away(f"{self.base} cannot be reached ({type(error).__name__})") from None
        try:
            self._count(answer)
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise Away(f"{path} was answered with more than {MAX_ANSWER_BYTES} bytes")
        except httpx2.HTTPError as error:
            raise Away(f"{self.base} broke off its answer ({type(error).__name__})") from None
        finally:
            await answer.aclose()
        if trouble := self.trouble(answer.status_code, answer.headers, path):
            raise trouble
        return bytes(content)

    def trouble(self, status: int, headers: Mapping[str, str], path: str) -> SourceTrouble | None:
        """What an answer with this status means; None if it is one."""
        if status < 300:
            return None
        if status in (401, 403, 422):
            return Refused(f"{self.base}{path} answered {status}: the token is not valid, or lacks a permission")
        if status in (404, 410):
            return NotThere(f"{self.base}{path} answered {status}")
        wait = self._wait(headers) if status in (429, 503) else None
        return Away(f"{self.base}{path} answered {status}", wait)

    def _wait(self, headers: Mapping[str, str]) -> float | None:
        """How long the server asks us to wait: `Retry-After`, or until it grants new questions."""
        asked = headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            return float(min(int(asked[:9]), 86_400))
        anew = _moment(headers.get("x-ratelimit-reset"))
        return None if anew is None else max(1.0, min((anew - self._clock.now()).total_seconds(), 86_400.0))

    def _count(self, answer: httpx2.Response) -> None:
        left = answer.headers.get("x-ratelimit-remaining", "")
        self._left = int(left[:9]) if left.isascii() and left.isdigit() else None
        self._anew = _moment(answer.headers.get("x-ratelimit-reset"))


def _moment(text: str | None) -> datetime | None:
    """Mastodon writes a date, others write seconds."""
    if not text:
        return None
    try:
        found = datetime.fromtimestamp(int(text[:12]), UTC) if text.isdigit() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
