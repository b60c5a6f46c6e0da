"""X: a stream, rules and search as they are documented. Its clock is that of the suite; ids tell the time, as X's do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from services.base.clock import Clock
from tests.contract.sources.network import Deed, Fault
from tests.fake_http import FakeServer

TOKEN: Final = "a-bearer-token-of-tests"
EPOCH_MS: Final = 1_288_834_974_657
KEEP_ALIVE: Final = timedelta(seconds=20)
BLIND: Final = timedelta(seconds=30)
REACH: Final = timedelta(days=7)
METRICS: Final = (
    "bookmark_count", "impression_count", "like_count", "quote_count", "reply_count", "retweet_count",
)  # fmt: skip
AUTHOR: Final = {
    "id": "777",
    "username": "jane",
    "name": "Jane",
    "verified": True,
    "created_at": "2015-02-18T16:21:53.000Z",
    "public_metrics": {
        "followers_count": 837,
        "following_count": 5,
        "tweet_count": 9,
        "post_count": 9,
        "listed_count": 0,
    },
}


class XNetwork:
    name = "x"
    deeds = frozenset({Deed.MENTION, Deed.REPLY, Deed.QUOTE, Deed.REPOST})
    faults = frozenset({Fault.CUT, Fault.AWAY, Fault.REFUSAL, Fault.STORM, Fault.SILENCE, Fault.SKEW})
    keeps_seconds = REACH.total_seconds()
    pace_seconds = 5.0
    secrets: Mapping[str, str] = {"TOKEN": TOKEN}

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self._serial = 0
        self.silent = False
        self.posts: list[dict[str, Any]] = []
        self.includes: dict[str, dict[str, Any]] = {}
        self.rules: list[dict[str, str]] = []
        self.bad_rules: dict[str, str] = {}
        self.asked: list[tuple[str, str, Any]] = []
        """What was asked: method, path, and parameters or body."""
        self.answered: list[tuple[str, str, Any]] = []
        """What was answered, for who checks it against the official description."""
        self.raw: list[bytes] = []
        """Lines that the next stream brings as they are."""
        self._streams: list[asyncio.Queue[bytes]] = []
        self.server = FakeServer(
            [
                Route("/2/tweets/search/stream", self._stream),
                Route("/2/tweets/search/stream/rules", self._get_rules, methods=["GET"]),
                Route("/2/tweets/search/stream/rules", self._post_rules, methods=["POST"]),
                Route("/2/tweets/search/recent", self._search),
                Route("/2/tweets", self._by_id),
            ]
        )
        await self.server.start()

    async def close(self) -> None:
        await self.server.close()

    def connector(self) -> dict[str, Any]:
        return {"kind": "x", "api": self.server.url}

    @property
    def now(self) -> datetime:
        return self._clock.now() + self._skew

    def new_id(self, at: datetime | None = None) -> str:
        self._serial += 1
        return str((int((at or self.now).timestamp() * 1000) - EPOCH_MS << 22) + self._serial)

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        own = self.new_id()
        post: dict[str, Any] = {
            "id": own,
            "text": text,
            "author_id": AUTHOR["id"],
            "conversation_id": own,
            "created_at": f"{self.now:%Y-%m-%dT%H:%M:%S}.000Z",
            "edit_history_tweet_ids": [own],
            "lang": "en",
            "public_metrics": dict.fromkeys(METRICS, 1),
        }
        kinds = {Deed.REPLY: "replied_to", Deed.QUOTE: "quoted", Deed.REPOST: "retweeted"}
        if deed in kinds:
            post["referenced_tweets"] = [{"type": kinds[deed], "id": about}]
        if deed is Deed.REPLY:
            post["conversation_id"] = about
        if deed is Deed.REPOST:
            post["text"] = f"RT @jane: {text}"
        self.say(post)
        return own

    def say(self, post: dict[str, Any]) -> None:
        """A post is written, and everybody who listens is told."""
        self.posts.append(post)
        if not self.silent:
            self.send(json.dumps({**self._around([post]), "data": post, "matching_rules": self._matched()}).encode())

    def send(self, line: bytes) -> None:
        for stream in self._streams:
            stream.put_nowait(line + b"\r\n")

    async def play(self, fault: Fault) -> None:
        match fault:
            case Fault.CUT:
                self._streams.clear()
                self.server.cut()
            case Fault.AWAY:
                self._streams.clear()
                await self.server.away()
            case Fault.REFUSAL:
                self.server.refuse(
                    401, body=b'{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}'
                )
            case Fault.STORM:
                self.server.storm()
            case Fault.SILENCE:
                self.silent = True
            case Fault.SKEW:
                self._skew = timedelta(hours=3)
            case _:
                raise NotImplementedError(fault)

    async def mend(self) -> None:
        self._skew, self.silent = timedelta(0), False
        self.server.mend()
        if self.server._server is None:
            await self.server.start()

    async def _stream(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        self._note("GET", "/2/tweets/search/stream", dict(request.query_params))
        mine: asyncio.Queue[bytes] = asyncio.Queue()
        for line in self.raw:
            mine.put_nowait(line)
        self.raw = []
        self._streams.append(mine)
        return StreamingResponse(self._lines(mine), media_type="application/json")

    async def _lines(self, mine: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        yield b"\r\n"
        while True:
            alive = asyncio.create_task(self._clock.sleep(KEEP_ALIVE.total_seconds()))
            line = asyncio.create_task(mine.get())
            try:
                await asyncio.wait([alive, line], return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    yield line.result()
                elif not self.silent:
                    yield b"\r\n"
            finally:
                alive.cancel()
                line.cancel()

    async def _get_rules(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        found: dict[str, Any] = {"meta": {"sent": self._sent(), "result_count": len(self.rules)}}
        return self._answer(
            "GET", "/2/tweets/search/stream/rules", {}, {"data": self.rules, **found} if self.rules else found
        )

    async def _post_rules(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        body, path = await request.json(), "/2/tweets/search/stream/rules"
        dry = request.query_params.get("dry_run") == "true"
        errors, added = [], []
        for rule in body.get("add", []):
            if rule["value"] in self.bad_rules or len(rule["value"]) > 1024:
                errors.append(
                    {
                        "value": rule["value"],
                        "details": [self.bad_rules.get(rule["value"], "too long")],
                        "title": "UnprocessableEntity",
                        "type": "https://api.twitter.com/2/problems/invalid-rules",
                    }
                )
            elif any(rule["value"] == one["value"] for one in self.rules):
                errors.append(
                    {
                        "value": rule["value"],
                        "id": "1",
                        "title": "DuplicateRule",
                        "type": "https://api.twitter.com/2/problems/duplicate-rules",
                    }
                )
            else:
                added.append({"id": self.new_id(), **rule})
        gone = set(body.get("delete", {}).get("ids", ()))
        if not dry:
            self.rules = [*(rule for rule in self.rules if rule["id"] not in gone), *added]
        summary = {"created": len(added), "not_created": len(errors), "valid": len(added), "invalid": len(errors)}
        found: dict[str, Any] = {"meta": {"sent": self._sent(), "summary": summary}}
        found |= ({"data": added} if added else {}) | ({"errors": errors} if errors else {})
        return self._answer("POST", path, {**request.query_params, "body": body}, found, 201)

    async def _search(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = dict(request.query_params)
        since = datetime.fromisoformat(asked["start_time"])
        if self.now - since > REACH + self._skew:
            return JSONResponse({"title": "Invalid Request", "detail": "'start_time' must be within 7 days"}, 400)
        begin, size = int(asked.get("next_token", "0")), int(asked["max_results"])
        known = [
            post
            for post in reversed(self.posts)
            if since <= datetime.fromisoformat(post["created_at"]) <= self.now - BLIND
        ]
        page = known[begin : begin + size]
        around = self._around(page)
        if tweets := around["includes"].pop("tweets", None):
            around["includes"]["posts"] = [renamed(post) for post in tweets]
        meta: dict[str, Any] = {"result_count": len(page)}
        if begin + size < len(known):
            meta["next_token"] = str(begin + size)
        found = {"data": [renamed(post) for post in page], **around, "meta": meta} if page else {"meta": meta}
        return self._answer("GET", "/2/tweets/search/recent", asked, found)

    async def _by_id(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = dict(request.query_params)
        ids = asked["ids"].split(",")
        found = [post for post in self.posts if post["id"] in ids]
        missing = [one for one in ids if one not in {post["id"] for post in found}]
        errors = [
            {
                "value": one,
                "detail": f"Could not find tweet with ids: [{one}].",
                "title": "Not Found Error",
                "resource_type": "tweet",
                "parameter": "ids",
                "resource_id": one,
                "type": "https://api.x.com/2/problems/resource-not-found",
            }
            for one in missing
        ]
        whole: dict[str, Any] = {"data": [renamed(post) for post in found]} if found else {}
        versions = {one for post in found for one in post["edit_history_tweet_ids"]} - set(ids)
        if versions:
            whole["includes"] = {"posts": [renamed(post) for post in self.posts if post["id"] in versions]}
        return self._answer("GET", "/2/tweets", asked, whole | ({"errors": errors} if errors else {}))

    def _around(self, posts: list[dict[str, Any]]) -> dict[str, Any]:
        referred = {ref["id"] for post in posts for ref in post.get("referenced_tweets", ())}
        found: dict[str, Any] = {"users": [AUTHOR]}
        if more := [post for post in self.posts if post["id"] in referred]:
            found["tweets"] = more
        return {"includes": found}

    def _matched(self) -> list[dict[str, str]]:
        return [{"id": rule["id"], "tag": rule["tag"]} for rule in self.rules[:1]]

    def _refused(self, request: Request) -> Response | None:
        return None if request.headers.get("authorization") == f"Bearer {TOKEN}" else Response(b"{}", 401)

    def _note(self, method: str, path: str, asked: Any) -> None:
        self.asked.append((method, path, asked))

    def _answer(self, method: str, path: str, asked: Any, found: Any, status: int = 200) -> Response:
        self._note(method, path, asked)
        self.answered.append((method, path, found))
        return JSONResponse(found, status)

    def _sent(self) -> str:
        return f"{self.now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def renamed(post: Mapping[str, Any]) -> dict[str, Any]:
    """A post as search and look-ups tell it: their tweets are called posts."""
    names = {
        "referenced_tweets": "referenced_posts",
        "edit_history_tweet_ids": "edit_history_post_ids",
        "note_tweet": "note_post",
    }
    metrics = {"repost_count" if key == "retweet_count" else key: n for key, n in post["public_metrics"].items()}
    return {names.get(key, key): value for key, value in post.items()} | {"public_metrics": metrics}
