"""What the runner does with what a source says, whatever its network: budgets, rejected items, large batches, faults, calls."""

from __future__ import annotations

import sys
import types
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from ingest.sources import intake, kinds
from ingest.sources.base import (
    Away,
    Cursor,
    Heard,
    Looked,
    Lost,
    Missed,
    Probe,
    Received,
    Refused,
    Reply,
    SourceContext,
)
from services.base.clock import Clock, ManualClock
from services.base.errors import ConfigError
from services.contracts.base import BrandId, ConversationId, event_id
from services.contracts.codec import encode
from services.contracts.post import PostKind
from services.contracts.signal import WatchRequested
from services.contracts.source_status import Phase
from services.contracts.topics import WATCH
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from tests.contract.sources.life import NAME, NOW, World
from tests.contract.sources.network import BRAND

Script = Callable[[SourceContext, Cursor | None], AsyncIterator[Heard]]


class Scripted:
    """A network without a server: `script` plays what the source hears, and `receive` what it is called with."""

    name = "vendor"
    pace_seconds = 5.0
    secrets: Mapping[str, str] = {}

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.script: Script = quiet


def post(number: int, **fields: Any) -> dict[str, Any]:
    return {"post_id": str(number), "kind": "original", "text": "Acme Air is late", **fields}


async def quiet(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
    while True:
        yield Heard()
        await context.clock.sleep(5)


class Played:
    silence_seconds = None

    def __init__(self, context: SourceContext, network: Scripted) -> None:
        self._context = context
        self._network = network

    def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        return self._network.script(self._context, cursor)

    async def probe(self) -> Probe:
        return Probe()

    async def receive(self, request: Received) -> Reply:
        if request.headers.get("x-signature") != "right":
            raise Refused("wrong signature")
        return Reply(200, b"thanks", heard=Heard([post(int(request.body))]))

    async def close(self) -> None:
        """There is nothing to give back."""


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    clock = ManualClock(NOW)
    network: Any = Scripted(clock)
    module = types.ModuleType("played_source")
    module.build = lambda context: Played(context, network)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "played_source", module)
    monkeypatch.setitem(kinds.KINDS, "drop", "played_source:build")
    world = World(tmp_path, network, clock)
    world.configure({"name": NAME, "kind": "drop", "folder": "/nowhere", "spending": {"day_dollars": 1}})
    world.reader = SqliteLog(tmp_path / "log.db", 2, retention=False)
    await world.reader.start()
    yield world
    await world.reader.close()


def plays(world: World, script: Script) -> None:
    world.network.script = script  # type: ignore[attr-defined]


async def test_a_spent_budget_is_a_gap_that_says_so_and_ends_with_the_new_day(world: World) -> None:
    numbers = iter(range(1_000_000))

    async def costly(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
        while True:
            if context.spend.may(0.3):
                context.spend.paid(0.3)
                yield Heard([post(next(numbers))])
            else:
                yield Heard()
            await context.clock.sleep(60)

    plays(world, costly)
    async with world.life():

        async def told() -> bool:
            return any(gap.reason and "budget of the day (1 dollars)" in gap.reason for gap in await world.gaps())

        await world.until(told)
        assert len(await world.posts()) == 3
        world.clock.advance(13 * 3600)

        async def heard_again() -> bool:
            return len(await world.posts()) > 3 and not await world.open_gaps()

        await world.until(heard_again)
    async with world.life():

        async def counts_on() -> bool:
            status = await world.status()
            return status is not None and status.spent_this_month >= 1.2 - 1e-9

        await world.until(counts_on)


async def test_a_bad_item_is_counted_and_left_out_and_the_others_are_stored(world: World) -> None:
    circle: dict[str, Any] = {}
    circle["text"] = circle

    async def bad(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
        yield Heard(
            [post(1), {"post_id": ""}, circle, {"text": 5}, post(2, text=float("nan")), post(3, kind="reply"), post(4)]
        )
        async for one in quiet(context, None):
            yield one

    plays(world, bad)
    async with world.life() as life:
        await world.heard("1", "4")

        async def counted() -> bool:
            return (life.counted("items_rejected_total"), life.counted("posts_total")) == (5, 2)

        await world.until(counted)
    assert Counter(await world.posts()) == Counter(["1", "4"])


async def test_a_large_batch_is_cut_and_the_cursor_moves_with_its_last_piece(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PIECE_ITEMS", 7)
    asked: list[Cursor | None] = []

    async def much(context: SourceContext, cursor: Cursor | None) -> AsyncIterator[Heard]:
        asked.append(cursor)
        if cursor is None:
            yield Heard([post(n) for n in range(50)], Cursor("here", "50", context.clock.now()))
        async for one in quiet(context, None):
            yield one

    plays(world, much)
    async with world.life():
        await world.heard(*map(str, range(50)))
    async with world.life():

        async def again() -> bool:
            return len(asked) == 2

        await world.until(again)
    assert asked[1] is not None
    assert asked[1].position == "50"
    assert Counter(await world.posts()) == Counter(map(str, range(50)))


async def test_what_comes_again_in_one_life_is_stored_once(world: World) -> None:
    async def twice(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
        yield Heard([post(1), post(1)])
        yield Heard([post(1), post(2)])
        async for one in quiet(context, None):
            yield one

    plays(world, twice)
    async with world.life():
        await world.heard("1", "2")
    assert Counter(await world.posts()) == Counter(["1", "2"])


async def test_a_fault_of_a_connector_is_told_and_waited_for(world: World) -> None:
    lives = iter([True, False])

    async def faulty(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
        yield Heard()
        if next(lives):
            raise KeyError("secret")
        yield Heard([post(1)])
        async for one in quiet(context, None):
            yield one

    plays(world, faulty)
    async with world.life() as life:
        await world.heard("1")
        assert life.counted("restarts_total", why="fault") == 1

        async def caught_up() -> bool:
            return bool(await world.gaps()) and not await world.open_gaps()

        await world.until(caught_up)
    (gap, *_) = await world.gaps()
    assert gap.reason == "a fault of the connector: KeyError"
    assert not await world.open_gaps()


async def test_what_was_lost_is_a_gap_from_when_it_was_lost(world: World) -> None:
    begins = NOW - timedelta(hours=5)

    async def lost(context: SourceContext, cursor: Cursor | None) -> AsyncIterator[Heard]:
        if cursor is not None:
            raise Lost("gone", Missed(begins, NOW, "forgotten", 12))
        yield Heard([post(1)], Cursor("here", "1", context.clock.now()))
        async for one in quiet(context, None):
            yield one

    plays(world, lost)
    async with world.life():
        await world.heard("1")
    async with world.life():

        async def stated() -> bool:
            return any(gap.begins == begins and gap.missed == 12 and gap.ends for gap in await world.gaps())

        await world.until(stated)


async def test_the_network_may_call_any_replica_and_the_answer_comes_after_the_log_has_it(world: World) -> None:
    async with world.life() as life:
        app = FastAPI()
        life.service.mount(app)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://us") as client:
            signed = {"x-signature": "right"}
            answer = await client.post(f"/v1/sources/{NAME}", content=b"7", headers=signed)
            assert (answer.status_code, answer.text) == (200, "thanks")
            assert "7" in await world.posts()
            assert (await client.post(f"/v1/sources/{NAME}", content=b"8")).status_code == 401
            assert (await client.post(f"/v1/sources/{NAME}", content=b"x", headers=signed)).status_code == 400
            assert (await client.post("/v1/sources/nobody", content=b"8", headers=signed)).status_code == 404
            large = await client.post(f"/v1/sources/{NAME}", content=b"8" * 5_000_001, headers=signed)
            assert large.status_code == 413
    assert await world.posts() == ["7"]


async def test_a_source_that_cannot_be_built_is_refused_and_begins_at_the_reload_that_mends_it(world: World) -> None:
    module: Any = sys.modules["played_source"]
    good, secret = module.build, "FIREBREAK_SOURCE_EARS_TOKEN is not set"

    def bad(_: SourceContext) -> Played:
        raise ConfigError(secret)

    async def brings(context: SourceContext, _: Cursor | None) -> AsyncIterator[Heard]:
        yield Heard([post(1)])
        async for one in quiet(context, None):
            yield one

    plays(world, brings)
    module.build = bad
    async with world.life() as life:

        async def refused() -> bool:
            status = await world.status()
            return status is not None and (status.phase, status.why) == (Phase.REFUSED, secret)

        await world.until(refused)
        assert life.service.ready().detail["sources"] == {NAME: "refused"}
        module.build = good
        await life.config.reload()
        await world.heard("1")
    assert not await world.open_gaps()


class Followed(Played):
    """A network that can be asked about single posts."""

    posts_per_look = 10
    dollars_per_post = 0.0

    async def look(self, posts: Sequence[str]) -> Looked:
        self._network.asked.append(tuple(posts))  # type: ignore[attr-defined]
        if len(self._network.asked) == 1:  # type: ignore[attr-defined]
            raise Away("not now")
        found = {"post_id": posts[0], "kind": "counters", "root_id": posts[0], "counters": {"likes": 70, "reposts": 9}}
        return Looked([found])


async def test_a_post_that_the_scorer_asks_to_watch_is_asked_about_and_what_is_found_is_stored(
    world: World,
) -> None:
    """The first look fails, which is no trouble of the stream; posts of other networks are nobody's business here."""
    asked: list[tuple[str, ...]] = []
    world.network.asked = asked  # type: ignore[attr-defined]
    sys.modules["played_source"].build = lambda context: Followed(context, world.network)  # type: ignore[attr-defined, arg-type]
    for network in (world.network.name, "elsewhere"):
        request = WatchRequested(
            network=network,
            post_id="77",
            conversation=ConversationId(f"{network}:77"),
            brands=(BrandId(BRAND),),
            every_seconds=60.0,
            until=NOW + timedelta(days=2),
            reason="a story that may cross its brand's line",
        )
        name = event_id("test", network)
        await world.reader.append([Message(WATCH.name, request.conversation, encode(request, name))])
    async with world.life() as life:

        async def stored() -> list[Any]:
            return [one for one in await world.events() if getattr(one, "kind", None) is PostKind.COUNTERS]

        counters = await world.until(stored)
        assert counters[0].counters.likes == 70
        assert set(asked) == {("77",)}
        assert life.counted("looks_total", result="failed") == 1
        assert life.counted("restarts_total", why="away") == 0
        assert not await world.open_gaps()
