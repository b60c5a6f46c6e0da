"""Recent search: what the stream did not bring. It knows the last seven days, and not the last 30 seconds. A question that
finds nothing costs nothing; each post that it finds is paid like one of the stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ingest.sources.base import Missed
from ingest.sources.x.api import SEARCH_FIELDS, SEARCH_PATH, XApi
from ingest.sources.x.mapping import Around, around, ids_of, parsed
from ingest.sources.x.prices import Bill
from ingest.sources.x.shapes import XPage, XPost, each

BLIND: Final = timedelta(seconds=30)
"""The newest posts, which search does not know yet."""
REACH: Final = timedelta(days=7)
MARGIN: Final = timedelta(minutes=10)
"""What is left of its reach: clocks differ, and a question that goes beyond is refused."""
MOST_PAGES: Final = 50
"""5,000 posts of one query in one catch-up."""
PAGE_SIZES: Final = (100, 50, 10)
"""From what is best to the least that X lets us ask for: what can be afforded is asked."""


@dataclass(frozen=True, slots=True)
class FoundPosts:
    """Posts in the order in which they were written."""

    posts: Sequence[XPost]
    near: Around
    missed: Sequence[Missed] = ()


async def search(
    api: XApi, bill: Bill, queries: Sequence[str], since: datetime, now: datetime
) -> AsyncIterator[FoundPosts]:
    """What was written since, query by query. What cannot be had is stated. Raises `SourceTrouble`."""
    earliest = now - REACH + MARGIN
    if since < earliest:
        yield FoundPosts((), Around(), (Missed(since, earliest, "further back than X can be searched (7 days)"),))
        since = earliest
    for query in queries:
        pages, missed = await _pages(api, bill, query, since, now)
        for page in reversed(pages):
            yield page
        if missed is not None:
            yield FoundPosts((), Around(), (missed,))


async def _pages(
    api: XApi, bill: Bill, query: str, since: datetime, now: datetime
) -> tuple[list[FoundPosts], Missed | None]:
    pages: list[FoundPosts] = []
    token: str | None = None
    oldest = now
    for _ in range(MOST_PAGES):
        size = next((size for size in PAGE_SIZES if bill.affords(bill.at_most(size))), None)
        if size is None:
            return pages, Missed(since, max(since, oldest), "not fetched: too little is left of the budget")
        asked: dict[str, str | int] = {
            **SEARCH_FIELDS,
            "query": query,
            "max_results": size,
            "start_time": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        if token is not None:
            asked["next_token"] = token
        page = await api.get(SEARCH_PATH, XPage, asked)
        posts, near = each(page.data, XPost), around(page.includes)
        bill.pay(*ids_of(posts, near))
        pages.append(FoundPosts(posts[::-1], near, _unreadable(len(page.data or []) - len(posts), now)))
        oldest = min([oldest, *filter(None, (parsed(post.created_at) for post in posts))])
        token = page.meta.next_token if page.meta is not None else None
        if token is None:
            return pages, None
    return pages, Missed(since, max(since, oldest), "more than could be fetched")


def _unreadable(count: int, now: datetime) -> tuple[Missed, ...]:
    return (Missed(now, now, "posts of a search that could not be read", count),) if count else ()
