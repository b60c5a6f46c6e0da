"""How this process reaches the cluster: the one place where aiokafka's clients are made, named, opened and thrown away.

Every client that is made here can be got rid of in bounded time. aiokafka's own `stop()` cannot promise that: with the
broker away it waits for it, and cancelled it waits for its own tasks. So `discard` gives it a moment, then ends those
tasks itself and closes the sockets.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalOperation, KafkaConnectionError, KafkaError
from aiokafka.partitioner import murmur2
from pydantic import SecretStr

from services.eventlog.base import Message, Record, TooLarge, Unavailable
from services.eventlog.kafka.log_throttle import hush

MAX_RECORD_BYTES: Final = 950_000
"""Key and value. The broker's default for a batch is 1,048,588; the rest is for the batch's and record's own bytes."""
MAX_BATCH_BYTES: Final = 1_000_000
# In-transaction requests wait this long before they are tried again; one transaction right after another always meets it.
RETRY_BACKOFF_MS: Final = 20
# One request, joining a group apart. A stopped broker keeps its connections open: only this notices.
REQUEST_MS: Final = 10_000
OPEN_SECONDS: Final = 10.0
DISCARD_SECONDS: Final = 1.0

Client: TypeAlias = AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient
AnyClient = TypeVar("AnyClient", AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient)
# `assert` and plain exceptions are part of how aiokafka says no (it never heard of a partition, its state machine is done).
KAFKA_ERRORS: Final = (KafkaError, IllegalOperation, AssertionError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How to prove who we are. `ca_file` holds the certificates that sign the brokers' (default: the system's)."""

    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol in {"SSL", "SASL_SSL"}:
            found["ssl_context"] = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.protocol.startswith("SASL"):
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = self.user
            found["sasl_plain_password"] = self.password.get_secret_value() if self.password else None
        return found


class Wire:
    """One cluster, as one process sees it. `prefix` stands before every name on the wire and nowhere else."""

    def __init__(
        self, bootstrap: str, prefix: str, session_ms: int, transaction_ms: int, security: KafkaSecurity | None
    ) -> None:
        hush()
        self.prefix = prefix
        self.session_seconds = session_ms / 1000
        self.transaction_seconds = transaction_ms / 1000
        self._session_ms = session_ms
        self._transaction_ms = transaction_ms
        self._options = {
            "bootstrap_servers": [one.strip() for one in bootstrap.split(",") if one.strip()],
            "client_id": "firebreak",
            **(security or KafkaSecurity()).options(),
        }
        self._leaving: set[asyncio.Task[None]] = set()

    def name(self, name: str) -> str:
        """Topic, group or transactional id as the brokers know it."""
        return self.prefix + name

    def admin(self) -> AIOKafkaAdminClient:
        return AIOKafkaAdminClient(**self._options, request_timeout_ms=REQUEST_MS)

    def reader(self, committed: bool = True) -> AIOKafkaConsumer:
        """A consumer without a group, for the partitions that it is told to read. It sees committed records alone, unless
        `committed` is False, which is meant for asking where a log ends."""
        options = {**self._options, **_READ_COMMITTED}
        if not committed:
            options["isolation_level"] = "read_uncommitted"
        return AIOKafkaConsumer(**options, request_timeout_ms=REQUEST_MS, group_id=None)

    def member(self, group: str, instance: str | None) -> AIOKafkaConsumer:
        """A member of `group`. Nothing is subscribed yet, so that starting it does not wait for a first assignment."""
        return AIOKafkaConsumer(
            **self._options,
            **_READ_COMMITTED,
            group_id=self.name(group),
            group_instance_id=instance,
            enable_auto_commit=False,
            session_timeout_ms=self._session_ms,
            rebalance_timeout_ms=self._session_ms,
            # A rebalance is noticed by a heartbeat's answer, and the others wait for us from then on.
            heartbeat_interval_ms=max(100, self._session_ms // 10),
            # Joining is one request that the broker answers when all members are there: it must not time out before.
            request_timeout_ms=self._session_ms + REQUEST_MS,
        )

    def appender(self) -> AIOKafkaProducer:
        """Idempotent, for records outside of transactions."""
        return AIOKafkaProducer(
            **self._options, **_WRITE, max_batch_size=256_000, enable_idempotence=True, request_timeout_ms=REQUEST_MS
        )

    def writer(self, transactional_id: str) -> AIOKafkaProducer:
        """The one writer of an input partition. Opening it ends what an older one left open."""
        return AIOKafkaProducer(
            **self._options,
            **_WRITE,
            max_batch_size=MAX_BATCH_BYTES,
            transactional_id=self.name(transactional_id),
            transaction_timeout_ms=self._transaction_ms,
            request_timeout_ms=self._transaction_ms,
        )

    async def opened(self, client: AnyClient, limit: float = OPEN_SECONDS) -> AnyClient:
        """Start the client and return it. Raises `Unavailable` after throwing it away. Nothing half open is left behind, also
        when the caller is cancelled."""
        starting = asyncio.ensure_future(client.start())
        starting.add_done_callback(retrieved)
        try:
            done, _ = await asyncio.wait({starting}, timeout=limit)
            if not done:
                raise Unavailable(f"Kafka does not answer within {limit:.0f} s")
            starting.result()
        except KAFKA_ERRORS as error:
            self.discard(client)
            raise Unavailable(f"Kafka does not answer: {brief(error)}") from error
        except BaseException:
            self.discard(client, starting=starting)
            raise
        return client

    def discard(
        self, client: Client, grace: float = DISCARD_SECONDS, starting: asyncio.Future[None] | None = None
    ) -> asyncio.Task[None]:
        """Get rid of `client` in a task of its own, within about `grace` seconds. May be awaited; need not be."""
        task = asyncio.create_task(_discard(client, grace, starting), name="kafka:discard")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    async def discarded(self) -> None:
        """Return when every client that was thrown away is gone. The time is bounded, as it is for each of them."""
        while self._leaving:
            await asyncio.wait(set(self._leaving))


_READ_COMMITTED: Final[dict[str, Any]] = {
    "isolation_level": "read_committed",
    # A position that the log does not hold is an error to be told, never silently moved to either end.
    "auto_offset_reset": "none",
    # The longest that a partition that has just been resumed waits for another one's idle fetch on the same connection.
    "fetch_max_wait_ms": 100,
    "max_partition_fetch_bytes": 1_048_576,
    "check_crcs": True,
}


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: Sequence[int], _available: Sequence[int]) -> int:
    """The same partition that aiokafka and the Java client choose. Remembered, because murmur2 in Python is slow."""
    return partitions[_hash(key) % len(partitions)]


_WRITE: Final[dict[str, Any]] = {
    "acks": "all",
    "compression_type": "lz4",
    "partitioner": partition_of,
    "max_request_size": 1_048_576,
    "retry_backoff_ms": RETRY_BACKOFF_MS,
}


def check_sizes(messages: Iterable[Message]) -> None:
    """Raises `TooLarge` before anything is sent: a record that a broker refuses breaks the sequence of those after it."""
    for message in messages:
        size = len(message.key.encode()) + len(message.value or b"")
        if size > MAX_RECORD_BYTES:
            raise TooLarge(
                f"a record of {size} bytes for {message.topic} (key {message.key[:80]!r}); at most {MAX_RECORD_BYTES}"
            )


def record_of(topic: str, raw: Any) -> Record:
    """`topic` without its prefix. Only our own writers write here, so a key that is no UTF-8 is somebody else's mistake:
    it is shown, not refused."""
    key = raw.key.decode(errors="replace") if raw.key is not None else ""
    return Record(topic, raw.partition, raw.offset, key, raw.value, raw.timestamp)


def brief(error: BaseException) -> str:
    name, said = type(error).__name__, str(error)
    return (said if name in said else f"{name}: {said}")[:300]


def retrieved(future: asyncio.Future[Any]) -> None:
    """Look at the outcome, so that asyncio does not complain later that nobody did. To be used as a done callback."""
    if not future.cancelled():
        future.exception()


async def _discard(client: Client, grace: float, starting: asyncio.Future[None] | None) -> None:
    if starting is not None and not starting.done():
        _close_half_open(starting)
        starting.cancel()
        await asyncio.wait({starting}, timeout=DISCARD_SECONDS)
    stopping = asyncio.ensure_future(client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
    stopping.add_done_callback(retrieved)
    await asyncio.wait({stopping}, timeout=grace)
    if stopping.done() and not stopping.cancelled() and stopping.exception() is None:
        _fail_what_is_left(client)
        return
    parts = _parts(client)
    tasks = {task for task in asyncio.all_tasks() if _belongs(task, parts)} | {stopping}
    for task in tasks:
        task.add_done_callback(retrieved)
        task.cancel()
    # They end at their next await. Those that wait for one another need a round each; none of them may hold us up.
    await asyncio.wait(tasks, timeout=DISCARD_SECONDS)
    for part in parts:
        for connection in list(getattr(part, "_conns", {}).values()):
            connection.close()
    _fail_what_is_left(client)


def _close_half_open(starting: asyncio.Future[None]) -> None:
    """Close the connection over which a starting client meets the cluster. It is a local variable of aiokafka's
    `bootstrap`, which forgets it when it is cancelled."""
    step = starting.get_coro() if isinstance(starting, asyncio.Task) else None
    while step is not None:
        frame = getattr(step, "cr_frame", None)
        connection = frame.f_locals.get("bootstrap_conn") if frame is not None else None
        if connection is not None:
            connection.close()
        step = getattr(step, "cr_await", None)


def _parts(client: Client) -> list[object]:
    names = ("client", "_client", "_sender", "_message_accumulator", "_coordinator", "_fetcher")
    return [client, *(part for name in names if (part := getattr(client, name, None)) is not None)]


def _belongs(task: asyncio.Task[Any], parts: Sequence[object]) -> bool:
    """Returns True if the task runs a method of one of these. aiokafka keeps no list of its tasks."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    own = frame.f_locals.get("self") if frame is not None else None
    return any(own is part for part in parts)


def _fail_what_is_left(client: Client) -> None:
    """Fail all sends that nobody will answer any more, so that their callers learn it now. All of them are looked at, or each
    would become a "never retrieved" line in the log."""
    accumulator = getattr(client, "_message_accumulator", None)
    manager = getattr(client, "_txn_manager", None)
    error = KafkaConnectionError("the producer was thrown away")
    if accumulator is not None:
        waiting, pending = accumulator._batches, accumulator._pending_batches  # noqa: SLF001 - no public way
        for batch in [*pending, *(one for queue in waiting.values() for one in queue)]:
            pending.add(batch)  # one that was to be tried again is not in there, and its callback expects it
            batch.failure(error)
            retrieved(batch.future)
            retrieved(batch._drain_waiter)  # noqa: SLF001 - the same
    waiter = getattr(manager, "_transaction_waiter", None)
    if waiter is not None:
        if not waiter.done():
            waiter.set_exception(error)
        retrieved(waiter)
