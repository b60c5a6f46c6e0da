"""Deliveries a second from one process, and the time from a signal to the first byte at its receiver at 50 incidents a second.

The real alerter over the embedded log and SQLite; the receivers run in a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from alerter.notify import endpoints, outbox, signing
from alerter.notify.endpoints import Draft, Purpose
from alerter.notify.outbox import Cause
from alerter.service import Alerter
from services.base.clock import RealClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.load.bench_http import quantile
from tests.unit.alerter import make

DELIVERIES = 5000
ENDPOINTS = 5
RATE = 50
STEADY_SECONDS = 15.0

_RECEIVER = r"""
import asyncio, sys, time

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            began = time.time()
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            writer.write(b"HTTP/1.1 204 X\r\n\r\n")
            story = body.split(b'"story":"')[1].split(b'"')[0].decode() if b'"story":"' in body else "-"
            print(story, began, flush=True)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[int, dict[str, list[float]]]]:
    """The port, and for each story when its messages' first bytes came."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _RECEIVER, stdout=subprocess.PIPE)
    assert process.stdout is not None
    came: dict[str, list[float]] = {}
    port = int(await process.stdout.readline())

    async def listen() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            story, _, at = line.decode().partition(" ")
            came.setdefault(story, []).append(float(at))

    task = asyncio.create_task(listen())
    try:
        yield port, came
    finally:
        process.kill()
        await process.wait()
        await task


@asynccontextmanager
async def alerter(folder: Path, port: int, names: int) -> AsyncIterator[tuple[Alerter, SqliteLog]]:
    settings = Settings(data=folder, partitions=4, egress_allow="127.0.0.0/8")
    policy = {"id": "default", "steps": [{"endpoints": ["all"]}]}
    registry = CollectorRegistry()
    log = SqliteLog(folder / "log.db", 4, retention=False)
    await log.start()
    config = CurrentConfig.of(make.config(policies=[policy]))
    one = Alerter(ServiceContext(settings, config, log, RealClock(), registry, FloorMetrics(registry)))
    await one.database.start()
    for number in range(names):
        url, secrets = f"http://127.0.0.1:{port}/{number}", {Purpose.SIGNING: signing.new_secret()}
        draft = Draft(f"desk{number}", url, concurrency=16, secrets=secrets)
        await one.database.write(lambda c, d=draft: endpoints.add(c, d, make.NOW))  # type: ignore[misc]
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await one.start(tasks)
        try:
            yield one, log
        finally:
            tasks.stopping()
            await one.stop(asyncio.get_running_loop().time() + 10)
            await log.close()


async def full_speed() -> float:
    """Deliveries a second, of bodies of 4 KB that all wait already."""
    body = json.dumps({"type": "endpoint.test", "data": {"story": "-", "words": "x" * 4000}}).encode()
    body = body.replace(b'": "', b'":"')
    with tempfile.TemporaryDirectory() as folder:
        async with receiving() as (port, came), alerter(Path(folder), port, ENDPOINTS) as (one, _):
            names = [f"desk{number}" for number in range(ENDPOINTS)]
            context = one.context()

            def fill(connection: Any) -> None:
                for number in range(DELIVERIES // ENDPOINTS):
                    cause = Cause("endpoint.test", None, ("bench", number))
                    outbox.enqueue(connection, cause, body, names, context.now, context.wall)

            await one.database.write(fill)
            began = time.perf_counter()
            one.ring()
            while sum(map(len, came.values())) < DELIVERIES:
                await asyncio.sleep(0.02)
            return DELIVERIES / (time.perf_counter() - began)


async def steady(names: int) -> tuple[list[float], int]:
    """Seconds from a signal's append to its message's first byte at each receiver; and how many did not come."""
    with tempfile.TemporaryDirectory() as folder:
        async with receiving() as (port, came), alerter(Path(folder), port, names) as (_, log):
            count, sent = int(RATE * STEADY_SECONDS), {}
            began = time.perf_counter()
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                story, brand = f"bsky:b{number}", f"brand{number % 16}"
                event = make.forecast(story=story, brand=brand)
                sent[story] = time.time()
                await log.append([Message(SIGNALS.name, brand, encode(event, event_id("bench", number)))])
            waited = time.perf_counter()
            while sum(map(len, came.values())) < count * names and time.perf_counter() - waited < 30:
                await asyncio.sleep(0.05)
            times = [at - sent[story] for story, moments in came.items() for at in moments]
            return times, count * names - len(times)


async def measured() -> dict[str, Any]:
    out: dict[str, Any] = {"deliveries/s, one process, 5 endpoints, 4 KB": await full_speed()}
    for names in (1, ENDPOINTS):
        times, missing = await steady(names)
        what = f"signal to first byte, {RATE} incidents/s x {names}"
        out[f"{what}, p50 ms"] = quantile(times, 0.5) * 1000
        out[f"{what}, p99 ms"] = quantile(times, 0.99) * 1000
        out[f"{what}, missing after 30 s"] = missing
    return out


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(measured())
    return result
