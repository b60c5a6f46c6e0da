"""A broker that is killed may forget to end a transaction that timed out meanwhile. The next owner ends it."""

from __future__ import annotations

import asyncio
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


async def open_transaction(bootstrap: str, prefix: str, partition: int) -> AIOKafkaProducer:
    """As an owner leaves it when it dies right before its commit."""
    writer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"{prefix}{SCORER.name}.{POSTS.name}.{partition}",
        transaction_timeout_ms=TRANSACTION_MS,
        request_timeout_ms=TRANSACTION_MS,
        acks="all",
    )
    await writer.start()
    await writer.begin_transaction()
    await writer.send_and_wait(prefix + SIGNALS.name, b"never committed", b"acme", partition=partition)
    await writer.send_and_wait(prefix + CASCADES.name, b"never committed", b"a", partition=partition)
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


async def test_acquiring_leaves_the_open_transactions_of_others_alone(kafka: LocalKafka, prefix: str) -> None:
    log = KafkaLog(kafka.bootstrap, partitions=PARTITIONS, prefix=prefix)
    await log.start()
    membership = await joined(log)
    other = await open_transaction(kafka.bootstrap, prefix, 5)
    owner = await membership.acquire(0)
    await other.commit_transaction()
    await other.stop()
    await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"living", 5)]))
    assert [record.value for record in await records(log, SIGNALS.name)] == [b"never committed", b"living"]
    await log.close()
