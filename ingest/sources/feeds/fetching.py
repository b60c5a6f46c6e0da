"""Fetches a feed: conditionally, within bounds of size and time, and through redirects that are looked at one by one. The
client is guarded, so none of them leads to an address that the operator did not allow.

What an answer means for the feed is said in one word, and for how long it asks to be left alone. A feed that was moved for
good is asked for at its new address as long as this process lives: the configuration is not ours to change.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urljoin

import httpx2

from ingest.sources.feeds.reading import moment_of

MAX_FEED_BYTES: Final = 8_000_000
"""Feeds have the newest first: what is beyond is history, and of what is cut the whole entries are read."""
MAX_REDIRECTS: Final = 5
FETCH_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 86_400.0
TRUST_UNCHANGED: Final = timedelta(hours=6)
"""So long "not modified" is believed: a cache that says it for ever would look like a site that is quiet."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD: Final = frozenset({301, 308})


class FeedAnswer(StrEnum):
    FETCHED = "fetched"
    UNCHANGED = "unchanged"
    AWAY = "away"
    """Come back later."""
    CLOSED = "closed"
    """It is gone (404, 410), or not for us (401, 403): people have to look."""


@dataclass(frozen=True, slots=True)
class Fetched:
    outcome: FeedAnswer
    reason: str = ""
    body: bytes = b""
    url: str = ""
    charset: str | None = None
    cut: bool = False
    wait_seconds: float = 0.0
    """How long the site asks us to leave it alone."""
    link: str = ""
    """The `Link` header, in which hubs are named."""


@dataclass(slots=True)
class Validators:
    """What makes the next question conditional. `asked_whole` is when the feed was last fetched whole."""

    url: str
    etag: str = ""
    modified: str = ""
    asked_whole: datetime | None = None


async def fetch_feed(http: httpx2.AsyncClient, kept: Validators, now: datetime) -> Fetched:
    """Raises nothing that has to do with the site."""
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            return await _through_redirects(http, kept, now)
    except TimeoutError:
        return Fetched(FeedAnswer.AWAY, f"not answered within {FETCH_SECONDS:.0f} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, zlib.error) as error:
        return Fetched(FeedAnswer.AWAY, f"{type(error).__name__}: {error}"[:200])


async def _through_redirects(http: httpx2.AsyncClient, kept: Validators, now: datetime) -> Fetched:
    url, for_good = kept.url, True
    conditional = kept.asked_whole is not None and now - kept.asked_whole < TRUST_UNCHANGED
    for _ in range(MAX_REDIRECTS + 1):
        headers = {"accept": "application/feed+json, application/atom+xml, application/rss+xml, */*;q=0.8"}
        headers |= {"accept-encoding": "gzip", "user-agent": "firebreak"}
        if conditional and kept.etag:
            headers["if-none-match"] = kept.etag
        if conditional and kept.modified:
            headers["if-modified-since"] = kept.modified
        async with http.stream("GET", url, headers=headers, follow_redirects=False) as answer:
            if answer.status_code not in _REDIRECTS:
                return await _answered(answer, kept, now, url)
            for_good = for_good and answer.status_code in _FOR_GOOD
            url = urljoin(url, answer.headers.get("location", ""))
            if not url.startswith(("http://", "https://")):
                return Fetched(FeedAnswer.AWAY, "is redirected to what is no web address")
            if for_good:
                kept.url = url
    return Fetched(FeedAnswer.AWAY, f"is redirected more than {MAX_REDIRECTS} times")


async def _answered(answer: httpx2.Response, kept: Validators, now: datetime, url: str) -> Fetched:
    status, wait = answer.status_code, asked_to_wait(answer.headers, now)
    if status == 304:
        return Fetched(FeedAnswer.UNCHANGED, url=url, wait_seconds=wait)
    if status in (401, 403, 404, 410):
        return Fetched(FeedAnswer.CLOSED, f"answered {status}", url=url, wait_seconds=wait)
    if status != 200:
        return Fetched(FeedAnswer.AWAY, f"answered {status}", url=url, wait_seconds=wait)
    body, cut = await _bounded_body(answer)
    if body is None:
        return Fetched(FeedAnswer.AWAY, f"came in the encoding {answer.headers.get('content-encoding', '')[:40]}")
    kept.etag, kept.modified = answer.headers.get("etag", "")[:500], answer.headers.get("last-modified", "")[:100]
    kept.asked_whole = now
    return Fetched(
        FeedAnswer.FETCHED,
        body=body,
        url=url,
        charset=answer.charset_encoding,
        cut=cut,
        wait_seconds=wait,
        link=answer.headers.get("link", "")[:2000],
    )


async def _bounded_body(answer: httpx2.Response) -> tuple[bytes | None, bool]:
    """The body and whether it was cut; None for an encoding that was not asked for. Unfolded here, because a kilobyte of gzip
    can become a gigabyte before anybody counts it."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    unfold = zlib.decompressobj(31) if encoding in ("gzip", "x-gzip") else None
    if unfold is None and encoding not in ("identity", ""):
        return None, False
    body = bytearray()
    async for chunk in answer.aiter_raw():
        room = MAX_FEED_BYTES - len(body)
        body += unfold.decompress(chunk, room + 1) if unfold is not None else chunk[: room + 1]
        if len(body) > MAX_FEED_BYTES:
            return bytes(body[:MAX_FEED_BYTES]), True
    return bytes(body), False


def asked_to_wait(headers: Mapping[str, str], now: datetime) -> float:
    """`Retry-After`, or how long a cache may keep the answer; within a day."""
    after = headers.get("retry-after", "").strip()
    if after.isascii() and after.isdigit():
        return min(float(after[:9]), LONGEST_WAIT_SECONDS)
    moment = moment_of(after)
    if moment is not None:
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT_SECONDS)
    for part in headers.get("cache-control", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "max-age" and value.isascii() and value.isdigit():
            return min(float(value[:9]), 3600.0)
    return 0.0
