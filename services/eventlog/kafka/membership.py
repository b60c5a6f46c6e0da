"""One member of a group: one consumer, one task that owns it, and what happens when partitions come and go.

The order of things, and why it is this order:

- *assigned* (called by aiokafka): park every partition before anything else, synchronously. Records are delivered before
  the callback is over, and no heartbeat is sent during it. Then tell our listener, which only notes it.
- *acquire*: open the partition's transactional writer (this ends what an older owner left open), read the changelog, ask
  whether the partition is still ours, begin an empty queue, seek, resume: the last four without an await between them.
- *revoked*: one deadline for all; aiokafka goes on sending heartbeats meanwhile. It does not call this when a consumer
  stops, so `leave` runs it first.

The consumer is never polled with a cancellable wait: an interrupted poll leaks a counter that switches its own watchdog
off. A consumer that fails as a whole is thrown away and the group joined anew. When the reader or the reporter itself ends
unasked, the consumer leaves the group and the member claims nothing from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from services.base.clock import set_within
from services.base.retry import backoff
from services.base.tasks import Spawn
from services.eventlog.base import Batch, Closed, Fenced, Group, Listener, NotAssigned, Restored, Unavailable
from services.eventlog.kafka.dangling_transactions import end_what_hangs, how_it_ended
from services.eventlog.kafka.offsets import POLL_MS, Offsets
from services.eventlog.kafka.owner import KafkaOwner
from services.eventlog.kafka.queues import PartitionQueue, PartitionQueues
from services.eventlog.kafka.reports import REPORT_SECONDS, Reports
from services.eventlog.kafka.restore import restore
from services.eventlog.kafka.wire import Wire, brief, retrieved
from services.eventlog.position import Position
from services.eventlog.rebalance import Rebalance, Revocation, Standing, Ticket

logger = structlog.get_logger()

# Of the session: the brokers wait that long for everybody to come back, and noticing took a heartbeat of it.
REVOKE_SHARE: Final = 0.6
# Each opens three connections and reads a changelog; more at once only make each other slower.
ACQUIRES_AT_ONCE: Final = 8


class KafkaMembership:
    """See `services.eventlog.base.Membership`."""

    def __init__(
        self,
        wire: Wire,
        offsets: Offsets,
        group: Group,
        listener: Listener,
        instance: str | None,
        outputs: Sequence[str] = (),
    ) -> None:
        """`outputs`: the topics to which the group's transactions may append."""
        self._wire = wire
        self._offsets = offsets
        self._group = group
        self._listener = listener
        self._instance = instance
        self._outputs = tuple(outputs)
        self._state = Rebalance()
        topic = wire.name(group.topic)
        self._reports = Reports(group.name, topic)
        self._queues = PartitionQueues(group.topic, topic, self._reports.moved)
        self._owners: dict[int, KafkaOwner] = {}
        self._acquiring = asyncio.Semaphore(ACQUIRES_AT_ONCE)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._left: asyncio.Future[None] | None = None

    @property
    def group(self) -> Group:
        return self._group

    @property
    def assigned(self) -> frozenset[int]:
        return frozenset() if self._stopping.is_set() else self._state.assigned

    @property
    def progress(self) -> dict[int, int]:
        """What the owners of this member last reported, whether or not the brokers know it yet."""
        return {number: at for number, at in self._reports.progress.items() if number in self._state.assigned}

    async def start(self, spawn: Spawn) -> None:
        self._queues.consumer = await self._joined()
        for name, work in (("reader", self._run), ("reporter", self._report)):
            named = f"kafka:{self._group.name}:{name}"
            self._tasks.append(spawn(named, partial(self._kept_by, work), ends=lambda: self._left is not None))

    async def _kept_by(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run one of the two tasks without which this member must claim nothing."""
        try:
            await work()
        finally:
            if not self._stopping.is_set():
                self._forfeit()

    def _forfeit(self) -> None:
        """Give everything up at once: the group goes on without this member, and its owners are refused."""
        self._stopping.set()
        self._reports.wake()
        revocation = self._state.revoke(asyncio.get_running_loop().time(), grace=0.0)
        self._ending.set()
        for partition in revocation.partitions:
            self._queues.park(partition)
        self._end(revocation)
        consumer, self._queues.consumer = self._queues.consumer, None
        if consumer is not None:
            self._wire.discard(consumer)

    async def acquire(self, partition: int) -> KafkaOwner:
        self._check_open()
        ticket = self._state.acquire(partition)
        if ticket is None:
            raise NotAssigned(f"{self._group.topic}[{partition}] is not this member's")
        self._queues.park(partition)
        # Its successor is here: whatever the old one still has in hand must not be read from or committed to again.
        if (old := self._owners.pop(partition, None)) is not None:
            old.supersede()
        # A long restore must not hold up a rebalance: it is broken off when the partition is revoked.
        work = asyncio.create_task(self._acquire(ticket), name=f"kafka:{self._group.name}:acquire:{partition}")
        ending = asyncio.create_task(self._ending.wait())
        work.add_done_callback(retrieved)
        try:
            await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise self._refusal(ticket)
            return work.result()
        except BaseException:
            work.cancel()
            self._state.spend(ticket)
            raise
        finally:
            ending.cancel()

    async def leave(self, deadline: float) -> None:
        if self._left is None:
            self._left = asyncio.ensure_future(self._leave(deadline))
        loop = asyncio.get_running_loop()
        await asyncio.wait({self._left}, timeout=max(0.0, deadline - loop.time()))

    # What an owner asks of its member (`owner.GroupMember`).

    def standing(self, ticket: Ticket) -> Standing:
        return self._state.standing(ticket, asyncio.get_running_loop().time())

    def epoch(self, ticket: Ticket) -> int:
        """For groups without a changelog: the generation of the group, and our turn within it. Tells one from another;
        what fences such an owner is the compare-and-set of the database that keeps its progress."""
        coordinator = getattr(self._queues.consumer, "_coordinator", None)
        return (int(getattr(coordinator, "generation", 0)) << 32) | ticket.turn

    def queue(self, ticket: Ticket) -> PartitionQueue | None:
        return self._queues.queue(ticket.partition)

    def take(self, ticket: Ticket, max_records: int) -> Batch:
        return self._queues.take(ticket.partition, max_records)

    def go(self, ticket: Ticket, position: int) -> bool:
        if self._queues.consumer is None or not self._state.read(ticket):
            return False
        return self._queues.open(ticket.partition, position)

    def report(self, ticket: Ticket, position: int) -> None:
        if self.standing(ticket) in {Standing.HOLDS, Standing.ENDING}:
            self._reports.note(ticket.partition, position)

    def spent(self, ticket: Ticket) -> None:
        if self.standing(ticket) is not Standing.SUPERSEDED:
            self._state.spend(ticket)
            self._queues.park(ticket.partition)

    # The consumer and its one task.

    async def _joined(self) -> AIOKafkaConsumer:
        consumer = await self._wire.opened(self._wire.member(self._group.name, self._instance))
        # Subscribed after the start, which otherwise would not return before the first assignment.
        consumer.subscribe([self._wire.name(self._group.topic)], listener=_Callbacks(self, consumer))
        return consumer

    async def _run(self) -> None:
        """Poll. When the consumer fails as a whole, give everything up and join anew."""
        while not self._stopping.is_set():
            if (consumer := self._queues.consumer) is None:
                return
            try:
                await self._poll(consumer)
            except Exception as error:  # noqa: BLE001 - the root of this task: whatever it is, the group is joined anew
                logger.warning("kafka.member.lost", group=self._group.name, why=brief(error))
                await self._rejoin(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            await self._queues.fill(consumer)

    async def _rejoin(self, consumer: AIOKafkaConsumer) -> None:
        await self.revoke(consumer)
        self._wire.discard(consumer)
        for wait in backoff(0.2, 5.0):
            if self._stopping.is_set():
                return
            try:
                self._queues.consumer = await self._joined()
            except Unavailable:
                await set_within(self._stopping, wait)
            else:
                return

    # Assignment.

    def assign(self, consumer: AIOKafkaConsumer, partitions: frozenset[int]) -> None:
        """Take over an assignment. aiokafka's callback calls this, so it must not wait."""
        if consumer is not self._queues.consumer:
            return  # one that was thrown away
        self._queues.clear()
        for partition in partitions:
            self._queues.park(partition)
        self._ending = asyncio.Event()
        self._state.assign(partitions)
        if partitions and not self._stopping.is_set():
            self._listener.assigned(partitions)

    async def revoke(self, consumer: AIOKafkaConsumer) -> None:
        """Give everything up by one deadline. Returns when nothing will be committed any more."""
        if consumer is not self._queues.consumer:
            return
        loop = asyncio.get_running_loop()
        await self._revoke(loop.time() + self._wire.session_seconds * REVOKE_SHARE)

    async def _revoke(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        revocation = self._state.revoke(loop.time(), max(0.0, deadline - loop.time()))
        self._ending.set()
        for partition in revocation.partitions:
            self._queues.park(partition)
        try:
            if revocation.partitions:
                work = asyncio.ensure_future(self._listener.revoked(revocation.partitions, revocation.deadline))
                work.add_done_callback(retrieved)
                _, late = await asyncio.wait({work}, timeout=max(0.0, revocation.deadline - loop.time()))
                if late:
                    logger.warning(
                        "kafka.revoke.late", group=self._group.name, partitions=sorted(revocation.partitions)
                    )
                elif not work.cancelled() and (error := work.exception()) is not None:
                    logger.error("kafka.revoke.failed", group=self._group.name, why=brief(error))
                await self._report_once()
        finally:
            self._end(revocation)

    def _end(self, revocation: Revocation) -> None:
        """The deadline is over: what was ending is not ours any more."""
        self._state.ended()
        self._reports.clear()
        for partition in revocation.partitions:
            if (owner := self._owners.pop(partition, None)) is not None:
                owner.supersede()

    async def _leave(self, deadline: float) -> None:
        await self._revoke(deadline)
        self._stopping.set()
        self._reports.wake()
        self._queues.clear()
        loop = asyncio.get_running_loop()
        # The reader sees the stop within a poll; during a rebalance it waits for an assignment that will not come, and its
        # consumer goes away with it, so that cancelling it harms nobody.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=min(2 * POLL_MS / 1000, max(0.0, deadline - loop.time())))
        for task in self._tasks:
            task.cancel()
        if self._queues.consumer is not None:
            gone = self._wire.discard(self._queues.consumer, max(0.1, deadline - loop.time()))
            await asyncio.wait({gone, *self._tasks}, timeout=max(0.0, deadline - loop.time()))

    async def _acquire(self, ticket: Ticket) -> KafkaOwner:
        group, partition = self._group, ticket.partition
        async with self._acquiring:
            restored, writer, position = await self._opened(ticket)
        owner = KafkaOwner(self, self._wire, self._offsets, group, ticket, restored, writer, position)
        self._owners[partition] = owner
        return owner

    async def _opened(self, ticket: Ticket) -> tuple[Restored, AIOKafkaProducer | None, Position]:
        """Returns where reading goes on, the writer that makes this member the one owner, and the position."""
        group, partition = self._group, ticket.partition
        if group.changelog is None:
            # Its reader knows better and will say so; until then the oldest that there is.
            start, _ = (await self._offsets.bounds(group.topic, [partition]))[partition]
            if not self.go(ticket, start):
                raise self._refusal(ticket)
            return Restored({}, start), None, Position(start)
        # First how the last transaction ended, then the writer, then what no marker has ended, then the end of the
        # changelog: see `dangling_transactions` and `restore`.
        identity = f"{group.name}.{group.topic}.{partition}"
        last = await how_it_ended(self._offsets, identity, group.changelog, partition, self._outputs)
        writer = await self._wire.opened(self._wire.writer(identity))
        try:
            await end_what_hangs(self._wire, self._offsets, writer, last, group.changelog, partition, self._outputs)
            restored, position = await restore(self._wire, self._offsets, group.topic, group.changelog, partition)
            if restored.moved_from is None:
                restored = replace(restored, moved_from=await self._further_than(partition, restored.next))
            if not self.go(ticket, restored.next):
                raise self._refusal(ticket)
        except BaseException:
            self._wire.discard(writer)
            raise
        return restored, writer, position

    async def _further_than(self, partition: int, position: int) -> int | None:
        """Returns how far the group said that it was, if that is further: what is committed here is then older than what was
        done, because the changelog was restored or made anew. Progress is reported only after its commit."""
        try:
            reported = (await self._offsets.committed(self._group.name, self._group.topic)).get(partition, 0)
        except Unavailable as error:
            logger.info("kafka.progress.not_compared", group=self._group.name, why=str(error))
            return None
        return reported if reported > position else None

    def _refusal(self, ticket: Ticket) -> Exception:
        if self._stopping.is_set():
            return Closed("the membership is over")
        if self.standing(ticket) is Standing.SUPERSEDED:
            return Fenced(f"{self._group.topic}[{ticket.partition}] was acquired again meanwhile")
        return NotAssigned(f"{self._group.topic}[{ticket.partition}] was revoked meanwhile")

    async def _report(self) -> None:
        while not self._stopping.is_set():
            await self._reports.something()
            await self._report_once()
            await set_within(self._stopping, REPORT_SECONDS)

    async def _report_once(self) -> None:
        if (consumer := self._queues.consumer) is not None:
            await self._reports.send(consumer)

    def _check_open(self) -> None:
        if self._stopping.is_set() or self._left is not None:
            raise Closed("the membership is over")


class _Callbacks(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """What aiokafka calls. Exceptions in here would be logged and swallowed, so there is next to nothing in here."""

    def __init__(self, member: KafkaMembership, consumer: AIOKafkaConsumer) -> None:
        self._member = member
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._member.assign(self._consumer, frozenset(tp.partition for tp in assigned))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked:
            await self._member.revoke(self._consumer)
