"""The filtered stream: one answer that never ends, a line for each post, and an empty line every 20 seconds that says that it
lives. A line may come in pieces, and may be broken: only the line is lost then.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

import httpx2

from ingest.sources.base import Away, SourceTrouble
from ingest.sources.x.api import STREAM_FIELDS, STREAM_PATH, XApi, read_all

MAX_LINE_BYTES: Final = 1_000_000
MOST_WAITING: Final = 5_000
"""Lines that wait. When there are more X is made to wait, and closes the stream in the end; search fetches the rest."""
AT_ONCE: Final = 20
"""Lines that are taken before the purse is asked again."""
ALIVE_SECONDS: Final = 50.0
"""Without a byte for so long the connection is dead: X promises one every 20 seconds."""
TOO_LONG: Final = b"\x00"
"""Stands for a line that is too long: it cannot be read."""


class Lines:
    """Cuts bytes into lines, in time that grows with them. What is too long is one line that cannot be read."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._skipping = False

    def cut(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk, without their ends; a keep-alive is an empty one."""
        found: list[bytes] = []
        *ended, begun = chunk.split(b"\n")
        for part in ended:
            self._begun += part
            found.append(
                TOO_LONG if self._skipping or len(self._begun) > MAX_LINE_BYTES else bytes(self._begun).strip()
            )
            self._begun.clear()
            self._skipping = False
        self._begun += begun
        if len(self._begun) > MAX_LINE_BYTES:
            self._skipping = True
            self._begun.clear()
        return found


class OpenStream:
    """One connection. Used as `async with`; a second one at the same time is refused by X."""

    def __init__(self, api: XApi) -> None:
        self._api = api
        self._answer: httpx2.Response | None = None
        self._lines: asyncio.Queue[bytes | SourceTrouble] = asyncio.Queue(MOST_WAITING)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> OpenStream:
        """Raises `SourceTrouble`."""
        request = self._api.http.build_request(
            "GET",
            self._api.base + STREAM_PATH,
            params=dict(STREAM_FIELDS),
            headers=self._api.headers,
            timeout=httpx2.Timeout(20.0, read=ALIVE_SECONDS),
        )
        try:
            answer = await self._api.http.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise Away(f"X cannot be reached ({type(error).__name__})") from None
        try:
            if answer.status_code >= 300:
                content = await read_all(answer)
                raise self._api.trouble(answer.status_code, answer.headers, content, STREAM_PATH) or Away("no stream")
        except httpx2.HTTPError as error:
            await answer.aclose()
            raise Away(f"X broke off its answer ({type(error).__name__})") from None
        except BaseException:
            await answer.aclose()
            raise
        self._answer = answer
        self._task = asyncio.create_task(self._pump(answer), name="x stream")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def next(self, seconds: float) -> list[bytes]:
        """The lines that came, at most so long waited for. Raises `SourceTrouble` when the stream has ended, after what it
        brought."""
        found: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                line = await self._lines.get()
        except TimeoutError:
            return found
        while not isinstance(line, SourceTrouble):
            found.append(line)
            if len(found) >= AT_ONCE or self._lines.empty():
                return found
            line = self._lines.get_nowait()
        if found:
            self._lines.put_nowait(line)
            return found
        raise line

    def waiting(self) -> list[bytes]:
        """What has come and was not taken yet: X bills it."""
        found: list[bytes] = []
        while not self._lines.empty():
            line = self._lines.get_nowait()
            if isinstance(line, bytes):
                found.append(line)
        return found

    async def stop(self) -> None:
        """Let nothing more come. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._answer is not None:
            await self._answer.aclose()

    async def _pump(self, answer: httpx2.Response) -> None:
        lines = Lines()
        try:
            async for chunk in answer.aiter_bytes():
                for line in lines.cut(chunk):
                    await self._lines.put(line)
            trouble = Away("X closed the stream")
        except httpx2.HTTPError as error:
            trouble = Away(f"the stream of X broke off ({type(error).__name__})")
        await self._lines.put(trouble)
