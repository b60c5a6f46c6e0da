"""What the AppView is asked for, and what becomes of the source when it does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.sources.base import Away, Refused, SourceTrouble
from ingest.sources.bluesky.appview import AT_ONCE, MOST_BYTES, MOST_PAGES, AppView
from ingest.sources.bluesky.following import look
from ingest.sources.bluesky.hearing import Hearing
from ingest.sources.bluesky.interest import Interest
from ingest.sources.bluesky.memory import StoryMemory
from services.base.clock import ManualClock
from services.config.loading import parse
from tests.contract.sources.bluesky import POST, did
from tests.fake_http import FakeServer, fake_server

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
BRANDS = parse("brands: [{id: acme, name: Acme Air}]").brands
Answer = Callable[[Request], Any]


def uri(key: str, author: str = "mia") -> str:
    return f"at://{did(author)}/{POST}/{key}"


def view(key: str, text: str = "Acme Air is late", author: str = "mia", **more: Any) -> dict[str, Any]:
    return {
        "uri": uri(key, author),
        "author": {"did": did(author), "handle": f"{author}.example"},
        "record": {"$type": POST, "text": text, "createdAt": NOW.isoformat(), **more.pop("record", {})},
        "indexedAt": (NOW - timedelta(minutes=5)).isoformat(),
        **more,
    }


class World:
    def __init__(self, server: FakeServer, http: httpx2.AsyncClient) -> None:
        self.server = server
        self.clock = ManualClock(NOW)
        self.appview = AppView(http, server.url, self.clock)
        self.memory = StoryMemory(1000)
        interest = Interest("bluesky", BRANDS)
        self.hearing = Hearing("bluesky", interest, self.memory, lambda *_: None)

    async def look(self, *posts: str) -> Any:
        return await look(self.appview, self.hearing, self.memory, "bluesky", posts, self.clock.now())


@contextlib.asynccontextmanager
async def world(**answers: Answer) -> AsyncIterator[World]:
    """A server that answers `getPosts` and others as it was told."""

    def route(method: str, answer: Answer) -> Route:
        async def reply(request: Request) -> Response:
            told = answer(request)
            return told if isinstance(told, Response) else JSONResponse(told)

        group = "actor" if method == "getProfiles" else "feed"
        return Route(f"/xrpc/app.bsky.{group}.{method}", reply)

    routes = [route(method, answer) for method, answer in answers.items()]
    async with fake_server(routes) as server, httpx2.AsyncClient() as http:
        yield World(server, http)


def profiles(request: Request) -> dict[str, Any]:
    asked = request.query_params.getlist("actors")
    assert len(asked) <= AT_ONCE
    return {"profiles": [{"did": one, "handle": "mia.example", "followersCount": 7} for one in asked]}


async def test_many_authors_are_asked_about_in_few_requests_and_not_again_for_hours() -> None:
    async with world(getProfiles=profiles) as at:
        dids = [did(f"a{n}") for n in range(60)]
        await at.appview.introduce(dids)
        await at.appview.introduce(dids)
        assert len(at.server.requests) == 3
        at.appview.renamed(dids[0], "new.example")
        known = at.appview.known(dids[0])
        assert known is not None
        assert (known.handle, known.followersCount) == ("new.example", 7)
        at.clock.advance(7 * 3600)
        assert at.appview.known(dids[0]) is None, "it is asked about again"


async def test_an_appview_that_asks_for_a_pause_gets_it_and_keeps_nobody() -> None:
    async with world(getProfiles=profiles) as at:
        at.server.storm()
        with pytest.raises(Away) as away:
            await at.appview.profiles([did("mia")])
        assert away.value.retry_after_seconds == 120
        at.server.mend()
        await at.appview.introduce([did("mia")])
        with pytest.raises(Away):
            await at.appview.posts([uri("3n3igyb000000")])
        assert len(at.server.requests) == 1, "it is left alone"
        at.clock.advance(121)
        await at.appview.introduce([did("mia")])
        assert at.appview.known(did("mia")) is not None


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (Response(status_code=401), Refused),
        (Response(status_code=403), Refused),
        (Response(status_code=400), Away),
        (Response(status_code=502), Away),
        (Response(b"<html>a proxy</html>"), Away),
        (Response(b"[" * 100_000), Away),
        (Response(b" " * (MOST_BYTES + 1)), Away),
    ],
)
async def test_whatever_it_answers_is_a_trouble_that_the_runner_knows(
    answer: Response, trouble: type[SourceTrouble]
) -> None:
    async with world(getPosts=lambda _: answer) as at:
        with pytest.raises(trouble):
            await at.appview.posts([uri("3n3igyb000000")])


@pytest.mark.parametrize(
    "answer", [[], {}, {"posts": {}}, {"posts": [1, {"uri": 1}, {"uri": "x", "record": {}}, None]}]
)
async def test_what_does_not_fit_is_left_out(answer: Any) -> None:
    async with world(getPosts=lambda _: answer) as at:
        assert await at.appview.posts([uri("3n3igyb000000")]) == []


async def test_a_search_turns_the_pages_and_ends() -> None:
    def search(request: Request) -> Any:
        query = request.query_params
        assert query["q"] == '"acme air"'
        assert (query["since"], query["until"]) == ("2026-05-01T11:00:00.000Z", "2026-05-01T12:00:00.000Z")
        page = int(query.get("cursor", "0"))
        return {"posts": [view(f"3n3igyb00000{page}")], **({"cursor": str(page + 1)} if page < 2 else {})}

    async with world(searchPosts=search) as at:
        found = [one.uri async for one in at.appview.search("acme air", NOW - timedelta(hours=1), NOW)]
    assert found == [uri(f"3n3igyb00000{page}") for page in range(3)]


async def test_a_search_that_never_ends_is_ended() -> None:
    turned = iter(range(1000))
    async with world(searchPosts=lambda _: {"posts": [], "cursor": str(next(turned))}) as at:
        assert [one async for one in at.appview.search("acme", NOW - timedelta(hours=1), NOW)] == []
        assert len(at.server.requests) == MOST_PAGES
    async with world(searchPosts=lambda _: {"posts": [], "cursor": "same"}) as at:
        assert [one async for one in at.appview.search("acme", NOW - timedelta(hours=1), NOW)] == []
        assert len(at.server.requests) == 2


async def test_a_look_brings_counters_and_replies_that_the_stream_did_not_bring_once() -> None:
    post = view("3n3igyb000001", likeCount=9, repostCount=2, replyCount=2, quoteCount=1)
    below = {"record": {"reply": {name: {"uri": post["uri"], "cid": "c"} for name in ("root", "parent")}}}
    deeper = {"post": view("3n3igyb000003", "same here", "eve", **below)}
    replies = [{"post": view("3n3igyb000002", "mine too", "leo", **below), "replies": [deeper]}, {"notFound": True}]
    async with world(
        getPosts=lambda _: {"posts": [post]}, getPostThread=lambda _: {"thread": {"post": post, "replies": replies}}
    ) as at:
        looked = await at.look(post["uri"])
        again = await at.look(post["uri"])
    counters = [item for item in looked.items if item["kind"] == "counters"]
    assert [item["text"] for item in looked.items if "text" in item] == ["mine too", "same here"]
    assert all(item["backfill"] for item in looked.items if "text" in item)
    assert len(counters) == 1
    assert looked.unanswered == []
    assert not any("text" in item for item in again.items)
    assert len([one for one in at.server.requests if one.url.path.endswith("getPostThread")]) == 1


async def test_a_post_that_was_shown_and_is_not_any_more_was_deleted_and_others_are_asked_again() -> None:
    shown: list[Any] = [view("3n3igyb000001")]
    recent = uri("zzzzzzzzzzzzz")  # of a time that has not come: nobody can say that it is gone
    async with world(getPosts=lambda _: {"posts": shown}) as at:
        await at.look(shown[0]["uri"])
        (post,) = (shown.pop(),)
        looked = await at.look(post["uri"], recent, "not a post")
    deleted = [item["post_id"] for item in looked.items if item["kind"] == "deletion"]
    assert deleted == [post["uri"]]
    assert looked.unanswered == [recent]
