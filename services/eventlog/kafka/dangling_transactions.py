"""Ends what the brokers were to end and did not: records of a transaction that is over, and that no marker closes.

Seen with Kafka 4.3 on one node, in the broker's own files. It is killed with a transaction open, or promised to be
committed, and no marker written. Coming back, the coordinator notes CompleteAbort or CompleteCommit before it knows the
topics, takes their partitions for deleted, and writes no marker to some or all of them. The records stay open: committed
readers stop in front of them, and the next marker of the same producer, whatever it is, decides about them too.

So a new owner asks the coordinator, before it opens a producer, how the last transaction ended (`verdict`). Then, before it
reads where to go on, it puts an empty transaction of its own across every partition in which something is open, and ends it
in the same way: its markers close what hangs as what it is. Where nothing hangs, it finds at most the open transactions of
other lanes, which a foreign marker does not touch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from services.eventlog.base import Unavailable
from services.eventlog.kafka.offsets import Offsets
from services.eventlog.kafka.transaction_end import TransactionEnd
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief

logger = structlog.get_logger()

_LOOK_AGAIN_SECONDS: Final = 0.02


async def how_it_ended(
    offsets: Offsets, transactional_id: str, changelog: str, partition: int, outputs: Sequence[str]
) -> TransactionEnd:
    """How the last transaction ended. To be asked before a producer is opened, which makes the coordinator forget: so all
    that ending it needs must answer first, or a broker that has just come back would cost us the verdict."""
    await _open_in(offsets, changelog, [partition])
    for topic in outputs:
        await _open_in(offsets, topic, None)
    return await offsets.verdict(transactional_id)


async def end_what_hangs(
    wire: Wire,
    offsets: Offsets,
    writer: AIOKafkaProducer,
    last: TransactionEnd,
    changelog: str,
    partition: int,
    outputs: Sequence[str],
) -> None:
    """`writer` has just been opened, so nothing of its own can be open but what hangs; `last`: how its predecessor's last
    transaction ended. Where nobody knows, nothing of it has been seen to count. Raises `Unavailable`."""
    own = await _open_in(offsets, changelog, [partition])
    left = list(own)
    for topic in outputs:
        left += await _open_in(offsets, topic, None)
    if not left:
        return
    if own:
        logger.warning("kafka.transaction.left_open", partition=partition, places=len(left), ended=last.value)
    try:
        async with asyncio.timeout(wire.transaction_seconds):
            await writer.begin_transaction()
            for topic, number in left:
                # Without a record: one that was committed would be read.
                writer._txn_manager.maybe_add_partition_to_txn(  # noqa: SLF001 - no public way
                    TopicPartition(wire.name(topic), number)
                )
            if last is TransactionEnd.COMMITTED:
                await writer.commit_transaction()
            else:
                await writer.abort_transaction()
            # The markers follow the answer, and what they decide about is read next.
            while own:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                own = await _open_in(offsets, changelog, [partition])
    except KAFKA_ERRORS as error:
        raise Unavailable(f"what an older owner of {changelog}[{partition}] left open: {brief(error)}") from error


async def _open_in(offsets: Offsets, topic: str, partitions: Sequence[int] | None) -> list[tuple[str, int]]:
    """Where committed readers see less than there is. Asked in this order, so that nothing settled seems open."""
    ends = await offsets.ends(topic, partitions)
    settled = await offsets.bounds(topic, partitions)
    return [(topic, number) for number, end in ends.items() if settled[number][1] < end]
