"""A client over the guard reaches what is allowed and nothing else, wherever an answer sends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx2
import pytest

from services.base.egress import GuardedBackend, allowed_networks
from services.base.guarded_client import guarded_client


@pytest.fixture
async def server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that sends whoever asks for `/away` to a name, and counts what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b" ")[1])
        location = b"http://inside.example:%d/secret" % port
        writer.write(
            b"HTTP/1.1 302 Found\r\nlocation: " + location + b"\r\n" if b"/away" in head else b"HTTP/1.1 200 OK\r\n"
        )
        writer.write(b"content-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield port, asked


async def resolve(host: str, _port: int) -> Sequence[str]:
    return {"outside.example": ["127.0.0.1"], "inside.example": ["127.0.0.2"]}[host]


async def test_a_redirect_that_leads_to_an_address_that_is_not_allowed_is_not_connected_to(
    server: tuple[int, list[bytes]],
) -> None:
    port, asked = server
    backend = GuardedBackend(allowed_networks("127.0.0.1/32"), resolve)
    async with guarded_client(backend, follow_redirects=True) as client:
        assert (await client.get(f"http://outside.example:{port}/here")).status_code == 200
        with pytest.raises(httpx2.ConnectError, match=r"127\.0\.0\.2, which is not allowed"):
            await client.get(f"http://outside.example:{port}/away")
    assert asked == [b"/here", b"/away"]


async def test_a_proxy_of_the_environment_is_not_asked(
    server: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = server
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with guarded_client(GuardedBackend(allowed_networks("127.0.0.1/32"), resolve)) as client:
        assert (await client.get(f"http://outside.example:{port}/here")).status_code == 200
    assert asked == [b"/here"]
