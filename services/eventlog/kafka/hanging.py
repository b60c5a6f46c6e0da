"""Ends what the brokers were to end and did not: records of a transaction that is over, and that no marker closes.

Seen with Kafka 4.3 on one node, in the broker's own files. It is killed with a transaction open and away for longer than
that transaction may last. Coming back, the coordinator notes PrepareAbort and CompleteAbort before it knows the topics,
takes their partitions for deleted, and writes no marker to any of them. The records stay open: committed readers stop in
front of them, and the next marker of the same producer, a commit for its next transaction, makes them visible with it.

So a new owner, before it reads where to go on, puts a transaction of its own across every partition in which something is
open, and aborts it: its markers close what hangs as what it is. Where nothing hangs, it finds at most the open
transactions of other lanes, which a foreign marker does not touch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer

from services.eventlog.base import Unavailable
from services.eventlog.kafka.offsets import Offsets
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief

log = structlog.get_logger()

# Never seen by a committed reader. Compacted topics take no record without a key.
_KEY = b"\x00ended"


async def end_what_hangs(
    wire: Wire, offsets: Offsets, writer: AIOKafkaProducer, changelog: str, partition: int, outputs: Sequence[str]
) -> None:
    """`writer` has just been opened, so nothing of its own can be open but what hangs. Raises `Unavailable`."""
    left = await _open_in(offsets, changelog, [partition])
    own = bool(left)
    for topic in outputs:
        left += await _open_in(offsets, topic, None)
    if not left:
        return
    if own:
        log.warning("kafka.transaction.left_open", partition=partition, places=len(left))
    try:
        async with asyncio.timeout(wire.transaction_seconds):
            await writer.begin_transaction()
            sent = [await writer.send(wire.name(topic), b"", _KEY, partition=number) for topic, number in left]
            await asyncio.gather(*sent)
            await writer.abort_transaction()
    except KAFKA_ERRORS as error:
        raise Unavailable(f"what an older owner of {changelog}[{partition}] left open: {brief(error)}") from error


async def _open_in(offsets: Offsets, topic: str, partitions: Sequence[int] | None) -> list[tuple[str, int]]:
    """Where committed readers see less than there is. Asked in this order, so that nothing settled seems open."""
    ends = await offsets.ends(topic, partitions)
    settled = await offsets.bounds(topic, partitions)
    return [(topic, number) for number, end in ends.items() if settled[number][1] < end]
