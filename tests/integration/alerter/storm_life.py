"""One life of the alerter in a process of its own, for `test_storm`. `sys.argv`: FOLDER SPEED [DATABASE INSTANCE].

The endpoints, the signals and the clock's beginning are in FOLDER; it ends when all is done, or when it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from sqlalchemy import Connection, func, select

from alerter.service import Alerter
from alerter.states import DeliveryState
from alerter.store.tables import deliveries, incidents
from services.base.clock import ScaledClock, moment
from services.base.settings import Settings
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.signal import Level
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.lives import context_of, live
from tests.unit.alerter import make

POLICY = {"id": "default", "steps": [{"endpoints": ["all"]}]}


async def _play(folder: Path, speed: float, database: str | None, instance: str | None) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    settings = Settings(
        data=folder, partitions=4, egress_allow="127.0.0.0/8", stop_seconds=5, database=database, instance=instance
    )
    clock = ScaledClock(moment(make.NOW.timestamp()), speed, plan["origin"])
    log = SqliteLog(folder / "log.db", 4, lease_seconds=2.0, beat_seconds=0.3, retention=False)
    signals = [_signal(number) for number in range(plan["incidents"])]

    def is_done(connection: Connection) -> bool:
        opened = connection.scalar(select(func.count()).select_from(incidents))
        pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING)
        return opened == plan["incidents"] and connection.scalar(pending) == 0

    async def is_over(alerter: Alerter) -> bool:
        return await alerter.database.read(is_done)

    await live(
        context_of(settings, make.config(policies=[POLICY]), clock, log),
        plan["endpoints"],
        plan["secret"],
        lambda: [signals[begin : begin + 200] for begin in range(0, len(signals), 200)],
        is_over,
    )


def _signal(number: int) -> Message:
    brand = f"brand{number % 16}"
    event = make.forecast(1, Level.LIKELY, story=f"bsky:s{number}", brand=brand)
    return Message(SIGNALS.name, brand, encode(event, event_id("storm", number)))


def main() -> None:
    more = [*sys.argv[3:], "", ""]
    asyncio.run(_play(Path(sys.argv[1]), float(sys.argv[2]), more[0] or None, more[1] or None))
