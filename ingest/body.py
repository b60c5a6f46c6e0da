"""Reads the body of a request within bounds: never more than the limit is in memory, whatever `Content-Length` says or gzip
unpacks to, and reading never takes longer than the deadline."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

GZIP: Final = 16 + zlib.MAX_WBITS
ENCODINGS: Final = frozenset({"gzip", "x-gzip", "identity", ""})


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


class BodyTooSlow(Exception):
    """The body was not complete by the deadline."""


class BodyDamaged(Exception):
    """The body is not the gzip that it claims to be."""


async def read_body(
    chunks: AsyncIterator[bytes], *, encoding: str, limit: int, seconds: float, hold: Callable[[int], None]
) -> bytes:
    """The whole body, decompressed. `limit` is in bytes after decompression; `hold` is told the size of each piece before it is
    kept, and may refuse it by raising.

    Raises `BodyTooLarge`, `BodyTooSlow` (after so many `seconds`) or `BodyDamaged`.
    """
    gzip = encoding in ("gzip", "x-gzip")
    inflater = _Inflater() if gzip else None
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                piece = chunk if inflater is None else inflater.feed(chunk, limit - size + 1)
                size += len(piece)
                if size > limit:
                    raise BodyTooLarge
                if piece:
                    hold(len(piece))
                    pieces.append(piece)
    except TimeoutError:
        raise BodyTooSlow from None
    if inflater is not None and not inflater.complete:
        raise BodyDamaged("the gzip stream ends too early")
    return b"".join(pieces)


class _Inflater:
    """Unpacks gzip, also several members in a row, and never more of it than it is asked for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self._begun = False

    @property
    def complete(self) -> bool:
        """True if the last member has ended."""
        return self._member.eof or not self._begun

    def feed(self, chunk: bytes, at_most: int) -> bytes:
        """What `chunk` unpacks to, but not more than `at_most` bytes. Raises `BodyDamaged` if it is not gzip."""
        out = bytearray()
        while chunk and len(out) < at_most:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            self._begun = True
            try:
                out += self._member.decompress(chunk, at_most - len(out))
            except zlib.error as error:
                raise BodyDamaged(f"not gzip: {error}") from error
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return bytes(out)
