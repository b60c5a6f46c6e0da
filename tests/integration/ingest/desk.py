"""Ingest as a client meets it: the whole service over a real log, and a log that can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from ingest.service import IngestService, build
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Spawn, Tasks, spawn_alone
from services.config.current import CurrentConfig
from services.config.loading import parse
from services.contracts.codec import decode
from services.contracts.post import PostDeleted, PostObserved, PostPlaced
from services.contracts.topics import POSTS
from services.eventlog.base import Batch, EventLog, Group, Listener, Membership, Message
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEY = "a-key-for-tests-only"
CONFIG = """
brands:
  - id: acme
    name: Acme Air
    hashtags: [acmefail]
    exclude: [Acme Air Force]
    accounts: [{network: x, handle: "@acmeair", owner: care}]
  - id: other
    name: Otherwise Ltd
sources: [{network: x, policy: ids_only}]
"""
POST: dict[str, Any] = {"network": "x", "post_id": "1", "kind": "original", "text": "Acme Air lost my bag"}


@dataclass
class FaultyLog:
    """A real log that fails where it is told to."""

    inner: EventLog
    append_error: Exception | None = None
    lag_error: Exception | None = None
    lag_now: int | None = None
    gate: asyncio.Event | None = None
    appends: list[int] = field(default_factory=list)
    appending: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, spawn: Spawn = spawn_alone) -> None:
        await self.inner.start(spawn)

    async def verify_topics(self) -> list[str]:
        return await self.inner.verify_topics()

    async def append(self, messages: Sequence[Message]) -> None:
        self.appends.append(len(messages))
        self.appending.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.append_error is not None:
            raise self.append_error
        await self.inner.append(messages)

    async def join(self, group: Group, listener: Listener) -> Membership:
        return await self.inner.join(group, listener)

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch:
        return await self.inner.read(topic, partition, offset, max_records)

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]:
        return await self.inner.bounds(topic)

    async def lag(self, group: str, topic: str) -> int:
        if self.lag_error is not None:
            raise self.lag_error
        return await self.inner.lag(group, topic) if self.lag_now is None else self.lag_now

    async def close(self) -> None:
        await self.inner.close()


def context_of(log: EventLog, current: CurrentConfig | None = None, **settings: Any) -> ServiceContext:
    registry = CollectorRegistry()
    given = {"api_keys": f"tests:{KEY}", "retention": False, **settings}
    return ServiceContext(
        settings=Settings(**given),
        current=current or CurrentConfig.of(parse(CONFIG)),
        log=log,
        clock=ManualClock(NOW),
        registry=registry,
        metrics=FloorMetrics(registry),
    )


@dataclass
class Desk:
    service: IngestService
    log: FaultyLog
    client: httpx2.AsyncClient
    context: ServiceContext

    async def post(self, content: Any, kind: str | None = "application/json", **headers: str) -> httpx2.Response:
        """Post bytes as they are, anything else as JSON."""
        if not isinstance(content, bytes) and not hasattr(content, "__aiter__"):
            return await self.client.post("/v1/posts", json=content, headers=headers)
        named = {"content-type": kind} if kind else {}
        return await self.client.post("/v1/posts", content=content, headers={**named, **headers})

    async def look_at_the_log(self) -> None:
        """Twice, because the first look may share a question that was asked before."""
        for _ in range(2):
            await self.service._watch.poll()

    async def stored(self) -> list[PostObserved]:
        """Every event in the log."""
        events = []
        for partition, (start, _) in (await self.log.bounds(POSTS.name)).items():
            for record in (await self.log.read(POSTS.name, partition, start, 10_000)).records:
                event = decode(record.value).event
                if isinstance(event, (PostPlaced, PostDeleted)):
                    continue  # tells other partitions of a post that is here
                assert isinstance(event, PostObserved)
                assert record.key == event.conversation
                events.append(event)
        return events

    def counted(self, name: str, **labels: str) -> float:
        return self.context.registry.get_sample_value(f"firebreak_ingest_{name}", labels) or 0.0


@asynccontextmanager
async def desk_at(path: Path, current: CurrentConfig | None = None, **settings: Any) -> AsyncIterator[Desk]:
    """A started service; its tasks and its log end with the block."""
    log = FaultyLog(SqliteLog(path / "log.db", partitions=2, retention=False))
    await log.start()
    context = context_of(log, current, **settings)
    service = build(context)
    app = FastAPI()
    service.mount(app)
    transport = httpx2.ASGITransport(app)
    client = httpx2.AsyncClient(transport=transport, base_url="http://desk", headers={"authorization": f"Bearer {KEY}"})
    try:
        async with asyncio.TaskGroup() as group, client:
            tasks = Tasks(group)
            await service.start(tasks)
            yield Desk(service, log, client, context)
            tasks.stopping()
            await service.stop(asyncio.get_running_loop().time() + 5)
    finally:
        await log.close()
