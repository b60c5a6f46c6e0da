"""The one durable commit point of ingest: when `publish` returns, the log has all events of each item that it did not reject.

If the log fails midway, the client is told to send everything again. That is harmless, because the ids are the same. While an
append is overdue no further one is handed to the log: otherwise a log that cannot be reached would collect the requests of
the whole outage in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from ingest.metrics import IngestMetrics
from ingest.normalize import Notice, Observation
from ingest.schemas import ItemError, Reason
from services.base.crashpoints import seam
from services.contracts.base import EventId
from services.contracts.codec import MAX_EVENT_BYTES, encode
from services.contracts.post import AuthorChanged, PostDeleted, PostObserved, PostPlaced, PostVisibility
from services.contracts.topics import POSTS
from services.eventlog.base import EventLog, LogError, Message, TooLarge, Unavailable

logger = structlog.get_logger()

BREATH_ITEMS: Final = 200
"""After so many items, about two milliseconds of work, other tasks get a turn."""

_COPIED: Final = (PostDeleted, PostVisibility, AuthorChanged)
"""Events that every partition gets a copy of."""
Indexed = tuple[int, Sequence[Message]]
"""The index of an item in its request, and its messages."""


class Publisher:
    """Appends events to the log, within `timeout_seconds` for each call."""

    def __init__(
        self,
        log: EventLog,
        metrics: IngestMetrics,
        timeout_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._timeout = timeout_seconds
        self._monotonic = monotonic
        self._partitions: tuple[int, ...] = ()
        """Of `firebreak.posts`; asked for with the first event that all of them get."""
        self._overdue: dict[asyncio.Task[None], float] = {}
        """Appends that have had no answer in time, and when each was handed to the log."""

    @property
    def overdue_seconds(self) -> float:
        """For how long the oldest overdue append has been waiting; zero if there is none."""
        return self._monotonic() - min(self._overdue.values()) if self._overdue else 0.0

    def check_reachable(self) -> None:
        """Raises `Unavailable` while an earlier append has had no answer."""
        if self._overdue:
            raise Unavailable("the event log cannot be reached: an earlier append has had no answer")

    async def report(self, messages: Sequence[Message]) -> None:
        """Append what connectors report. Raises `Unavailable` as `publish` does."""
        await self._append(messages, self._monotonic() + self._timeout)

    async def report_to_all(self, events: Sequence[tuple[AuthorChanged, EventId]]) -> None:
        """Append events that every partition gets a copy of. Raises `Unavailable` as `publish` does."""
        deadline = self._monotonic() + self._timeout
        await self._learn_partitions(deadline)
        await self._append([m for event, id_ in events for m in self._copies(event, id_)], deadline)

    async def publish(self, items: Mapping[int, Sequence[Observation | Notice]]) -> Mapping[int, ItemError]:
        """Append the events of all items, which are given by their index. Returns the errors of those that are too large.

        An event that is sent twice is stored twice under the same id; readers drop the second. Raises `Unavailable` if the log
        cannot be reached or is slower than the timeout. Some events may have been stored all the same.
        """
        deadline = self._monotonic() + self._timeout
        fitting, errors = await self._prepare(items, deadline)
        await self._append_items(fitting, deadline, errors)
        return errors

    async def prepare(
        self, items: Mapping[int, Sequence[Observation | Notice]]
    ) -> tuple[Sequence[Indexed], Mapping[int, ItemError]]:
        """Make the messages of all items for somebody who appends them in a transaction, and the errors of those that are too
        large. Raises `Unavailable`."""
        return await self._prepare(items, self._monotonic() + self._timeout)

    async def prepare_for_all(self, events: Sequence[tuple[AuthorChanged, EventId]]) -> Sequence[Message]:
        """The same for events that every partition gets a copy of. Raises `Unavailable`."""
        await self._learn_partitions(self._monotonic() + self._timeout)
        return [message for event, id_ in events for message in self._copies(event, id_)]

    async def _prepare(
        self, items: Mapping[int, Sequence[Observation | Notice]], deadline: float
    ) -> tuple[list[Indexed], dict[int, ItemError]]:
        if any(type(one.event) in _COPIED for some in items.values() for one in some):
            await self._learn_partitions(deadline)
        errors: dict[int, ItemError] = {}
        fitting: list[Indexed] = []
        for count, (index, observations) in enumerate(items.items(), start=1):
            messages = [message for one in observations for message in self._messages(one)]
            largest = max(len(m.value or b"") for m in messages)
            if largest > MAX_EVENT_BYTES:
                errors[index] = _too_large(largest)
            else:
                fitting.append((index, messages))
            if count % BREATH_ITEMS == 0:
                await asyncio.sleep(0)
        return fitting, errors

    async def _learn_partitions(self, deadline: float) -> None:
        """Find out how many copies there have to be. Raises `Unavailable`."""
        if self._partitions:
            return
        self.check_reachable()
        try:
            async with asyncio.timeout(max(0.0, deadline - self._monotonic())):
                self._partitions = tuple(sorted(await self._log.bounds(POSTS.name)))
        except (LogError, TimeoutError) as error:
            raise Unavailable(f"the event log cannot be reached: {error}") from error

    def _messages(self, one: Observation | Notice) -> list[Message]:
        event = one.event
        if isinstance(event, PostObserved):
            return [Message(POSTS.name, event.conversation, encode(event, one.id))]
        if isinstance(event, PostPlaced):
            return [Message(POSTS.name, f"{event.network}:{event.post_id}", encode(event, one.id))]
        return self._copies(event, one.id)

    def _copies(self, event: PostDeleted | PostVisibility | AuthorChanged, id_: EventId) -> list[Message]:
        value = encode(event, id_)
        whose = event.author_id if isinstance(event, AuthorChanged) else event.post_id
        return [Message(POSTS.name, f"{event.network}:{whose}", value, partition) for partition in self._partitions]

    async def _append_items(self, items: Sequence[Indexed], deadline: float, errors: dict[int, ItemError]) -> None:
        """Append the items. If the log finds an event too large, and so has stored nothing, try each half by itself, until only
        the item that is too large is left out."""
        messages = [message for _, some in items for message in some]
        if not messages:
            return
        try:
            await self._append(messages, deadline)
        except TooLarge:
            if len(items) == 1:
                errors[items[0][0]] = _too_large(max(len(m.value or b"") for m in messages))
                return
            middle = len(items) // 2
            await self._append_items(items[:middle], deadline, errors)
            await self._append_items(items[middle:], deadline, errors)

    async def _append(self, messages: Sequence[Message], deadline: float) -> None:
        self.check_reachable()
        seam("ingest.appending")
        began = self._monotonic()
        # Never cancelled: an append that is cancelled midway leaves a producer in an unknown state.
        task = asyncio.create_task(self._log.append(messages), name="ingest-append")
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - began))
        except asyncio.CancelledError:
            self._let_go(task, began)
            raise
        if not done:
            self._let_go(task, began)
            raise Unavailable(f"the event log cannot be reached: no answer within {self._timeout:g} s")
        try:
            task.result()
        except TooLarge:
            raise
        except LogError as error:
            raise Unavailable(f"the event log cannot be reached: {error}") from error
        seam("ingest.appended")
        self._metrics.append_seconds.observe(self._monotonic() - began)
        self._metrics.events.inc(len(messages))

    def _let_go(self, task: asyncio.Task[None], began: float) -> None:
        self._overdue[task] = began
        task.add_done_callback(self._ended_late)

    def _ended_late(self, task: asyncio.Task[None]) -> None:
        began = self._overdue.pop(task)
        seconds = round(self._monotonic() - began, 3)
        why = "cancelled" if task.cancelled() else repr(task.exception()) if task.exception() else "stored after all"
        logger.warning("append_ended_late", seconds=seconds, why=why)

    async def close(self, deadline: float) -> None:
        """Wait for overdue appends until `deadline` (`loop.time()`), then give them up."""
        left = set(self._overdue)
        if left:
            _, pending = await asyncio.wait(left, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=0.1)  # cancellation of a lost producer may never return


def _too_large(size: int) -> ItemError:
    return ItemError(Reason.TOO_LARGE, None, f"{size} bytes as an event; the limit is {MAX_EVENT_BYTES}")
