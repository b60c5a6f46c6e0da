"""What one more of each costs: a live story, a post in the log, an incident in the database, an endpoint.

`docs/bounds.md` multiplies these. FIREBREAK_BENCH_BOUNDS says how many stories (100,000), a tenth as many posts and as many
endpoints, and a hundredth as many incidents.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, select

from alerter.desk.context import Context
from alerter.desk.service import IncidentService
from alerter.incidents.store import Origin
from alerter.notify import endpoints
from alerter.store import migrate
from alerter.store.database import default_url, engine_of, fold
from alerter.store.tables import endpoints as endpoint_rows
from alerter.store.vault import Vault
from scorer.metrics import ScorerMetrics
from scorer.pipeline import CascadeProcessor
from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.model import Reading
from scorer.virality.forecast import ClosedForm
from scorer.watched import Watched
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.config.model import Brand
from services.contracts.base import BrandId, ConversationId, EventId, event_id
from services.contracts.codec import encode
from services.contracts.post import Author, PostKind, PostObserved
from services.contracts.topics import POSTS
from services.eventlog.base import Message, Record
from services.eventlog.sqlite import SqliteLog
from services.stream.deadletter import DeadLetters
from tests.load.posts import TEXT
from tests.unit.alerter import make

STORIES = int(os.environ.get("FIREBREAK_BENCH_BOUNDS", "100000"))
ENGAGEMENTS = 3
"""Of each story, besides its root."""
BEGIN = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def post(number: int, kind: PostKind = PostKind.ORIGINAL, root: int | None = None) -> PostObserved:
    conversation = ConversationId(f"x:{number if root is None else root}")
    return PostObserved(
        network="x",
        post_id=str(number),
        kind=kind,
        conversation=conversation,
        home=conversation,
        parent_id=None if root is None else str(root),
        author=Author(id=f"a{number}", handle=f"h{number}", followers=300),
        brands=(BrandId("acme"),) if root is None else (),
        text=f"{TEXT} ({number})" if kind is not PostKind.REPOST else None,
        permalink=f"https://x.example/h{number}/status/{number}",
        platform_at=BEGIN,
        observed_at=BEGIN,
    )


async def stories() -> dict[str, float]:
    """Of one lane: its memory, and its changelog."""
    registry, clock = CollectorRegistry(), ManualClock(BEGIN)
    letters = DeadLetters("cascades", 100, clock, FloorMetrics(registry).dead_letters)

    async def score(texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        return Lexicon().read(texts, languages)

    watched = Watched({"acme": Brand(id="acme", name="Acme")})
    processor = CascadeProcessor(
        0, letters, score=score, model="lexicon-1", forecaster=ClosedForm(), watching=lambda: watched,
        horizon_seconds=72 * 3600, expire_seconds=96 * 3600, metrics=ScorerMetrics(registry),
    )  # fmt: skip
    processor.restore({})
    before, written, offset = resident(), 0, 0
    for begin in range(0, STORIES, 500):
        batch = []
        for root in range(begin, min(begin + 500, STORIES)):
            reposts = (post(STORIES + root * ENGAGEMENTS + n, PostKind.REPOST, root) for n in range(ENGAGEMENTS))
            for one in (post(root), *reposts):
                offset += 1
                value = encode(one, event_id("x", one.post_id))
                batch.append(Record(POSTS.name, 0, offset, one.conversation, value, 0))
        result = await processor.process(batch, clock.now())
        # A story's engagements come in its root's batch, so that each key is written once.
        written += sum(len(key) + len(value) for key, value in result.changes.items() if value is not None)
    return {
        "scorer: bytes in memory a live story": (resident() - before) / STORIES,
        "scorer: bytes of changelog a live story": written / STORIES,
    }


async def posts() -> dict[str, float]:
    """Of complaints of 200 characters."""
    count = STORIES // 10
    with tempfile.TemporaryDirectory() as name:
        log = SqliteLog(Path(name) / "log.db", 6, retention=False)
        await log.start()
        for begin in range(0, count, 500):
            some = [post(number) for number in range(begin, begin + 500)]
            await log.append(
                [Message(POSTS.name, one.conversation, encode(one, event_id("x", one.post_id))) for one in some]
            )
        await log.close()
        return {"log: bytes on disk a post with text": (Path(name) / "log.db").stat().st_size / count}


def _on_disk(engine: Engine) -> int:
    fold(engine)
    return Path(engine.url.database or "").stat().st_size


def incidents_and_endpoints() -> dict[str, float]:
    """Each incident is told to two endpoints, one policy step each. Endpoints have a secret, encrypted."""
    with tempfile.TemporaryDirectory() as name:
        engine = engine_of(default_url(Path(name)), Vault(base64.b64encode(bytes(32)).decode()))
        migrate.up(engine)
        count = STORIES // 10
        before = _on_disk(engine)
        with engine.begin() as connection:
            for number in range(count):
                url = f"https://hooks.example.com/services/T{number:09}/B{number:09}/abcdefghijklmnopqrstuvwx"
                secrets = {endpoints.Purpose.SIGNING: f"whsec_{base64.b64encode(number.to_bytes(32)).decode()}"}
                endpoints.add(connection, endpoints.Draft(f"endpoint-{number}", url, secrets=secrets), BEGIN)
        after, memory = _on_disk(engine), resident()
        with engine.connect() as connection:
            rows = connection.execute(select(endpoint_rows)).all()
            found = endpoints.keys_of_many(connection, [row.name for row in rows], BEGIN)
        assert len(found) == len(rows) == count
        del rows, found
        out = {
            "alerter: bytes on disk an endpoint": (after - before) / count,
            "alerter: bytes in memory an endpoint, once used": (resident() - memory) / count,
        }
        with engine.begin() as connection:
            connection.execute(endpoint_rows.delete())
            for word in ("desk", "second"):
                endpoints.add(connection, endpoints.Draft(word, f"https://{word}.example", subscribed=True), BEGIN)
        number_of, before = max(1, STORIES // 100), _on_disk(engine)
        context = Context(make.NOW, make.NOW, make.config(), "https://firebreak.example")
        for begin in range(0, number_of, 50):
            with engine.begin() as connection:
                service = IncidentService(connection, context)
                for number in range(begin, min(begin + 50, number_of)):
                    signal = make.forecast(story=f"x:{number}", at=make.NOW + timedelta(seconds=number))
                    service.signals.apply(signal, Origin(EventId(f"s{number}"), 0, number))
        out["alerter: bytes on disk an incident told to two endpoints"] = (_on_disk(engine) - before) / number_of
        engine.dispose()
    return out


def run() -> dict[str, Any]:
    return {"stories": STORIES, **asyncio.run(stories()), **asyncio.run(posts()), **incidents_and_endpoints()}
