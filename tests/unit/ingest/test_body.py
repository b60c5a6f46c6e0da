"""Bodies are read within their bounds, whatever they claim."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from ingest.body import BodyDamaged, BodyTooLarge, BodyTooSlow, read_body


class Source:
    """Chunks, and how many were taken."""

    def __init__(self, chunks: list[bytes], *, then_hang: bool = False) -> None:
        self.chunks = chunks
        self.then_hang = then_hang
        self.taken = 0
        self.held: list[int] = []

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.taken += 1
            yield chunk
        if self.then_hang:
            await asyncio.Event().wait()

    async def read(self, encoding: str = "", limit: int = 1000, seconds: float = 10) -> bytes:
        return await read_body(self.stream(), encoding=encoding, limit=limit, seconds=seconds, hold=self.held.append)


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[n : n + size] for n in range(0, len(body), size)]


async def test_a_body_is_read_whole_and_every_byte_is_accounted_for() -> None:
    source = Source([b"abc", b"", b"def"])
    assert await source.read() == b"abcdef"
    assert sum(source.held) == 6


async def test_a_body_over_the_limit_is_left_at_the_limit() -> None:
    source = Source([b"x" * 100] * 1000)
    with pytest.raises(BodyTooLarge):
        await source.read()
    assert source.taken == 11
    assert sum(source.held) <= 1000


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert len(await Source([b"x" * 1000]).read()) == 1000
    assert len(await Source([gzip.compress(b"x" * 1000)]).read("gzip")) == 1000


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_gzip_is_read_in_any_pieces(size: int) -> None:
    body = gzip.compress(b"hello ") + gzip.compress(b"world")
    assert await Source(pieces(body, size)).read("gzip") == b"hello world"


async def test_a_gzip_bomb_unfolds_to_the_limit_and_no_further() -> None:
    source = Source(pieces(gzip.compress(b"\0" * 50_000_000), 65536))
    with pytest.raises(BodyTooLarge):
        await source.read("gzip")
    assert sum(source.held) <= 1000


async def test_a_bomb_of_many_empty_members_ends() -> None:
    assert await Source([gzip.compress(b"") * 1000]).read("gzip") == b""


HELLO = gzip.compress(b"hello", mtime=0)  # every process that collects these tests must see the same bytes


@pytest.mark.parametrize("body", [b"no gzip at all", HELLO[:-5], HELLO + b"x" * 20])
async def test_damaged_gzip_is_called_damaged(body: bytes) -> None:
    with pytest.raises(BodyDamaged):
        await Source([body]).read("gzip")


async def test_deflate_is_not_taken_for_gzip() -> None:
    with pytest.raises(BodyDamaged):
        await Source([zlib.compress(b"hello")]).read("gzip")


async def test_a_body_that_never_ends_is_given_up() -> None:
    with pytest.raises(BodyTooSlow):
        await Source([b"x"], then_hang=True).read(seconds=0.01)
