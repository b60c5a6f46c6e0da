"""Asks X, and says what every answer means for the source: come back, and when, or people must mend it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import httpx2

from ingest.sources.base import Away, Refused, SourceTrouble
from ingest.sources.x.shapes import Unreadable, XProblem, XRules, decode
from services.base.clock import Clock, epoch

MAX_ANSWER_BYTES: Final = 8_000_000
LARGE_BYTES: Final = 200_000
"""From here on an answer is read in a thread."""
STORM_SECONDS: Final = 60.0
"""What X asks for after a 429 that does not say for how long."""
HTTP_SECONDS: Final = 5.0
CAP_SECONDS: Final = 3600.0
LONGEST_SECONDS: Final = 86_400.0
STREAM_PATH: Final = "/2/tweets/search/stream"
RULES_PATH: Final = "/2/tweets/search/stream/rules"
SEARCH_PATH: Final = "/2/tweets/search/recent"
POSTS_PATH: Final = "/2/tweets"

USER_FIELDS: Final = "created_at,public_metrics,username,verified"
STREAM_FIELDS: Final[Mapping[str, str]] = {
    "tweet.fields": "author_id,conversation_id,created_at,edit_history_tweet_ids,entities,in_reply_to_user_id,lang,note_tweet,"
    "public_metrics,referenced_tweets,text",
    "expansions": "author_id,referenced_tweets.id,referenced_tweets.id.author_id",
    "user.fields": USER_FIELDS,
}
SEARCH_FIELDS: Final[Mapping[str, str]] = {
    "post.fields": "conversation_id,created_at,entities,lang,note_post,public_metrics,text",
    "expansions": "author_id,referenced_posts",
    "user.fields": USER_FIELDS,
}
"""X names its tweets posts in these questions, and not yet in that of the stream."""
LOOK_FIELDS: Final[Mapping[str, str]] = {
    "post.fields": "created_at,lang,note_post,public_metrics,text",
    "expansions": "edit_history_post_ids",
}

T = TypeVar("T")


class XApi:
    """X's API with the bearer token of an app."""

    def __init__(self, http: httpx2.AsyncClient, base: str, token: str, clock: Clock) -> None:
        self.base = base.rstrip("/")
        self.http = http
        self._token = token
        self._clock = clock

    @property
    def headers(self) -> dict[str, str]:
        """Raises `Refused` if there is no token."""
        if not self._token:
            raise Refused("there is no bearer token: see docs/sources/x.md")
        return {"authorization": f"Bearer {self._token}"}

    async def get(self, path: str, kind: type[T], parameters: Mapping[str, str | int]) -> T:
        """Raises `SourceTrouble`."""
        return await self._ask("GET", path, kind, parameters)

    async def post(self, path: str, kind: type[T], parameters: Mapping[str, str], body: Any) -> T:
        """Raises `SourceTrouble`."""
        return await self._ask("POST", path, kind, parameters, body)

    def trouble(self, status: int, headers: Mapping[str, str], body: bytes, path: str) -> SourceTrouble | None:
        """What an answer with this status means; None if it is one."""
        if status < 300:
            return None
        said = _problem(body)
        why = f"X answered {status} to {path}" + (f": {said.words}" if said is not None else "")
        if status in (400, 401, 402, 403, 404):
            return Refused(why)
        if status == 429:
            if said is not None and said.title == "UsageCapExceeded":
                return Away(why, CAP_SECONDS)
            return Away(why, self._wait(headers) or STORM_SECONDS)
        return Away(why, self._wait(headers) or HTTP_SECONDS)

    async def _ask(
        self, method: str, path: str, kind: type[T], parameters: Mapping[str, str | int], body: Any = None
    ) -> T:
        request = self.http.build_request(
            method, self.base + path, params=dict(parameters), json=body, headers=self.headers
        )
        try:
            answer = await self.http.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise Away(f"X cannot be reached ({type(error).__name__})") from None
        try:
            content = await read_all(answer)
        except httpx2.HTTPError as error:
            raise Away(f"X broke off its answer to {path} ({type(error).__name__})") from None
        finally:
            await answer.aclose()
        # A wrong rule is answered with 400 as well as with 201: `rules` tells what is wrong with which.
        if answer.status_code == 400 and kind is XRules and b'"errors"' in content:
            pass
        elif trouble := self.trouble(answer.status_code, answer.headers, content, path):
            raise trouble
        try:
            if len(content) > LARGE_BYTES:
                return await asyncio.to_thread(decode, content, kind)
            return decode(content, kind)
        except Unreadable:
            raise Away(f"X answered {path} with what cannot be read") from None

    def _wait(self, headers: Mapping[str, str]) -> float | None:
        """How long X asks us to wait: `Retry-After`, or until it grants new questions."""
        asked = headers.get("retry-after", "")
        if asked.isascii() and asked.isdigit():
            return min(float(asked[:9]), LONGEST_SECONDS)
        anew = headers.get("x-rate-limit-reset", "")
        left = headers.get("x-rate-limit-remaining", "0")
        if left.strip("0") == "" and anew.isascii() and anew.isdigit():
            return max(1.0, min(float(anew[:12]) - epoch(self._clock.now()), LONGEST_SECONDS))
        return None


async def read_all(answer: httpx2.Response) -> bytes:
    """The body, which is bounded. Raises `Away` if it is too long, and `httpx2.HTTPError`."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise Away(f"X answered with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _problem(body: bytes) -> XProblem | None:
    """What X says is wrong: a problem, or a list of errors of which the first counts."""
    try:
        errors = decode(body, XRules).errors
        return errors[0] if errors else decode(body, XProblem)
    except Unreadable:
        return None
