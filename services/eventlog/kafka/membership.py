"""One member of a group: one consumer, one task that owns it, and a bounded queue for each lane.

The order of things, and why it is this order:

- *assigned* (called by aiokafka): park every partition before anything else, synchronously. Records are delivered before
  the callback is over, and no heartbeat is sent during it. Then tell our listener, which only notes it.
- *acquire*: open the partition's transactional writer (this ends what an older owner left open), read the changelog, ask
  whether the partition is still ours, empty its queue, seek, resume: the last four without an await between them.
- *revoked*: one deadline for all; aiokafka goes on sending heartbeats meanwhile. It does not call this when a consumer
  stops, so `leave` runs it first.

The consumer is never polled with a cancellable wait: an interrupted poll leaks a counter that switches its own watchdog
off. A consumer that fails as a whole is thrown away and the group joined anew. When the reader or the reporter itself ends
unasked, the consumer leaves the group and the member claims nothing from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from services.base.retry import backoff
from services.base.tasks import Spawn
from services.eventlog.base import Batch, Closed, Fenced, Group, Listener, NotAssigned, Restored, Unavailable
from services.eventlog.kafka.dangling_transactions import end_what_hangs, how_it_ended
from services.eventlog.kafka.lane import PartitionQueue
from services.eventlog.kafka.offsets import POLL_MS, Offsets
from services.eventlog.kafka.owner import KafkaOwner
from services.eventlog.kafka.restore import restore
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief, record_of, retrieved
from services.eventlog.rebalance import Rebalance, Revocation, Standing, Ticket

log = structlog.get_logger()

# Two full batches of the scorer; what a fetch brings above it (up to 1 MiB) is kept, and then the partition rests.
QUEUE_FULL: Final = 4000
QUEUE_HALF: Final = QUEUE_FULL // 2
# The first report goes at once, the next ones this far apart: lag tools need no more.
REPORT_SECONDS: Final = 2.0
REPORT_LIMIT_SECONDS: Final = 2.0
# Of the session: the brokers wait that long for everybody to come back, and noticing took a heartbeat of it.
REVOKE_SHARE: Final = 0.6
# Each opens three connections and reads a changelog; more at once only make each other slower.
ACQUIRES_AT_ONCE: Final = 8
# Where a parked partition stands. With no position at all aiokafka would look for one, and fail the poll of everybody.
_PARKED_AT: Final = 0


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
        self._lanes: dict[int, PartitionQueue] = {}
        self._owners: dict[int, KafkaOwner] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._acquiring = asyncio.Semaphore(ACQUIRES_AT_ONCE)
        self._progress: dict[int, int] = {}
        self._unreported: set[int] = set()
        self._dirty = asyncio.Event()
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
        return {number: at for number, at in self._progress.items() if number in self._state.assigned}

    async def start(self, spawn: Spawn) -> None:
        self._consumer = await self._joined()
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
        self._dirty.set()
        revocation = self._state.revoke(asyncio.get_running_loop().time(), grace=0.0)
        self._ending.set()
        for partition in revocation.partitions:
            self._park(partition)
        self._end(revocation)
        if self._consumer is not None:
            self._wire.discard(self._consumer)
            self._consumer = None

    async def acquire(self, partition: int) -> KafkaOwner:
        self._check_open()
        ticket = self._state.acquire(partition)
        if ticket is None:
            raise NotAssigned(f"{self._group.topic}[{partition}] is not this member's")
        self._park(partition)
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

    # What an owner asks of its member. All but `seek` are synchronous: nothing can come in between.

    def standing(self, ticket: Ticket) -> Standing:
        return self._state.standing(ticket, asyncio.get_running_loop().time())

    def epoch(self, ticket: Ticket) -> int:
        """For groups without a changelog: the generation of the group, and our turn within it. Tells one from another;
        what fences such an owner is the compare-and-set of the database that keeps its progress."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        return (int(getattr(coordinator, "generation", 0)) << 32) | ticket.turn

    def lane(self, ticket: Ticket) -> PartitionQueue | None:
        return self._lanes.get(ticket.partition)

    def take(self, ticket: Ticket, max_records: int) -> Batch:
        """What the queue holds, up to `max_records`; never waits."""
        lane = self._lanes[ticket.partition]
        records = [lane.records.popleft() for _ in range(min(max_records, len(lane.records)))]
        if lane.full and len(lane.records) <= QUEUE_HALF:
            lane.full = False
            self._resume(ticket.partition)
        if records:
            lane.position = max(lane.position, records[-1].offset + 1)
        if not lane.records:
            lane.wake.clear()
        # The position of an emptied queue lies past the control records too, so that nothing seems left to read.
        return Batch(records, lane.next)

    def go(self, ticket: Ticket, position: int) -> bool:
        """Read on at `position`, if the ticket still holds."""
        if self._consumer is None or not self._state.read(ticket):
            return False
        tp = self._tp(ticket.partition)
        try:
            self._consumer.seek(tp, position)
            self._lanes[ticket.partition] = PartitionQueue(position)
            self._consumer.resume(tp)
        except IllegalStateError:
            # A rebalance is under way, and its callback has not reached us yet.
            return False
        return True

    def report(self, ticket: Ticket, next_: int) -> None:
        if self.standing(ticket) in {Standing.HOLDS, Standing.ENDING}:
            self._progress[ticket.partition] = next_
            self._unreported.add(ticket.partition)
            self._dirty.set()

    def spent(self, ticket: Ticket) -> None:
        """Its owner is done with it, well or not."""
        if self.standing(ticket) is not Standing.SUPERSEDED:
            self._state.spend(ticket)
            self._park(ticket.partition)

    # The consumer and its one task.

    async def _joined(self) -> AIOKafkaConsumer:
        consumer = await self._wire.opened(self._wire.member(self._group.name, self._instance))
        # Subscribed after the start, which otherwise would not return before the first assignment.
        consumer.subscribe([self._wire.name(self._group.topic)], listener=_Callbacks(self, consumer))
        return consumer

    async def _run(self) -> None:
        """Poll; when the consumer fails as a whole, give everything up and join anew."""
        while not self._stopping.is_set():
            if (consumer := self._consumer) is None:
                return
            try:
                await self._poll(consumer)
            except Exception as error:  # noqa: BLE001 - the root of this task: whatever it is, the group is joined anew
                log.warning("kafka.member.lost", group=self._group.name, why=brief(error))
                await self._rejoin(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            try:
                # Not cancelled and not bounded from outside; during a rebalance it waits for the assignment.
                found = await consumer.getmany(timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:
                self._overtaken(error)
                continue
            for tp, raws in found.items():
                self._put(tp.partition, raws)
            for partition, lane in list(self._lanes.items()):
                await self._follow(consumer, partition, lane)

    def _put(self, partition: int, raws: list[Any]) -> None:
        lane = self._lanes.get(partition)
        if lane is None:
            return  # parked between the fetch and now; it is read again after its next seek
        lane.records.extend(record_of(self._group.topic, raw) for raw in raws)
        if len(lane.records) >= QUEUE_FULL and not lane.full:
            lane.full = True
            self._pause(partition)

    async def _follow(self, consumer: AIOKafkaConsumer, partition: int, lane: PartitionQueue) -> None:
        try:
            # Every lane has a position since its seek, so this answers without waiting.
            position = await consumer.position(self._tp(partition))
        except (IllegalStateError, AssertionError):
            return
        if position != lane.position and self._lanes.get(partition) is lane:
            if not lane.records and self._progress.get(partition) == lane.position:
                # Only control records lie between: who had reported all before them has reported all.
                self._progress[partition] = position
                self._unreported.add(partition)
                self._dirty.set()
            lane.position = position
            lane.wake.set()
        if lane.records:
            lane.wake.set()

    def _overtaken(self, error: OffsetOutOfRangeError) -> None:
        """Retention went past a reader, or the log was cut: acquiring again states the gap."""
        for tp in error.args[0] if error.args else ():
            lane = self._lanes.get(tp.partition)
            log.warning("kafka.position.gone", topic=tp.topic, partition=tp.partition)
            self._pause(tp.partition)
            if lane is not None:
                lane.error = Fenced(f"{tp.topic}[{tp.partition}] no longer holds the position: acquire again")
                lane.wake.set()

    async def _rejoin(self, consumer: AIOKafkaConsumer) -> None:
        await self.revoke(consumer)
        self._wire.discard(consumer)
        for wait in backoff(0.2, 5.0):
            if self._stopping.is_set():
                return
            try:
                self._consumer = await self._joined()
            except Unavailable:
                await _first(self._stopping.wait(), wait)
            else:
                return

    # Assignment.

    def assign(self, consumer: AIOKafkaConsumer, partitions: frozenset[int]) -> None:
        """From the callback, synchronously."""
        if consumer is not self._consumer:
            return  # one that was thrown away
        self._lanes.clear()
        for partition in partitions:
            self._park(partition)
        self._ending = asyncio.Event()
        self._state.assign(partitions)
        if partitions and not self._stopping.is_set():
            self._listener.assigned(partitions)

    async def revoke(self, consumer: AIOKafkaConsumer) -> None:
        """Everything ends by one deadline. Returns when nothing will be committed any more."""
        if consumer is not self._consumer:
            return
        loop = asyncio.get_running_loop()
        await self._revoke(loop.time() + self._wire.session_seconds * REVOKE_SHARE)

    async def _revoke(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        revocation = self._state.revoke(loop.time(), max(0.0, deadline - loop.time()))
        self._ending.set()
        for partition in revocation.partitions:
            self._park(partition)
        try:
            if revocation.partitions:
                work = asyncio.ensure_future(self._listener.revoked(revocation.partitions, revocation.deadline))
                work.add_done_callback(retrieved)
                _, late = await asyncio.wait({work}, timeout=max(0.0, revocation.deadline - loop.time()))
                if late:
                    log.warning("kafka.revoke.late", group=self._group.name, partitions=sorted(revocation.partitions))
                elif not work.cancelled() and (error := work.exception()) is not None:
                    log.error("kafka.revoke.failed", group=self._group.name, why=brief(error))
                await self._report_once()
        finally:
            self._end(revocation)

    def _end(self, revocation: Revocation) -> None:
        """The deadline is over: what was ending is not ours any more."""
        self._state.ended()
        self._unreported.clear()
        self._progress.clear()
        for partition in revocation.partitions:
            if (owner := self._owners.pop(partition, None)) is not None:
                owner.supersede()

    async def _leave(self, deadline: float) -> None:
        await self._revoke(deadline)
        self._stopping.set()
        self._dirty.set()
        loop = asyncio.get_running_loop()
        for lane in self._lanes.values():
            lane.wake.set()
        self._lanes.clear()
        # The reader sees the stop within a poll; during a rebalance it waits for an assignment that will not come, and its
        # consumer goes away with it, so that cancelling it harms nobody.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=min(2 * POLL_MS / 1000, max(0.0, deadline - loop.time())))
        for task in self._tasks:
            task.cancel()
        if self._consumer is not None:
            gone = self._wire.discard(self._consumer, max(0.1, deadline - loop.time()))
            await asyncio.wait({gone, *self._tasks}, timeout=max(0.0, deadline - loop.time()))

    async def _acquire(self, ticket: Ticket) -> KafkaOwner:
        group, partition = self._group, ticket.partition
        async with self._acquiring:
            restored, writer = await self._opened(ticket)
        owner = KafkaOwner(self, self._wire, self._offsets, group, ticket, restored, writer)
        self._owners[partition] = owner
        return owner

    async def _opened(self, ticket: Ticket) -> tuple[Restored, AIOKafkaProducer | None]:
        """Where reading is about to go on, and the writer that makes us the one owner."""
        group, partition = self._group, ticket.partition
        if group.changelog is None:
            # Its reader knows better and will say so; until then the oldest that there is.
            start, _ = (await self._offsets.bounds(group.topic, [partition]))[partition]
            if not self.go(ticket, start):
                raise self._refusal(ticket)
            return Restored({}, start), None
        # First how the last transaction ended, then the writer, then what no marker has ended, then the end of the
        # changelog: see `hanging` and `restore`.
        identity = f"{group.name}.{group.topic}.{partition}"
        last = await how_it_ended(self._offsets, identity, group.changelog, partition, self._outputs)
        writer = await self._wire.opened(self._wire.writer(identity))
        try:
            await end_what_hangs(self._wire, self._offsets, writer, last, group.changelog, partition, self._outputs)
            restored = await restore(self._wire, self._offsets, group.topic, group.changelog, partition)
            if not self.go(ticket, restored.next):
                raise self._refusal(ticket)
        except BaseException:
            self._wire.discard(writer)
            raise
        return restored, writer

    def _refusal(self, ticket: Ticket) -> Exception:
        if self._stopping.is_set():
            return Closed("the membership is over")
        if self.standing(ticket) is Standing.SUPERSEDED:
            return Fenced(f"{self._group.topic}[{ticket.partition}] was acquired again meanwhile")
        return NotAssigned(f"{self._group.topic}[{ticket.partition}] was revoked meanwhile")

    # Reports: what lag tools see. Never a reason to stop.

    async def _report(self) -> None:
        while not self._stopping.is_set():
            await self._dirty.wait()
            self._dirty.clear()
            await self._report_once()
            await _first(self._stopping.wait(), REPORT_SECONDS)

    async def _report_once(self) -> None:
        wanted = {number: self._progress[number] for number in self._unreported if number in self._progress}
        self._unreported.clear()
        if not wanted or self._consumer is None:
            return
        offsets = {self._tp(number): OffsetAndMetadata(at, "") for number, at in wanted.items()}
        try:
            async with asyncio.timeout(REPORT_LIMIT_SECONDS):
                await self._consumer.commit(offsets)
        except (*KAFKA_ERRORS, KafkaError) as error:
            # The lane may be lost, the group rebalancing, the broker away: others will tell, and the next report is whole.
            log.debug("kafka.report.failed", group=self._group.name, why=brief(error))
            self._unreported |= set(wanted)
            self._dirty.set()

    # Small steps.

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._wire.name(self._group.topic), partition)

    def _check_open(self) -> None:
        if self._stopping.is_set() or self._left is not None:
            raise Closed("the membership is over")

    def _park(self, partition: int) -> None:
        """Nothing is read, nothing is fetched, and what was queued is forgotten."""
        lane = self._lanes.pop(partition, None)
        if lane is not None:
            lane.wake.set()
        if self._pause(partition) and self._consumer is not None:
            self._consumer.seek(self._tp(partition), _PARKED_AT)

    def _pause(self, partition: int) -> bool:
        if self._consumer is None:
            return False
        try:
            self._consumer.pause(self._tp(partition))
        except (IllegalStateError, AssertionError):
            return False  # taken away behind our back; the callback will say so
        return True

    def _resume(self, partition: int) -> None:
        if self._consumer is not None:
            try:
                self._consumer.resume(self._tp(partition))
            except (IllegalStateError, AssertionError):
                return


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


async def _first(waiting: Awaitable[Any], seconds: float) -> None:
    """Until it happens or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
