"""kill -9 at every seam: after a restart each step was done once, each message arrived, and only the attempt that was in
flight is repeated, under its id."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alerter.notify import signing
from services.contracts.codec import decode
from services.contracts.topics import INCIDENTS
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.receiver import Receiver, verify

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    await one.start()
    yield one
    await one.stop()


async def live(folder: Path, receiver: Receiver, secret: str, crash_at: str | None) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIREBREAK_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    if crash_at is not None:
        environment["FIREBREAK_CRASH_AT"] = crash_at
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("life.py")),
        str(folder),
        receiver.url("/desk"),
        secret,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode


@pytest.mark.parametrize(
    "seam",
    [
        "alerter.begun:1",  # applying the signal
        "alerter.committed:1",
        "alerter.begun:2",  # doing the second step
        "alerter.committed:2",
        "delivery.claimed:1",
        "delivery.sent:1",
        "delivery.recorded:1",
        "delivery.claimed:2",
        "delivery.sent:2",
        "delivery.recorded:2",
    ],
)
async def test_a_kill_loses_nothing_and_repeats_only_the_attempt_in_flight(
    tmp_path: Path, receiver: Receiver, seam: str
) -> None:
    secret = signing.new_secret()
    assert await live(tmp_path, receiver, secret, seam) == -signal.SIGKILL, "the seam was never passed"
    before = Counter(one.id for one in receiver.got)
    assert await live(tmp_path, receiver, secret, None) == 0
    for one in receiver.got:
        verify(secret, one)
    arrivals = Counter(one.id for one in receiver.got)
    assert sorted({(one.id, one.type) for one in receiver.got}, key=lambda pair: pair[1]) == [
        (next(one.id for one in receiver.got if one.type == kind), kind)
        for kind in ("incident.escalated", "incident.opened")
    ]
    repeated = {one: count for one, count in arrivals.items() if count > 1}
    if seam.startswith("delivery.sent"):
        # On a slow machine the first may be in flight still, or not yet recorded, when the second is sent.
        assert set(repeated.values()) == {2}, "what was in flight is repeated, once"
        assert len(repeated) <= int(seam[-1])
        assert set(repeated) <= set(before)
    else:
        assert repeated == {}
    with sqlite3.connect(tmp_path / "alerter.db") as database:
        assert database.execute("SELECT COUNT(*) FROM incidents").fetchone() == (1,)
        assert database.execute("SELECT state, COUNT(*) FROM deliveries GROUP BY state").fetchall() == [
            ("delivered", 2)
        ]
        assert database.execute("SELECT COUNT(*) FROM attempts WHERE outcome = 'begun'").fetchone() == (0,)
        assert database.execute("SELECT number, state FROM steps ORDER BY number").fetchall() == [
            (0, "done"),
            (1, "done"),
        ]
    database.close()
    log = SqliteLog(tmp_path / "log.db", 1, retention=False)
    await log.start()
    records = (await log.read(INCIDENTS.name, 0, 0, 100)).records
    await log.close()
    assert len({decode(record.value).id for record in records}) == 2
