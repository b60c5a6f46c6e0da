"""A server with Mastodon's API: streams, timelines, notifications, conversations. Its ids grow as those of Mastodon do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.base.clock import Clock
from tests.contract.sources.network import HANDLE, Deed, Fault
from tests.fake_http import FakeServer

TOKEN = "the-token"
DOMAIN = "planes.example"


@dataclass
class Toot:
    """A status as the server keeps it."""

    id: str
    name: str
    at: datetime
    content: str
    parent: str | None = None
    shares: str | None = None
    quotes: str | None = None
    edited: datetime | None = None
    visibility: str = "public"
    likes: int = 0


@dataclass
class MastodonNetwork:
    """See `Network`. `live` False keeps every stream silent; `streams` says how they are offered: websocket, events or none."""

    name = "mastodon"
    deeds = frozenset(Deed)
    faults = frozenset({Fault.CUT, Fault.AWAY, Fault.REFUSAL, Fault.STORM, Fault.SILENCE, Fault.SKEW})
    keeps_seconds = float("inf")
    pace_seconds = 15.0
    secrets: Mapping[str, str] = field(default_factory=lambda: {"TOKEN": TOKEN})
    streams: str = "websocket"
    live: bool = True
    toots: dict[str, Toot] = field(default_factory=dict)
    notifications: list[dict[str, Any]] = field(default_factory=list)

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self._number = 113_000_000_000_000_000
        self._queues: dict[asyncio.Queue[str], str] = {}
        self.server = FakeServer(
            [
                WebSocketRoute("/api/v1/streaming", self._socket),
                Route("/api/v1/streaming/{stream:path}", self._events),
                Route("/api/v1/accounts/verify_credentials", self._me),
                Route("/api/v2/instance", self._instance),
                Route("/api/v1/timelines/public", self._public),
                Route("/api/v1/timelines/tag/{tag}", self._public),
                Route("/api/v1/notifications", self._told),
                Route("/api/v1/statuses", self._post, methods=["POST"]),
                Route("/api/v1/statuses/{id}", self._one),
                Route("/api/v1/statuses/{id}/context", self._context),
                Route("/api/v2/search", self._search),
            ]
        )
        await self.server.start()

    async def close(self) -> None:
        await self.server.close()

    def connector(self) -> dict[str, Any]:
        return {"kind": "mastodon", "server": self.server.url, "silence_seconds": 120}

    def uri(self, number: str) -> str:
        return f"https://{DOMAIN}/users/{self.toots[number].name}/statuses/{number}"

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        by_uri = {self.uri(number): number for number in self.toots}
        of = by_uri.get(about or "")
        if deed is Deed.DELETION:
            assert of is not None
            assert about is not None
            self.toots.pop(of)
            self._send("delete", of)
            return about
        toot = self.add(text, **({} if deed is Deed.MENTION else {_RELATION[deed]: of}))
        if deed is Deed.REPOST:
            return f"{about}#shared-by-{toot.name}@{DOMAIN}"
        return self.uri(toot.id)

    def add(self, text: str, **fields: Any) -> Toot:
        """A status that is announced, unless the streams are silent."""
        self._number += 65_536_000
        at = self._clock.now() + self._skew
        toot = Toot(str(self._number), f"mia{len(self.toots)}", at, f"<p>{text}</p>", **fields)
        self.toots[toot.id] = toot
        self._send("update", json.dumps(self.shown(toot)))
        if f"@{HANDLE}" in text:
            self.notify("mention", toot)
        return toot

    def edit(self, toot: Toot, text: str) -> None:
        toot.content, toot.edited = f"<p>{text}</p>", self._clock.now()
        self._send("status.update", json.dumps(self.shown(toot)))

    def notify(self, kind: str, toot: Toot, by: str | None = None) -> None:
        told = {
            "id": str(len(self.notifications) + 1),
            "type": kind,
            "created_at": toot.at.isoformat(),
            "account": self.account(by or toot.name),
            "status": self.shown(toot),
        }
        self.notifications.append(told)
        self._send("notification", json.dumps(told), "user")

    async def play(self, fault: Fault) -> None:
        match fault:
            case Fault.CUT:
                self.server.cut()
            case Fault.AWAY:
                await self.server.away()
            case Fault.REFUSAL:
                self.server.refuse(401)
            case Fault.STORM:
                self.server.storm()
            case Fault.SILENCE:
                self.live = False
            case Fault.SKEW:
                self._skew = timedelta(hours=3)

    async def mend(self) -> None:
        self._skew, self.live = timedelta(0), True
        self.server.mend()
        await self.server.away()
        await self.server.start()

    def account(self, name: str) -> dict[str, Any]:
        return {"id": f"1{len(name)}", "acct": name, "followers_count": 42, "url": f"https://{DOMAIN}/@{name}"}

    def shown(self, toot: Toot) -> dict[str, Any]:
        return {
            "id": toot.id,
            "uri": f"https://{DOMAIN}/users/{toot.name}/statuses/{toot.id}",
            "url": f"https://{DOMAIN}/@{toot.name}/{toot.id}",
            "created_at": toot.at.isoformat(),
            "edited_at": toot.edited.isoformat() if toot.edited else None,
            "account": self.account(toot.name),
            "content": "" if toot.shares else toot.content,
            "visibility": toot.visibility,
            "language": "en",
            "in_reply_to_id": toot.parent,
            "mentions": [],
            "favourites_count": toot.likes,
            "reblogs_count": sum(one.shares == toot.id for one in self.toots.values()),
            "replies_count": sum(one.parent == toot.id for one in self.toots.values()),
            "reblog": self.shown(self.toots[toot.shares]) if toot.shares else None,
            "quote": {"state": "accepted", "quoted_status": self.shown(self.toots[toot.quotes])}
            if toot.quotes
            else None,
        }

    def _send(self, event: str, payload: str, only: str = "") -> None:
        for queue, stream in self._queues.items():
            if self.live and (stream == only or (not only and stream != "user")):
                queue.put_nowait(json.dumps({"stream": [stream], "event": event, "payload": payload}))

    async def _socket(self, socket: WebSocket) -> None:
        if self.streams != "websocket" or socket.headers.get("authorization") != f"Bearer {TOKEN}":
            await socket.close()
            return
        await socket.accept()
        await self._feed(socket.query_params["stream"], socket.send_text, socket.receive)

    async def _feed(self, stream: str, send: Any, receive: Any) -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues[queue] = stream
        gone = asyncio.ensure_future(receive())
        try:
            while not gone.done():
                taken = asyncio.ensure_future(queue.get())
                await asyncio.wait({taken, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not taken.done():
                    taken.cancel()
                    return
                await send(taken.result())
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            gone.cancel()
            del self._queues[queue]

    async def _events(self, request: Request) -> Response:
        if self.streams != "events":
            return Response(status_code=404)
        return _ServerSentEvents(self, request.path_params["stream"])

    async def _me(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "The access token is invalid"}, 401)
        return JSONResponse(self.account(HANDLE))

    async def _instance(self, _: Request) -> Response:
        return JSONResponse({"domain": DOMAIN})

    async def _public(self, request: Request) -> Response:
        shown = [self.shown(toot) for toot in self.toots.values() if "tag" not in request.path_params]
        return JSONResponse(_page(shown, request))

    async def _told(self, request: Request) -> Response:
        return JSONResponse(_page(self.notifications, request))

    async def _one(self, request: Request) -> Response:
        toot = self.toots.get(request.path_params["id"])
        return JSONResponse({"error": "Record not found"}, 404) if toot is None else JSONResponse(self.shown(toot))

    async def _context(self, request: Request) -> Response:
        toot = self.toots.get(request.path_params["id"])
        if toot is None:
            return JSONResponse({"error": "Record not found"}, 404)
        above: list[Toot] = []
        while (parent := self.toots.get((above[0] if above else toot).parent or "")) is not None:
            above.insert(0, parent)
        below = [one for one in self.toots.values() if one.parent == toot.id]
        return JSONResponse(
            {"ancestors": [self.shown(one) for one in above], "descendants": [self.shown(one) for one in below]}
        )

    async def _search(self, request: Request) -> Response:
        shown = [self.shown(toot) for toot in self.toots.values()]
        return JSONResponse({"statuses": [one for one in shown if one["uri"] == request.query_params["q"]]})

    async def _post(self, request: Request) -> Response:
        form = await request.form()
        toot = self.add(str(form["status"]), parent=str(form["in_reply_to_id"]))
        return JSONResponse(self.shown(toot))


class _ServerSentEvents(Response):
    def __init__(self, network: MastodonNetwork, stream: str) -> None:
        super().__init__(media_type="text/event-stream")
        self._network, self._stream = network, stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b":)\n", "more_body": True})

        async def write(frame: str) -> None:
            event = json.loads(frame)
            body = f":thump\nevent: {event['event']}\ndata: {event['payload']}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        await self._network._feed(self._stream, write, left)


_RELATION = {Deed.REPLY: "parent", Deed.QUOTE: "quotes", Deed.REPOST: "shares"}


def _page(shown: list[dict[str, Any]], request: Request) -> list[dict[str, Any]]:
    """As Mastodon pages: by `min_id` the oldest after it, by `max_id` the newest before it; the newest stands first."""
    limit = int(request.query_params.get("limit", "20"))
    ordered = sorted(shown, key=lambda one: int(one["id"]))
    if (after := request.query_params.get("min_id")) is not None:
        return [one for one in ordered if int(one["id"]) > int(after)][:limit][::-1]
    before = request.query_params.get("max_id")
    return [one for one in ordered if before is None or int(one["id"]) < int(before)][-limit:][::-1]
