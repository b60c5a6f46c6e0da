"""What aiokafka does not say by itself: a topic that the cluster refuses to make, and a poll that was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local_kafka import LocalKafka
from services.base.errors import ConfigError
from services.contracts.topics import CASCADES, POSTS
from services.eventlog.base import Group, Message
from services.eventlog.kafka import KafkaLog
from tests.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.kafka_fixture"]
pytestmark = pytest.mark.kafka

SCORER = Group("scorer", POSTS.name, CASCADES.name)


class Ownership:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.ours: frozenset[int] = frozenset()

    def assigned(self, partitions: frozenset[int]) -> None:
        self.ours = partitions

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:  # noqa: ARG002 - the contract's
        self.ours -= partitions


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_topic_that_the_cluster_does_not_create_is_an_error(kafka: LocalKafka, prefix: str) -> None:
    log = KafkaLog(kafka.bootstrap, partitions=1, replication=5, prefix=prefix)
    with pytest.raises(ConfigError, match=r"refused to create .* InvalidReplicationFactor"):
        await log.start()
    await log.close()


async def test_no_consumer_is_polled_again_once_a_poll_of_it_was_cut_off(
    kafka: LocalKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, cut_off, polled_again, polls = AIOKafkaConsumer.getmany, set[int](), set[int](), 0

    async def watched(consumer: AIOKafkaConsumer, *args: object, **options: object) -> object:
        nonlocal polls
        polls += 1
        if id(consumer) in cut_off:
            polled_again.add(id(consumer))
        try:
            return await honest(consumer, *args, **options)
        except BaseException:
            cut_off.add(id(consumer))
            consumers.append(consumer)  # so that no other takes its id
            raise

    consumers: list[AIOKafkaConsumer] = []
    monkeypatch.setattr(AIOKafkaConsumer, "getmany", watched)
    log, other = (KafkaLog(kafka.bootstrap, partitions=3, prefix=prefix, session_timeout_ms=6000) for _ in range(2))
    await log.start()
    await other.start()
    ours, theirs = Ownership(), Ownership()
    membership = await log.join(SCORER, ours)
    await until(lambda: len(ours.ours) == 3)
    owner = await membership.acquire(0)
    # Readers that give up early, a rebalance while they read, an owner that is taken away, and reading on.
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await owner.read(10, 5.0)
    joined = await other.join(SCORER, theirs)
    await until(lambda: theirs.ours and len(ours.ours) + len(theirs.ours) == 3)
    await joined.leave(asyncio.get_running_loop().time() + 5)
    await until(lambda: len(ours.ours) == 3)
    owner = await membership.acquire(0)
    await log.append([Message(POSTS.name, "k", b"a post", 0)])
    assert [one.value for one in (await owner.read(10, 20.0)).records] == [b"a post"]
    await log.close()
    await other.close()
    assert polls > 5
    assert not polled_again
