"""The live streams of a server, merged into one queue: by WebSocket, or by server-sent events where the server has no other.

Each stream runs in a task of its own. When one of them ends, for whatever reason, all do: what it missed is fetched by the
catch-up of the next try, which no single stream could do without doubling what the others brought. The heartbeats (`:thump`,
and the pings of a WebSocket) show that the connection lives. They are no proof that posts come, and nobody takes them for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketDisconnect, WebSocketUpgradeError

from ingest.sources.base import Away, SourceTrouble
from ingest.sources.mastodon.server import MastodonServer, NotThere
from ingest.sources.mastodon.shapes import StreamFrame, Unreadable, decode

MAX_FRAME_BYTES: Final = 1_000_000
MOST_WAITING: Final = 20_000
"""Frames that wait while a catch-up runs. When there are more, the streams are opened anew, and a catch-up fetches the rest."""
AT_ONCE: Final = 200
ALIVE_SECONDS: Final = 75.0
"""Within so long a connection shows that it lives: Mastodon thumps every 15 seconds, and answers pings."""
PING_SECONDS: Final = 25.0
OPEN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class StreamName:
    """`timeline` is the name of its place in the cursor; `query` asks a WebSocket for it, `path` server-sent events."""

    timeline: str
    query: Mapping[str, str]
    path: str


def streams_of(hears: str, hashtags: Sequence[str]) -> list[StreamName]:
    """All public posts contain those with hashtags, which then need no stream of their own."""
    local = ":local" if hears == "local" else ""
    path = "/local" if hears == "local" else ""
    found = [StreamName("notifications", {"stream": "user"}, "/user")]
    if hears != "nothing":
        found.append(StreamName("public", {"stream": f"public{local}"}, f"/public{path}"))
    else:
        found += [
            StreamName(f"tag:{tag}", {"stream": "hashtag", "tag": tag}, f"/hashtag?tag={tag}") for tag in hashtags
        ]
    return found


class OpenStreams:
    """The streams of one call of `listen`."""

    def __init__(self, server: MastodonServer, names: Sequence[StreamName]) -> None:
        self._server = server
        self._names = names
        self._frames: asyncio.Queue[tuple[StreamName, StreamFrame] | SourceTrouble] = asyncio.Queue(MOST_WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self.unreadable = 0

    async def open(self) -> bool:
        """Return when all are open: a catch-up that began earlier would leave a hole. False if the server has none."""
        opened = [asyncio.Event() for _ in self._names]
        self._tasks = [
            asyncio.create_task(self._run(name, event), name=f"mastodon stream {name.timeline}")
            for name, event in zip(self._names, opened, strict=True)
        ]
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                for event in opened:
                    await event.wait()
        except TimeoutError:
            raise Away(f"{self._server.base} opens no stream") from None
        return any(not task.done() or task.exception() is None for task in self._tasks)

    async def next(self, seconds: float) -> list[tuple[StreamName, StreamFrame]]:
        """What came, at most so long waited for. Raises `SourceTrouble` when a stream has ended, after what it brought."""
        found: list[tuple[StreamName, StreamFrame]] = []
        try:
            async with asyncio.timeout(seconds):
                frame = await self._frames.get()
        except TimeoutError:
            return found
        while not isinstance(frame, SourceTrouble):
            found.append(frame)
            if len(found) >= AT_ONCE or self._frames.empty():
                return found
            frame = self._frames.get_nowait()
        if found:
            self._frames.put_nowait(frame)
            return found
        raise frame

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, name: StreamName, opened: asyncio.Event) -> None:
        try:
            try:
                await self._by_websocket(name, opened)
            except NotThere:
                await self._by_events(name, opened)
        except NotThere:
            opened.set()
            raise  # this stream alone is not there; its timeline is asked for
        except SourceTrouble as trouble:
            await self._frames.put(trouble)
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            await self._frames.put(Away(f"the stream {name.timeline} broke off ({type(error).__name__})"))
        finally:
            opened.set()

    async def _by_websocket(self, name: StreamName, opened: asyncio.Event) -> None:
        """Raises `NotThere` where server-sent events are to be tried."""
        try:
            async with self._server.http.websocket(
                f"{self._server.base}/api/v1/streaming",
                params=dict(name.query),
                headers=self._server.headers,
                max_message_size_bytes=MAX_FRAME_BYTES,
                keepalive_ping_interval_seconds=PING_SECONDS,
                keepalive_ping_timeout_seconds=ALIVE_SECONDS - PING_SECONDS,
            ) as socket:
                opened.set()
                while True:
                    await self._take(name, await socket.receive_text())
        except WebSocketUpgradeError as error:
            status = error.response.status_code
            # Some answer a WebSocket that they do not offer, or whose token they look for elsewhere, as if we were refused.
            # Whether we are, the other way to listen shows.
            if status in (429, 503) or status in range(500, 600):
                raise self._server.trouble(status, error.response.headers, "/api/v1/streaming") or Away(
                    f"no stream ({status})"
                ) from None
            raise NotThere(f"no WebSocket ({status})") from None
        except WebSocketDisconnect as error:
            raise Away(f"the server closed the stream {name.timeline} ({error.code})") from None
        except HTTPXWSException as error:
            raise Away(f"the stream {name.timeline} broke off ({type(error).__name__})") from None

    async def _by_events(self, name: StreamName, opened: asyncio.Event) -> None:
        path = f"/api/v1/streaming{name.path}"
        timeout = httpx2.Timeout(10.0, read=ALIVE_SECONDS)
        headers = {**self._server.headers, "accept": "text/event-stream"}
        async with self._server.http.stream(
            "GET", self._server.base + path, headers=headers, timeout=timeout
        ) as answer:
            if trouble := self._server.trouble(answer.status_code, answer.headers, path):
                raise trouble
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                raise NotThere(f"{path} is no stream")
            opened.set()
            async for event in httpx2.EventSource(answer, MAX_FRAME_BYTES):
                await self._offer(name, StreamFrame(event.event, event.data))
        raise Away(f"the server closed the stream {name.timeline}")

    async def _take(self, name: StreamName, text: str) -> None:
        try:
            await self._offer(name, decode(text, StreamFrame))
        except Unreadable:
            self.unreadable += 1

    async def _offer(self, name: StreamName, frame: StreamFrame) -> None:
        if self._frames.qsize() >= MOST_WAITING - len(self._names):
            raise Away("more came than could be taken; it is fetched again", 0.0)
        await self._frames.put((name, frame))
