"""Appends outside of transactions: many callers, one idempotent producer, and never more in hand than a stated bound.

After any error or timeout the producer is replaced: a batch that a broker refused breaks the sequence of those after it,
and what a stuck producer holds must not arrive an hour later. While there is none, callers are told so at once, and one
long task looks for the cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer

from services.base.retry import backoff
from services.base.tasks import Spawn
from services.eventlog.base import Closed, Message, Unavailable
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief, check_sizes, retrieved

logger = structlog.get_logger()

# Below the five seconds that ingest gives us: we time out first, and replace the producer.
APPEND_SECONDS: Final = 4.0
# How much may wait for the brokers at once, over all callers. Above that the honest answer is "not now".
MAX_PENDING_RECORDS: Final = 50_000
MAX_PENDING_BYTES: Final = 64_000_000
RETRY_FIRST_SECONDS: Final = 0.2
RETRY_MOST_SECONDS: Final = 2.0


class Appender:
    """Safe for concurrent calls."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._producer: AIOKafkaProducer | None = None
        self._pending = _Pending()
        self._lost = asyncio.Event()
        self._reconnecting: asyncio.Task[None] | None = None
        self._why = "not connected yet"
        self._closed = False

    async def start(self, spawn: Spawn) -> None:
        """Raises `Unavailable`."""
        self._producer = await self._wire.opened(self._wire.appender())
        self._reconnecting = spawn("kafka:appender", self._reconnect_until_closed, ends=lambda: self._closed)

    async def append(self, messages: Sequence[Message]) -> None:
        if self._closed:
            raise Closed("the log is closed")
        check_sizes(messages)
        producer, pending = self._producer, self._pending
        if producer is None:
            raise Unavailable(f"no connection to Kafka: {self._why}")
        pending.admit(messages)
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                await _send_all(self._wire, producer, messages, pending)
        except KAFKA_ERRORS as error:
            self._replace(producer, brief(error))
            if self._closed:
                raise Closed("the log was closed meanwhile") from error
            raise Unavailable(f"Kafka did not take the records: {brief(error)}") from error

    async def close(self) -> None:
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait({self._reconnecting})
        if self._producer is not None:
            self._wire.discard(self._producer)
            self._producer = None

    def _replace(self, producer: AIOKafkaProducer, why: str) -> None:
        """Throw the producer away. Many callers fail with the same one; only the first of them does anything here."""
        if self._producer is not producer:
            return
        self._producer = None
        self._why = why
        # The old one's records die with it, so they count no more.
        self._pending = _Pending()
        self._wire.discard(producer, grace=0.0)
        self._lost.set()

    async def _reconnect_until_closed(self) -> None:
        while True:
            await self._lost.wait()
            self._producer = await self._found()
            self._lost.clear()
            logger.info("kafka.append.again")

    async def _found(self) -> AIOKafkaProducer:
        """A new producer, as soon as the cluster answers."""
        waits = backoff(RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS)
        while True:
            try:
                return await self._wire.opened(self._wire.appender())
            except Unavailable as error:
                self._why = str(error)
            await asyncio.sleep(next(waits))


class _Pending:
    """The records that one producer was given and has not answered. A record counts until its answer comes, also when its
    caller has stopped waiting."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0

    def admit(self, messages: Sequence[Message]) -> None:
        """Count the messages from here on, before the first is sent: other callers come in between. Raises `Unavailable`
        when too much waits already."""
        size = sum(map(_size, messages))
        full = self.records + len(messages) > MAX_PENDING_RECORDS or self.bytes + size > MAX_PENDING_BYTES
        if self.records and full:  # a call that alone is over the bound still gets in, when nothing else waits
            raise Unavailable(f"{self.records} records ({self.bytes} bytes) are waiting for Kafka already")
        self.records += len(messages)
        self.bytes += size

    def sent(self, message: Message, future: asyncio.Future[Any]) -> None:
        def answered(done: asyncio.Future[Any]) -> None:
            self.release([message])
            retrieved(done)

        future.add_done_callback(answered)

    def release(self, messages: Sequence[Message]) -> None:
        self.records -= len(messages)
        self.bytes -= sum(map(_size, messages))


def _size(message: Message) -> int:
    return len(message.key) + len(message.value or b"")


async def _send_all(wire: Wire, producer: AIOKafkaProducer, messages: Sequence[Message], pending: _Pending) -> None:
    futures: list[asyncio.Future[Any]] = []
    try:
        for message in messages:
            future = await producer.send(
                wire.name(message.topic), message.value, message.key.encode(), partition=message.partition
            )
            pending.sent(message, future)
            futures.append(future)
    finally:
        pending.release(messages[len(futures) :])
    for future in futures:
        await future
