"""A storm: fifty brands get 1,500 complaints in a minute, each opens an incident, and each incident has its webhook.

Measures the time from a post to its verified webhook through the all-in-one, and whether any id was delivered twice. The
times are drawn into `build/storm.svg`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from services.base.clock import RealClock
from services.config.loading import parse
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys, serving
from services.tools.sink import Sink, Webhooked
from tests.load import plot
from tests.load.bench_http import quantile
from tests.load.plot import Bar, Series
from tests.load.posts import bodies

BRANDS = 50
COMPLAINTS = 1500
SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""How long to wait for the last webhook."""
BARS = (Bar("p50 at most 1 s", 1.0), Bar("p99 at most 5 s", 5.0))
PLOT = Path("build/storm.svg")


def config() -> str:
    brands = [
        f"{{id: b{n}, name: Brand{n:02} Air, accounts: [{{network: x, handle: brand{n:02}, owner: care}}]}}"
        for n in range(BRANDS)
    ]
    return f"""
brands: [{", ".join(brands)}]
rules: [{{id: severe, complaint_severity: 1, policy: desk}}]
policies: [{{id: desk, steps: [{{endpoints: [all]}}]}}]
"""


def storm(rng: random.Random) -> list[tuple[float, dict[str, Any]]]:
    """The complaints, each with the second at which it is posted: at random, so that some come at once."""
    posts = bodies(COMPLAINTS, "storm-")
    for post in posts:
        post["text"] = post["text"].replace("@acme", f"@brand{rng.randrange(BRANDS):02}")
    return list(zip(sorted(rng.uniform(0, SECONDS) for _ in posts), posts, strict=True))


@dataclass
class Times:
    """When each post was sent, by the second of the storm, and when its webhook came; how often each id was delivered."""

    sent: dict[str, float] = field(default_factory=dict)
    came: dict[str, float] = field(default_factory=dict)
    ids: Counter[str] = field(default_factory=Counter)

    def arrived(self, message: Webhooked) -> None:
        self.ids[message.id] += 1
        self.came.setdefault(str(message.body["data"].get("story")), time.perf_counter())

    def points(self) -> list[tuple[float, float]]:
        """(second of the storm, seconds to the webhook) of each post whose webhook came."""
        began = min(self.sent.values(), default=0.0)
        return [(at - began, self.came[story] - at) for story, at in self.sent.items() if story in self.came]


async def blow(url: str, headers: dict[str, str], times: Times) -> None:
    """Post the complaints at their times, and wait until every webhook came, or for a minute."""
    async with (
        httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=200)) as client,
        asyncio.TaskGroup() as group,
    ):

        async def post(body: dict[str, Any]) -> None:
            times.sent[f"x:{body['post_id']}"] = time.perf_counter()
            answer = await client.post(f"{url}/v1/posts", content=json.dumps(body).encode(), headers=headers)
            assert answer.status_code == 202, answer.text

        began = time.perf_counter()
        for at, body in storm(random.Random(1)):
            await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
            group.create_task(post(body))
    waited = time.perf_counter()
    while len(times.came) < len(times.sent) and time.perf_counter() - waited < PATIENCE_SECONDS:
        await asyncio.sleep(0.05)


async def measured() -> dict[str, Any]:
    keys = Keys.fresh()
    environment = {
        **keys.environment(),
        "FIREBREAK_KEY_POSTS_PER_SECOND": "1000000",
        "FIREBREAK_KEY_POSTS_BURST": "1000000",
        "FIREBREAK_LOG_LEVEL": "error",
    }
    headers = {"authorization": f"Bearer {keys.post}", "content-type": "application/x-ndjson"}
    times = Times()
    with tempfile.TemporaryDirectory() as directory:
        installation = Installation(Path(directory), parse(config()), environment)
        await installation.start()
        url = installation.url("ingest")
        sink = Sink(RealClock(), times.arrived)
        async with serving(sink) as sink_url, httpx2.AsyncClient() as client:
            for number in range(BRANDS):
                name = f"desk{number}"
                draft = {"name": name, "url": f"{sink_url}/hooks/{name}", "brands": [f"b{number}"]}
                admin = {"authorization": f"Bearer {keys.admin}"}
                sink.secrets[name] = (await client.post(f"{url}/v1/endpoints", json=draft, headers=admin)).json()[
                    "secret"
                ]
            await blow(url, headers, times)
        await installation.stop()
    points = times.points()
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(drawn(points))
    what = f"{BRANDS} brands, {COMPLAINTS} complaints in a minute, all-in-one"
    return {
        f"{what}: post to webhook, p50 s": quantile([took for _, took in points], 0.5),
        f"{what}: post to webhook, p99 s": quantile([took for _, took in points], 0.99),
        f"{what}: webhooks missing after {PATIENCE_SECONDS:g} s": len(times.sent) - len(points),
        f"{what}: ids delivered twice": sum(count > 1 for count in times.ids.values()),
        "plot": str(PLOT),
    }


def drawn(points: list[tuple[float, float]]) -> str:
    """The times as a plot: each post, and of each second's posts the median."""
    seconds: dict[int, list[float]] = {}
    for at, took in points:
        seconds.setdefault(int(at), []).append(took)
    medians = [(second + 0.5, quantile(took, 0.5)) for second, took in sorted(seconds.items())]
    title = f"{COMPLAINTS:,} complaints about {BRANDS} brands in a minute, post to webhook ({os.cpu_count()} cores)"
    series = [Series("a post", points, "#3b6ea5"), Series("median of a second", medians, "#111", line=True)]
    return plot.plot(title, "seconds since the storm began", "seconds to the webhook", series, BARS)


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(measured())
    return result
