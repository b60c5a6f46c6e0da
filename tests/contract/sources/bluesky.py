"""A Jetstream on loopback that speaks version 2, or version 1 alone, and plays what it was told: frames as real servers sent
them. It keeps everything, replays from a sequence (inclusive) or a time, and starts at its newest event beyond both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from services.base.clock import Clock
from tests.contract.sources.network import Deed, Fault

POST, REPOST = "app.bsky.feed.post", "app.bsky.feed.repost"
NEW = "/xrpc/network.bsky.jetstream.subscribeEvents"
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def did(name: str) -> str:
    return f"did:plc:{name:a<24}"


class FakeJetstream:
    """One server. `frames` are what it would send in version 2; version 1 says the same in its way."""

    def __init__(self, *, old: bool = False, port: int = 0) -> None:
        self.old = old
        self.port = port
        self.frames: list[dict[str, Any]] = []
        self.first_sequence = 1
        self.floor = 0
        """Frames before this sequence are gone."""
        self.status: tuple[int, dict[str, str], str] | None = None
        self.says_future = True
        self.asked: list[dict[str, list[str]]] = []
        self._server: Server | None = None
        self._listeners: dict[ServerConnection, asyncio.Queue[dict[str, Any]]] = {}

    async def start(self) -> FakeJetstream:
        self._server = await serve(self._speak, "127.0.0.1", self.port, process_request=self._admit, ping_interval=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self.cut()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def mute(self) -> None:
        """Whoever listens now hears nothing more."""
        for connection in self._listeners:
            self._listeners[connection] = asyncio.Queue()

    def cut(self) -> None:
        for connection in tuple(self._listeners):
            connection.transport.abort()

    def forget(self) -> None:
        """Nothing that was said until now can be fetched any more."""
        self.first_sequence += len(self.frames)
        self.floor = self.first_sequence
        self.frames.clear()

    def say(self, at: datetime, author: str, **more: Any) -> dict[str, Any]:
        """A frame of version 2, sent to everybody who listens."""
        kind = next((one for one in ("account", "identity") if one in more), "commit")
        sequence = self.first_sequence + len(self.frames)
        time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        frame = {"$type": f"network.bsky.jetstream.subscribeEvents#{kind}", "did": did(author), "seq": sequence}
        self.frames.append({**frame, "time": time, **more})
        for waiting in self._listeners.values():
            waiting.put_nowait(self.frames[-1])
        return self.frames[-1]

    def broadcast(self, frame: dict[str, Any]) -> None:
        """Send this as it is."""
        for waiting in self._listeners.values():
            waiting.put_nowait(frame)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        if self.status is not None:
            code, headers, body = self.status
            response = connection.respond(HTTPStatus(code), body)
            response.headers.update(headers)
            return response
        new = request.path.startswith(NEW)
        if new and self.old:
            return connection.respond(HTTPStatus.NOT_FOUND, "not found")
        cursor = int(query.get("cursor", ["0"])[0])
        if new and 0 < cursor < 10**15 and cursor < self.floor:
            return connection.respond(HTTPStatus.BAD_REQUEST, json.dumps({"error": "CursorTooOld"}))
        return None

    async def _speak(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path
        query = parse_qs(urlsplit(path).query)
        self.asked.append(query)
        write = self._new if path.startswith(NEW) else self._old
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for frame in self._replay(query, new=path.startswith(NEW)):
            waiting.put_nowait(frame)
        self._listeners[connection] = waiting

        async def send() -> None:
            while True:
                await connection.send(json.dumps(write(await waiting.get())))

        sending = asyncio.create_task(send())
        try:
            await connection.wait_closed()
        finally:
            del self._listeners[connection]
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _replay(self, query: dict[str, list[str]], *, new: bool) -> list[dict[str, Any]]:
        if "cursor" not in query:
            return []
        cursor = int(query["cursor"][0])
        kept = [frame for frame in self.frames if frame["seq"] >= self.floor]
        if cursor >= 10**15:
            found = [frame for frame in kept if _microseconds(frame) >= cursor]
            clamped = new and self.floor and kept and _microseconds(kept[0]) > cursor
            return [{"$type": "#info", "name": "OutdatedCursor"}, *found] if clamped else found
        if cursor >= self.first_sequence + len(self.frames):
            return [{"$type": "#info", "name": "FutureCursor"}] if new and self.says_future else []
        return [frame for frame in kept if frame["seq"] >= cursor]

    @staticmethod
    def _new(frame: dict[str, Any]) -> dict[str, Any]:
        return frame if "error" in frame else {"$type": "message", "payload": frame}

    @staticmethod
    def _old(frame: dict[str, Any]) -> dict[str, Any]:
        kind = frame["$type"].rpartition("#")[2]
        old = {"did": frame["did"], "time_us": _microseconds(frame), "kind": kind}
        if kind == "commit":
            return {**old, "commit": {name: value for name, value in frame.items() if name not in ("did", "seq")}}
        return {**old, kind: frame[kind]}


def _microseconds(frame: dict[str, Any]) -> int:
    return (datetime.fromisoformat(frame["time"]) - EPOCH) // timedelta(microseconds=1)


class BlueskyNetwork:
    """One server of the newer protocol."""

    name = "bluesky"
    deeds = frozenset(Deed)
    faults = frozenset(Fault)
    keeps_seconds = float("inf")
    pace_seconds = 5.0
    secrets: Mapping[str, str] = {}

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self._count = 0
        self.server = await FakeJetstream().start()

    async def close(self) -> None:
        await self.server.stop()

    def connector(self) -> dict[str, Any]:
        return {"kind": "bluesky", "instances": [self.server.url], "appview": None, "silence_seconds": 300}

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        self._count += 1
        author, key = "mia", f"3n3igyb{self._count:06}"
        at = self._clock.now() + self._skew + timedelta(microseconds=self._count)
        ref = {"uri": about, "cid": "bafy"}
        record: dict[str, Any] = {"$type": POST, "text": text, "createdAt": at.isoformat(), "langs": ["en"]}
        collection = POST
        match deed:
            case Deed.REPLY:
                record["reply"] = {"root": ref, "parent": ref}
            case Deed.QUOTE:
                record["embed"] = {"$type": "app.bsky.embed.record", "record": ref}
            case Deed.REPOST:
                collection, record = REPOST, {"$type": REPOST, "subject": ref, "createdAt": at.isoformat()}
            case Deed.DELETION:
                assert about is not None
                self.server.say(at, author, operation="delete", collection=POST, rkey=about.rpartition("/")[2])
                return about
        self.server.say(at, author, operation="create", collection=collection, rkey=key, record=record)
        return f"at://{did(author)}/{collection}/{key}"

    async def play(self, fault: Fault) -> None:
        match fault:
            case Fault.CUT:
                self.server.cut()
            case Fault.AWAY:
                await self.server.stop()
            case Fault.REFUSAL:
                self.server.status = (403, {}, "no")
            case Fault.STORM:
                self.server.status = (429, {"Retry-After": "120"}, "slow down")
            case Fault.SILENCE:
                self.server.mute()
            case Fault.FORGETTING:
                self.server.forget()
            case Fault.SKEW:
                self._skew = timedelta(hours=3)

    async def mend(self) -> None:
        self._skew = timedelta(0)
        self.server.status = None
        await self.server.stop()
        await self.server.start()
