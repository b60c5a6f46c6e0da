"""One life of a process whose stage is killed by some records, as by a fault in native code: `LOG` is the path of its log.

It ends with 0 when all that was appended has been dealt with.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.base.tasks import Tasks
from services.contracts.topics import CASCADES, POSTS, SIGNALS
from services.eventlog.base import Group, Message, Record
from services.eventlog.sqlite import SqliteLog
from services.stream.deadletter import DeadLetters
from services.stream.processor import StepResult
from services.stream.runner import Runner, Stage


class Mortal:
    """Says each record, and keeps the last one."""

    def __init__(self, partition: int, letters: DeadLetters) -> None: ...

    def restore(self, entries: Mapping[str, bytes]) -> None:
        assert not entries.keys() - {"last"}

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:  # noqa: ARG002 - the contract's
        values = [record.value or b"" for record in records]
        if any(value.startswith(b"deadly") for value in values):
            os.kill(os.getpid(), signal.SIGKILL)
        return StepResult([Message(SIGNALS.name, "acme", value, 0) for value in values], {"last": values[-1]})

    def due(self) -> datetime | None:
        return None

    async def fire(self, now: datetime) -> StepResult:
        raise NotImplementedError


async def live(path: Path) -> None:
    log = SqliteLog(path, 1, lease_seconds=0.3, beat_seconds=0.1)
    await log.start()
    stage = Stage("mortal", Group("mortals", POSTS.name, CASCADES.name), Mortal, 10)
    clock = ManualClock(datetime(2026, 3, 2, 18, 0, tzinfo=UTC))
    runner = Runner(stage, log, clock, FloorMetrics(CollectorRegistry()), 100)
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await runner.start(tasks)
        while not await runner.idle():
            await asyncio.sleep(0.01)
        tasks.stopping()
        await runner.stop(asyncio.get_running_loop().time() + 5)
        tasks.cancel_rest()
    await log.close()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
