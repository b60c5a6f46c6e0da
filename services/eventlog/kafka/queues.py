"""The queues between the one consumer of a member and the owners of its partitions: bounded, and parked until acquired.

Only the member's reader fills them. Everything else in here is synchronous, so that nothing comes in between when a
partition is taken away, emptied, or sent back to another position.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, OffsetOutOfRangeError

from services.eventlog.base import Batch, Fenced, Record
from services.eventlog.kafka.offsets import POLL_MS
from services.eventlog.kafka.wire import record_of

logger = structlog.get_logger()

# Two full batches of the scorer; what a fetch brings above it (up to 1 MiB) is kept, and then the partition rests.
QUEUE_FULL: Final = 4000
QUEUE_HALF: Final = QUEUE_FULL // 2
# Where a parked partition stands. With no position at all aiokafka would look for one, and fail the poll of everybody.
_PARKED_AT: Final = 0


class PartitionQueue:
    """Records that wait for their owner. `position` is the consumer's: past control records too."""

    def __init__(self, position: int) -> None:
        self.records: deque[Record] = deque()
        self.position = position
        self.full = False
        self.error: Exception | None = None
        self.wake = asyncio.Event()

    @property
    def next(self) -> int:
        """The next offset to hand out."""
        return self.records[0].offset if self.records else self.position


class PartitionQueues:
    """The queues of one member, by partition. A partition without a queue is parked: nothing of it is fetched."""

    def __init__(self, topic: str, topic_on_wire: str, moved: Callable[[int, int, int], None]) -> None:
        """`moved(partition, from, to)` is told when the consumer has gone over control records alone."""
        self.consumer: AIOKafkaConsumer | None = None
        """The one that reads now; set by the member, which replaces it when it fails as a whole."""
        self._topic = topic
        self._topic_on_wire = topic_on_wire
        self._moved = moved
        self._queues: dict[int, PartitionQueue] = {}

    def queue(self, partition: int) -> PartitionQueue | None:
        return self._queues.get(partition)

    def open(self, partition: int, position: int) -> bool:
        """Begin an empty queue at `position`. Returns False when the consumer does not hold the partition."""
        if self.consumer is None:
            return False
        tp = self._tp(partition)
        try:
            self.consumer.seek(tp, position)
            self._queues[partition] = PartitionQueue(position)
            self.consumer.resume(tp)
        except IllegalStateError:
            # A rebalance is under way, and its callback has not reached us yet.
            return False
        return True

    def park(self, partition: int) -> None:
        """Stop reading and fetching the partition, and forget what was queued."""
        queue = self._queues.pop(partition, None)
        if queue is not None:
            queue.wake.set()
        if self._pause(partition) and self.consumer is not None:
            self.consumer.seek(self._tp(partition), _PARKED_AT)

    def clear(self) -> None:
        """Forget all queues. Owners that wait on one wake up and find that it is gone."""
        for queue in self._queues.values():
            queue.wake.set()
        self._queues.clear()

    def take(self, partition: int, max_records: int) -> Batch:
        """What the queue holds, up to `max_records`; never waits."""
        queue = self._queues[partition]
        records = [queue.records.popleft() for _ in range(min(max_records, len(queue.records)))]
        if queue.full and len(queue.records) <= QUEUE_HALF:
            queue.full = False
            self._resume(partition)
        if records:
            queue.position = max(queue.position, records[-1].offset + 1)
        if not queue.records:
            queue.wake.clear()
        # The position of an emptied queue lies past the control records too, so that nothing seems left to read.
        return Batch(records, queue.next)

    async def fill(self, consumer: AIOKafkaConsumer) -> None:
        """Poll once, for `POLL_MS` at most where nothing comes."""
        try:
            # Not cancelled and not bounded from outside; during a rebalance it waits for the assignment.
            found = await consumer.getmany(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            self._overtaken(error)
            return
        for tp, raws in found.items():
            self._put(tp.partition, raws)
        for partition, queue in list(self._queues.items()):
            await self._follow(consumer, partition, queue)

    def _put(self, partition: int, raws: list[Any]) -> None:
        queue = self._queues.get(partition)
        if queue is None:
            return  # parked between the fetch and now; it is read again after its next seek
        queue.records.extend(record_of(self._topic, raw) for raw in raws)
        if len(queue.records) >= QUEUE_FULL and not queue.full:
            queue.full = True
            self._pause(partition)

    async def _follow(self, consumer: AIOKafkaConsumer, partition: int, queue: PartitionQueue) -> None:
        try:
            # Every queue has a position since its seek, so this answers without waiting.
            position = await consumer.position(self._tp(partition))
        except (IllegalStateError, AssertionError):
            return
        if position != queue.position and self._queues.get(partition) is queue:
            if not queue.records:
                self._moved(partition, queue.position, position)
            queue.position = position
            queue.wake.set()
        if queue.records:
            queue.wake.set()

    def _overtaken(self, error: OffsetOutOfRangeError) -> None:
        """Retention went past a reader, or the log was cut: acquiring again states the gap."""
        for tp in error.args[0] if error.args else ():
            queue = self._queues.get(tp.partition)
            logger.warning("kafka.position.gone", topic=tp.topic, partition=tp.partition)
            self._pause(tp.partition)
            if queue is not None:
                queue.error = Fenced(f"{tp.topic}[{tp.partition}] no longer holds the position: acquire again")
                queue.wake.set()

    def _pause(self, partition: int) -> bool:
        if self.consumer is None:
            return False
        try:
            self.consumer.pause(self._tp(partition))
        except (IllegalStateError, AssertionError):
            return False  # taken away behind our back; the callback will say so
        return True

    def _resume(self, partition: int) -> None:
        if self.consumer is not None:
            try:
                self.consumer.resume(self._tp(partition))
            except (IllegalStateError, AssertionError):
                return

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic_on_wire, partition)
