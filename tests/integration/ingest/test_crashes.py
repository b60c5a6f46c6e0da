"""Killed at either side of the commit point: a 202 is never a lie, and a missing one is never a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.contracts.topics import POSTS
from services.eventlog.sqlite import SqliteLog

SCRIPT = """
import asyncio, sys
from pathlib import Path
from tests.integration.ingest.desk import POST, desk_at

async def main():
    async with desk_at(Path(sys.argv[1])) as desk:
        for n in range(3):
            answer = await desk.post({**POST, "post_id": str(n)})
            print(answer.status_code, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("seam", "answered", "stored"), [("ingest.appending", 1, 1), ("ingest.appended", 1, 2)])
async def test_a_crash_around_the_append_makes_no_202_a_lie(
    tmp_path: Path, seam: str, answered: int, stored: int
) -> None:
    environment = {**os.environ, "FIREBREAK_CRASH_AT": f"{seam}:2", "PYTHONPATH": str(Path.cwd())}
    run = subprocess.run(  # noqa: ASYNC221 - nothing else runs on this loop
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert [line for line in run.stdout.split() if line == "202"] == ["202"] * answered
    log = SqliteLog(tmp_path / "log.db", retention=False)
    await log.start()
    try:
        bounds = await log.bounds(POSTS.name)
        assert sum(after - start for start, after in bounds.values()) == stored
    finally:
        await log.close()
