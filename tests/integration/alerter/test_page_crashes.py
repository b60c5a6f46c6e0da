"""kill -9 at every seam of the engine while a page fails: after a restart no step was missed and none was done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from alerter.notify import signing
from tests.integration.alerter import receiver as answers
from tests.integration.alerter.conftest import MakeDatabase
from tests.integration.alerter.page_life import NAMES
from tests.integration.alerter.receiver import Receiver, verify

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    one.answers["/dana-push"] = answers.status(410)
    await one.start()
    yield one
    await one.stop()


async def live(folder: Path, receiver: Receiver, secret: str, database: str | None, crash_at: str | None) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIREBREAK_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    if crash_at is not None:
        environment["FIREBREAK_CRASH_AT"] = crash_at
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("page_life.py")),
        str(folder),
        receiver.url(""),
        secret,
        database or "-",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        said, _ = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode


@pytest.mark.parametrize(
    "seam",
    [
        "alerter.begun:1",  # applying the signal
        "alerter.committed:1",
        "delivery.recorded:1",  # the page's failure is written, nobody has looked at it
        "alerter.begun:2",  # the page that failed goes on to the next method
        "alerter.committed:2",
        "delivery.sent:2",
        "alerter.begun:3",  # the second step
        "alerter.committed:3",
        "alerter.begun:4",
        "alerter.committed:4",
    ],
)
async def test_a_kill_while_a_page_fails_misses_no_step_and_doubles_none(
    tmp_path: Path, receiver: Receiver, make_database: MakeDatabase, seam: str
) -> None:
    secret, database = signing.new_secret(), make_database()
    assert await live(tmp_path, receiver, secret, database, seam) == -signal.SIGKILL, "the seam was never passed"
    assert await live(tmp_path, receiver, secret, database, None) == 0
    for one in receiver.got:
        verify(secret, one)
    arrived = {name: Counter(one.id for one in receiver.at(f"/{name}")) for name in NAMES}
    assert {name: len(ids) for name, ids in arrived.items()} == dict.fromkeys(NAMES, 1), "each was told one thing"
    repeated = {name for name, ids in arrived.items() if max(ids.values()) > 1}
    assert len(repeated) <= seam.startswith("delivery."), "only the attempt in flight may be repeated"
    engine = create_engine(database or f"sqlite:///{tmp_path}/alerter.db")
    with engine.connect() as connection:
        steps = connection.execute(text("SELECT number, state FROM steps ORDER BY number")).all()
        pages = connection.execute(text("SELECT number, endpoint, state FROM pages ORDER BY id")).all()
    engine.dispose()
    assert [tuple(row) for row in steps] == [(0, "done"), (1, "done"), (2, "done")]
    assert [(row.number, row.endpoint) for row in pages if row.state == "failed"] == [(0, "dana-push")]
    assert Counter((row.number, row.endpoint) for row in pages) == Counter(
        [(0, "dana-push"), (0, "dana-sms"), (1, "lee-push"), (2, "desk")]
    )
