"""Which transactions are open on a Kafka, as anybody can see who reads with and without them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.patience import PATIENCE_SECONDS


async def open_transactions(bootstrap: str, partitions: Sequence[TopicPartition]) -> set[TopicPartition]:
    """Those of the partitions on which a transaction has begun that nobody has ended."""
    committed, every = [await _ends(bootstrap, partitions, f"read_{level}") for level in ("committed", "uncommitted")]
    return {one for one in partitions if committed[one] < every[one]}


async def all_ended(bootstrap: str, partitions: Sequence[TopicPartition]) -> None:
    """Until none is open: a broker confirms a commit before its end stands on every partition."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await open_transactions(bootstrap, partitions):
            await asyncio.sleep(0.1)


async def _ends(bootstrap: str, partitions: Sequence[TopicPartition], level: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=level)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found
    finally:
        await consumer.stop()
