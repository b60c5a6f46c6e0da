"""Posts accepted over HTTP, and the time from a post to its verified webhook, at a steady rate through the all-in-one."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from services.base.clock import RealClock
from services.config.loading import parse
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys, serving
from services.tools.sink import Sink, Webhooked
from tests.load.posts import bodies

CONFIG = parse(
    """
brands: [{id: acme, name: Acme, accounts: [{network: x, handle: acme, owner: care}]}]
rules: [{id: severe, complaint_severity: 1, policy: desk}]
policies: [{id: desk, steps: [{endpoints: [desk]}]}]
"""
)
ACCEPT_SECONDS = 8.0
STEADY_SECONDS = 20.0
RATES = (35, 50, 75, 100, 150, 200)
"""Posts a second, each of which opens an incident."""
KEEPING_UP_SECONDS = 2.0
"""Webhooks keep up at a rate if 99 in 100 came within this time: where they do not, they wait longer with every post."""


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


async def accepted(url: str, headers: dict[str, str], batch: int, clients: int, prefix: str) -> float:
    """Posts a second that were answered 202, from `clients` that each wait for their answer."""
    count, until = 0, time.perf_counter() + ACCEPT_SECONDS

    async def post(number: int) -> None:
        nonlocal count
        async with httpx2.AsyncClient(timeout=30) as client:
            turn = 0
            while time.perf_counter() < until:
                posts = bodies(batch, f"{prefix}{number}-{turn}-")
                content = "\n".join(map(json.dumps, posts)).encode()
                answer = await client.post(f"{url}/v1/posts", content=content, headers=headers)
                assert answer.status_code == 202, answer.text
                count += batch
                turn += 1

    began = time.perf_counter()
    await asyncio.gather(*(post(number) for number in range(clients)))
    return count / (time.perf_counter() - began)


async def steady(url: str, headers: dict[str, str], sink: Sink, rate: int) -> tuple[list[float], int]:
    """Seconds from sending a post to its webhook, for each that came; and how many did not."""
    sent: dict[str, float] = {}
    got: dict[str, float] = {}

    def arrived(message: Webhooked) -> None:
        got.setdefault(str(message.body["data"].get("story")), time.perf_counter())

    sink.on_message = arrived
    async with (
        httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=100)) as client,
        asyncio.TaskGroup() as group,
    ):

        async def post(body: dict[str, Any]) -> None:
            sent[f"x:{body['post_id']}"] = time.perf_counter()
            answer = await client.post(f"{url}/v1/posts", content=json.dumps(body).encode(), headers=headers)
            assert answer.status_code == 202, answer.text

        began = time.perf_counter()
        for number, body in enumerate(bodies(int(rate * STEADY_SECONDS), f"s{rate}-")):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(post(body))
    waited = time.perf_counter()
    while len(got) < len(sent) and time.perf_counter() - waited < 30:
        await asyncio.sleep(0.05)
    return [got[story] - at for story, at in sent.items() if story in got], len(sent) - len(got)


async def measured() -> dict[str, Any]:
    out: dict[str, Any] = {}
    keys = Keys.fresh()
    environment = {
        **keys.environment(),
        "FIREBREAK_KEY_POSTS_PER_SECOND": "1000000",
        "FIREBREAK_KEY_POSTS_BURST": "1000000",
        "FIREBREAK_LOG_LEVEL": "error",
    }
    headers = {"authorization": f"Bearer {keys.post}", "content-type": "application/x-ndjson"}
    keeps_up = 0
    for rate in RATES:
        with tempfile.TemporaryDirectory() as directory:
            installation = Installation(Path(directory), CONFIG, environment)
            await installation.start()
            url = installation.url("ingest")
            async with serving(sink := Sink(RealClock())) as sink_url, httpx2.AsyncClient() as client:
                answer = await client.post(
                    f"{url}/v1/endpoints",
                    json={"name": "desk", "url": f"{sink_url}/hooks/desk"},
                    headers={"authorization": f"Bearer {keys.admin}"},
                )
                sink.secrets["desk"] = answer.json()["secret"]
                times, missing = await steady(url, headers, sink, rate)
            if not missing and quantile(times, 0.99) < KEEPING_UP_SECONDS:
                keeps_up = rate
            out[f"post to webhook at {rate} posts/s, p50 ms"] = quantile(times, 0.5) * 1000
            out[f"post to webhook at {rate} posts/s, p99 ms"] = quantile(times, 0.99) * 1000
            out[f"webhooks missing at {rate} posts/s after 30 s"] = missing
            await installation.stop()
    out["complaints/s that each open an incident, webhooks keeping up"] = keeps_up
    with tempfile.TemporaryDirectory() as directory:
        installation = Installation(Path(directory), CONFIG, environment, (("ingest",),))
        await installation.start()
        url = installation.url("ingest")
        out["posts/s accepted, batches of 500, 2 clients"] = await accepted(url, headers, 500, 2, "b")
        out["posts/s accepted, one a request, 16 clients"] = await accepted(url, headers, 1, 16, "o")
        await installation.stop()
    return out


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(measured())
    return result
