"""Killed at every seam, on both logs, and started again: the same final state and the same log as an undisturbed run.

The faults are played side by side, each on a log of its own, because most of their time is waiting: for the lease of the
dead to end. Each test then judges one of them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

import pytest

from services.base.crashpoints import SEAMS
from tests.oracle.compare import Sight
from tests.oracle.scenes import Fates, played
from tests.oracle.simulator import Simulation, simulate
from tests.oracle.stage import Stage, assert_exact, stage_at, stage_on_kafka

pytest_plugins = ["tests.kafka_fixture"]

SEED: Final = 3
POSTS: Final = 800
SCORER_SEAMS: Final = tuple(seam for seam in SEAMS if seam.startswith(("lane.", "tx.")))
# A process notes where it begins, once for each partition of both stages: those commits are not the ones that are meant.
NOTES: Final = 6
# Late enough that something was committed before, and each of them with most of the night still to come.
PASS: Final = {"lane.assigned": 2, "lane.acquired": 2, "lane.processed": 8}
USUAL_PASS: Final = NOTES + 8
AGAIN_AND_AGAIN: Final = (
    f"tx.state:{NOTES + 5}",
    f"tx.committed:{NOTES + 3}",
    "lane.processed:1",
    f"tx.committing:{NOTES + 4}",
)


class Night(NamedTuple):
    posts: Simulation
    undisturbed: Sight


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Played once without any fault, on the embedded log."""

    async def play() -> Night:
        posts = simulate(SEED, POSTS)
        async with stage_at(tmp_path_factory.mktemp("undisturbed")) as stage:
            await stage.append(posts.messages())
            scorer = stage.actor("scorer")
            await scorer.start()
            return Night(posts, await stage.finish(scorer))

    return asyncio.run(play())


async def _killed_at(stage: Stage, posts: Simulation, *crashes: str) -> Sight:
    await stage.append(posts.messages())
    scorer = stage.actor("scorer")
    for crash in crashes:
        await scorer.start(crash)
        await scorer.dies()
    await scorer.start()
    return await stage.finish(scorer)


async def _killed_at_commit(stage: Stage, posts: Simulation) -> Sight:
    await stage.append(posts.messages())
    scorer = stage.actor("scorer")
    await scorer.start(ORACLE_KILL_AT_COMMIT=str(USUAL_PASS))
    await scorer.dies()
    await scorer.start()
    return await stage.finish(scorer)


def _scenes(posts: Simulation) -> dict[str, Any]:
    def killed(*crashes: str) -> Any:
        return lambda stage: _killed_at(stage, posts, *crashes)

    scenes = {seam: killed(f"{seam}:{PASS.get(seam, USUAL_PASS)}") for seam in SCORER_SEAMS}
    return scenes | {"again and again": killed(*AGAIN_AND_AGAIN)}


@pytest.fixture(scope="module")
def on_sqlite(night: Night, tmp_path_factory: pytest.TempPathFactory) -> Fates[Sight]:
    return played(_scenes(night.posts), lambda _: stage_at(tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="module")
def on_kafka(night: Night, kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Fates[Sight]:
    scenes = _scenes(night.posts) | {"after the commit was sent": lambda stage: _killed_at_commit(stage, night.posts)}
    return played(scenes, lambda _: stage_on_kafka(kafka.bootstrap, tmp_path_factory.mktemp("kafka")))


def _judge(sight: Sight, night: Night) -> None:
    assert_exact(sight)
    assert sight.fingerprint() == night.undisturbed.fingerprint()


def test_an_undisturbed_night_is_counted_as_the_reference_counts_it(night: Night) -> None:
    assert_exact(night.undisturbed)
    assert len(night.undisturbed.signals) > 300
    assert len(night.undisturbed.letters) == 12
    assert len(night.undisturbed.fingerprint()) > 50


@pytest.mark.parametrize("seam", [*SCORER_SEAMS, "again and again"])
def test_a_crash_counts_no_post_twice_and_loses_none(on_sqlite: Fates[Sight], night: Night, seam: str) -> None:
    _judge(on_sqlite.outcome(seam), night)


@pytest.mark.kafka
@pytest.mark.parametrize("seam", [*SCORER_SEAMS, "again and again", "after the commit was sent"])
def test_a_crash_counts_no_post_twice_and_loses_none_on_kafka(on_kafka: Fates[Sight], night: Night, seam: str) -> None:
    _judge(on_kafka.outcome(seam), night)
