"""Both backends behind one door: a fresh log for every test, and as many handles on it as a test wants processes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from services.base.tasks import Spawn, spawn_alone
from services.eventlog.base import EventLog
from services.eventlog.sqlite import SqliteLog

PARTITIONS = 3


class Connect(Protocol):
    async def __call__(self, spawn: Spawn = spawn_alone) -> EventLog: ...


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
async def connect(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Connect]:
    """Each call is a new handle on the same log, as another process would have."""
    opened: list[EventLog] = []
    make: Callable[[], Any]
    if request.param == "kafka":
        from services.eventlog.kafka import KafkaLog

        bootstrap = request.getfixturevalue("kafka").bootstrap
        prefix = f"t{uuid.uuid4().hex[:8]}."

        def make() -> EventLog:
            return KafkaLog(bootstrap, partitions=PARTITIONS, prefix=prefix, session_timeout_ms=6000)
    else:

        def make() -> EventLog:
            return SqliteLog(tmp_path / "log.db", PARTITIONS, lease_seconds=2.0, beat_seconds=0.2)

    async def connected(spawn: Spawn = spawn_alone) -> EventLog:
        log: EventLog = make()
        await log.start(spawn)
        opened.append(log)
        return log

    yield connected
    for log in reversed(opened):
        await log.close()
