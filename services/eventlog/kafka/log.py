"""The event log on Apache Kafka: the promises of `services.eventlog.base`, where they are kept, and what is different.

- A partition's owner is the process that opened its transactional id last. Opening ends and aborts what an older owner had
  begun.
- The position of an input partition is a record of its changelog, written in the transaction that it stands for. Group
  offsets are committed now and then, for lag tools only.
- A writer that is stopped inside a commit hides what follows it, for at most the timeout of its transaction.
- With the brokers away every call ends in bounded time. `close()` abandons what hangs. A process that must be gone by a
  deadline ends itself with `os._exit` afterwards, which is safe: the successor aborts what was open.

Never run it under `python -O`: aiokafka guards its transactions with `assert`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

import structlog

from services.base.settings import Settings
from services.base.tasks import Spawn, spawn_alone
from services.contracts.topics import TOPICS, Topic, keeping_texts
from services.eventlog.base import Batch, Closed, EventLog, Group, Listener, Membership, Message
from services.eventlog.kafka import topics as declared
from services.eventlog.kafka.appender import Appender
from services.eventlog.kafka.membership import KafkaMembership
from services.eventlog.kafka.offsets import Offsets
from services.eventlog.kafka.wire import KafkaSecurity, Wire

logger = structlog.get_logger()

CLOSE_SECONDS: Final = 10.0
"""For all of `close()`: lanes drain, groups are left, clients stop; what has not ended by then is abandoned."""


class KafkaLog(EventLog):
    """One connection of a process to the log. All calls come from one event loop."""

    def __init__(
        self,
        bootstrap: str,
        *,
        partitions: int = 6,
        replication: int = 1,
        instance: str | None = None,
        prefix: str = "",
        topics: Sequence[Topic] = TOPICS,
        session_timeout_ms: int = 10_000,
        transaction_timeout_ms: int = 10_000,
        security: KafkaSecurity | None = None,
    ) -> None:
        self._partitions = partitions
        self._replication = replication
        self._instance = instance
        self._topics = tuple(topics)
        self._wire = Wire(bootstrap, prefix, session_timeout_ms, transaction_timeout_ms, security)
        self._offsets = Offsets(self._wire)
        self._appender = Appender(self._wire)
        self._members: list[KafkaMembership] = []
        self._spawn: Spawn = spawn_alone
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> KafkaLog:
        return cls(
            settings.kafka_bootstrap,
            partitions=settings.partitions,
            replication=settings.kafka_replication,
            instance=settings.instance,
            prefix=settings.kafka_prefix,
            topics=keeping_texts(settings.keep_texts_hours),
            security=KafkaSecurity(
                settings.kafka_security_protocol,
                settings.kafka_sasl_mechanism,
                settings.kafka_sasl_user,
                settings.kafka_sasl_password,
                settings.kafka_ca_file,
            ),
        )

    async def start(self, spawn: Spawn = spawn_alone) -> None:
        """Raises `Unavailable`, or `ConfigError` where the topics are not as they must be."""
        self._check_open()
        self._spawn = spawn
        await declared.create(self._wire, self._topics, self._partitions, self._replication)
        await self._appender.start(spawn)

    async def verify_topics(self) -> list[str]:
        """Needs no `start()`."""
        self._check_open()
        return await declared.verify(self._wire, self._topics, self._replication)

    async def append(self, messages: Sequence[Message]) -> None:
        self._check_open()
        await self._offsets.check_topics(messages)
        await self._appender.append(messages)

    async def join(self, group: Group, listener: Listener) -> Membership:
        self._check_open()
        outputs = [topic.name for topic in self._topics if topic.like is None]
        member = KafkaMembership(self._wire, self._offsets, group, listener, group.instance or self._instance, outputs)
        await member.start(self._spawn)
        self._members.append(member)
        return member

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch:
        self._check_open()
        return await self._offsets.read(topic, partition, offset, max_records)

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]:
        self._check_open()
        return await self._offsets.settled(topic)

    async def lag(self, group: str, topic: str) -> int:
        """What a member of this process has reported counts, even if the brokers have not been told yet."""
        self._check_open()
        bounds, ends, committed = await asyncio.gather(
            self._offsets.bounds(topic), self._offsets.ends(topic), self._offsets.committed(group, topic)
        )
        known = dict(committed)
        for member in self._members:
            if (member.group.name, member.group.topic) == (group, topic):
                known |= {number: max(at, known.get(number, 0)) for number, at in member.progress.items()}
        return sum(max(0, ends[number] - max(start, known.get(number, 0))) for number, (start, _) in bounds.items())

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
        await _by(deadline - 2.0, *(member.leave(deadline - 2.5) for member in self._members))
        await _by(deadline, self._appender.close(), self._offsets.close())
        await _by(deadline, self._wire.discarded())

    def _check_open(self) -> None:
        if self._closing is not None:
            raise Closed("the log is closed")


async def _by(deadline: float, *endings: Awaitable[None]) -> None:
    """Wait for all of them, until the deadline at most. An error of one of them is logged, and stops nothing."""
    if not endings:
        return
    tasks = [asyncio.ensure_future(one) for one in endings]
    done, late = await asyncio.wait(tasks, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("kafka.close.failed", why=repr(error))
    if late:
        logger.warning("kafka.close.abandoned", left=len(late))
