"""Which transactions are open on a Kafka, as anybody can see who reads with and without them."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition


async def open_transactions(bootstrap: str, partitions: Sequence[TopicPartition]) -> set[TopicPartition]:
    """Those of the partitions on which a transaction has begun that nobody has ended."""
    committed, every = [await _ends(bootstrap, partitions, f"read_{level}") for level in ("committed", "uncommitted")]
    return {one for one in partitions if committed[one] < every[one]}


async def _ends(bootstrap: str, partitions: Sequence[TopicPartition], level: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=level)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found
    finally:
        await consumer.stop()
