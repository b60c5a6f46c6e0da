"""Sources are held, heard and resumed on Kafka by the code that the contract suite holds to its promises on SQLite."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.local_kafka import LocalKafka
from ingest.service import build
from services.base.clock import RealClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig
from services.config.loading import parse
from services.contracts.codec import decode
from services.contracts.post import PostObserved
from services.contracts.topics import POSTS
from services.eventlog.kafka import KafkaLog
from services.runtime.lifecycle import ServiceContext
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.kafka


async def stored(log: KafkaLog) -> list[str]:
    posts = []
    for partition, (start, _) in (await log.bounds(POSTS.name)).items():
        events = [decode(r.value).event for r in (await log.read(POSTS.name, partition, start, 1000)).records]
        posts += [event.post_id for event in events if isinstance(event, PostObserved)]
    return posts


async def one_life(bootstrap: str, prefix: str, config: CurrentConfig, wanted: set[str]) -> list[str]:
    """A process that runs until these are stored. Returns everything that is."""
    log = KafkaLog(bootstrap, partitions=2, prefix=prefix, session_timeout_ms=6000)
    registry = CollectorRegistry()
    settings = Settings(api_keys="tests:a-key-for-tests-only", append_timeout_seconds=30)
    service = build(ServiceContext(settings, config, log, RealClock(), registry, FloorMetrics(registry)))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            await log.start(tasks.spawn)
            await service.start(tasks)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not wanted <= set(found := await stored(log)):
                    await asyncio.sleep(0.05)
            tasks.stopping()
            await service.stop(asyncio.get_running_loop().time() + 10)
            await log.close()
            tasks.cancel_rest()
    finally:
        await log.close()
    return found


async def test_posts_and_cursor_move_together_through_a_restart(kafka: LocalKafka, tmp_path: Path) -> None:
    prefix, file = f"t{uuid.uuid4().hex[:8]}.", tmp_path / "a.ndjson"
    listen = [{"kind": "drop", "name": "in", "folder": str(tmp_path), "every_seconds": 0.1}]
    brands = [{"id": "acme", "name": "Acme Air"}]
    config = CurrentConfig.of(
        parse(yaml.safe_dump({"brands": brands, "sources": [{"network": "v", "listen": listen}]}))
    )
    for round_ in range(2):
        with file.open("a") as more:
            more.writelines(json.dumps({"post_id": f"{round_}-{n}", "text": "Acme Air"}) + "\n" for n in range(3))
        wanted = {f"{before}-{n}" for before in range(round_ + 1) for n in range(3)}
        found = await one_life(kafka.bootstrap, prefix, config, wanted)
    assert Counter(found) == Counter(wanted)
