"""A connection has so long for each part of a request, and one of a bounded number of places: on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from services.runtime.connections import MAX_HEAD_BYTES, CloseReason, Limits
from services.runtime.http import Server
from tests.patience import PATIENCE_SECONDS

ENOUGH = 30.0
"""A bound that no test waits for."""
CALM = Limits(head_seconds=ENOUGH, body_seconds=ENOUGH, places=100)
GET = b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n"


@dataclass
class Opened:
    """A client with a socket of its own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> bytes:
        """One answer with a length."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
            return head + await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        got = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65_536):
                    got += piece
        return got

    async def drip(self, data: bytes) -> bytes:
        """Send `data` again and again, a byte at a time, until the server closes. Returns what it said."""

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    for byte in data:
                        self.writer.write(bytes([byte]))
                        await self.writer.drain()
                        await asyncio.sleep(0.01)

        sending = asyncio.create_task(send())
        try:
            return await self.rest()
        finally:
            sending.cancel()


class House:
    """The real server on a real socket, with routes of every habit."""

    def __init__(self, limits: Limits) -> None:
        self.closed: Counter[CloseReason] = Counter()
        self.gone = asyncio.Event()
        self.go_on = asyncio.Event()
        app = FastAPI()

        @app.get("/quick")
        async def quick() -> PlainTextResponse:
            return PlainTextResponse("quick")

        @app.get("/slow")
        async def slow() -> PlainTextResponse:
            await self.go_on.wait()
            return PlainTextResponse("slow")

        @app.post("/reads")
        async def reads(request: Request) -> PlainTextResponse:
            try:
                return PlainTextResponse(str(len(await request.body())))
            finally:
                self.gone.set()

        @app.post("/ignores")
        async def ignores() -> PlainTextResponse:
            return PlainTextResponse("who are you?", 401)

        @app.get("/large")
        async def large() -> PlainTextResponse:
            return PlainTextResponse("x" * 50_000_000)

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            async def events() -> AsyncIterator[bytes]:
                yield b"one"
                await self.go_on.wait()
                yield b"two"

            return StreamingResponse(events())

        self.server = Server(app, "127.0.0.1", 0, replace(limits, count=lambda why: self.closed.update([why])))
        self.port = int(self.server.url.rpartition(":")[2])

    async def open(self) -> Opened:
        opened = Opened(*await asyncio.open_connection("127.0.0.1", self.port))
        self._opened.append(opened)
        return opened

    @asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        self._opened: list[Opened] = []
        serving = asyncio.create_task(self.server.run_until_stopped())
        while not self.server.started:
            await asyncio.sleep(0)
        try:
            yield self
        finally:
            self.go_on.set()
            for opened in self._opened:
                opened.writer.close()
            self.server.stop()
            await serving


HALF_HEADS = [b"", b"G", b"GET /quick HTTP/1.1\r\n", GET[:-2], b"POST /reads HTTP/1.1\r\ncontent-length: 5\r\nx-a: "]


@pytest.mark.parametrize("half", HALF_HEADS)
async def test_a_head_that_does_not_come_is_closed_and_said_to_be_late(half: bytes) -> None:
    async with House(replace(CALM, head_seconds=0.1)).running() as house:
        client = await house.open()
        client.send(half)
        assert (await client.rest())[:12] == (b"HTTP/1.1 408" if half else b"")
        assert house.closed == {CloseReason.HEAD_TOO_SLOW: 1}


async def test_a_head_that_drips_is_closed_also_on_a_connection_that_was_good() -> None:
    async with House(replace(CALM, head_seconds=0.2)).running() as house:
        fresh, known = await house.open(), await house.open()
        for _ in range(3):
            known.send(GET)
            assert (await known.answer()).endswith(b"quick")
        endless = b"x-header: yes\r\n"
        answers = await asyncio.gather(*(one.drip(GET[:-2] + endless * 1000) for one in (fresh, known)))
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 408"] * 2
        assert house.closed == {CloseReason.HEAD_TOO_SLOW: 2}


@pytest.mark.parametrize("path", ["reads", "ignores", "nowhere"])
@pytest.mark.parametrize("length", ["content-length: 100000", "transfer-encoding: chunked"])
async def test_a_body_that_drips_is_closed_on_every_kind_of_route(path: str, length: str) -> None:
    async with House(replace(CALM, body_seconds=0.2)).running() as house:
        client = await house.open()
        client.send(f"POST /{path} HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n".encode())
        said = await client.drip(b"1\r\nx\r\n" if "chunked" in length else b"x")
        assert said[:12] == {"reads": b"HTTP/1.1 408", "ignores": b"HTTP/1.1 401", "nowhere": b"HTTP/1.1 404"}[path]
        assert house.closed == {CloseReason.BODY_TOO_SLOW: 1}
        if path == "reads":
            await asyncio.wait_for(house.gone.wait(), PATIENCE_SECONDS)


async def test_a_request_that_is_whole_in_time_is_served_however_long_the_answer_takes() -> None:
    async with House(Limits(head_seconds=0.1, body_seconds=0.1, keep_alive_seconds=ENOUGH)).running() as house:
        slow, streaming, idle = await house.open(), await house.open(), await house.open()
        slow.send(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        streaming.send(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        idle.send(GET)
        await idle.answer()
        late = await house.open()
        assert await late.rest() == b""  # its time passed, and with it that of the others
        house.go_on.set()
        assert (await slow.answer()).endswith(b"slow")
        assert b"two" in await asyncio.wait_for(streaming.reader.readuntil(b"two"), PATIENCE_SECONDS)
        idle.send(GET)
        assert (await idle.answer()).endswith(b"quick")


async def test_several_requests_in_one_piece_are_all_answered_and_half_a_next_one_is_not_waited_for() -> None:
    async with House(replace(CALM, head_seconds=0.2)).running() as house:
        client = await house.open()
        client.send(GET * 3 + GET[:20])
        said = await client.rest()
        assert said.count(b"HTTP/1.1 200") == 3
        assert said.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("piece", [b"x-header: " + b"v" * 1000 + b"\r\n", b"a:b\r\n"])
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(piece: bytes) -> None:
    async with House(CALM).running() as house:
        client = await house.open()
        client.send(GET[:-2] + piece * (2 * MAX_HEAD_BYTES // len(piece)))
        assert (await client.rest())[:12] in (b"HTTP/1.1 431", b"")  # the answer may be lost: it still sends
        assert house.closed == {CloseReason.HEAD_TOO_LARGE: 1}
        endless = await house.open()
        endless.send(b"GET /" + b"a" * 2 * MAX_HEAD_BYTES)
        await endless.rest()
        assert house.closed == {CloseReason.HEAD_TOO_LARGE: 2}


async def test_a_large_body_is_no_large_head() -> None:
    async with House(CALM).running() as house:
        client = await house.open()
        for head in (b"content-length: 200000", b"expect: 100-continue\r\ncontent-length: 200000"):
            client.send(b"POST /reads HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n" + b"x" * 200_000)
            said = await asyncio.wait_for(client.reader.readuntil(b"200000"), PATIENCE_SECONDS)
            assert b"HTTP/1.1 200" in said
        assert not house.closed


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with House(replace(CALM, flush_seconds=0.5)).running() as house:
        deaf = socket.create_connection(("127.0.0.1", house.port))
        with contextlib.closing(deaf):
            deaf.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not house.closed:
                    await asyncio.sleep(0.01)
        assert house.closed == {CloseReason.ANSWER_NOT_READ: 1}


async def test_an_answer_that_is_read_slowly_is_not_given_up_however_long_it_takes() -> None:
    async with House(replace(CALM, flush_seconds=0.2)).running() as house:
        client = await house.open()
        client.send(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        got, pauses = 0, 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while got < 50_000_000:
                got += len(await client.reader.read(1_000_000))
                pauses += 1
                await asyncio.sleep(0.005)
        assert pauses > 40, "longer than a client may leave it unread"
        assert not house.closed


@pytest.mark.parametrize("half", HALF_HEADS)
async def test_a_thousand_half_requests_do_not_keep_a_whole_one_out(half: bytes) -> None:
    async with House(replace(CALM, places=20)).running() as house:
        streaming = await house.open()
        streaming.send(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.wait_for(streaming.reader.readuntil(b"one"), PATIENCE_SECONDS)
        for _ in range(100):
            (await house.open()).send(half)
        client = await house.open()
        client.send(GET)
        assert (await client.answer()).endswith(b"quick")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(house.server.server_state.connections) > 20:
                await asyncio.sleep(0.01)
        assert house.closed[CloseReason.MAKES_ROOM] >= 82
        house.go_on.set()
        assert b"two" in await asyncio.wait_for(streaming.reader.readuntil(b"two"), PATIENCE_SECONDS)


async def test_where_all_places_are_served_one_more_is_told_to_come_back() -> None:
    async with House(replace(CALM, places=2)).running() as house:
        streams = [await house.open() for _ in range(2)]
        for one in streams:
            one.send(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
            await asyncio.wait_for(one.reader.readuntil(b"one"), PATIENCE_SECONDS)
        client = await house.open()
        assert (await client.rest())[:12] == b"HTTP/1.1 503"
        assert house.closed == {CloseReason.NO_PLACE: 1}


def test_there_are_fewer_places_than_files() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Limits(places=10**9).open_places <= soft // 2
    assert Limits(places=1).open_places == 1


async def test_a_request_that_came_while_the_loop_stood_still_is_answered_and_not_reset() -> None:
    """The connection had been idle for too long by the time the loop looked, and the client's next request lay in it."""
    async with House(replace(CALM, keep_alive_seconds=0.1)).running() as house:
        with contextlib.closing(socket.create_connection(("127.0.0.1", house.port))) as client:
            client.settimeout(PATIENCE_SECONDS)

            def answer() -> bytes:
                got = b""
                while not got.endswith(b"quick") and (piece := client.recv(65_536)):
                    got += piece
                return got

            client.sendall(GET)
            assert await asyncio.to_thread(answer)
            stall, wake = socket.socketpair()
            stood = asyncio.Event()

            def stand_still() -> None:
                loop.remove_reader(stall)
                client.sendall(GET)
                time.sleep(0.3)  # beyond the connection's time, so that its timer is due when the loop goes on
                stood.set()

            loop = asyncio.get_running_loop()
            loop.add_reader(stall, stand_still)
            wake.send(b"x")
            await stood.wait()
            stall.close()
            wake.close()
            assert await asyncio.to_thread(answer)
            assert await asyncio.to_thread(client.recv, 1) == b"", "and an idle one is closed"


async def test_a_server_that_stops_answers_what_came_and_says_that_the_connection_ends() -> None:
    async with House(CALM).running() as house:
        before, waiting = await house.open(), await house.open()
        for one in (before, waiting):
            one.send(GET)
            assert b"connection: close" not in await one.answer()
        house.server.drain()
        before.send(GET)
        assert b"connection: close" in await before.rest()
        waiting.send(GET)
        house.server.stop()
        said = await waiting.rest()
        assert b"quick" in said
        assert b"connection: close" in said


async def test_an_upgrade_that_we_do_not_know_is_answered_as_if_it_were_not_asked_for() -> None:
    async with House(replace(CALM, head_seconds=0.2, body_seconds=0.2)).running() as house:
        for kind in (b"websocket", b"h2c"):
            client = await house.open()
            client.send(GET[:-2] + b"connection: upgrade\r\nupgrade: " + kind + b"\r\n\r\n")
            assert (await client.answer()).endswith(b"quick")
