"""A lane reads, thinks and commits; whatever goes wrong, each record takes effect exactly once. On the embedded log."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from services.base.clock import ManualClock, moment
from services.base.metrics import FloorMetrics
from services.base.tasks import Tasks
from services.contracts.codec import decode
from services.contracts.stage import StageMoved
from services.contracts.topics import CASCADES, DEADLETTER, POSTS, SIGNALS
from services.eventlog.base import (
    Fenced,
    Gap,
    Group,
    Message,
    Owner,
    Record,
    Restored,
    Transaction,
    Unavailable,
    Uncertain,
)
from services.eventlog.sqlite import SqliteLog
from services.stream import lanes as lanes_module
from services.stream import off_loop as off_loop_module
from services.stream.deadletter import DeadLetterFlood, DeadLetters
from services.stream.lanes import REASSIGNMENTS_PER_MINUTE, FencedTooOften, Lane, Lanes, ReassignedTooOften
from services.stream.off_loop import Stuck, off_loop
from services.stream.processor import StepResult
from services.stream.runner import Runner, Stage
from tests.patience import PATIENCE_SECONDS

BEGIN = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


class Counting:
    """Counts its records in the state; one output a record; a timer that says the total once, an hour on."""

    def __init__(self, partition: int, letters: DeadLetters) -> None:
        self.partition = partition
        self.letters = letters
        self.count = 0
        self.wake: float | None = None

    def restore(self, entries: Mapping[str, bytes]) -> None:
        if (entry := entries.get("count")) is not None:
            count, wake = json.loads(entry)
            self.count, self.wake = count, wake

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        return await off_loop(lambda: self._process(records, now))

    def _process(self, records: Sequence[Record], now: datetime) -> StepResult:
        out = StepResult()
        for record in records:
            value = record.value or b""
            while value == b"endless":
                pass
            if value == b"stuck":
                time.sleep(3.0)  # one call that Python cannot end
            if value == b"poison":
                out.appends.append(self.letters.letter(record, "garbage", "it is poison"))
                continue
            if value == b"bug":
                raise RuntimeError("a bug of ours")
            self.count += 1
            big = b"x" * 1_000_000 if value == b"huge" else value
            out.appends.append(Message(SIGNALS.name, "acme", big, 0))
        if self.wake is None:
            self.wake = now.timestamp() + 3600
        out.changes["count"] = json.dumps([self.count, self.wake]).encode()
        return out

    def due(self) -> datetime | None:
        return None if self.wake is None else moment(self.wake)

    async def fire(self, now: datetime) -> StepResult:
        assert self.wake is not None
        assert now.timestamp() >= self.wake
        self.wake = 4e9
        total = f"total {self.count}".encode()
        return StepResult([Message(SIGNALS.name, "acme", total, 0)], {"count": json.dumps([self.count, 4e9]).encode()})


class Bench:
    """One runner over a fresh log of one partition."""

    def __init__(self, log: SqliteLog, clock: ManualClock, metrics: FloorMetrics) -> None:
        self.log = log
        self.clock = clock
        self.metrics = metrics

    @asynccontextmanager
    async def running(
        self, wrap: Callable[[Owner], Owner] | None = None, dead_letters: int = 100
    ) -> AsyncIterator[Runner]:
        stage = Stage("counting", Group("counters", POSTS.name, CASCADES.name), Counting, 10)
        runner = Runner(stage, self.log, self.clock, self.metrics, dead_letters)
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            await runner.start(tasks)
            if wrap is not None:
                acquire = runner.membership.acquire

                async def wrapped(partition: int) -> Owner:
                    return wrap(await acquire(partition))

                runner.membership.acquire = wrapped  # type: ignore[method-assign]
            yield runner
            tasks.stopping()
            await runner.stop(asyncio.get_running_loop().time() + 5)
            tasks.cancel_rest()

    async def posts(self, *values: bytes) -> None:
        await self.log.append([Message(POSTS.name, "k", value, 0) for value in values])

    async def done(self, runner: Runner) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await runner.idle():
                await asyncio.sleep(0.01)

    async def said(self, topic: str = SIGNALS.name) -> list[bytes]:
        return [record.value or b"" for record in (await self.log.read(topic, 0, 0, 10_000)).records]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    log = SqliteLog(tmp_path / "log.db", 1)
    await log.start()
    yield Bench(log, ManualClock(BEGIN), FloorMetrics(CollectorRegistry()))
    await log.close()


class Spoiled:
    """An owner whose commits fail as told, before or after they took effect."""

    def __init__(self, owner: Owner, failures: list[tuple[str, Exception]]) -> None:
        self._owner = owner
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        return getattr(self._owner, name)

    async def commit(self, transaction: Transaction) -> None:
        is_step = bool(transaction.appends)  # and not the note of where the process begins
        when, error = self._failures.pop(0) if is_step and self._failures else ("never", Exception())
        if when == "before":
            raise error
        await self._owner.commit(transaction)
        if when == "after":
            raise error


async def test_each_record_takes_effect_once_over_restarts(bench: Bench) -> None:
    for start in range(0, 60, 20):
        await bench.posts(*(b"%d" % n for n in range(start, start + 20)))
        async with bench.running() as runner:
            await bench.done(runner)
    assert await bench.said() == [b"%d" % n for n in range(60)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Fenced("x"), Uncertain("x"), Unavailable("x")])
async def test_a_commit_with_an_unknown_outcome_is_neither_lost_nor_doubled(
    bench: Bench, when: str, error: Exception
) -> None:
    failures = [(when, error)]
    await bench.posts(*(b"%d" % n for n in range(25)))
    async with bench.running(lambda owner: Spoiled(owner, failures)) as runner:  # type: ignore[return-value,arg-type]
        await bench.done(runner)
    assert not failures, "the failure was never felt"
    assert await bench.said() == [b"%d" % n for n in range(25)]


class Misplaced:
    """An owner that had to go on elsewhere, as its log says until a commit there has taken effect."""

    def __init__(self, owner: Owner, ways: list[dict[str, object]]) -> None:
        self._owner = owner
        self._ways = ways

    def __getattr__(self, name: str) -> object:
        return getattr(self._owner, name)

    @property
    def restored(self) -> Restored:
        return replace(self._owner.restored, **self._ways[0]) if self._ways else self._owner.restored  # type: ignore[arg-type]

    async def commit(self, transaction: Transaction) -> None:
        await self._owner.commit(transaction)
        self._ways.clear()


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ({"moved_from": 99}, [("another_log", 99)]),
        ({"gap": Gap(3, 7)}, [("retention", 3)]),
        ({"moved_from": 99, "gap": Gap(3, 7)}, [("another_log", 99), ("retention", 3)]),
        ({"gap": Gap(0, 7)}, []),
        ({}, []),
    ],
)
async def test_a_stage_that_goes_on_elsewhere_says_so_once(
    bench: Bench, way: dict[str, object], told: list[tuple[str, int]]
) -> None:
    ways = [way]
    for _ in range(2):
        await bench.posts(b"1")
        async with bench.running(lambda owner: Misplaced(owner, ways)) as runner:  # type: ignore[return-value,arg-type]
            await bench.done(runner)
    said = [one for one in await bench.said() if one != b"1"]
    events = [decode(one).event for one in said]
    assert all(isinstance(event, StageMoved) and event.moved.stage == "counting" for event in events)
    found = [(event.moved.why, event.moved.position) for event in events if isinstance(event, StageMoved)]
    assert found == told


async def test_three_fencings_in_a_minute_end_the_process(bench: Bench) -> None:
    failures: list[tuple[str, Exception]] = [("before", Fenced("x"))] * 3
    await bench.posts(b"1")
    with pytest.raises(ExceptionGroup) as caught:
        async with bench.running(lambda owner: Spoiled(owner, failures)):  # type: ignore[return-value,arg-type]
            await asyncio.sleep(PATIENCE_SECONDS)
    assert caught.group_contains(FencedTooOften)


async def test_poison_goes_to_the_dead_letter_and_its_neighbours_live(bench: Bench) -> None:
    await bench.posts(b"1", b"poison", b"2")
    async with bench.running() as runner:
        await bench.done(runner)
    assert await bench.said() == [b"1", b"2"]
    (letter,) = [json.loads(value) for value in await bench.said(DEADLETTER.name)]
    assert (letter["reason"], letter["offset"], letter["key"]) == ("garbage", 1, "k")
    assert base64.b64decode(letter["value_base64"]) == b"poison"


@pytest.mark.parametrize(("value", "reason"), [(b"bug", "processor_error"), (b"huge", "too_large_output")])
async def test_a_record_that_breaks_the_step_is_found_and_set_aside_alone(
    bench: Bench, value: bytes, reason: str
) -> None:
    await bench.posts(b"1", b"2", value, b"3", b"4")
    async with bench.running() as runner:
        await bench.done(runner)
        await bench.posts(b"5")
        await bench.done(runner)
    assert await bench.said() == [b"1", b"2", b"3", b"4", b"5"]
    (letter,) = [json.loads(value) for value in await bench.said(DEADLETTER.name)]
    assert (letter["reason"], letter["offset"]) == (reason, 2)


async def test_a_record_that_is_thought_about_without_end_is_set_aside_and_the_process_lives_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_loop_module, "STALL_SECONDS", 0.3)
    await bench.posts(b"1", b"2", b"endless", b"3", b"4")
    beats = 0
    async with bench.running() as runner:
        done = asyncio.ensure_future(bench.done(runner))
        while not done.done():
            await asyncio.sleep(0.02)
            beats += 1
    assert beats > 5, "the event loop had its turns"
    assert await bench.said() == [b"1", b"2", b"3", b"4"]
    (letter,) = [json.loads(value) for value in await bench.said(DEADLETTER.name)]
    assert (letter["reason"], letter["offset"]) == ("stalled", 2)


async def test_what_cannot_be_ended_stops_the_process_with_a_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_loop_module, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(off_loop_module, "END_SECONDS", 0.2)
    await bench.posts(b"stuck")
    with pytest.raises(ExceptionGroup) as caught:
        async with bench.running():
            await asyncio.sleep(PATIENCE_SECONDS)
    assert caught.group_contains(Stuck)
    assert await bench.said() == []


async def test_a_flood_of_dead_letters_stops_the_service(bench: Bench) -> None:
    await bench.posts(*[b"poison"] * 6)
    with pytest.raises(ExceptionGroup) as caught:
        async with bench.running(dead_letters=5):
            await asyncio.sleep(PATIENCE_SECONDS)
    assert caught.group_contains(DeadLetterFlood)
    assert await bench.said(DEADLETTER.name) == [], "the batch was not committed"


async def test_a_timer_survives_a_restart_and_fires_once(bench: Bench) -> None:
    await bench.posts(b"1", b"2")
    async with bench.running() as runner:
        await bench.done(runner)
    bench.clock.advance(3599)
    async with bench.running() as runner:
        await bench.done(runner)
        assert await bench.said() == [b"1", b"2"]
        bench.clock.advance(1)
        await bench.done(runner)
    async with bench.running() as runner:
        await bench.done(runner)
    assert await bench.said() == [b"1", b"2", b"total 2"]


async def test_two_runners_share_the_work_without_doubling_it(tmp_path: Path) -> None:
    logs = [SqliteLog(tmp_path / "log.db", 4, beat_seconds=0.1, lease_seconds=2) for _ in range(2)]
    clock = ManualClock(BEGIN)
    benches = []
    for log in logs:
        await log.start()
        benches.append(Bench(log, clock, FloorMetrics(CollectorRegistry())))
    async with benches[0].running() as first:
        await logs[0].append([Message(POSTS.name, "k", b"%d" % n, n % 4) for n in range(200)])
        async with benches[1].running() as second, asyncio.timeout(PATIENCE_SECONDS):
            while len(second.membership.assigned) != 2 or len(first.membership.assigned) != 2:
                await asyncio.sleep(0.02)
            await logs[1].append([Message(POSTS.name, "k", b"%d" % n, n % 4) for n in range(200, 400)])
            await benches[0].done(first)
            await benches[1].done(second)
        await logs[0].append([Message(POSTS.name, "k", b"%d" % n, n % 4) for n in range(400, 500)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(first.membership.assigned) != 4:
                await asyncio.sleep(0.02)
        await benches[0].done(first)
    said = sorted(int(value) for value in await benches[0].said())
    assert said == list(range(500))
    for log in logs:
        await log.close()


async def test_health_tells_restoring_from_serving(bench: Bench) -> None:
    async with bench.running() as runner:
        await bench.done(runner)
        assert runner.ready().ok
        assert runner.live().ok
        assert runner.ready().detail["partitions"] == [0]


def samples(metric: Collector) -> dict[str, float]:
    return {sample.name: sample.value for family in metric.collect() for sample in family.samples}


async def test_what_is_measured_exists_from_the_start_and_ends_with_the_partition(bench: Bench) -> None:
    async with bench.running() as runner:
        await bench.posts(b"one")
        await bench.done(runner)
        bench.metrics.lane_behind.labels("counting", "0").set(7)
    assert not samples(bench.metrics.lane_behind)  # another owner speaks for the partition now
    assert samples(bench.metrics.lane_age_seconds)["firebreak_lane_age_seconds_count"] == 1
    assert samples(bench.metrics.lane_restarts)["firebreak_lane_restarts_total"] == 0


async def test_the_same_partitions_ten_times_in_a_minute_end_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of a stable name that is thrown out of its group again and again by another process of that name."""
    monkeypatch.setattr(lanes_module, "CHECK_SECONDS", 0.02)
    lanes = Lanes(
        "counting", Group("counters", POSTS.name, instance="scorer-0"), serve_nothing, bench.log, bench.metrics
    )
    for _ in range(REASSIGNMENTS_PER_MINUTE):
        lanes.assigned(frozenset({0}))
    with pytest.raises(ExceptionGroup) as caught:
        await watched(lanes)
    assert caught.group_contains(ReassignedTooOften, match="scorer-0")


async def serve_nothing(lane: Lane, owner: Owner) -> None:
    assert owner.partition == lane.partition
    lane.begin()
    while not lane.stopping:
        await owner.read(1, 0.05)


async def watched(lanes: Lanes) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        await lanes.start(Tasks(group))
        await asyncio.Event().wait()
