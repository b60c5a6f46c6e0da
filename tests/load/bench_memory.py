"""Resident memory of each service as a process of its own: at rest, and after a million events; and the log's bytes a post."""

from __future__ import annotations

import asyncio
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil

from services.base.settings import Settings
from services.runtime.process import open_log
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys
from tests.load.bench_http import CONFIG
from tests.load.posts import engagements

EVENTS = int(os.environ.get("FIREBREAK_BENCH_MEMORY_EVENTS", "1000000"))
CONVERSATIONS = 20_000


def resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


async def measured() -> dict[str, Any]:
    out: dict[str, Any] = {"events": EVENTS}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        environment = {**Keys.fresh().environment(), "FIREBREAK_LOG_LEVEL": "error"}
        installation = Installation(directory, CONFIG, environment, (("ingest",), ("scorer",), ("alerter",)))
        await installation.start()
        for member in installation.members:
            out[f"{member.services[0]} at rest, MB"] = resident_mb(member.pid)
        log = open_log(Settings(data=directory))
        await log.start()
        begin = datetime.now(UTC) - timedelta(hours=3)
        before = sum(path.stat().st_size for path in directory.glob("log.db*"))
        batch = []
        for message in engagements(EVENTS, CONVERSATIONS, begin, per_second=100):
            batch.append(message)
            if len(batch) == 1000:
                await log.append(batch)
                batch.clear()
        await log.append(batch)
        out["sqlite: bytes on disk a post"] = (
            sum(p.stat().st_size for p in directory.glob("log.db*")) - before
        ) / EVENTS
        async with httpx2.AsyncClient() as client:
            done = 0.0
            while done < EVENTS:
                await asyncio.sleep(0.5)
                text = (await client.get(f"{installation.url('scorer')}/metrics")).text
                done = sum(
                    float(line.split()[-1])
                    for line in text.splitlines()
                    if line.startswith("firebreak_lane_records_total{")
                )
        await log.close()
        for member in installation.members:
            out[f"{member.services[0]} after the events, MB"] = resident_mb(member.pid)
        await installation.stop()
    return out


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(measured())
    return result
