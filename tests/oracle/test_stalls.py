"""Processes that are not dead but still, at the worst moment, while another goes on without them; and inputs that make a step
say nothing, too much, or begin where the log has gone. All over again: exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from scorer.state_tools import _all_of_it
from services.contracts.topics import BASELINES, CASCADES, POSTS
from services.eventlog.base import Message, Record
from services.eventlog.sqlite import SqliteLog
from services.eventlog.sqlite.retention import expire
from tests.kafka_transactions import open_transactions
from tests.oracle.compare import Sight, differences, records
from tests.oracle.reference import Reference
from tests.oracle.scenes import Fates, played
from tests.oracle.simulator import BRANDS, observed, simulate
from tests.oracle.stage import Actor, Stage, assert_exact, stage_at, stage_on_kafka, until

pytest_plugins = ["tests.kafka_fixture"]

NIGHT: Final = simulate(7, 600)
MESSAGES: Final = NIGHT.messages()
EARLY, LATER = MESSAGES[: len(MESSAGES) // 2], MESSAGES[len(MESSAGES) // 2 :]
SESSION_MS: Final = "6000"
NOTES: Final = 6
"""Commits with which a process notes where it begins: one for each partition of both stages."""


class Outcome(NamedTuple):
    sight: Sight
    said: str = ""
    felt: float = 0.0
    read: Sequence[Record] = ()
    """What the scorers can have read, where that is not all."""


async def _stopped_in_a_transaction(stage: Stage) -> Outcome:
    """For longer than the transaction may last, and less than the session."""
    await stage.append(MESSAGES)
    scorer = stage.actor("scorer", ORACLE_SESSION_MS="45000", ORACLE_TRANSACTION_MS="3000")
    await scorer.start(f"tx.state:{NOTES + 6}:stop")
    await scorer.stands_still()
    assert await _open_transactions(stage), "it stands still in a transaction"
    await until(lambda: _none_is_open(stage), "the broker to end the transaction")
    scorer.go_on()
    await stage.scored()
    felt = await scorer.metric("firebreak_lane_restarts_total")
    return Outcome(await stage.finish(scorer), scorer.said(), felt)


async def _open_transactions(stage: Stage) -> set[TopicPartition]:
    """The partitions of the changelogs on which a transaction has begun that nobody has ended."""
    prefix, numbers = stage.settings.kafka_prefix, range(stage.settings.partitions)
    partitions = [TopicPartition(prefix + topic.name, number) for topic in (CASCADES, BASELINES) for number in numbers]
    return await open_transactions(stage.settings.kafka_bootstrap, partitions)


async def _none_is_open(stage: Stage) -> bool:
    return not await _open_transactions(stage)


async def _overtaken(stage: Stage, seam: str) -> Outcome:
    """Stopped on the way to owning a partition until another owns it, then continued: a zombie with old plans, which it
    carries out before it hears that the group went on without it."""
    await stage.append(EARLY)
    zombie, living = (stage.actor("scorer", ORACLE_SESSION_MS=SESSION_MS, ORACLE_TRANSACTION_MS="6000") for _ in "zl")
    await zombie.start(f"{seam}:1:stop", ORACLE_HEARS_LATE="1")
    await zombie.stands_still()
    await living.start()

    await until(lambda: _owns_all(living), "the living to own all partitions")
    await stage.scored()
    zombie.go_on()
    await stage.append(LATER)
    felt = 0.0

    async def is_fenced() -> bool:
        nonlocal felt
        felt = sum([await one.metric("firebreak_lane_restarts_total") for one in (zombie, living)])
        return felt >= 1

    await until(is_fenced, "one of them to be fenced")
    return Outcome(await stage.finish(zombie, living), zombie.said() + living.said(), felt)


async def _owns_all(scorer: Actor) -> bool:
    says = (await scorer.health()).get("scorer", {})
    return says.get("partitions") == [0, 1, 2] and not says["restoring"]


async def _one_name_twice(stage: Stage) -> Outcome:
    """A second process under the first one's name: they throw each other out, until one sees it and ends."""
    await stage.append(EARLY)
    first, second = stage.actor("scorer"), stage.actor("scorer")
    await first.start()
    await first.ready()
    await second.start()
    await until(lambda: not (first.runs and second.runs), "one of them to end")
    await stage.append(LATER)
    for left in (first, second):
        if left.runs:
            await left.stop()
    await first.start()
    return Outcome(await stage.finish(first), first.said() + second.said())


async def _nothing_to_remember(stage: Stage) -> Outcome:
    """Batches that change no state (heartbeats, garbage, things said before): the position is all that moves."""
    speaks = (b'{"type":"post.ob', b'{"type":"author.')  # a report that is sent again is passed on again, under its id
    say_nothing = [m for m in MESSAGES if m.key.endswith("heartbeat") or not (m.value or b"").startswith(speaks)]
    await stage.append([Message(m.topic, m.key, m.value, n % 3) for n, m in enumerate(say_nothing * 12)])
    scorer = stage.actor("scorer", FIREBREAK_BATCH_RECORDS="5")
    await scorer.start(f"tx.committed:{NOTES + 4}")
    await scorer.dies()
    await scorer.start(f"tx.committing:{NOTES + 4}")
    await scorer.dies()
    await scorer.start()
    return Outcome(await stage.finish(scorer))


def _giant() -> Message:
    """A post that fits the log, and whose signal does not."""
    words = "terrible " * 104_300
    post = {**NIGHT.posts[0], "post_id": "giant", "kind": "original", "text": f"Acme Air {words}", "author": None}
    for name in ("root_id", "parent_id", "quote_of", "counters"):
        post.pop(name, None)
    (message,) = observed(post)
    room = 949_900 - len(message.value or b"") - len(message.key)
    (message,) = observed({**post, "text": f"Acme Air {words}{'x' * room}"})
    return message


async def _too_much_to_say(stage: Stage) -> Outcome:
    await stage.append(EARLY)
    await stage.append([_giant()])
    await stage.append(LATER)
    scorer = stage.actor("scorer")
    await scorer.start()
    return Outcome(await stage.finish(scorer), scorer.said())


async def _positions(stage: Stage) -> dict[int, int]:
    async with stage.log() as log:
        membership = await _all_of_it(log)
        found = {}
        for partition in membership.assigned:
            owner = await membership.acquire(partition)
            found[partition] = owner.restored.next
            await owner.close()
        await membership.leave(asyncio.get_running_loop().time() + 5)
        return found


async def _delete_posts(stage: Stage, before: dict[int, int]) -> None:
    """As retention does."""
    async with stage.log() as log:
        if isinstance(log, SqliteLog):
            for partition in before:
                await log._file.write(lambda db, p=partition: expire(db, POSTS.name, p, 1 << 60))  # type: ignore[misc]
            return
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.settings.kafka_bootstrap)
    await admin.start()
    try:
        topic = stage.settings.kafka_prefix + POSTS.name
        await admin.delete_records(
            {TopicPartition(topic, p): RecordsToDelete(before_offset=n) for p, n in before.items()}
        )
    finally:
        await admin.close()


async def _below_the_start(stage: Stage) -> Outcome:
    """Retention was faster than the scorer: what is gone is said, and everything else counts once."""
    await stage.append(EARLY)
    scorer = stage.actor("scorer")
    await scorer.start("tx.committed:6")
    await scorer.dies()
    positions = await _positions(stage)
    async with stage.log() as log:
        gone = await records(log, POSTS.name)
        ends = {partition: after for partition, (_, after) in (await log.bounds(POSTS.name)).items()}
    await _delete_posts(stage, ends)
    await stage.append(LATER)
    await scorer.start()
    await stage.scored()
    felt = await scorer.metric("firebreak_lane_gap_records_total")
    assert await scorer.stop() == 0
    sight = await stage.look()
    read = [record for record in gone if record.offset < positions[record.partition]]
    assert 0 < len(read) < len(gone)
    assert felt >= len(gone) - len(read) > 0, f"the gap was said to be {felt}, it is {len(gone) - len(read)}"
    return Outcome(replace(sight, posts=[*gone, *sight.posts]), scorer.said(), felt, [*read, *sight.posts])


BOTH: Final[dict[str, Any]] = {
    "nothing to remember": _nothing_to_remember,
    "too much to say": _too_much_to_say,
    "below the start": _below_the_start,
}
KAFKA: Final[dict[str, Any]] = {
    "stopped in a transaction": _stopped_in_a_transaction,
    "overtaken before fencing": lambda stage: _overtaken(stage, "lane.assigned"),
    "overtaken after fencing": lambda stage: _overtaken(stage, "lane.acquired"),
    "one name twice": _one_name_twice,
    **BOTH,
}


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Fates[Outcome]:
    return played(BOTH, lambda _: stage_at(tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="module")
def on_kafka(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Fates[Outcome]:
    def place(name: str) -> Any:
        instance = None if name.startswith("overtaken") else "one"
        return stage_on_kafka(kafka.bootstrap, tmp_path_factory.mktemp("kafka"), instance)

    return played(KAFKA, place)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def fates(request: pytest.FixtureRequest) -> Fates[Outcome]:
    found: Fates[Outcome] = request.getfixturevalue(f"on_{request.param}")
    return found


def test_a_batch_that_changes_no_state_still_moves_on_and_is_not_done_twice(fates: Fates[Outcome]) -> None:
    sight = fates.outcome("nothing to remember").sight
    assert not sight.state
    assert_exact(sight)


def test_an_output_over_the_limit_is_set_aside_and_nothing_else(fates: Fates[Outcome]) -> None:
    sight = fates.outcome("too much to say").sight
    reference = Reference(tuple(BRANDS))
    reference.feed(record for record in sight.posts if record.key != "x:giant")
    giants = [letter for letter in sight.letters if letter.key == "x:giant"]
    assert [b'"reason": "too_large_output"' in (letter.value or b"") for letter in giants] == [True]
    others = [letter for letter in sight.letters if letter.key != "x:giant"]
    assert not differences(replace(sight, letters=others), reference)


def test_a_position_below_the_logs_start_is_a_stated_gap(fates: Fates[Outcome]) -> None:
    outcome = fates.outcome("below the start")
    assert "records_lost_to_retention" in outcome.said
    reference = Reference(tuple(BRANDS))
    reference.feed(outcome.read)
    assert not differences(outcome.sight, reference)


@pytest.mark.kafka
def test_a_scorer_stopped_inside_a_transaction_for_longer_than_its_timeout_does_it_again(
    on_kafka: Fates[Outcome],
) -> None:
    outcome = on_kafka.outcome("stopped in a transaction")
    assert outcome.felt >= 1, "the broker never ended the transaction"
    assert_exact(outcome.sight)


@pytest.mark.kafka
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_scorer_that_comes_back_after_another_took_over_doubles_nothing(on_kafka: Fates[Outcome], when: str) -> None:
    outcome = on_kafka.outcome(f"overtaken {when} fencing")
    assert outcome.felt >= 1, "nobody was fenced"
    assert_exact(outcome.sight)


@pytest.mark.kafka
def test_two_processes_under_one_name_are_told_so_and_double_nothing(on_kafka: Fates[Outcome]) -> None:
    outcome = on_kafka.outcome("one name twice")
    assert "look for a second process" in outcome.said
    assert_exact(outcome.sight)
