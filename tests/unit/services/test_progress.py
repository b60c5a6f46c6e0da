"""A consumer can stop for ever without an error: health is progress, not the absence of exceptions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry

from services.base.metrics import FloorMetrics
from services.base.tasks import Tasks
from services.contracts.topics import POSTS
from services.eventlog.base import Group, Message, Owner, Unavailable
from services.eventlog.sqlite import SqliteLog
from services.eventlog.sqlite.file import LogFileHeld
from services.stream import lanes
from services.stream.lanes import Lane, Lanes


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_lane_that_has_input_and_does_not_move_is_not_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(lanes, "STUCK_SECONDS", 0.0)

    async def serve(lane: Lane, _owner: Owner) -> None:
        """Owns its partition and never reads."""
        lane.begin()
        while not lane.stopping:
            await asyncio.sleep(0.01)

    log = SqliteLog(tmp_path / "log.db", partitions=1, retention=False)
    await log.start()
    stage = Lanes("idler", Group("idler", POSTS.name), serve, log, FloorMetrics(CollectorRegistry()))
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        await stage.start(tasks)
        await until(lambda: stage.ready().ok)
        await asyncio.sleep(0.1)
        assert stage.live().ok, "nothing waits: a quiet night is no standstill"
        await log.append([Message(POSTS.name, "k", b"a post", 0)])
        await until(lambda: not stage.live().ok)
        assert stage.live().detail == {"stuck": [0]}
        await stage.stop(asyncio.get_running_loop().time() + 5)
        tasks.stopping()
        tasks.cancel_rest()
    await log.close()


@pytest.mark.parametrize(("error", "live"), [(LogFileHeld, True), (Unavailable, False)])
async def test_a_lane_that_waits_for_what_a_new_process_would_wait_for_is_live_and_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Unavailable], live: bool
) -> None:
    monkeypatch.setattr(lanes, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(lanes, "STUCK_SECONDS", 0.5)
    tries = 0

    async def serve(_lane: Lane, _owner: Owner) -> None:
        """Cannot commit what it reads. It has its partition for most of the time, so that its records are counted."""
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.02)
        raise error("the file is locked")

    log = SqliteLog(tmp_path / "log.db", partitions=1, retention=False)
    await log.start()
    stage = Lanes("held", Group("held", POSTS.name), serve, log, FloorMetrics(CollectorRegistry()))
    began = asyncio.get_running_loop().time()
    with patch.object(random, "uniform", lambda *_: 0.0):
        async with asyncio.TaskGroup() as group:
            tasks = Tasks(group)
            await stage.start(tasks)
            await log.append([Message(POSTS.name, "k", b"a post", 0)])
            await until(lambda: tries > 20 and asyncio.get_running_loop().time() - began > 1.5)
            await until(lambda: stage.live().ok is live)
            assert not stage.ready().ok
            await stage.stop(asyncio.get_running_loop().time() + 5)
            tasks.stopping()
            tasks.cancel_rest()
    await log.close()
