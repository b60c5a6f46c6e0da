"""Ingest killed around its one commit point while a client posts: what was accepted is there, what comes again counts once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from services.base.crashpoints import SEAMS
from tests.oracle.compare import Sight
from tests.oracle.poster import Poster
from tests.oracle.reference import Reference
from tests.oracle.scenes import Fates, played
from tests.oracle.simulator import BRANDS, Simulation, simulate
from tests.oracle.stage import Stage, assert_exact, stage_at, stage_on_kafka

pytest_plugins = ["tests.kafka_fixture"]

INGEST_SEAMS: Final = tuple(seam for seam in SEAMS if seam.startswith("ingest."))
NIGHT: Final = simulate(5, 500)


async def _posted_through_a_crash(stage: Stage, night: Simulation, crash: str) -> Sight:
    ingest, scorer = stage.actor("ingest"), stage.actor("scorer")
    await ingest.start(crash)
    await scorer.start()
    poster = Poster(ingest.url, night.posts)
    posting = asyncio.create_task(poster.send_all())
    try:
        await ingest.dies()
        await ingest.start()
        await posting
    finally:
        posting.cancel()
    assert poster.unanswered
    await ingest.stop()
    return await stage.finish(scorer)


SCENES: Final[dict[str, Any]] = {
    seam: lambda stage, seam=seam: _posted_through_a_crash(stage, NIGHT, f"{seam}:5") for seam in INGEST_SEAMS
}


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Fates[Sight]:
    return played(SCENES, lambda _: stage_at(tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="module")
def on_kafka(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Fates[Sight]:
    return played(SCENES, lambda _: stage_on_kafka(kafka.bootstrap, tmp_path_factory.mktemp("kafka")))


def _judge(sight: Sight, seam: str) -> None:
    reference = Reference(tuple(BRANDS))
    reference.feed(sight.posts)
    links = {record.key for record in sight.posts if b'"story.linked"' in (record.value or b"")[:30]}
    assert NIGHT.expected() <= reference.ids
    assert len(reference.ids - NIGHT.expected()) >= len(links) > 0  # nothing but what the scorer linked itself
    said = ("post_id", "kind", "counters", "text", "edited_at", "platform_at")
    sent_twice = len(NIGHT.posts) - len({tuple(str(post.get(name)) for name in said) for post in NIGHT.posts})
    if seam == "ingest.appended":
        assert reference.repeated > sent_twice, "the log had it, the client never heard of it, and sent it again"
    assert_exact(sight)


@pytest.mark.parametrize("seam", INGEST_SEAMS)
def test_a_post_that_is_sent_again_after_a_crash_counts_once(on_sqlite: Fates[Sight], seam: str) -> None:
    _judge(on_sqlite.outcome(seam), seam)


@pytest.mark.kafka
@pytest.mark.parametrize("seam", INGEST_SEAMS)
def test_a_post_that_is_sent_again_after_a_crash_counts_once_on_kafka(on_kafka: Fates[Sight], seam: str) -> None:
    _judge(on_kafka.outcome(seam), seam)
