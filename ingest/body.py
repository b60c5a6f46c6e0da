"""Reads a request's body within its bounds: never more than the limit in memory, whatever `Content-Length` says or a
few bytes of gzip unfold to, and never longer than the deadline."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

GZIP: Final = 16 + zlib.MAX_WBITS
ENCODINGS: Final = frozenset({"gzip", "x-gzip", "identity", ""})


class BodyTooLarge(Exception):
    """More than the limit."""


class BodyTooSlow(Exception):
    """Not there by the deadline."""


class BodyDamaged(Exception):
    """Not the gzip it claims to be."""


async def read_body(
    chunks: AsyncIterator[bytes], *, encoding: str, limit: int, seconds: float, hold: Callable[[int], None]
) -> bytes:
    """The whole body, decompressed. `hold` is told of every piece before it is kept, and may refuse it by raising.

    Raises `BodyTooLarge`, `BodyTooSlow`, `BodyDamaged`.
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
    """Unfolds gzip, several members in a row too, and never more than it is asked for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, chunk: bytes, at_most: int) -> bytes:
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
