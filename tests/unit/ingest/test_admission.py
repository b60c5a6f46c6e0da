"""Who is sent away, when, and until when."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from ingest.admission import STALE_SECONDS, Admission, LagWatch, Shed, TokenBucket
from ingest.metrics import IngestMetrics, ShedReason
from services.base.settings import Settings
from services.eventlog.base import Closed, EventLog, Unavailable
from tests.patience import PATIENCE_SECONDS


class StubLog:
    """Only its lag is asked for here."""

    def __init__(self) -> None:
        self.answers: list[int | Exception | asyncio.Event] = []
        self.asked = 0
        self.was_asked = asyncio.Event()

    async def lag(self, group: str, topic: str) -> int:
        assert (group, topic) == ("firebreak-scorer", "firebreak.posts")
        self.asked += 1
        self.was_asked.set()
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return 7
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """An admission with a time that stands still until it is moved."""

    def __init__(self, **settings: Any) -> None:
        self.now = 100.0
        self.log = StubLog()
        registry = CollectorRegistry()
        metrics = IngestMetrics(registry)
        self.registry = registry
        self.watch = LagWatch(cast("EventLog", self.log), metrics, lambda: self.now)
        self.door = Admission(Settings(**settings), self.watch, metrics, lambda: self.now)

    def refusal(self, key: str = "feed", posts: int = 0) -> Shed:
        with pytest.raises(Shed) as caught, self.door.visit(key) as visit:
            visit.charge(posts)
        return caught.value


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=20, now=0)
    assert bucket.take(20, 0) == 0
    assert bucket.take(5, 0) == pytest.approx(0.5)
    assert bucket.take(5, 0.5) == 0
    assert bucket.take(1, 0.5) == pytest.approx(0.1)


def test_a_batch_over_the_burst_is_let_through_when_the_bucket_is_full_and_is_owed() -> None:
    bucket = TokenBucket(rate=10, burst=20, now=0)
    assert bucket.take(50, 0) == 0
    assert bucket.take(0, 0) == pytest.approx(3)
    assert bucket.take(0, 3) == 0
    assert bucket.take(50, 3) == pytest.approx(2)


def test_a_bucket_never_holds_more_than_its_burst_and_survives_a_clock_that_steps_back() -> None:
    bucket = TokenBucket(rate=10, burst=20, now=0)
    assert bucket.take(20, 1000) == 0
    assert bucket.take(1, 990) > 0


async def test_keys_do_not_pay_for_each_other() -> None:
    desk = Desk(key_posts_per_second=1, key_posts_burst=10)
    with desk.door.visit("feed") as visit:
        visit.charge(15)
    refusal = desk.refusal("feed")
    assert (refusal.reason, refusal.retry_after) == (ShedReason.RATE, 5)
    with desk.door.visit("other") as visit:
        visit.charge(10)


async def test_requests_in_flight_are_bounded_and_counted_back() -> None:
    desk = Desk(max_requests_in_flight=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(desk.door.visit("feed"))
        assert desk.refusal().reason is ShedReason.REQUESTS_IN_FLIGHT
        assert not desk.door.is_empty
    assert desk.door.is_empty
    with desk.door.visit("feed"):
        pass


async def test_bytes_in_flight_are_bounded_over_all_requests_and_counted_back() -> None:
    desk = Desk(max_bytes_in_flight=2000)
    with desk.door.visit("feed") as first, desk.door.visit("other") as second:
        first.hold(1500)
        second.hold(400)
        with pytest.raises(Shed) as caught:
            second.hold(200)
    assert caught.value.reason is ShedReason.BYTES_IN_FLIGHT
    with desk.door.visit("feed") as visit:
        visit.hold(2000)


async def test_posts_are_shed_while_the_scorer_is_too_far_behind() -> None:
    desk = Desk(shed_above_lag=100)
    desk.log.answers = [101, 100]
    await desk.watch.poll()
    refusal = desk.refusal()
    assert refusal.reason is ShedReason.SCORER_LAG
    assert "101 records behind" in refusal.why
    await desk.watch.poll()
    with desk.door.visit("feed"):
        pass


async def test_nobody_is_shed_for_a_lag_that_is_only_a_memory() -> None:
    desk = Desk(shed_above_lag=100)
    desk.log.answers = [1000]
    await desk.watch.poll()
    desk.now += STALE_SECONDS + 1
    assert desk.watch.lag is None
    assert desk.watch.trouble is not None
    with desk.door.visit("feed"):
        pass


@pytest.mark.parametrize("error", [Unavailable("away"), Closed("closed"), RuntimeError("odd")])
async def test_a_lag_that_cannot_be_told_is_trouble_and_no_end(error: Exception) -> None:
    desk = Desk()
    desk.log.answers = [error, 3]
    await desk.watch.poll()
    assert desk.watch.trouble is not None
    await desk.watch.poll()
    assert desk.watch.trouble is None
    assert desk.watch.lag == 3


async def test_a_question_without_an_answer_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.admission.POLL_SECONDS", 0.001)
    desk, answer = Desk(), asyncio.Event()
    desk.log.answers = [answer]
    await desk.watch.poll()
    await desk.watch.poll()
    assert desk.log.asked == 1
    assert desk.watch.lag is None
    answer.set()
    await desk.watch.poll()
    assert desk.watch.lag == 7


async def test_the_watch_ends_when_told_even_while_it_waits_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.admission.POLL_SECONDS", 0.001)
    desk, stop = Desk(), asyncio.Event()
    desk.log.answers = [asyncio.Event()]
    running = asyncio.create_task(desk.watch.run(stop))
    await desk.log.was_asked.wait()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_SECONDS)


async def test_a_closed_door_drains() -> None:
    desk = Desk()
    with desk.door.visit("feed"):
        desk.door.close()
        draining = asyncio.create_task(desk.door.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        assert desk.refusal().reason is ShedReason.STOPPING
    await draining
