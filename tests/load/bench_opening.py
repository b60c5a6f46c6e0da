"""What it costs the alerter to open an incident: CPU on the database's thread, and statements, by the batch."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from alerter.desk import consumer
from alerter.desk.context import Context
from alerter.desk.position import stored
from alerter.notify import endpoints, signing
from alerter.notify.endpoints import Draft, Purpose
from alerter.store import migrate
from alerter.store.database import default_url, engine_of
from services.contracts.base import event_id
from services.contracts.codec import encode
from services.contracts.topics import SIGNALS
from services.eventlog.base import Record
from tests.unit.alerter import make

INCIDENTS = 1000
CONFIG = make.config(policies=[{"id": "default", "steps": [{"endpoints": ["desk"]}]}])


def complaints(first: int, count: int) -> list[Record]:
    """Signals that each open an incident of their own."""
    made = []
    for offset in range(first, first + count):
        story = f"bsky:c{offset}"
        signal = make.negative(post=f"c{offset}", story=story, voice=f"v{offset}")
        value = encode(signal, event_id("bench", offset))
        made.append(Record(SIGNALS.name, 0, offset, "acme", value, 1_700_000_000_000 + offset))
    return made


class Opener:
    """Opens incidents in one database, as the alerter's writer does."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        migrate.up(self._engine)
        self.statements: Counter[str] = Counter()
        event.listen(self._engine, "before_cursor_execute", self._count)
        with self._engine.begin() as connection:
            secrets = {Purpose.SIGNING: signing.new_secret()}
            endpoints.add(connection, Draft("desk", "http://127.0.0.1:1/", secrets=secrets), make.NOW)
            self._position = stored(connection, 0, 0)
        self.statements.clear()

    def _count(self, _connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        self.statements[" ".join(statement.split()[:3])] += 1

    def open(self, records: Sequence[Record]) -> int:
        """Apply the signals in one transaction. Returns how many incidents were published."""
        now = make.NOW + timedelta(seconds=records[0].offset)
        batch = consumer.sort_out(records, records[-1].offset + 1)
        with self._engine.begin() as connection:
            context = Context(now, now, CONFIG, "https://firebreak.example")
            part = consumer.apply(connection, 0, self._position, batch, context, {}, clock=lambda: 0.0)
        self._position = part.position
        return len(part.published)

    def close(self) -> None:
        self._engine.dispose()


def measured(url: str, together: int) -> tuple[float, float, float]:
    """Returns CPU milliseconds, milliseconds and statements, each per incident opened in batches of `together`."""
    opener = Opener(url)
    opener.open(complaints(0, 50))
    opener.statements.clear()
    began, cpu, opened = time.perf_counter(), time.thread_time(), 0
    for first in range(50, 50 + INCIDENTS, together):
        opened += opener.open(complaints(first, min(together, 50 + INCIDENTS - first)))
    took, used = time.perf_counter() - began, time.thread_time() - cpu
    statements = opener.statements.total()
    opener.close()
    return used / opened * 1000, took / opened * 1000, statements / opened


def run() -> dict[str, Any]:
    out: dict[str, Any] = {}
    for together in (1, 10, 100):
        with tempfile.TemporaryDirectory() as directory:
            cpu, took, statements = measured(default_url(Path(directory)), together)
        what = f"opening an incident, {together} a transaction"
        out |= {f"{what}, CPU ms": cpu, f"{what}, ms": took, f"{what}, statements": statements}
    return out
