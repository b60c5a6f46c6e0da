"""Each log: records a second appended in small and large batches, transactions a second, bytes a post, restore time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local_kafka import LocalKafka
from scorer.virality.cards import Card
from scorer.virality.cascade import Cascade
from services.contracts.topics import CASCADES, POSTS, SIGNALS
from services.eventlog.base import EventLog, Group, Membership, Message, Transaction
from services.eventlog.kafka import KafkaLog
from services.eventlog.sqlite import SqliteLog
from services.stream.state import KeyedState
from tests.load.posts import TEXT, engagements

RECORDS = 40_000
TRANSACTIONS = 200
CASCADES_RESTORED = 100_000


class Ours:
    """Waits until every partition is assigned."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ours: set[int] = set()
        self.all = asyncio.Event()

    def assigned(self, partitions: frozenset[int]) -> None:
        self._ours |= partitions
        if len(self._ours) == self._count:
            self.all.set()

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:  # noqa: ARG002 - the contract's
        self._ours -= partitions


async def joined(log: EventLog, partitions: int) -> Membership:
    ours = Ours(partitions)
    membership = await log.join(Group("bench", POSTS.name, CASCADES.name), ours)
    await ours.all.wait()
    return membership


async def measure(log: EventLog, partitions: int) -> dict[str, Any]:
    messages = list(engagements(RECORDS, 2000, datetime.now(UTC)))
    out: dict[str, Any] = {}
    for batch in (32, 500):
        began = time.perf_counter()
        for start in range(0, RECORDS, batch):
            await log.append(messages[start : start + batch])
        out[f"appended records/s, batches of {batch}"] = RECORDS / (time.perf_counter() - began)
    membership = await joined(log, partitions)
    owner = await membership.acquire(0)
    signals = [Message(SIGNALS.name, "acme", b"x" * 300, 0)] * 20
    began = time.perf_counter()
    for number in range(TRANSACTIONS):
        await owner.commit(Transaction(number, signals, {f"k{n}": b"y" * 300 for n in range(50)}))
    out["transactions/s (20 outputs, 50 state changes)"] = TRANSACTIONS / (time.perf_counter() - began)
    cascade = Cascade(story="x:1", network="x", brands=["acme"], root=Card("x", "1", "original", 1.0, text=TEXT))
    for second in range(200):
        cascade.add_engagement("repost", 1e9 + second * 30, 400, human=True, velocity=True)
    state = KeyedState("c:", Cascade, 1)
    for number in range(CASCADES_RESTORED):
        state.put(str(number), cascade, 1e9)
    entries = list(state.changes().items())
    for start in range(0, len(entries), 500):
        await owner.commit(Transaction(TRANSACTIONS, (), dict(entries[start : start + 500])))
    await owner.close()
    began = time.perf_counter()
    owner = await membership.acquire(0)
    fresh = KeyedState("c:", Cascade, 1)
    fresh.restore(owner.restored.entries)
    out[f"restore of {CASCADES_RESTORED:,} cascades, s"] = time.perf_counter() - began
    assert len(fresh) == CASCADES_RESTORED
    out["bytes a cascade (one of 200 engagements, with its root's text)"] = len(entries[0][1] or b"")
    await membership.leave(asyncio.get_running_loop().time() + 5)
    return out


async def both() -> dict[str, Any]:
    out: dict[str, Any] = {}
    sample = list(engagements(3000, 300, datetime.now(UTC)))
    out["bytes a post on the wire (a tenth with text)"] = sum(len(m.value or b"") for m in sample) / len(sample)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.db"
        embedded = SqliteLog(path, 6)
        await embedded.start()
        out |= {f"sqlite: {name}": value for name, value in (await measure(embedded, 6)).items()}
        await embedded.close()
    with LocalKafka() as kafka:
        cluster = KafkaLog(kafka.bootstrap, partitions=6)
        await cluster.start()
        out |= {f"kafka: {name}": value for name, value in (await measure(cluster, 6)).items()}
        await cluster.close()
    return out


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(both())
    return result
