"""One acquired partition on Kafka: reads from its queue, commits through its own transactional writer.

An owner is *spent* from the moment a transaction begins until its commit is confirmed. Whatever ends a commit in between,
an error, a timeout or a cancellation, leaves it spent: its producer is thrown away, and only acquiring again tells what
took effect. The broker ends the transaction it left open when the partition is acquired again, or after its timeout.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced

from services.base.crashpoints import seam
from services.eventlog.base import (
    Batch,
    Closed,
    Fenced,
    Gap,
    Group,
    LogError,
    Message,
    NotAssigned,
    Record,
    Restored,
    Transaction,
    Unavailable,
    Uncertain,
)
from services.eventlog.kafka.offsets import POLL_MS, Offsets
from services.eventlog.kafka.queues import PartitionQueue
from services.eventlog.kafka.restore import PROGRESS_KEY, found_gap, progress
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief, check_sizes, retrieved
from services.eventlog.position import Position
from services.eventlog.rebalance import Standing, Ticket

# With a seam armed each step is waited for, so that a crash at it leaves an open transaction at the broker: without this
# the crash would come before anything was sent, and prove little.
_STEP_BY_STEP: Final = bool(os.environ.get("FIREBREAK_CRASH_AT"))
# How long an empty queue may take to follow the end of the log over control records.
_SETTLE_SECONDS: Final = 2 * POLL_MS / 1000


class GroupMember(Protocol):
    """What an owner asks of the member that acquired its partition. All synchronous: nothing can come in between."""

    def standing(self, ticket: Ticket) -> Standing: ...

    def epoch(self, ticket: Ticket) -> int:
        """For groups without a changelog, whose owners have no transactional writer."""

    def queue(self, ticket: Ticket) -> PartitionQueue | None:
        """The partition's queue, or `None` while it is parked."""

    def take(self, ticket: Ticket, max_records: int) -> Batch:
        """What the queue holds, up to `max_records`; never waits."""

    def go(self, ticket: Ticket, position: int) -> bool:
        """Read on at `position`. Returns False when the ticket does not hold any more."""

    def report(self, ticket: Ticket, position: int) -> None:
        """Note the progress, for lag tools."""

    def spent(self, ticket: Ticket) -> None:
        """The owner is done, well or not."""


class KafkaOwner:
    """See `services.eventlog.base.Owner`."""

    def __init__(
        self,
        member: GroupMember,
        wire: Wire,
        offsets: Offsets,
        group: Group,
        ticket: Ticket,
        restored: Restored,
        writer: AIOKafkaProducer | None,
        position: Position | None = None,
    ) -> None:
        """`position` is that of `restored`, with the record that was dealt with last."""
        self._member = member
        self._wire = wire
        self._offsets = offsets
        self._group = group
        self._ticket = ticket
        self._restored = restored
        self._writer = writer
        self._epoch = _epoch(writer) if writer is not None else member.epoch(ticket)
        self._position = position or Position(restored.next)
        self._read: Record | None = None
        """The record that was read last."""
        self._spent: LogError | None = None
        self._closed = False

    @property
    def partition(self) -> int:
        return self._ticket.partition

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def restored(self) -> Restored:
        return self._restored

    async def read(self, max_records: int, timeout: float) -> Batch:
        queue = self._reading()
        if not queue.records and timeout > 0:
            try:
                async with asyncio.timeout(timeout):
                    while not queue.records:
                        await queue.wake.wait()
                        queue = self._reading()
                        if not queue.records:
                            queue.wake.clear()
            except TimeoutError:
                self._reading()
        batch = self._member.take(self._ticket, max_records)
        if batch.records:
            self._read = batch.records[-1]
        return batch

    async def commit(self, transaction: Transaction) -> None:
        if self._writer is None:
            raise ValueError(f"the group {self._group.name} has no changelog: its progress is kept elsewhere")
        self._check_open()
        if transaction.next < self._position.next:
            raise ValueError(
                f"committing backwards: next {transaction.next} is below {self._position.next}, which is committed"
            )
        dealt_with = [self._read] if self._read is not None and self._read.offset < transaction.next else []
        position = self._position.after(dealt_with, transaction.next)
        outputs, state, mark = self._messages(transaction, position)
        check_sizes([*outputs, *state, mark])
        await self._offsets.check_topics(outputs)
        writer = self._writer
        self._spent = Uncertain(f"a commit of {self._name} never came to an end")
        asked = False
        try:
            async with asyncio.timeout(self._wire.transaction_seconds):
                await writer.begin_transaction()
                seam("tx.begun")
                sends = await self._send(writer, outputs)
                seam("tx.outputs")
                sends += await self._send_built(writer, state)
                seam("tx.state")
                sends += await self._send(writer, [mark])
                seam("tx.progress")
                # Every one of them: aiokafka commits without a record whose send has failed.
                for sent in sends:
                    await sent
                seam("tx.committing")
                asked = True
                await writer.commit_transaction()
                seam("tx.committed")
        except KAFKA_ERRORS as error:
            self._spent = self._failure(error, asked)
            self._give_up()
            raise self._spent from error
        except BaseException:
            self._give_up()
            raise
        self._spent = None
        self._position = position
        self._member.report(self._ticket, transaction.next)

    async def seek(self, position: int) -> Gap | None:
        if position < 0:
            raise ValueError(f"no offset: {position}")
        self._check_open(reading=True)
        gap = await found_gap(self._offsets, self._group.topic, self.partition, position)
        if not self._member.go(self._ticket, gap.start if gap else position):
            raise NotAssigned(f"{self._name} was revoked meanwhile")
        return gap

    def report(self, position: int) -> None:
        if not self._closed:
            self._member.report(self._ticket, position)

    async def behind(self) -> int:
        """The log's end less the position. Unsettled records count, so that zero is exact even right after a commit. Control
        records count too until the consumer has gone over them; where nothing else is left, this waits for that."""
        try:
            return await self._behind()
        except Fenced as error:
            # Nobody reads for us any more, so nobody can tell; the owner to come will.
            raise Unavailable(str(error)) from error

    async def _behind(self) -> int:
        loop = asyncio.get_running_loop()
        end = (await self._offsets.ends(self._group.topic, [self.partition]))[self.partition]
        until = loop.time() + _SETTLE_SECONDS
        while True:
            queue = self._reading()
            left = end - queue.next
            if left <= 0 or queue.records or loop.time() >= until:
                return max(0, left)
            queue.wake.clear()
            try:
                async with asyncio.timeout_at(until):
                    await queue.wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        writer, self._writer = self._writer, None
        self._member.spent(self._ticket)
        if writer is not None:
            await asyncio.shield(self._wire.discard(writer))

    def supersede(self) -> None:
        """The partition has gone on without this owner. What it still tries is refused here, before a broker refuses it."""
        if self._spent is None:
            self._spent = Fenced(f"{self._name} was revoked or acquired again")
        if self._writer is not None:
            self._wire.discard(self._writer, grace=0.0)

    @property
    def _name(self) -> str:
        return f"{self._group.topic}[{self.partition}]"

    def _messages(self, transaction: Transaction, position: Position) -> tuple[list[Message], list[Message], Message]:
        changelog, partition = self._group.changelog, self.partition
        assert changelog is not None
        if any(key.startswith("\x00") for key in transaction.changes):
            raise ValueError("a state key begins with NUL: those are the log's own")
        state = [Message(changelog, key, value, partition) for key, value in transaction.changes.items()]
        return list(transaction.appends), state, Message(changelog, PROGRESS_KEY, progress(position), partition)

    async def _send(self, writer: AIOKafkaProducer, messages: list[Message]) -> list[asyncio.Future[Any]]:
        sends: list[asyncio.Future[Any]] = []
        for one in messages:
            sent = await writer.send(self._wire.name(one.topic), one.value, one.key.encode(), partition=one.partition)
            sent.add_done_callback(retrieved)
            sends.append(sent)
        if _STEP_BY_STEP:
            for sent in sends:
                await sent
        return sends

    async def _send_built(self, writer: AIOKafkaProducer, messages: list[Message]) -> list[asyncio.Future[Any]]:
        """Send changes of state in batches that are built here: there are many, all for one partition, and it costs a tenth of
        sending them one by one."""
        sends: list[asyncio.Future[Any]] = []
        left = deque(messages)
        while left:
            topic, partition = self._wire.name(left[0].topic), left[0].partition
            batch = writer.create_batch()
            while left and batch.append(key=left[0].key.encode(), value=left[0].value, timestamp=None) is not None:
                left.popleft()
            sent = await writer.send_batch(batch, topic, partition=partition)
            sent.add_done_callback(retrieved)
            sends.append(sent)
            if _STEP_BY_STEP:
                await sent
        return sends

    def _failure(self, error: BaseException, asked: bool) -> LogError:
        """Returns the log's error for a commit that failed. Before the commit was asked for, nothing took effect. Afterwards
        no error tells: a request whose answer was lost is repeated, and by then another owner may have fenced us."""
        if asked:
            return Uncertain(f"the commit of {self._name} got no clear answer: {brief(error)}")
        if isinstance(error, ProducerFenced):
            return Fenced(f"{self._name} has a newer owner, or its transaction timed out")
        return Unavailable(f"the transaction of {self._name} failed before its commit: {brief(error)}")

    def _give_up(self) -> None:
        self._wire.discard(self._writer, grace=0.0)
        self._member.spent(self._ticket)

    def _reading(self) -> PartitionQueue:
        """Returns the queue if this owner may read."""
        self._check_open(reading=True)
        queue = self._member.queue(self._ticket)
        if queue is None:
            raise NotAssigned(f"{self._name} is parked")
        if queue.error is not None:
            raise queue.error
        return queue

    def _check_open(self, *, reading: bool = False) -> None:
        if self._closed:
            raise Closed(f"the owner of {self._name} is closed")
        standing = self._member.standing(self._ticket)
        if standing is Standing.SUPERSEDED:
            raise Fenced(f"{self._name} was acquired again")
        if standing is Standing.GONE or (reading and standing is Standing.ENDING):
            raise NotAssigned(f"{self._name} is not this member's any more")
        if self._spent is not None:
            raise Fenced(f"{self._name} must be acquired again: {self._spent}")


def _epoch(writer: AIOKafkaProducer) -> int:
    """Grows with each InitProducerId. The producer's id changes when its 15 bits of epoch are used up."""
    manager = writer._txn_manager  # noqa: SLF001 - it tells nobody its epoch
    return (int(manager.producer_id) << 16) | int(manager.producer_epoch)
