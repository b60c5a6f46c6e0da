"""The `firebreak` command, with faults that have no seam.

`ORACLE_SESSION_MS`, `ORACLE_TRANSACTION_MS`: other timeouts on Kafka than the product's, so that one can end before the
other. `ORACLE_KILL_AT_COMMIT=n`: the n-th commit request is handed to the kernel, and then this process is killed, before
any answer can be read. `ORACLE_HEARS_LATE=1`: no heartbeat leaves this process before its first commit has come to an end,
so that it acts on what it knew before it hears what has changed. `ORACLE_END_HARD_LATER=seconds`: a stop that does not end by
its deadline ends hard so much later, because a machine with much to do is no fault of the stop.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from services.eventlog.base import Transaction


def _change_timeouts(session_ms: int, transaction_ms: int) -> None:
    from services.eventlog.kafka.log import KafkaLog

    begin = KafkaLog.__init__

    def with_timeouts(self: KafkaLog, bootstrap: str, **options: Any) -> None:
        options |= {"session_timeout_ms": session_ms, "transaction_timeout_ms": transaction_ms}
        begin(self, bootstrap, **options)

    KafkaLog.__init__ = with_timeouts  # type: ignore[method-assign]


def _kill_at_commit(nth: int) -> None:
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.protocol.transaction import EndTxnRequest

    send, left = AIOKafkaConnection.send, nth

    def sent(self: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
        nonlocal left
        answer = send(self, request, expect_response)
        if isinstance(request, EndTxnRequest):
            left -= 1
            if left == 0:
                # The transport writes at once while its buffer is empty; this proves that it was.
                assert self._writer.transport.get_write_buffer_size() == 0
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    AIOKafkaConnection.send = sent


def _hear_late() -> None:
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    from services.eventlog.kafka.owner import KafkaOwner

    beat, commit, acted = GroupCoordinator._do_heartbeat, KafkaOwner.commit, asyncio.Event()

    async def late(self: GroupCoordinator) -> bool:
        await acted.wait()
        return bool(await beat(self))

    async def committed(self: KafkaOwner, transaction: Transaction) -> None:
        try:
            await commit(self, transaction)
        finally:
            acted.set()

    GroupCoordinator._do_heartbeat = late
    KafkaOwner.commit = committed  # type: ignore[method-assign]


def _end_hard_later(seconds: float) -> None:
    from services.runtime import process

    end = process._end_hard
    process._end_hard = lambda after_seconds: end(after_seconds + seconds)


def main() -> None:
    if transaction_ms := os.environ.get("ORACLE_TRANSACTION_MS"):
        _change_timeouts(int(os.environ.get("ORACLE_SESSION_MS", "10000")), int(transaction_ms))
    if nth := os.environ.get("ORACLE_KILL_AT_COMMIT"):
        _kill_at_commit(int(nth))
    if os.environ.get("ORACLE_HEARS_LATE"):
        _hear_late()
    if later := os.environ.get("ORACLE_END_HARD_LATER"):
        _end_hard_later(float(later))
    from services.cli import main as firebreak

    firebreak()
