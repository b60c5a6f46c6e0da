"""One life of an alerter that finds two thousand signals, for `test_parts`. `sys.argv`: FOLDER, the receivers' address, and
their secret."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from alerter.service import Alerter
from services.base.clock import ManualClock
from services.base.settings import Settings
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.lives import context_of, live
from tests.unit.alerter import make

SIGNALS_IN_ALL: Final = 2000
OPENS_EVERY: Final = 20
"""Every so-manieth signal opens an incident; the others are noted."""
CONFIG: Final = make.config(policies=[{"id": "default", "steps": [{"endpoints": ["desk"]}]}])


def ticking(seconds: float) -> Callable[[], float]:
    """A clock by which each signal takes so long, because it is asked once a signal."""
    ticks = itertools.count()
    return lambda: next(ticks) * seconds


def message(number: int) -> Message:
    severity = 3 if number % OPENS_EVERY == 0 else 1
    signal = make.negative(post=f"c{number}", story=f"bsky:c{number}", severity=severity)
    return Message(SIGNALS.name, "acme", encode(signal, event_id("parts", number)))


async def _play(folder: Path, base: str, secret: str) -> None:
    settings = Settings(data=folder, partitions=1, egress_allow="127.0.0.0/8", stop_seconds=5)
    log = SqliteLog(folder / "log.db", 1, lease_seconds=2.0, beat_seconds=0.2, retention=False)
    messages = [message(number) for number in range(SIGNALS_IN_ALL)]

    async def is_over(alerter: Alerter) -> bool:
        return await alerter.idle()

    urls, context = {"desk": f"{base}/desk"}, context_of(settings, CONFIG, ManualClock(make.NOW), log)
    await live(context, urls, secret, lambda: [messages], is_over, monotonic=ticking(0.001))


def main() -> None:
    folder, base, secret = sys.argv[1:]
    asyncio.run(_play(Path(folder), base, secret))
