"""Real HTTP receivers on loopback: one that verifies with the reference library, and hostile ones, one a path."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Got:
    path: str
    id: str
    headers: dict[str, str]
    raw: bytes
    arrived: float
    method: str = "POST"
    taken: bool = True
    """Whether the receiver said yes, where a test cares."""

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def type(self) -> str:
        return str(self.body["type"])


Answer = Callable[[Got, asyncio.StreamWriter], Any]


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    head = "".join(f"{header}\r\n" for header in headers)
    answer = f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body

    async def say(_got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return say


async def stall(_got: Got, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(_got: Got, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def endless(_got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def silent_body(_got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok")
    await writer.drain()
    await asyncio.Event().wait()


async def no_http(_got: Got, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01 SSH-2.0 whatever\r\n\r\n")
    await writer.drain()


@dataclass
class Receiver:
    """`answers[path]` decides what a path does; the rest answers 204."""

    answers: dict[str, Answer] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    port: int = 0
    keeps_alive: bool = False
    connections: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer) and self.keeps_alive:
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        one = Got(path, headers.get("webhook-id", ""), headers, raw, time.time(), head[0].split(" ")[0])
        self.got.append(one)
        await self.answer_of(one)(one, writer)
        return True

    def answer_of(self, got: Got) -> Answer:
        return self.answers.get(got.path, status(204))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]

    def types(self, path: str) -> list[str]:
        return [one.type for one in self.at(path)]


def verify(secret: str, got: Got) -> None:
    """By the reference library, as a receiver would."""
    Webhook(secret).verify(got.raw, got.headers)
