"""A whole process on a real socket, with small limits, and every route that it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr

from services.base.settings import Settings
from services.config.loading import parse
from services.runtime.process import Process

ADMIN_KEY = "an-admin-key-for-tests"
POST_KEY = "a-key-to-post-for-tests"
CONFIG = parse("brands: [{id: acme, name: Acme, accounts: [{network: x, handle: acme, owner: care}]}]")


@dataclass
class Running:
    process: Process
    client: httpx2.AsyncClient
    cookie: str

    @property
    def port(self) -> int:
        return int(self.process.server.url.rpartition(":")[2])

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of each, with something in the place of every name."""
        for method, path in sorted(set(_walked(self.process.server.config.app.routes))):  # type: ignore[union-attr]
            parts = ["x" if part.startswith("{") else part for part in path.split("/")]
            yield method, "/".join(parts)

    def headers(self, path: str) -> dict[str, str]:
        """What opens the route."""
        if path.startswith("/console"):
            return {"cookie": self.cookie}
        return {"authorization": f"Bearer {POST_KEY if path in ('/v1/posts', '/v1/coverage') else ADMIN_KEY}"}


def _walked(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _walked(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data=folder,
        port=0,
        partitions=1,
        admin_key=SecretStr(ADMIN_KEY),
        api_keys=SecretStr(f"me:{POST_KEY}"),
        stop_seconds=10,
        **more,
    )
    process = Process(settings, CONFIG, ("ingest", "alerter"))
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(process.run(stop, started.set))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        async with httpx2.AsyncClient(base_url=process.server.url, timeout=60) as client:
            form = {"key": ADMIN_KEY, "person": "dana", "next": "/console"}
            answer = await client.post("/console/login", data=form)
            cookie = answer.headers["set-cookie"].partition(";")[0]
            client.cookies.clear()
            yield Running(process, client, cookie)
    finally:
        stop.set()
        await task


def host_of(location: str) -> str:
    return urlsplit(location).netloc
