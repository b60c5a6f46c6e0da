"""What one connection may take: so long for its head, so long for its body, so much of a head, and one of a bounded number of
places. Whoever sends half a request and waits is answered 408 and closed, on every route, before any route hears of it.

uvicorn bounds none of this: the timer of an idle connection ends with its first byte, and no other one begins.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection may be idle. Longer than clients and proxies keep theirs (5 s to 60 s), so that it is they who close
it: what a client sends just when we close is lost to it, and it sees a reset."""
LAST_LOOK_SECONDS: Final = 0.05
"""Before an idle connection is closed, the loop reads once more: after a stall, the next request may lie there already."""
MAX_HEAD_BYTES: Final = 65_536
"""Of the request line and all headers together. httptools itself would take them without end."""
FLUSH_SECONDS: Final = 30.0
MIN_READ_BYTES: Final = 65_536
"""So much of an answer is read in so long, or all that is left."""
BODY_MARGIN: Final = 1.1
"""So many times as long as a route has that bounds its body itself, whose answer says more."""
PLACES_OF_FILES: Final = 2
"""One in so many of the files that the process may open is a connection at most: the others are the log and the database."""


class CloseReason(StrEnum):
    """Why we closed a connection: the label of a metric."""

    HEAD_TOO_SLOW = "head_too_slow"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    ANSWER_NOT_READ = "answer_not_read"
    MAKES_ROOM = "makes_room"
    NO_PLACE = "no_place"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every connection; times in seconds. `count` is told of each that was closed, and why."""

    head_seconds: float = 10.0
    body_seconds: float = 33.0
    places: int = 1000
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    flush_seconds: float = FLUSH_SECONDS
    count: Callable[[CloseReason], None] = lambda _: None

    @property
    def open_places(self) -> int:
        """How many connections may be open: never so many that the process has no files left."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.places if soft == resource.RLIM_INFINITY else min(self.places, max(1, soft // PLACES_OF_FILES))


class _Phase(Enum):
    """What we wait for from the client."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


_STATUS: Final = {
    CloseReason.HEAD_TOO_SLOW: b"408 Request Timeout",
    CloseReason.BODY_TOO_SLOW: b"408 Request Timeout",
    CloseReason.HEAD_TOO_LARGE: b"431 Request Header Fields Too Large",
    CloseReason.NO_PLACE: b"503 Service Unavailable",
}


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, within `limits`."""

    def __init__(self, limits: Limits, is_stopping: Callable[[], bool], **given: Any) -> None:
        super().__init__(**given)
        self.limits = limits
        self._is_stopping = is_stopping
        self.timeout_keep_alive = limits.keep_alive_seconds  # type: ignore[assignment]
        self.waits_since = 0.0
        self._phase = _Phase.HEAD
        self._head_bytes = 0
        self._messages = 0
        self._watched: tuple[_Phase, int] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        if len(self.connections) > self.limits.open_places and not self._make_room():
            self._refuse(CloseReason.NO_PLACE)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._phase is _Phase.NOTHING:
            self._expect_head()
        if self._phase is _Phase.HEAD:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._give_up_unread()
            return
        if self._phase is _Phase.HEAD and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(CloseReason.HEAD_TOO_LARGE)
            return
        self._watch()

    def on_message_begin(self) -> None:
        self._messages += 1
        if self._phase is not _Phase.HEAD:
            self._expect_head()
        self._head_bytes = max(self._head_bytes, 1)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._phase, self._head_bytes = _Phase.BODY, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._phase = _Phase.NOTHING
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._is_stopping():
            cycle.keep_alive = False  # the answer says so, and the client's next request goes elsewhere
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.waits_since = self.loop.time()
        if self.transport.is_closing():
            self._give_up_unread()

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(LAST_LOOK_SECONDS, self._close_idle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._give_up_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    @property
    def serves(self) -> bool:
        """True if a whole request is in hand."""
        return self._phase is _Phase.NOTHING and self.cycle is not None and not self.cycle.response_complete

    def make_room(self) -> None:
        """Close, in favour of a connection that has just been made."""
        self._refuse(CloseReason.MAKES_ROOM)

    def _expect_head(self) -> None:
        self._phase, self._head_bytes, self.waits_since = _Phase.HEAD, 0, self.loop.time()

    def _watch(self) -> None:
        """Let a timer run for what we wait for now, from when we began to wait for it."""
        now = (self._phase, self._messages)
        if now == self._watched:
            return
        self._watched = now
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._phase is not _Phase.NOTHING:
            head = self._phase is _Phase.HEAD
            seconds = self.limits.head_seconds if head else self.limits.body_seconds
            self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self.flow.read_paused:  # it is we who do not read
            self._watched = None
            self._watch()
        else:
            self._refuse(CloseReason.HEAD_TOO_SLOW if self._phase is _Phase.HEAD else CloseReason.BODY_TOO_SLOW)

    def _make_room(self) -> bool:
        """Close the connection that has waited longest without a whole request. Returns False if all are being served."""
        waiting = [one for one in self.connections if one is not self and isinstance(one, BoundedConnection)]
        waiting = [one for one in waiting if not one.serves and not one.transport.is_closing()]
        if not waiting:
            return False
        min(waiting, key=lambda one: one.waits_since).make_room()
        return True

    def _close_idle(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self._give_up_unread()

    def _give_up_unread(self) -> None:
        if self._unread is None:
            left = self.transport.get_write_buffer_size()
            self._unread = self.loop.call_later(self.limits.flush_seconds, self._check_unread, left)

    def _check_unread(self, before: int) -> None:
        """Close for good what the client does not read: less than `MIN_READ_BYTES` of the `before` that were left then."""
        self._unread = None
        if before - self.transport.get_write_buffer_size() >= MIN_READ_BYTES:
            self._give_up_unread()
        else:
            self.limits.count(CloseReason.ANSWER_NOT_READ)
            self.transport.abort()

    def _refuse(self, why: CloseReason) -> None:
        """Close, with an answer where the client waits for one, and tell a route that reads the body that it does not come."""
        self.limits.count(why)
        answering = self.cycle is not None and not self.cycle.response_complete
        begun = answering and self.cycle.response_started
        asked = answering or self._head_bytes > 0 or why is CloseReason.NO_PLACE
        status = _STATUS.get(why)
        if status is not None and asked and not begun:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
            )
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._give_up_unread()
