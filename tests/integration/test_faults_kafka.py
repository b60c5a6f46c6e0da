"""The whole installation as processes of their own over real Kafka, posted to over HTTP, while its parts are killed, stopped,
joined, and the brokers themselves go away. Every cascade counts each event once, and a committed reader sees each signal once.

`FIREBREAK_TEST_OUTAGE_SECONDS`: how long the broker is away (20).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import pytest

from deploy.local_kafka import LocalKafka
from tests.oracle.compare import Sight
from tests.oracle.poster import Poster
from tests.oracle.reference import Reference
from tests.oracle.scenes import Fates, played
from tests.oracle.simulator import BRANDS, Simulation, simulate
from tests.oracle.stage import Actor, Stage, assert_exact, stage_on_kafka, until
from tests.patience import patient

pytest_plugins = ["tests.kafka_fixture"]
pytestmark = pytest.mark.kafka

OUTAGE_SECONDS: Final = float(os.environ.get("FIREBREAK_TEST_OUTAGE_SECONDS", "20"))
PARTITIONS: Final = 6
STOP_SECONDS: Final = 6.0
LATE_SECONDS: Final = 20.0
"""How much later than its deadline a stop may be on a machine that has much to do."""


@asynccontextmanager
async def playing(night: Simulation, ingest: Actor, pause: float) -> AsyncIterator[Poster]:
    """The night is posted meanwhile; at the end of the block all of it has been accepted."""
    poster = Poster(ingest.url, night.posts)
    posting = asyncio.create_task(poster.send_all(pause, OUTAGE_SECONDS + 90))
    try:
        yield poster
        await posting
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)


async def started(*actors: Actor) -> None:
    for actor in actors:
        await actor.start()
    await asyncio.gather(*(actor.ready() for actor in actors))


async def partitions_of(scorer: Actor) -> set[int]:
    """Those that it serves now."""
    says = (await scorer.health()).get("scorer", {})
    return set(says.get("partitions", ())) - set(says.get("restoring", ()))


async def shared_by(*scorers: Actor) -> None:
    async def all_served() -> bool:
        served = [await partitions_of(scorer) for scorer in scorers]
        return all(served) and sum(map(len, served)) == PARTITIONS and set().union(*served) == set(range(PARTITIONS))

    await until(all_served, f"{len(scorers)} scorers to share the partitions", every=0.2)


def assert_all_there(sight: Sight, night: Simulation) -> None:
    reference = Reference(tuple(BRANDS))
    reference.feed(sight.posts)
    assert night.expected() <= reference.ids, "a post that was accepted is lost"
    assert_exact(sight)


async def test_scorers_are_killed_stopped_and_joined_and_each_event_counts_once(kafka: Any, tmp_path: Path) -> None:
    night = simulate(21, 1800)
    place = stage_on_kafka(kafka.bootstrap, tmp_path, None, FIREBREAK_PARTITIONS=str(PARTITIONS))
    with patient():
        await _shaken(place, night)


async def _shaken(place: AbstractAsyncContextManager[Stage], night: Simulation) -> None:
    async with place as stage:
        ingest, alerter = stage.actor("ingest"), stage.actor("alerter")
        one, two, three = (stage.actor("scorer") for _ in range(3))
        await started(ingest, alerter, one, two)
        await shared_by(one, two)
        async with playing(night, ingest, 0.5) as poster:
            poster.limit = 0.85
            await until(lambda: poster.share > 0.15, "the night to begin")
            one.send(signal.SIGKILL)
            assert await one.ended() == -signal.SIGKILL
            await one.start()
            await shared_by(one, two)
            two.send(signal.SIGSTOP)
            await two.stands_still()
            await three.start()
            await shared_by(one, three)  # the brokers have given up the one that stands still
            two.go_on()
            await shared_by(one, two, three)
            poster.limit = 1.0
        await ingest.stop()
        sight = await stage.finish(one, two, three)
        assert await alerter.stop() == 0
    assert_all_there(sight, night)


class Ruins(NamedTuple):
    """What an installation went through, and what it left behind."""

    sight: Sight
    night: Simulation
    refusals: Sequence[httpx2.Response]
    codes: Sequence[int] = ()


Broken = tuple[Stage, LocalKafka]


@asynccontextmanager
async def with_brokers(nodes: int, directory: Path, **environment: str) -> AsyncIterator[Broken]:
    """Brokers of our own, to be broken."""
    brokers = LocalKafka(nodes)
    settings = {
        "FIREBREAK_PARTITIONS": str(PARTITIONS),
        "FIREBREAK_KAFKA_REPLICATION": str(nodes),
        **environment,
    }
    try:
        await asyncio.to_thread(brokers.start)
        async with stage_on_kafka(brokers.bootstrap, directory, None, **settings) as stage:
            yield stage, brokers
    finally:
        await asyncio.to_thread(brokers.stop)


async def _outage(broken: Broken, *, killed: bool) -> Ruins:
    stage, broker = broken
    night = simulate(22, 600)
    ingest, scorer, alerter = stage.actor("ingest"), stage.actor("scorer"), stage.actor("alerter")
    await started(ingest, scorer, alerter)
    async with playing(night, ingest, 0.2) as poster:
        await until(lambda: poster.share > 0.3, "the night to begin")
        await asyncio.to_thread(broker.kill if killed else broker.pause)
        await asyncio.sleep(OUTAGE_SECONDS)
        assert poster.share < 1.0, "the night was over before the fault was"
        assert all(actor.runs for actor in (ingest, scorer, alerter)), "an outage ends no service"
        await asyncio.to_thread(broker.restart if killed else broker.resume)
    await ingest.stop()
    sight = await stage.finish(scorer)
    assert await alerter.stop() == 0
    return Ruins(sight, night, poster.refusals)


async def _stopped_during_an_outage(broken: Broken) -> Ruins:
    """With an append and transactions in hand."""
    stage, broker = broken
    night = simulate(24, 600)
    actors = [stage.actor("ingest"), stage.actor("scorer"), stage.actor("alerter")]
    await started(*actors)
    async with playing(night, actors[0], 0.1) as poster:
        await until(lambda: poster.share > 0.3, "the night to begin")
        await asyncio.to_thread(broker.pause)
        await until(lambda: bool(poster.refusals), "the outage to be felt")
        for actor in actors:
            actor.send(signal.SIGTERM)
        # A process that does not end by its deadline ends itself hard, with a code that tells.
        async with asyncio.timeout(STOP_SECONDS + 2 * LATE_SECONDS):
            codes = [await actor.ended() for actor in actors]
        await asyncio.to_thread(broker.resume)
        await started(*actors[:2])
    await actors[0].stop()
    return Ruins(await stage.finish(actors[1]), night, poster.refusals, codes)


async def _one_of_three_dies(broken: Broken) -> Ruins:
    stage, brokers = broken
    night = simulate(23, 600)
    ingest, scorer = stage.actor("ingest"), stage.actor("scorer")
    await started(ingest, scorer)
    async with playing(night, ingest, 0.1) as poster:
        await until(lambda: poster.share > 0.3, "the night to begin")
        await asyncio.to_thread(brokers.kill, 1)
        assert poster.share < 1.0, "the night was over before the fault was"
    await ingest.stop()
    return Ruins(await stage.finish(scorer), night, poster.refusals)


SCENES: Final[dict[str, Any]] = {
    "killed": lambda broken: _outage(broken, killed=True),
    "stopped": lambda broken: _outage(broken, killed=False),
    "one of three": _one_of_three_dies,
    "SIGTERM": _stopped_during_an_outage,
}


@pytest.fixture(scope="module")
def ruins(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Fates[Ruins]:
    """Side by side: mostly they wait for brokers that do not answer."""
    if kafka.given:
        pytest.skip("KAFKA_BOOTSTRAP names a cluster whose brokers are not ours to break")

    def place(name: str) -> Any:
        deadline = {"FIREBREAK_STOP_SECONDS": f"{STOP_SECONDS:g}", "ORACLE_END_HARD_LATER": f"{LATE_SECONDS:g}"}
        more = deadline if name == "SIGTERM" else {}
        return with_brokers(3 if name == "one of three" else 1, tmp_path_factory.mktemp("ruins"), **more)

    return played(SCENES, place, at_once=2)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_broker_that_is_away_costs_a_wait_and_nothing_else(ruins: Fates[Ruins], how: str) -> None:
    sight, night, refusals, _ = ruins.outcome(how)
    assert refusals, "nobody was told to come back"
    for refusal in refusals:
        assert int(refusal.headers["retry-after"]) >= 1
        assert refusal.json()["detail"]
    assert any("the event log cannot be reached" in refusal.json()["detail"] for refusal in refusals)
    assert_all_there(sight, night)


@pytest.mark.slow
def test_one_of_three_brokers_dies_under_load_and_nothing_is_lost(ruins: Fates[Ruins]) -> None:
    outcome = ruins.outcome("one of three")
    assert_all_there(outcome.sight, outcome.night)


@pytest.mark.slow
def test_a_stop_keeps_its_deadline_while_the_broker_is_away_and_loses_nothing(ruins: Fates[Ruins]) -> None:
    outcome = ruins.outcome("SIGTERM")
    assert set(outcome.codes) == {0}, "ended in order, by its own deadline"
    assert_all_there(outcome.sight, outcome.night)
