"""The one commit point: what it promises when the log is well, slow, away, or finds something too large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from ingest.metrics import IngestMetrics
from ingest.normalize import Notice, Observation
from ingest.publisher import Publisher
from ingest.schemas import Reason
from services.contracts.base import ConversationId, event_id
from services.contracts.codec import decode
from services.contracts.post import PostDeleted, PostKind, PostObserved, PostPlaced
from services.eventlog.base import Closed, EventLog, Message, TooLarge, Unavailable
from services.eventlog.sqlite import SqliteLog

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class StubLog:
    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.calls = 0
        self.asked = 0
        self.called = asyncio.Event()
        self.refuse: Callable[[Message], bool] = lambda _: False
        self.error: Exception | None = None
        self.answer = asyncio.Event()
        self.answer.set()

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]:
        await self.answer.wait()
        self.asked += topic == "firebreak.posts"
        return dict.fromkeys(range(3), (0, 0))

    async def append(self, messages: Sequence[Message]) -> None:
        self.calls += 1
        self.called.set()
        await self.answer.wait()
        if self.error is not None:
            raise self.error
        if any(self.refuse(message) for message in messages):
            raise TooLarge("too large")
        self.stored.extend(messages)


def observation(post_id: str, text: str = "hi") -> Observation:
    place = ConversationId(f"x:{post_id}")
    event = PostObserved(
        network="x", post_id=post_id, kind=PostKind.ORIGINAL, conversation=place, home=place, text=text, observed_at=NOW
    )
    return Observation(event_id(post_id), event)


@pytest.fixture
def stub() -> StubLog:
    return StubLog()


@pytest.fixture
def publisher(stub: StubLog) -> Publisher:
    return Publisher(cast("EventLog", stub), IngestMetrics(CollectorRegistry()), timeout_seconds=0.02)


async def test_every_event_is_appended_under_its_conversation(stub: StubLog, publisher: Publisher) -> None:
    observed = [observation(str(n)) for n in range(500)]
    assert await publisher.publish({n: [o] for n, o in enumerate(observed)}) == {}
    assert [(m.topic, m.key) for m in stub.stored] == [("firebreak.posts", f"x:{n}") for n in range(500)]
    assert [tuple(decode(m.value)) for m in stub.stored] == [tuple(o) for o in observed]


async def test_an_event_over_the_limit_is_refused_before_the_log_sees_it(stub: StubLog, publisher: Publisher) -> None:
    items = {0: [observation("0")], 1: [observation("1"), observation("2", "x" * 1_000_000)], 2: [observation("3")]}
    errors = await publisher.publish(items)
    assert {index: error.code for index, error in errors.items()} == {1: Reason.TOO_LARGE}
    assert [m.key for m in stub.stored] == ["x:0", "x:3"]


async def test_what_the_log_finds_too_large_loses_no_other(stub: StubLog, publisher: Publisher) -> None:
    stub.refuse = lambda message: message.key in ("x:3", "x:8")
    errors = await publisher.publish({n: [observation(str(n))] for n in range(10)})
    assert sorted(errors) == [3, 8]
    assert [m.key for m in stub.stored] == [f"x:{n}" for n in range(10) if n not in (3, 8)]


async def test_nothing_is_asked_of_the_log_for_nothing(stub: StubLog, publisher: Publisher) -> None:
    assert await publisher.publish({}) == {}
    assert stub.calls == 0


@pytest.mark.parametrize("error", [Unavailable("no broker"), Closed("closed")])
async def test_a_log_that_is_away_is_said_to_be_away(stub: StubLog, publisher: Publisher, error: Exception) -> None:
    stub.error = error
    with pytest.raises(Unavailable, match="the event log cannot be reached"):
        await publisher.publish({0: [observation("0")]})


async def test_while_an_append_is_overdue_no_other_is_handed_over(stub: StubLog, publisher: Publisher) -> None:
    stub.answer.clear()
    with pytest.raises(Unavailable, match="no answer within"):
        await publisher.publish({0: [observation("0")]})
    assert publisher.overdue_seconds > 0
    with pytest.raises(Unavailable, match="earlier append"):
        await publisher.publish({0: [observation("1")]})
    assert stub.calls == 1
    stub.answer.set()
    await publisher.close(asyncio.get_running_loop().time() + 5)
    await publisher.publish({0: [observation("2")]})
    assert [m.key for m in stub.stored] == ["x:0", "x:2"]


async def test_an_append_outlives_the_request_that_was_cancelled(stub: StubLog, publisher: Publisher) -> None:
    stub.answer.clear()
    request = asyncio.create_task(publisher.publish({0: [observation("0")]}))
    await stub.called.wait()
    request.cancel()
    await asyncio.wait({request})
    stub.answer.set()
    await publisher.close(asyncio.get_running_loop().time() + 5)
    assert [m.key for m in stub.stored] == ["x:0"]


async def test_closing_waits_until_the_deadline_and_no_longer(stub: StubLog, publisher: Publisher) -> None:
    stub.answer.clear()
    with pytest.raises(Unavailable):
        await publisher.publish({0: [observation("0")]})
    await publisher.close(asyncio.get_running_loop().time() + 0.01)
    assert publisher.overdue_seconds == 0
    await publisher.close(0)


async def test_a_deletion_goes_to_every_partition_and_a_place_to_that_of_the_posts_own_id(
    stub: StubLog, publisher: Publisher
) -> None:
    deleted = Notice(event_id("d"), PostDeleted(network="x", post_id="7", at=NOW))
    placed = Notice(event_id("p"), PostPlaced(network="x", post_id="8", home=ConversationId("x:1"), at=NOW))
    await publisher.publish({0: [observation("7"), deleted], 1: [placed]})
    assert [(m.key, m.partition) for m in stub.stored] == [
        ("x:7", None), ("x:7", 0), ("x:7", 1), ("x:7", 2), ("x:8", None),
    ]  # fmt: skip
    assert {decode(m.value).id for m in stub.stored[1:4]} == {event_id("d")}
    await publisher.publish({0: [deleted]})
    assert stub.asked == 1, "the log is asked once how many partitions it has"


async def test_a_deletion_that_comes_before_the_log_is_open_is_to_be_sent_again(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", 3, retention=False)
    publisher = Publisher(log, IngestMetrics(CollectorRegistry(), ()), timeout_seconds=30)
    with pytest.raises(Unavailable):
        await publisher.publish({0: [Notice(event_id("d"), PostDeleted(network="x", post_id="7", at=NOW))]})
    await log.close()


async def test_while_the_log_does_not_say_its_partitions_a_deletion_is_to_be_sent_again(
    stub: StubLog, publisher: Publisher
) -> None:
    deleted = Notice(event_id("d"), PostDeleted(network="x", post_id="7", at=NOW))
    stub.answer.clear()
    with pytest.raises(Unavailable):
        await publisher.publish({0: [deleted]})
    assert stub.stored == []
    stub.answer.set()
    await publisher.publish({0: [deleted]})
    assert len(stub.stored) == 3
