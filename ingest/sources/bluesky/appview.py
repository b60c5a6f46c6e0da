"""What is asked of the AppView: who somebody is, which posts name a brand, how a post does. It is a help and never a condition:
whoever asks goes on without an answer. Answers are bounded, and after a refusal it is left alone for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from httpx2 import AsyncClient, HTTPError

from ingest.sources.base import Away, Refused, SourceTrouble
from ingest.sources.bluesky.shapes import PostView, ProfileView, fitting
from services.base.clock import Clock

AT_ONCE: Final = 25
"""So many accounts or posts one request may ask about."""
MOST_BYTES: Final = 8_000_000
MOST_PROFILES: Final = 50_000
PROFILES_FRESH: Final = timedelta(hours=6)
PROFILE_CALLS: Final = 8
"""Requests for one batch; who is not asked about then is asked about with the next post."""
PROFILE_SECONDS: Final = 4
"""A batch of posts waits no longer for what is known of their authors."""
PAGE: Final = 100
MOST_PAGES: Final = 20
LEAVE_ALONE: Final = timedelta(seconds=60)
MOST_LEFT_ALONE: Final = timedelta(hours=1)
THREAD_DEPTH: Final = 10

_GET: Final = {
    "profiles": "app.bsky.actor.getProfiles",
    "posts": "app.bsky.feed.getPosts",
    "search": "app.bsky.feed.searchPosts",
    "thread": "app.bsky.feed.getPostThread",
}


class AppView:
    """A client of one server, with the profiles that it told lately."""

    def __init__(self, http: AsyncClient, url: str, clock: Clock) -> None:
        self._http, self._url, self._clock = http, url, clock
        self._profiles: dict[str, tuple[datetime, ProfileView]] = {}
        self._not_before: datetime | None = None

    async def profiles(self, actors: Iterable[str]) -> dict[str, ProfileView]:
        """What is known of these accounts (dids or handles), by their did. Raises `SourceTrouble`."""
        found: dict[str, ProfileView] = {}
        wanted = list(actors)
        for at in range(0, len(wanted), AT_ONCE):
            answer = await self._get("profiles", [("actors", one) for one in wanted[at : at + AT_ONCE]])
            for value in _list(answer, "profiles"):
                if (profile := fitting(value, ProfileView)) is not None:
                    found[profile.did] = profile
                    self._profiles.pop(profile.did, None)
                    self._profiles[profile.did] = (self._clock.now(), profile)
        while len(self._profiles) > MOST_PROFILES:
            del self._profiles[next(iter(self._profiles))]
        return found

    def known(self, did: str) -> ProfileView | None:
        """What it told of this account lately."""
        told = self._profiles.get(did)
        return told[1] if told is not None and self._clock.now() - told[0] < PROFILES_FRESH else None

    def renamed(self, did: str, handle: str) -> None:
        """The account has another handle now."""
        if did in self._profiles:
            self._profiles[did][1].handle = handle

    async def introduce(self, dids: Iterable[str]) -> None:
        """Learn who these are, as far as that can be had in a short time."""
        strangers = [did for did in dict.fromkeys(dids) if self.known(did) is None][: AT_ONCE * PROFILE_CALLS]
        if strangers and not self._is_left_alone():
            with contextlib.suppress(SourceTrouble, TimeoutError):
                async with asyncio.timeout(PROFILE_SECONDS):
                    await self.profiles(strangers)

    async def posts(self, uris: Sequence[str]) -> list[PostView]:
        """These posts (`AT_ONCE` at most) with their counters; those that are gone are missing. Raises `SourceTrouble`."""
        answer = await self._get("posts", [("uris", uri) for uri in uris])
        return list(_views(_list(answer, "posts")))

    async def search(self, words: str, since: datetime, until: datetime) -> AsyncIterator[PostView]:
        """Posts that the server finds for these words, the latest first, `MOST_PAGES` pages at most. Raises `SourceTrouble`."""
        query = [("q", f'"{words}"' if " " in words else words), ("sort", "latest"), ("limit", str(PAGE))]
        query += [("since", _written(since)), ("until", _written(until))]
        page = ""
        for _ in range(MOST_PAGES):
            answer = await self._get("search", [*query, *([("cursor", page)] if page else [])])
            for view in _views(_list(answer, "posts")):
                yield view
            following = answer.get("cursor")
            if not isinstance(following, str) or not following or following == page:
                return
            page = following

    async def replies(self, uri: str) -> list[PostView]:
        """The replies below a post, as deep as one request shows them. Raises `SourceTrouble`."""
        query = [("uri", uri), ("depth", str(THREAD_DEPTH)), ("parentHeight", "0")]
        waiting = [(await self._get("thread", query)).get("thread")]
        found = []
        while waiting:
            node = waiting.pop()
            below = node.get("replies") if isinstance(node, dict) else None
            for reply in below if isinstance(below, list) else ():
                waiting.append(reply)
                found.append(reply.get("post") if isinstance(reply, dict) else None)
        return list(_views(found))

    def _is_left_alone(self) -> bool:
        return self._not_before is not None and self._clock.now() < self._not_before

    async def _get(self, what: str, query: list[tuple[str, str]]) -> dict[str, Any]:
        if self._is_left_alone():
            raise Away("the AppView asked for a pause", LEAVE_ALONE.total_seconds())
        body = bytearray()
        try:
            async with self._http.stream("GET", f"{self._url}/xrpc/{_GET[what]}", params=tuple(query)) as response:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise Away(f"the AppView answers {what} with more than {MOST_BYTES} bytes")
        except HTTPError as error:
            self._pause(LEAVE_ALONE)
            raise Away(f"the AppView cannot be reached: {type(error).__name__}") from None
        status = response.status_code
        if status in (401, 403):
            raise Refused(f"the AppView refuses {what} to whoever is not signed in ({status})")
        if status == 429 or status >= 500:
            wait = response.headers.get("retry-after", "")
            pause = timedelta(seconds=float(wait)) if wait.isdecimal() and len(wait) < 6 else LEAVE_ALONE
            self._pause(min(pause, MOST_LEFT_ALONE))
            raise Away(f"the AppView answers {what} with {status}", pause.total_seconds())
        if status != 200:
            raise Away(f"the AppView answers {what} with {status}")
        try:
            answer = await asyncio.to_thread(msgspec.json.decode, bytes(body))
        except (msgspec.DecodeError, RecursionError):
            raise Away(f"the AppView answers {what} with something that cannot be read") from None
        return answer if isinstance(answer, dict) else {}

    def _pause(self, pause: timedelta) -> None:
        self._not_before = self._clock.now() + pause


def _list(answer: dict[str, Any], name: str) -> list[Any]:
    value = answer.get(name)
    return value if isinstance(value, list) else []


def _views(values: Iterable[Any]) -> Iterable[PostView]:
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("record"), dict):
            view = fitting({**value, "record": msgspec.Raw(msgspec.json.encode(value["record"]))}, PostView)
            if view is not None:
                yield view


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
