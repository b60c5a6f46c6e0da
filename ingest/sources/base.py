"""What a source promises to the runner, and the runner to a source. One suite, `tests/contract/sources`, holds every connector
to it.

A source hears one network. It yields what it heard in the order in which it is to be stored, each time with the cursor that
stands for everything up to there. It keeps no promise about storing:

1. The runner appends what was heard and moves the cursor in *one* transaction of the log. After a crash, a cut or a move to
   another process `listen` is called with the cursor that was committed last, so a source may be asked for the same posts
   again, and nothing that it heard after that cursor has been kept.
2. Items are what `POST /v1/posts` takes (as decoded JSON), so ids, brands, edits, deletions and limits mean the same, whoever
   brings a post. A source decides nothing about brands, except that it leaves out what names none of them where its network
   brings everything. What an item says twice is stored once.
3. A cursor belongs to the numbering that gave it: `origin` names the server or account whose positions can be compared. A
   source that meets a cursor of another origin goes on by its time (`at`), from a little earlier, and never by its position.
4. What was missed and cannot be fetched any more is stated as a gap. What was fetched late is marked `backfill`.
5. *No exception is not alive.* A source that is silent for `silence_seconds` is probed by the runner; if the probe fails, or
   finds posts that were not heard, the stream is opened anew from the cursor. `None` says that silence means nothing here.
6. Trouble is raised, and the runner decides how long to wait: `Away` (come back, perhaps at a stated time), `Refused`
   (credentials or permissions: only people can mend it), `Lost` (the cursor's place is gone: a gap, and on from now).
   Whatever else is raised is a fault of the connector: logged with its trace, counted, and waited for like `Away`.
7. Every call that costs money or quota asks `spend` before it is made.
8. A source never blocks the event loop: what takes time with foreign text runs in a thread (`asyncio.to_thread`) or in pieces
   of bounded size. It ends when its iterator is closed, and `close` is called once at the very end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from httpx2 import AsyncClient

from services.base.clock import Clock
from services.base.errors import FirebreakError, Transient
from services.config.connectors.base import ConnectorSection
from services.config.model import Brand


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a source has heard. `position` is for the source alone to read (at most 8,000 characters), `at` is the
    network's time of the latest thing heard, or ours where the network tells none."""

    origin: str
    position: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Missed:
    """A time in which posts were missed for good. Without `ends` it goes on. `count` where the network says how many."""

    begins: datetime
    ends: datetime | None
    reason: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one go. `items` are as `POST /v1/posts` takes them, `authors` as `POST /v1/authors` does. Without a
    `cursor` the committed one stays (what was looked up out of turn). `left_out` counts what is not stored on purpose, by its
    reason: a word of a closed set, because it becomes a label. `looked_up` is the runner's: what a look at followed posts
    found, which is no sign that the source hears."""

    items: Sequence[Mapping[str, Any]] = ()
    cursor: Cursor | None = None
    missed: Sequence[Missed] = ()
    authors: Sequence[Mapping[str, Any]] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    looked_up: bool = False


class SourceTrouble(FirebreakError):
    """Why a source cannot go on. The message is shown to people and never holds a secret."""


class Away(SourceTrouble, Transient):
    """The network cannot be reached, or asks to wait: `retry_after_seconds` where it says for how long."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Refused(SourceTrouble):
    """The network refuses our credentials, permissions or rules. Waiting does not help; people are told."""


class Lost(SourceTrouble):
    """The place of the cursor is gone. The runner stores `missed` and calls `listen` with no cursor."""

    def __init__(self, message: str, missed: Missed) -> None:
        super().__init__(message)
        self.missed = missed


class Spend(Protocol):
    """The purse of a source (the runner's). Prices are known before the call."""

    def may(self, dollars: float) -> bool:
        """Returns False if the call would pass the budget of the day or month. Counts nothing."""

    def paid(self, dollars: float) -> None:
        """Counts what a call cost. A source counts it when the call is made, not when it succeeded."""

    def share(self) -> float:
        """Which share of what could be heard is still affordable to the end of the day, 0 to 1: what to sample by."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found: the time of the network's newest post that we should have heard, if it tells one."""

    newest: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is built from. `http` has time limits, follows no redirects to other hosts, and is shared."""

    network: str
    options: ConnectorSection
    brands: Sequence[Brand]
    """Those that it listens for, as configured."""
    secrets: Mapping[str, str]
    """From the environment: `FIREBREAK_SOURCE_<NAME>_TOKEN` is `secrets["token"]`."""
    clock: Clock
    http: AsyncClient
    spend: Spend


class Source(Protocol):
    """One connector at work. Built by `build(context) -> Source` of its module, which does no input or output."""

    silence_seconds: float | None
    """How long nothing may be heard before the runner probes. Counted from the last `Heard`, an empty one included: yield an
    empty one for a heartbeat of the network."""

    def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        """Yields what is heard from `cursor` on; without one from now on. Goes on for ever, or raises `SourceTrouble`."""

    async def probe(self) -> Probe:
        """Ask the network whether it is there and we may listen: one real request. Raises `SourceTrouble`."""

    async def close(self) -> None:
        """Give everything back. Idempotent, bounded."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at followed posts found: counters, new replies, edits, deletions; and which ids the network did not answer
    for, so that they are asked again."""

    items: Sequence[Mapping[str, Any]] = ()
    unanswered: Sequence[str] = field(default=())


class Follower(Protocol):
    """A source whose network can be asked about single posts. Optional: the runner asks whether the source has `look`."""

    posts_per_look: int
    """How many posts one call asks about."""
    dollars_per_post: float
    """What it costs to ask about one; 0 where it is free."""

    async def look(self, posts: Sequence[str]) -> Looked:
        """Ask about these posts (at most `posts_per_look` ids) and return what changed since they were heard, as items.
        Raises `SourceTrouble`."""


class Receiver(Protocol):
    """A source that is called by its network (webhooks). Mounted at `/v1/sources/NAME`; the answer goes out only after the log
    has what was heard. Nobody can be asked what was not sent, so there is no probe: a call promises the next one."""

    silence_seconds: float | None
    """Within how long the next call comes; if it does not, coverage says that the network is not heard. Each call with a reply
    below 400 counts, an empty one included, and so does the first start. `None` promises nothing."""

    async def receive(self, request: Received) -> Reply:
        """Check the signature in constant time, before anything is parsed; map what it says. Raises `Refused` for a wrong
        signature (401), `ValueError` for what cannot be read (400)."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request from a network: `headers` in lower case, `body` as it came."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered, and what was heard in the request."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    heard: Heard = Heard()
