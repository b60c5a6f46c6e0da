"""What a member tells the brokers about its progress, for lag tools alone: now and then, and never a reason to stop."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from services.eventlog.kafka.wire import KAFKA_ERRORS, brief

logger = structlog.get_logger()

# The first report goes at once, the next ones this far apart: lag tools need no more.
REPORT_SECONDS: Final = 2.0
REPORT_LIMIT_SECONDS: Final = 2.0


class Reports:
    """The progress of one member, by partition. `progress` is ahead of what the brokers know."""

    def __init__(self, group: str, topic_on_wire: str) -> None:
        self.progress: dict[int, int] = {}
        self._group = group
        self._topic_on_wire = topic_on_wire
        self._unreported: set[int] = set()
        self._dirty = asyncio.Event()

    def note(self, partition: int, position: int) -> None:
        self.progress[partition] = position
        self._unreported.add(partition)
        self._dirty.set()

    def moved(self, partition: int, before: int, after: int) -> None:
        """Only control records lie between the two: an owner who had reported all before them has reported all."""
        if self.progress.get(partition) == before:
            self.note(partition, after)

    def clear(self) -> None:
        self.progress.clear()
        self._unreported.clear()

    def wake(self) -> None:
        """Let `something` return, so that its caller sees the stop."""
        self._dirty.set()

    async def something(self) -> None:
        """Wait until there is something to report."""
        await self._dirty.wait()
        self._dirty.clear()

    async def send(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what was not reported yet. A failure is logged for debugging only, and tried again."""
        wanted = {number: self.progress[number] for number in self._unreported if number in self.progress}
        self._unreported.clear()
        if not wanted:
            return
        offsets = {
            TopicPartition(self._topic_on_wire, number): OffsetAndMetadata(at, "") for number, at in wanted.items()
        }
        try:
            async with asyncio.timeout(REPORT_LIMIT_SECONDS):
                await consumer.commit(offsets)
        except (*KAFKA_ERRORS, KafkaError) as error:
            # The lane may be lost, the group rebalancing, the broker away: others will tell, and the next report is whole.
            logger.debug("kafka.report.failed", group=self._group, why=brief(error))
            self._unreported |= set(wanted)
            self._dirty.set()
