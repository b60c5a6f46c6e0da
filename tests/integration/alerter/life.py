"""One life of the alerter in a process of its own, on the real clock, for tests that end it: `life.py FOLDER URL SECRET`.

Puts one signal on the log if none is there, and ends by itself when everything is done.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, func, select

from alerter.notify import endpoints
from alerter.notify.endpoints import Draft, Purpose
from alerter.service import Alerter
from alerter.store.tables import steps
from services.base.clock import RealClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.unit.alerter import make

STEP_MINUTES = 0.005


async def live(folder: Path, url: str, secret: str) -> None:
    settings = Settings(data=folder, partitions=1, egress_allow="127.0.0.0/8", stop_seconds=5)
    policy = {
        "id": "default",
        "steps": [{"endpoints": ["desk"]}, {"after_minutes": STEP_MINUTES, "endpoints": ["desk"]}],
    }
    registry, clock = CollectorRegistry(), RealClock()
    log = SqliteLog(folder / "log.db", 1, lease_seconds=0.3, beat_seconds=0.1, retention=False)
    await log.start()
    context = ServiceContext(settings, make.config(policies=[policy]), log, clock, registry, FloorMetrics(registry))
    alerter = Alerter(context)
    await alerter.database.start()
    await alerter.database.write(
        lambda c: endpoints.add(c, Draft("desk", url, secrets={Purpose.SIGNING: secret}), clock.now())
    )
    if (await log.bounds(SIGNALS.name))[0] == (0, 0):
        await log.append([Message(SIGNALS.name, "acme", encode(make.forecast(), event_id("life", 1)))])

    def undone(connection: Connection) -> bool:
        return connection.scalar(select(func.count()).select_from(steps).where(steps.c.state == "done")) != 2

    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await alerter.start(tasks)
        async with asyncio.timeout(20):
            while await alerter.database.read(undone) or not await alerter.idle():
                await asyncio.sleep(0.02)
        tasks.stopping()
        await alerter.stop(asyncio.get_running_loop().time() + 5)
        await log.close()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
