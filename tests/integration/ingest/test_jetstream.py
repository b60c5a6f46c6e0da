"""The Bluesky source against Jetstreams that do what real ones did: forget, renumber, fall silent, end the stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from ingest.sources.base import Away, Cursor, Heard, Refused, SourceContext
from ingest.sources.bluesky.resuming import opening
from ingest.sources.bluesky.source import BlueskySource, build
from services.base.clock import ManualClock
from services.config.connectors.bluesky import BlueskySection
from services.config.loading import parse
from tests.contract.sources.bluesky import POST, FakeJetstream

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
PATIENCE_SECONDS = 60
BRANDS = parse("brands: [{id: acme, name: Acme Air}]").brands


class Free:
    def may(self, dollars: float) -> bool:
        return dollars == 0

    def paid(self, dollars: float) -> None:
        assert dollars == 0

    def share(self) -> float:
        return 1.0


@pytest.fixture
async def servers() -> AsyncIterator[list[FakeJetstream]]:
    made = [await FakeJetstream().start() for _ in range(2)]
    yield made
    for server in made:
        await server.stop()


@contextlib.asynccontextmanager
async def source(*servers: FakeJetstream) -> AsyncIterator[BlueskySource]:
    async with httpx2.AsyncClient() as http:
        options = BlueskySection(
            kind="bluesky", name="sky", instances=tuple(server.url for server in servers), appview=None
        )
        made = build(SourceContext("bluesky", options, BRANDS, {}, ManualClock(NOW), http, Free()))
        yield made
        await made.close()


def say(server: FakeJetstream, text: str, minutes: float = 0, key: str | None = None) -> None:
    record: dict[str, Any] = {"text": text}
    at = NOW - timedelta(hours=1) + timedelta(minutes=minutes)
    key = key or f"3n3igyb{len(server.frames):06}"
    server.say(at, "mia", operation="create", collection=POST, rkey=key, record=record)


async def listen(source: BlueskySource, cursor: Cursor | None, *texts: str) -> list[Heard]:
    """What is heard until all these texts were, in whichever order."""
    heard: list[Heard] = []
    wanted = set(texts)
    async with asyncio.timeout(PATIENCE_SECONDS), contextlib.aclosing(source.listen(cursor)) as stream:  # type: ignore[type-var]
        async for one in stream:
            heard.append(one)
            wanted -= {item.get("text") for item in one.items}
            if not wanted:
                break
    return heard


def place(heard: list[Heard]) -> Cursor:
    return [one.cursor for one in heard if one.cursor is not None][-1]


def texts(heard: list[Heard]) -> set[str]:
    return {item["text"] for one in heard for item in one.items if "text" in item}


async def begin(source: BlueskySource, server: FakeJetstream) -> Cursor:
    """Listen, hear a post, and stop. (What listened before may not have been missed yet.)"""
    asked = len(server.asked)

    async def write() -> None:
        while len(server.asked) == asked:
            await asyncio.sleep(0.01)
        say(server, "Acme Air is late")

    writing = asyncio.create_task(write())
    heard = await listen(source, None, "Acme Air is late")
    await writing
    return place(heard)


async def test_another_server_is_asked_by_time_and_never_by_a_sequence(servers: list[FakeJetstream]) -> None:
    first, second = servers
    first.first_sequence = 1_000_000
    async with source(first, second) as ears:
        cursor = await begin(ears, first)
        for n, text in enumerate(["Acme Air is late", "Acme Air is later", "Acme Air is latest"]):
            say(second, text, n, "3n3igyb000000")
        await first.stop()
        heard = await listen(ears, cursor, "Acme Air is later", "Acme Air is latest")
    assert int(second.asked[-1]["cursor"][0]) > 10**15
    assert place(heard).origin != cursor.origin
    assert not any(one.missed for one in heard)


@pytest.mark.parametrize("says_future", [True, False])
async def test_a_server_that_counts_anew_is_asked_again_by_time(
    servers: list[FakeJetstream], says_future: bool
) -> None:
    first, _ = servers
    first.first_sequence, first.says_future = 1_000_000, says_future
    async with source(first) as ears:
        cursor = await begin(ears, first)
        first.first_sequence = 1
        for frame in first.frames:
            frame["seq"] = 1
        say(first, "Acme Air is later", 1)

        async def go_on() -> None:
            while len(first.asked) < 2 or not first._listeners:
                await asyncio.sleep(0.01)
            say(first, "Acme Air is latest", 2)

        going = asyncio.create_task(go_on())
        heard = await listen(ears, cursor, "Acme Air is later", "Acme Air is latest")
        await going
    assert {"Acme Air is later", "Acme Air is latest"} <= texts(heard)
    assert int(first.asked[-1]["cursor"][0]) > 10**15


@pytest.mark.parametrize("old", [False, True])
async def test_what_a_server_has_forgotten_is_stated_as_a_gap(servers: list[FakeJetstream], old: bool) -> None:
    first, _ = servers
    first.old = old
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "Acme Air is forgotten", 1)
        say(first, "Acme Air is kept", 30)
        first.floor = 3
        if old:
            del first.frames[:2]
            first.first_sequence = 3
        heard = await listen(ears, cursor, "Acme Air is kept")
    (gap,) = [gap for one in heard for gap in one.missed]
    assert gap.begins == cursor.at
    assert gap.ends == NOW - timedelta(minutes=30)


async def test_the_older_protocol_is_spoken_where_the_newer_one_is_not_known(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    first.old = True
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "Acme Air is later", 1)
        heard = await listen(ears, cursor, "Acme Air is later")
    assert not any(one.missed for one in heard)


async def test_a_reader_that_is_too_slow_is_told_and_loses_nothing(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "Acme Air is later", 1)

        async def end() -> None:
            for times in (2, 3):
                while len(first.asked) < times:
                    await asyncio.sleep(0.01)
                first.broadcast({"$type": "error", "error": "ConsumerTooSlow", "message": "bye"})

        ending = asyncio.create_task(end())
        with pytest.raises(Away, match="ConsumerTooSlow"):
            await listen(ears, cursor, "never")
        await ending
        assert len(first.asked) == 3, "it asks again once, and then others decide how long to wait"
        assert "Acme Air is later" in texts(await listen(ears, cursor, "Acme Air is later"))


async def test_what_is_said_after_a_cut_of_a_stream_that_brought_nothing_is_heard(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    async with source(first) as ears:

        async def cut() -> None:
            while not first.asked:
                await asyncio.sleep(0.01)
            first.cut()
            at = NOW + timedelta(seconds=1)
            record = {"text": "Acme Air is late"}
            first.say(at, "mia", operation="create", collection=POST, rkey="3n3igyb000000", record=record)

        cutting = asyncio.create_task(cut())
        heard = await listen(ears, None, "Acme Air is late")
        await cutting
    assert not any(one.missed for one in heard)


@pytest.mark.parametrize("old", [False, True])
async def test_a_server_whose_clock_is_set_back_is_heard(servers: list[FakeJetstream], old: bool) -> None:
    first, _ = servers
    first.old = old
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "Acme Air is ahead", 240)
        ahead = place(await listen(ears, cursor, "Acme Air is ahead"))
        assert ahead.at > NOW

        async def set_back() -> None:
            asked = len(first.asked)
            while len(first.asked) == asked:
                await asyncio.sleep(0.01)
            say(first, "Acme Air is later", 61)

        setting = asyncio.create_task(set_back())
        later = place(await listen(ears, ahead, "Acme Air is later"))
        await setting
    assert later.at < ahead.at, "what comes next is measured by the clock that it has now"


async def test_a_server_that_calls_our_time_the_future_is_heard(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    async with source(first) as ears:

        async def speak() -> None:
            while not first.asked:
                await asyncio.sleep(0.01)
            first.broadcast({"$type": "#info", "name": "FutureCursor"})
            say(first, "Acme Air is late")

        speaking = asyncio.create_task(speak())
        await listen(ears, opening(f"127.0.0.1:{first.port}", NOW), "Acme Air is late")
        await speaking
    assert len(first.asked) == 1


async def test_a_cut_while_what_was_heard_comes_again_does_not_bring_it_twice(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "Acme Air is later", 0.01)
        cursor = place(await listen(ears, cursor, "Acme Air is later"))
        whole = first.frames.copy()
        del first.frames[1:]  # of what comes again the first comes, and then the cut

        async def cut() -> None:
            asked = len(first.asked)
            while len(first.asked) == asked or not first._listeners:
                await asyncio.sleep(0.01)
            first.frames[:] = whole
            first.cut()
            say(first, "Acme Air is latest", 0.02)

        cutting = asyncio.create_task(cut())
        heard = await listen(ears, cursor, "Acme Air is latest")
        await cutting
    assert texts(heard) == {"Acme Air is latest"}


async def test_a_record_as_large_as_the_network_allows_does_not_end_the_stream(servers: list[FakeJetstream]) -> None:
    first, _ = servers
    async with source(first) as ears:
        cursor = await begin(ears, first)
        say(first, "x" * 2_500_000, 1)
        say(first, "Acme Air is later", 2)
        await listen(ears, cursor, "Acme Air is later")


async def test_all_servers_are_tried_before_any_is_waited_for(servers: list[FakeJetstream]) -> None:
    first, second = servers
    first.status = (503, {}, "no")
    async with source(first, second) as ears:
        assert (await begin(ears, second)).origin.endswith(str(second.port))
        second.status = (429, {"Retry-After": "120"}, "no")
        with pytest.raises(Away) as away:
            await listen(ears, None, "never")
        assert away.value.retry_after_seconds == 120
        first.status = second.status = (403, {}, "no")
        with pytest.raises(Refused):
            await listen(ears, None, "never")


async def test_no_server_leads_to_another_one(servers: list[FakeJetstream]) -> None:
    first, second = servers
    first.status = (302, {"Location": f"{second.url}/subscribe"}, "over there")
    async with source(first) as ears:
        with pytest.raises(Away, match="302"):
            await listen(ears, None, "never")
    assert not second.asked


async def test_a_probe_hears_the_next_server_and_its_turn_comes(servers: list[FakeJetstream]) -> None:
    first, second = servers
    async with source(first, second) as ears:

        async def speak() -> None:
            while not second.asked:
                await asyncio.sleep(0.01)
            say(second, "good morning")

        speaking = asyncio.create_task(speak())
        assert (await ears.probe()).newest == NOW - timedelta(hours=1)
        await speaking
        assert (await begin(ears, second)).origin.endswith(str(second.port))
