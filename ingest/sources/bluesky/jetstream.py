"""One connection to a Jetstream, in the newer protocol or the older one, with a bounded queue of what has not been read yet.

What a server says before and while it ends a stream becomes `Away` or `Refused`. A reader that is too slow stops the network
from sending more; the server then says `ConsumerTooSlow`, and everything comes again from the cursor.

The connection is not that of the guarded client: its WebSockets take about eight times the processor time for a frame, which
counts when hours of the whole network are caught up with. So nothing but the configured address is connected to: no redirect
is followed, and no proxy of the environment is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ingest.sources.base import Away, Cursor, Refused
from ingest.sources.bluesky.resuming import Dialect, Resume, resume
from ingest.sources.bluesky.shapes import (
    LIKE,
    POST,
    REPOST,
    FrameKind,
    SkyFrame,
    read_new_frame,
    read_old_frame,
)

OPEN_SECONDS: Final = 10
PING_SECONDS: Final = 20
MOST_WAITING: Final = 2000
MOST_AT_ONCE: Final = 500
"""So many frames are handed on in one go: the event loop has its turn in between."""
MOST_ASKED_BYTES: Final = 1_000_000
"""Larger frames the server is asked to leave out: no record of the network is as large."""
MOST_BYTES: Final = 8_000_000
MOST_UNREADABLE: Final = 200
"""So many frames in a row that cannot be read are no stream of ours."""

_PATHS: Final = {Dialect.NEW: "/xrpc/network.bsky.jetstream.subscribeEvents", Dialect.OLD: "/subscribe"}
_READERS: Final[dict[Dialect, Callable[[bytes], SkyFrame | None]]] = {
    Dialect.NEW: read_new_frame,
    Dialect.OLD: read_old_frame,
}


def host_of(instance: str) -> str:
    """The origin of a server's cursors."""
    return urlsplit(instance).netloc


class _Direct(connect):
    """Connects to the address that it is given and to no other."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class CursorTooOld(Away):
    """The server has nothing of so long ago under this sequence; by time it gives what it has."""


def address(instance: str, dialect: Dialect, asked: Resume, *, likes: bool) -> str:
    """What is asked of a server, as a URL."""
    wanted = [POST, REPOST, *([LIKE] if likes else [])]
    if dialect is Dialect.NEW:
        query = [("collections", one) for one in wanted]
        query += [("kinds", kind) for kind in ("commit", "identity", "account")]
    else:
        query = [("wantedCollections", one) for one in wanted]
    query.append(("maxMessageSizeBytes", str(MOST_ASKED_BYTES)))
    if asked.value is not None:
        query.append(("cursor", str(asked.value)))
    return f"{instance}{_PATHS[dialect]}?{urlencode(query)}"


class JetstreamLine:
    """An open connection. `asked` is where the server was asked to begin."""

    def __init__(self, connection: ClientConnection, origin: str, dialect: Dialect, asked: Resume) -> None:
        self.origin, self.dialect, self.asked = origin, dialect, asked
        self._connection = connection
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        self._read = _READERS[dialect]
        self._end = ""
        self._filling = asyncio.create_task(self._fill(), name=f"jetstream {origin}")

    async def batches(self) -> AsyncIterator[list[SkyFrame]]:
        """Yields frames, as many as have come and `MOST_AT_ONCE` at most. Raises `Away` when the server ends the stream."""
        unreadable = 0
        while True:
            data = await self._waiting.get()
            frames: list[SkyFrame] = []
            taken = 0
            while data is not None:
                frame = self._read(data)
                if frame is None:
                    unreadable += 1
                elif frame.kind is FrameKind.ERROR:
                    self._end = f"{self.origin} ended the stream: {frame.what[:100]}"
                    data = None
                    break
                else:
                    unreadable = 0
                    frames.append(frame)
                taken += 1
                if taken >= MOST_AT_ONCE or self._waiting.empty():
                    break
                data = self._waiting.get_nowait()
            if frames:
                yield frames
            if data is None:
                raise Away(self._end or f"{self.origin} ended the stream")
            if unreadable >= MOST_UNREADABLE:
                raise Away(f"{self.origin} sends nothing that can be read")
            await asyncio.sleep(0)

    async def _fill(self) -> None:
        try:
            while True:
                await self._waiting.put(await self._connection.recv(decode=False))
        except ConnectionClosed as closed:
            said = closed.rcvd
            why = f"{said.code} {said.reason}".strip() if said is not None else "without a word"
            self._end = f"{self.origin} closed the stream: {why[:150]}"
        except (OSError, WebSocketException) as error:
            self._end = f"the stream of {self.origin} broke: {type(error).__name__}"
        await self._waiting.put(None)

    async def close(self) -> None:
        self._filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._filling
        # Not its `close`, which waits for the other side: a server that is gone says no goodbye.
        self._connection.transport.abort()


async def open_line(
    instance: str, cursor: Cursor | None, rewind: timedelta, *, likes: bool, by_time: bool = False
) -> JetstreamLine:
    """Connects to a server, in the newer protocol or, where it does not know that, in the older one.

    Raises `CursorTooOld`, `Away` and `Refused`.
    """
    origin = host_of(instance)
    for dialect in Dialect:
        asked = resume(cursor, origin, dialect, rewind, by_time=by_time)
        try:
            connection = await _Direct(
                address(instance, dialect, asked, likes=likes),
                subprotocols=[Subprotocol("xrpc.v1.json")] if dialect is Dialect.NEW else None,
                open_timeout=OPEN_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=1,
                max_size=MOST_BYTES,
                user_agent_header="Firebreak",
                proxy=None,
            )
        except InvalidStatus as refused:
            if dialect is Dialect.NEW and _is_unknown(refused):
                continue
            raise _trouble(origin, refused) from None
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            raise Away(f"{origin} cannot be reached: {type(error).__name__}") from None
        return JetstreamLine(connection, origin, dialect, asked)
    raise Away(f"{origin} speaks no protocol that we know")


def _body(refused: InvalidStatus) -> str:
    return (refused.response.body or b"")[:2000].decode(errors="replace")


def _is_unknown(refused: InvalidStatus) -> bool:
    """Returns True if the server does not know the newer protocol. It says so in its own way, but never by asking to wait."""
    return refused.response.status_code in (400, 404, 405, 426, 501) and "CursorTooOld" not in _body(refused)


def _trouble(origin: str, refused: InvalidStatus) -> Away | Refused:
    status, body = refused.response.status_code, _body(refused)
    if "CursorTooOld" in body:
        return CursorTooOld(f"{origin} has nothing of so long ago")
    if status in (401, 403):
        return Refused(f"{origin} refuses us with {status}")
    wait = refused.response.headers.get("Retry-After", "")
    return Away(f"{origin} answers {status}", float(wait) if wait.isdecimal() and len(wait) < 6 else None)
