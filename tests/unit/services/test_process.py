"""One process: honest about its health, stops in order, and ends when something in it ends unasked."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from services.base.settings import Settings
from services.base.tasks import Spawn, TaskEnded, spawn_alone
from services.config.loading import parse
from services.eventlog.base import Unavailable
from services.eventlog.sqlite.membership import SqliteMembership
from services.runtime import process as module
from services.runtime.process import EXIT_STUCK, Process
from tests.patience import PATIENCE_SECONDS

CONFIG = parse("brands: [{id: acme, name: Acme}]")


def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, port=0, partitions=2, api_keys=SecretStr("me:" + "k" * 20), stop_seconds=10)


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[httpx2.AsyncClient]:
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(process.run(stop, started.set))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        async with httpx2.AsyncClient(base_url=process.server.url) as client:
            yield client
    finally:
        stop.set()
        await task


async def readiness(client: httpx2.AsyncClient) -> httpx2.Response:
    """The answer once it is ready: lanes restore in the background."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.01)
    return answer


async def test_health_readiness_and_metrics_are_served(tmp_path: Path) -> None:
    async with running(Process(settings(tmp_path), CONFIG, ("ingest", "scorer", "alerter"))) as client:
        assert (await readiness(client)).json()["scorer"]["model"]
        assert (await client.get("/healthz")).status_code == 200
        metrics = (await client.get("/metrics")).text
    for name in ("firebreak_ready", "firebreak_live", "firebreak_loop_lag_seconds", "firebreak_lane_records_total"):
        assert name in metrics


async def test_a_degraded_model_is_announced(tmp_path: Path) -> None:
    async with running(Process(settings(tmp_path), CONFIG, ("scorer",))) as client:
        scorer = (await readiness(client)).json()["scorer"]
    assert scorer["degraded"] == scorer["model"].startswith("lexicon")


async def test_an_absent_log_is_live_but_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(settings(tmp_path), CONFIG, ("scorer",))
    start, tried, back = process.log.start, asyncio.Event(), asyncio.Event()

    async def away(spawn: Spawn = spawn_alone) -> None:
        if not back.is_set():
            tried.set()
            raise Unavailable("no broker")
        await start(spawn)

    monkeypatch.setattr(process.log, "start", away)
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(process.run(stop, started.set))
    await tried.wait()
    async with httpx2.AsyncClient(base_url=process.server.url) as client:
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()) == (503, {"waiting": "the event log"})
        assert (await client.get("/healthz")).status_code == 200
        back.set()
        await started.wait()
        await readiness(client)
    stop.set()
    await task


async def test_a_task_that_ends_unasked_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(settings(tmp_path), CONFIG, ("scorer",))

    async def ends() -> None:
        return

    monkeypatch.setattr(process, "_measure_loop_lag", ends)
    with pytest.raises(ExceptionGroup) as caught:
        await process.run(asyncio.Event())
    assert caught.group_contains(TaskEnded, match="loop-lag")


async def test_a_lease_beat_that_fails_ends_the_process_with_that_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    process = Process(settings(tmp_path), CONFIG, ("scorer",))
    memberships: list[SqliteMembership] = []
    renew = SqliteMembership._renew

    def once(member: SqliteMembership, db: sqlite3.Connection) -> tuple[set[int], set[int]]:
        if member in memberships:
            raise RuntimeError("a bug in the beat")
        memberships.append(member)
        return renew(member, db)

    monkeypatch.setattr(SqliteMembership, "_renew", once)
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(process.run(asyncio.Event()), 20)
    assert caught.group_contains(RuntimeError, match="a bug in the beat")
    assert memberships
    assert not any(member.assigned for member in memberships)
    said = capsys.readouterr().out
    assert "stopped_unasked" in said
    assert "a bug in the beat" in said


async def test_services_stop_in_the_order_of_the_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(settings(tmp_path), CONFIG, ("alerter", "scorer", "ingest"))
    stopped: list[str] = []
    for service in process.services:
        stop = service.stop

        async def noted(deadline: float, name: str = service.name, stop: Any = stop) -> None:
            stopped.append(name)
            await stop(deadline)

        monkeypatch.setattr(service, "stop", noted)
    async with running(process):
        pass
    assert stopped == ["ingest", "scorer", "alerter"]


async def test_what_was_accepted_before_the_stop_is_there_after_it(tmp_path: Path) -> None:
    body = json.dumps({"network": "x", "post_id": "1", "kind": "original", "text": "Acme is terrible"})
    headers = {"authorization": "Bearer " + "k" * 20, "content-type": "application/json"}
    async with running(Process(settings(tmp_path), CONFIG, ("ingest",))) as client:
        assert (await client.post("/v1/posts", content=body, headers=headers)).status_code == 202
    log = module.open_log(settings(tmp_path))
    await log.start()
    bounds = await log.bounds("firebreak.posts")
    await log.close()
    assert sum(after - start for start, after in bounds.values()) == 1


HANGS = """
import asyncio, time
from types import SimpleNamespace
from services.runtime.process import run_until_signalled

async def run(stop, started):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    raise RuntimeError("a step cannot be ended")

run_until_signalled(lambda: SimpleNamespace(settings=SimpleNamespace(stop_seconds=-1.5), run=run))
"""


def test_a_thread_that_hangs_does_not_keep_a_process_that_failed() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == EXIT_STUCK


async def test_a_second_process_on_one_data_folder_is_told_with_the_first_one_s_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = str(os.getpid())
    async with running(Process(settings(tmp_path), CONFIG, ("ingest", "alerter"))) as first:
        assert "data_folder" not in (await readiness(first)).json()
        assert "data_folder_in_use" not in capsys.readouterr().out
        async with running(Process(settings(tmp_path), CONFIG, ("alerter",))) as second:
            said = capsys.readouterr().out
            assert "data_folder_in_use" in said
            assert f"pid={pid}" in said
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = (await second.get("/readyz")).json()
            assert answer["data_folder"] == {"also_used_by": {"alerter": pid}}
            assert "data_folder" not in (await first.get("/readyz")).json(), "the first one has the folder"
    async with running(Process(settings(tmp_path), CONFIG, ("alerter",))) as later:
        assert "data_folder" not in (await readiness(later)).json()
    assert stat.S_IMODE((tmp_path / "alerter.lock").stat().st_mode) == 0o600


async def test_two_services_of_one_installation_share_a_folder_in_peace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        running(Process(settings(tmp_path), CONFIG, ("ingest",))),
        running(Process(settings(tmp_path), CONFIG, ("alerter",))) as other,
    ):
        assert "data_folder" not in (await other.get("/readyz")).json()
    assert "data_folder_in_use" not in capsys.readouterr().out
