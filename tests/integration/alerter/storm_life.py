"""One life of the alerter in a process of its own, for `test_storm`: `storm_life.py FOLDER SPEED [DATABASE INSTANCE]`.

The endpoints, the signals and the clock's beginning are in FOLDER; it ends when all is done, or when it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, func, select

from alerter.notify import endpoints
from alerter.notify.endpoints import Draft, Purpose
from alerter.service import Alerter
from alerter.store.tables import deliveries, incidents
from services.base.clock import ScaledClock, moment
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.signal import Level
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.unit.alerter import make

POLICY = {"id": "default", "steps": [{"endpoints": ["all"]}]}


async def live(folder: Path, speed: float, database: str | None, instance: str | None) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    settings = Settings(
        data=folder, partitions=4, egress_allow="127.0.0.0/8", stop_seconds=5, database=database, instance=instance
    )
    registry = CollectorRegistry()
    clock = ScaledClock(moment(make.NOW.timestamp()), speed, plan["origin"])
    log = SqliteLog(folder / "log.db", 4, lease_seconds=2.0, beat_seconds=0.3, retention=False)
    await log.start()
    context = ServiceContext(settings, make.config(policies=[POLICY]), log, clock, registry, FloorMetrics(registry))
    alerter = Alerter(context)
    await alerter.database.start()
    for name, url in plan["endpoints"].items():
        draft = Draft(name, url, secrets={Purpose.SIGNING: plan["secret"]})
        await alerter.database.write(lambda c, d=draft: endpoints.add(c, d, clock.now()))  # type: ignore[misc]
    if all(end == 0 for _, end in (await log.bounds(SIGNALS.name)).values()):
        for begin in range(0, plan["incidents"], 200):
            numbers = range(begin, min(begin + 200, plan["incidents"]))
            await log.append([_signal(number, plan["steps"]) for number in numbers])

    def done(connection: Connection) -> bool:
        opened = connection.scalar(select(func.count()).select_from(incidents))
        pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == "pending")
        return opened == plan["incidents"] and connection.scalar(pending) == 0

    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await alerter.start(tasks)
        async with asyncio.timeout(280):
            while not await alerter.database.read(done):
                await asyncio.sleep(0.1)
        tasks.stopping()
        await alerter.stop(asyncio.get_running_loop().time() + 5)
        await log.close()


def _signal(number: int, _steps: int) -> Message:
    brand = f"brand{number % 16}"
    event = make.forecast(1, Level.LIKELY, story=f"bsky:s{number}", brand=brand)
    return Message(SIGNALS.name, brand, encode(event, event_id("storm", number)))


if __name__ == "__main__":
    more = sys.argv[3:] + [""] * 2
    asyncio.run(live(Path(sys.argv[1]), float(sys.argv[2]), more[0] or None, more[1] or None))
