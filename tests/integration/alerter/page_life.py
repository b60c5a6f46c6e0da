"""One life of an alerter whose first page cannot be delivered, for tests that end it: `page_life.py FOLDER BASE SECRET DB`.

Dana's push service is gone (410), so her text message is tried; then Lee is told; nobody acknowledges. Ends by itself when
the policy is through. `DB` is `-` for a file of its own.
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
from alerter.store.tables import pages, steps
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

STEPS = (
    {"targets": ["responder:dana"]},
    {"after_minutes": 0.02, "targets": ["responder:lee"]},
    {"after_minutes": 0.01, "targets": ["desk"]},
)
NAMES = ("dana-push", "dana-sms", "lee-push", "desk")
PEOPLE = ({"id": "dana", "methods": NAMES[:2]}, {"id": "lee", "methods": ["lee-push"]})


async def live(folder: Path, base: str, secret: str, database: str | None) -> None:
    settings = Settings(data=folder, partitions=1, egress_allow="127.0.0.0/8", stop_seconds=5, database=database)
    registry, clock = CollectorRegistry(), RealClock()
    log = SqliteLog(folder / "log.db", 1, lease_seconds=0.3, beat_seconds=0.1, retention=False)
    await log.start()
    config = make.config(policies=[{"id": "default", "steps": STEPS}], responders=PEOPLE)
    alerter = Alerter(ServiceContext(settings, config, log, clock, registry, FloorMetrics(registry)))
    await alerter.database.start()
    for name in NAMES:
        draft = Draft(name, f"{base}/{name}", secrets={Purpose.SIGNING: secret})
        await alerter.database.write(lambda c, d=draft: endpoints.add(c, d, clock.now()))  # type: ignore[misc]
    if (await log.bounds(SIGNALS.name))[0] == (0, 0):
        await log.append([Message(SIGNALS.name, "acme", encode(make.forecast(crossing=None), event_id("life", 1)))])

    def undone(connection: Connection) -> bool:
        done = connection.scalar(select(func.count()).select_from(steps).where(steps.c.state == "done"))
        failed = connection.scalar(select(func.count()).select_from(pages).where(pages.c.state == "failed"))
        return (done, failed) != (len(STEPS), 1)

    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await alerter.start(tasks)
        async with asyncio.timeout(40):
            while await alerter.database.read(undone) or not await alerter.idle():
                await asyncio.sleep(0.02)
        tasks.stopping()
        await alerter.stop(asyncio.get_running_loop().time() + 5)
        await log.close()


if __name__ == "__main__":
    where = None if sys.argv[4] == "-" else sys.argv[4]
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3], where))
