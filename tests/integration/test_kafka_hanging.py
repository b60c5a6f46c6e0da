"""A broker that is killed may forget to end a transaction: one that timed out, or one that it had promised to commit. The next
owner ends it as what it is."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local_kafka import LocalKafka
from services.contracts.topics import CASCADES, POSTS, SIGNALS
from services.eventlog.base import Group, Membership, Message, Transaction
from services.eventlog.kafka import KafkaLog
from services.eventlog.kafka.restore import PROGRESS_KEY
from tests.oracle.compare import records
from tests.oracle.stage import until

pytest_plugins = ["tests.kafka_fixture"]
pytestmark = pytest.mark.kafka

PARTITIONS = 6
TRANSACTION_MS = 1500
LONG_MS = 60_000
PREPARE_COMMIT = 2
STATES = "__transaction_state"
SCORER = Group("scorer", POSTS.name, CASCADES.name)


class Ownership:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.ours: frozenset[int] = frozenset()

    def assigned(self, partitions: frozenset[int]) -> None:
        self.ours = partitions

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:  # noqa: ARG002 - the contract's
        self.ours -= partitions


@pytest.fixture
def broker(kafka: LocalKafka) -> Iterator[LocalKafka]:
    """One of our own, to be killed."""
    if kafka.given:
        pytest.skip("KAFKA_BOOTSTRAP names a cluster whose brokers are not ours to break")
    with LocalKafka() as own:
        yield own


async def joined(log: KafkaLog) -> Membership:
    ownership = Ownership()
    membership = await log.join(SCORER, ownership)
    await until(lambda: len(ownership.ours) == PARTITIONS, "all partitions")
    return membership


async def open_transaction(
    bootstrap: str, prefix: str, partition: int, milliseconds: int = TRANSACTION_MS
) -> AIOKafkaProducer:
    """As an owner leaves it when it dies right before its commit."""
    writer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"{prefix}{SCORER.name}.{POSTS.name}.{partition}",
        transaction_timeout_ms=milliseconds,
        request_timeout_ms=milliseconds,
        acks="all",
    )
    await writer.start()
    await writer.begin_transaction()
    await writer.send_and_wait(prefix + SIGNALS.name, b"in a transaction", b"acme", partition=partition)
    await writer.send_and_wait(prefix + CASCADES.name, b"in a transaction", b"a", partition=partition)
    await writer.send_and_wait(prefix + CASCADES.name, b'{"next": 0}', PROGRESS_KEY.encode(), partition=partition)
    return writer


@pytest.mark.slow
async def test_what_a_killed_broker_forgot_to_end_is_never_committed_by_the_next_owner(
    broker: LocalKafka, prefix: str
) -> None:
    log = KafkaLog(broker.bootstrap, partitions=PARTITIONS, prefix=prefix, transaction_timeout_ms=TRANSACTION_MS * 4)
    await log.start()
    writers = [await open_transaction(broker.bootstrap, prefix, number) for number in range(PARTITIONS)]
    broker.kill()
    discarded = [log._offsets._wire.discard(writer, grace=0.0) for writer in writers]
    await asyncio.sleep(TRANSACTION_MS / 1000 + 1)  # the transactions are over when the broker comes back
    await asyncio.gather(*discarded)
    await asyncio.to_thread(broker.restart)
    membership = await joined(log)
    for partition in sorted(membership.assigned):
        owner = await membership.acquire(partition)
        assert (owner.restored.next, dict(owner.restored.entries)) == (0, {})
        await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"living", partition)], {"a": b"living"}))
        await owner.close()
    assert [record.value for record in await records(log, SIGNALS.name)] == [b"living"] * PARTITIONS
    await log.close()


async def promise_to_commit(bootstrap: str, prefix: str, writer: AIOKafkaProducer, partition: int) -> None:
    """In the coordinator's log, as it stands between its answer to a commit and the first marker (KIP-98: the record of
    the transaction's state, version 0)."""
    identity, manager = f"{prefix}{SCORER.name}.{POSTS.name}.{partition}", writer._txn_manager
    topics = [(prefix + SIGNALS.name, partition), (prefix + CASCADES.name, partition)]
    now = int(time.time() * 1000)
    places = b"".join(_string(topic) + struct.pack(">ii", 1, number) for topic, number in topics)
    value = struct.pack(">hqhib", 0, manager.producer_id, manager.producer_epoch, LONG_MS, PREPARE_COMMIT)
    value += struct.pack(">i", len(topics)) + places + struct.pack(">qq", now, now)
    # Only this client may write to an internal topic.
    coordinator = AIOKafkaProducer(bootstrap_servers=bootstrap, client_id="__admin_client", acks="all")
    await coordinator.start()
    where = _java_hash(identity) % len(await coordinator.partitions_for(STATES))
    await coordinator.send_and_wait(STATES, value, struct.pack(">h", 0) + _string(identity), partition=where)
    await coordinator.stop()


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _java_hash(text: str) -> int:
    """Of `String.hashCode` the absolute value."""
    found = 0
    for one in text:
        found = (31 * found + ord(one)) & 0xFFFFFFFF
    return min(found, (1 << 32) - found)


@pytest.mark.slow
async def test_what_a_killed_broker_had_promised_to_commit_is_committed_by_the_next_owner(
    broker: LocalKafka, prefix: str
) -> None:
    log = KafkaLog(broker.bootstrap, partitions=PARTITIONS, prefix=prefix, transaction_timeout_ms=TRANSACTION_MS * 4)
    await log.start()
    writers = [await open_transaction(broker.bootstrap, prefix, number, LONG_MS) for number in range(PARTITIONS)]
    for number, writer in enumerate(writers):
        await promise_to_commit(broker.bootstrap, prefix, writer, number)
    broker.kill()
    await asyncio.gather(*(log._offsets._wire.discard(writer, grace=0.0) for writer in writers))
    await asyncio.to_thread(broker.restart)
    membership = await joined(log)
    for partition in sorted(membership.assigned):
        owner = await membership.acquire(partition)
        assert (owner.restored.next, dict(owner.restored.entries)) == (0, {"a": b"in a transaction"})
        await owner.close()
    assert [record.value for record in await records(log, SIGNALS.name)] == [b"in a transaction"] * PARTITIONS
    await log.close()


async def test_acquiring_leaves_the_open_transactions_of_others_alone(kafka: LocalKafka, prefix: str) -> None:
    log = KafkaLog(kafka.bootstrap, partitions=PARTITIONS, prefix=prefix)
    await log.start()
    membership = await joined(log)
    other = await open_transaction(kafka.bootstrap, prefix, 5, LONG_MS)
    owner = await membership.acquire(0)
    await other.commit_transaction()
    await other.stop()
    await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"living", 5)]))
    assert [record.value for record in await records(log, SIGNALS.name)] == [b"in a transaction", b"living"]
    await log.close()
