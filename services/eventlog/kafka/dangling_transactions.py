"""Ends transactions that the brokers should have ended and did not: records that no marker closes, though their transaction
is over.

This was seen with Kafka 4.3 on one node, in the broker's own files. The broker is killed while a transaction is open, or
while it is promised to be committed and no marker is written yet. When the coordinator comes back it notes CompleteAbort or
CompleteCommit before it knows the topics, takes their partitions for deleted, and writes no marker to some or all of them.
The records stay open: committed readers stop in front of them, and the next marker of the same producer, whatever it says,
decides about them too.

So a new owner does two things. Before it opens a producer it asks the coordinator how the last transaction ended
(`how_it_ended`). After that, and before it reads where to go on, it begins an empty transaction of its own in every
partition where something is open, and ends it in the same way (`end_what_hangs`): its markers close the open records as
what they are. Where nothing hangs it finds at most the open transactions of other lanes, which a foreign marker does not
touch.
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
    """Returns how the last transaction ended. Ask before a producer is opened: opening makes the coordinator forget. For the
    same reason all topics are asked first: a broker that has just come back must fail here, while the answer is still there.
    """
    await _open_in(offsets, changelog, [partition])
    for topic in outputs:
        await _open_in(offsets, topic, None)
    return await offsets.transaction_end(transactional_id)


async def end_what_hangs(
    wire: Wire,
    offsets: Offsets,
    writer: AIOKafkaProducer,
    last: TransactionEnd,
    changelog: str,
    partition: int,
    outputs: Sequence[str],
) -> None:
    """Close what hangs with an empty transaction of `writer`, committed or aborted as `last` says. `writer` has just been
    opened, so that whatever is open under its name hangs. What ended in a way that nobody knows is aborted: nothing of it
    was ever seen by a committed reader. Raises `Unavailable`."""
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
    """The partitions whose committed readers see less than there is. The ends are asked for first, so that a record that is
    settled in between does not seem open."""
    ends = await offsets.ends(topic, partitions)
    settled = await offsets.bounds(topic, partitions)
    return [(topic, number) for number, end in ends.items() if settled[number][1] < end]
