"""Sixty receivers, half of which stall after a while: what the others notice of it, against the calm before.

One process over SQLite; the receivers run in a process of their own. Times are from a message's commit to its first byte
at a receiver that does not stall. What came when is written to build/stall.json, for `tests.load.plot_stall`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from alerter.notify import endpoints, outbox, signing
from alerter.notify.endpoints import Draft, Purpose
from alerter.notify.outbox import Cause
from alerter.service import Alerter
from alerter.store.tables import attempts, deliveries
from tests.load.bench_http import quantile
from tests.load.bench_webhooks import alerter
from tests.unit.alerter import make

WELL = 30
STALLING = 30
CALM_SECONDS = 20.0
STALL_SECONDS = 40.0
EVERY_SECONDS = 0.25
"""So often there is a message for each of the sixty."""
WARM_UP_SECONDS = 5.0
OUT = Path("build/stall.json")

_RECEIVER = r"""
import asyncio, sys, time

stalling = False

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            came = time.time()
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            name = head.split(b" ")[1].decode()
            if stalling and name.startswith("/stalling"):
                await asyncio.Event().wait()
            writer.write(b"HTTP/1.1 204 X\r\n\r\n")
            print(name, head.lower().split(b"webhook-id:")[1].split(b"\r\n")[0].decode().strip(),
                  body.split(b'"at":')[1].split(b"}")[0].decode(), came, flush=True)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    global stalling
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    stalling = True
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Hooks:
    """The receivers, and what came to those that do not stall: their delivery, when it was made, when it came."""

    process: asyncio.subprocess.Process
    port: int
    came: list[tuple[str, float, float]] = field(default_factory=list)

    def stall(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"stall\n")


@asynccontextmanager
async def hooks() -> AsyncIterator[Hooks]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RECEIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    one = Hooks(process, int(await process.stdout.readline()))

    async def listen() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            name, delivery, made, came = line.decode().split()
            if name.startswith("/well"):
                one.came.append((delivery, float(made), float(came)))

    listening = asyncio.create_task(listen())
    try:
        yield one
    finally:
        process.kill()
        await process.wait()
        await listening


async def send_for(one: Alerter, names: list[str], seconds: float, what: str) -> int:
    """Make a message for each of them again and again. Returns how many there were for those that do not stall."""
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        await asyncio.sleep(max(0.0, began + number * EVERY_SECONDS - time.perf_counter()))
        body = json.dumps({"type": "endpoint.test", "words": "x" * 2000, "data": {"at": time.time()}}).encode()
        cause, context = Cause("endpoint.test", None, (what, number)), one.context()

        def enqueue(connection: Connection, cause: Cause = cause, body: bytes = body, context: Any = context) -> None:
            outbox.enqueue(connection, cause, body, names, context.now, context.wall)

        await one.database.write(enqueue)
        one.ring()
        number += 1
    return number * WELL


async def charged(one: Alerter) -> int:
    """How many attempts at receivers that do not stall failed."""
    query = (
        select(func.count())
        .select_from(attempts.join(deliveries, deliveries.c.id == attempts.c.delivery))
        .where(deliveries.c.endpoint.like("well%"), attempts.c.outcome.not_in(("delivered", "begun")))
    )
    count: int = await one.database.read(lambda c: c.execute(query).scalar_one())
    return count


async def measured() -> dict[str, Any]:
    names = [f"well{n}" for n in range(WELL)] + [f"stalling{n}" for n in range(STALLING)]
    with tempfile.TemporaryDirectory() as folder:
        async with hooks() as receivers, alerter(Path(folder), receivers.port, 0) as (one, _):
            for name in names:
                url, secrets = f"http://127.0.0.1:{receivers.port}/{name}", {Purpose.SIGNING: signing.new_secret()}
                draft = Draft(name, url, secrets=secrets)
                await one.database.write(lambda c, d=draft: endpoints.add(c, d, make.NOW))  # type: ignore[misc]
            count = await send_for(one, names, WARM_UP_SECONDS, "warm")
            began = time.time()
            count += await send_for(one, names, CALM_SECONDS, "calm")
            receivers.stall()
            stalled = time.time()
            count += await send_for(one, names, STALL_SECONDS, "stall")
            waited = time.perf_counter()
            while len(receivers.came) < count and time.perf_counter() - waited < 60:
                await asyncio.sleep(0.1)
            failed = await charged(one)
    came = receivers.came
    times = Counter(delivery for delivery, _, _ in came)
    # The first second belongs to neither: half of its messages were made before.
    calm = [at - made for _, made, at in came if began <= made < stalled - 1]
    stall = [at - made for _, made, at in came if made >= stalled]
    OUT.parent.mkdir(exist_ok=True)
    points = [(round(made - stalled, 3), round(at - made, 4)) for _, made, at in came if made >= began]
    OUT.write_text(json.dumps({"from_seconds": began - stalled, "points": points}))
    return {
        "calm, p50 ms": quantile(calm, 0.5) * 1000,
        "calm, p99 ms": quantile(calm, 0.99) * 1000,
        "30 of 60 stall, p50 ms of the others": quantile(stall, 0.5) * 1000,
        "30 of 60 stall, p99 ms of the others": quantile(stall, 0.99) * 1000,
        "p50, stall against calm": quantile(stall, 0.5) / quantile(calm, 0.5),
        "p99, stall against calm": quantile(stall, 0.99) / quantile(calm, 0.99),
        "failures charged to the others": failed,
        "sent to the others more than once": sum(n - 1 for n in times.values()),
        "missing at the others after 60 s": count - len(times),
    }


def run() -> dict[str, Any]:
    import uvloop

    result: dict[str, Any] = uvloop.run(measured())
    return result
