"""A topic of somebody else's cluster is read from where it was left, and what the cluster deleted is stated. Real Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from deploy.local_kafka import LocalKafka
from ingest.sources.base import Away, Cursor, Heard, SourceContext
from ingest.sources.topic_in import TopicIn, build
from services.base.clock import RealClock
from services.config.connectors.topic_in import TopicInSection
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.kafka


@contextlib.asynccontextmanager
async def admin_of(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def topic(kafka: LocalKafka) -> str:
    name = f"vendor-{uuid.uuid4().hex[:8]}"
    async with admin_of(kafka) as admin:
        await admin.create_topics([NewTopic(name, 1, 1)])
    return name


async def write(kafka: LocalKafka, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


def document(number: int) -> bytes:
    return json.dumps({"id": number, "body": "Acme Air is late"}).encode()


def source(bootstrap: str, topic: str) -> TopicIn:
    mapping: Any = {"fields": {"post_id": "id", "text": "body"}}
    options = TopicInSection(
        kind="kafka", name="v", bootstrap=bootstrap, topic=topic, begin="earliest", mapping=mapping
    )
    spend: Any = None
    return build(SourceContext("vendor", options, (), {}, RealClock(), httpx2.AsyncClient(), spend))


async def heard(one: TopicIn, cursor: Cursor | None, until: str) -> tuple[list[str], list[Heard]]:
    """The ids that come until this one, and the batches that brought them."""
    ids: list[str] = []
    batches = []
    stream = one.listen(cursor)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for batch in stream:
            batches.append(batch)
            ids += [item["post_id"] for item in batch.items]
            if until in ids:
                break
    await stream.aclose()  # type: ignore[attr-defined]
    return ids, batches


async def test_a_topic_is_read_from_where_it_was_left(kafka: LocalKafka, topic: str) -> None:
    await write(kafka, topic, document(1), b"no json", document(2))
    ids, batches = await heard(source(kafka.bootstrap, topic), None, "2")
    assert ids == ["1", "", "2"], "what cannot be read is a bad item, which is counted"
    await write(kafka, topic, document(3))
    assert (await heard(source(kafka.bootstrap, topic), batches[-1].cursor, "3"))[0] == ["3"]


async def test_what_the_cluster_deleted_is_stated_and_reading_goes_on_with_what_is_left(
    kafka: LocalKafka, topic: str
) -> None:
    await write(kafka, topic, *map(document, range(5)))
    begin = Cursor(f"{kafka.bootstrap}/{topic}", json.dumps({"0": 1}), datetime.now(UTC))
    async with admin_of(kafka) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
    ids, batches = await heard(source(kafka.bootstrap, topic), begin, "4")
    assert ids == ["3", "4"]
    (missed,) = [missed for batch in batches for missed in batch.missed]
    assert "retention" in missed.reason


async def test_a_cluster_that_cannot_be_reached_is_away() -> None:
    with pytest.raises(Away):
        await source("127.0.0.1:1", "x").probe()
