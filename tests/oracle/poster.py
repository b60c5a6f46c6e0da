"""A client that does as ingest asks: sends again what was not accepted, waits as long as it is told, and remembers both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import httpx2

from tests.oracle.stage import KEY
from tests.patience import PATIENCE_SECONDS

CHUNK: Final = 30
"""Posts in one request. Less than the window of ids of one conversation, so that a request sent twice is known again."""
AGAIN_SECONDS: Final = 0.2


class Poster:
    """`sent` counts posts that got a 202; `refusals` are the answers that asked to come back. `limit` is the share of the
    night after which it waits: so that something is left for what is tested to happen to."""

    def __init__(self, url: str, posts: Sequence[dict[str, Any]]) -> None:
        self.url = f"{url}/v1/posts"
        self.sent = 0
        self.limit = 1.0
        self.unanswered = 0
        self.refusals: list[httpx2.Response] = []
        self._posts = posts

    @property
    def share(self) -> float:
        """How much of the night was accepted."""
        return self.sent / len(self._posts)

    async def send_all(self, pause: float = 0.0, patience: float = PATIENCE_SECONDS) -> None:
        """In their order, one request at a time. `patience`: how long one request may be tried."""
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/x-ndjson"}
        async with httpx2.AsyncClient(timeout=20, headers=headers) as client:
            for start in range(0, len(self._posts), CHUNK):
                chunk = self._posts[start : start + CHUNK]
                body = "\n".join(map(json.dumps, chunk)).encode()
                async with asyncio.timeout(patience):
                    await self._send(client, body)
                self.sent += len(chunk)
                while self.limit <= self.share < 1.0:
                    await asyncio.sleep(AGAIN_SECONDS)
                await asyncio.sleep(pause)

    async def _send(self, client: httpx2.AsyncClient, body: bytes) -> None:
        while True:
            try:
                answer = await client.post(self.url, content=body)
            except httpx2.TransportError:
                self.unanswered += 1
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if answer.status_code == 202:
                results = answer.json()["results"]
                assert all(result["status"] == "accepted" for result in results), results
                return
            assert answer.status_code == 503, answer.text
            self.refusals.append(answer)
            await asyncio.sleep(min(1.0, float(answer.headers["retry-after"])))
