"""Ready, live, idle and an orderly stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.service import build
from services.base.errors import ConfigError
from services.eventlog.base import Unavailable
from services.eventlog.sqlite import SqliteLog
from tests.integration.ingest.desk import POST, Desk, context_of, desk_at
from tests.patience import PATIENCE_SECONDS


async def test_it_is_ready_when_the_log_answers(desk: Desk) -> None:
    assert desk.service.ready().ok
    assert desk.service.ready().detail["scorer_lag"] == 0
    assert desk.service.live().ok
    assert await desk.service.idle()


async def test_a_log_that_is_away_makes_it_not_ready_but_live(desk: Desk) -> None:
    desk.log.lag_error = Unavailable("no broker")
    await desk.look_at_the_log()
    assert not desk.service.ready().ok
    assert "cannot be reached" in desk.service.ready().detail["why"]
    assert desk.service.live().ok
    desk.log.lag_error = None
    await desk.look_at_the_log()
    assert desk.service.ready().ok


async def test_the_watch_survives_any_trouble_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.admission.POLL_SECONDS", 0.001)
    async with desk_at(tmp_path) as desk:
        for error in (Unavailable("no broker"), RuntimeError("odd")):
            desk.log.lag_error = error
            before = desk.counted("lag_failures_total")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while desk.counted("lag_failures_total") < before + 3:
                    await asyncio.sleep(0.001)
        desk.log.lag_error = None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not desk.service.ready().ok:
                await asyncio.sleep(0.001)


async def test_an_append_that_is_stuck_in_a_log_that_answers_is_not_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.service.STUCK_SECONDS", 0.01)
    async with desk_at(tmp_path, append_timeout_seconds=0.02) as desk:
        desk.log.gate = asyncio.Event()
        assert (await desk.post(POST)).status_code == 503
        await asyncio.sleep(0.02)
        assert not desk.service.live().ok
        desk.log.lag_error = Unavailable("no broker")
        await desk.look_at_the_log()
        assert desk.service.live().ok
        desk.log.gate.set()


async def test_a_stop_refuses_new_posts_and_finishes_those_in_hand(desk: Desk) -> None:
    desk.log.gate = asyncio.Event()
    inside = asyncio.create_task(desk.post(POST))
    await desk.log.appending.wait()
    stopping = asyncio.create_task(desk.service.stop(asyncio.get_running_loop().time() + 5))
    await asyncio.sleep(0)
    late = await desk.post(POST)
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert "stopping" in late.json()["detail"]
    assert not desk.service.ready().ok
    assert not stopping.done()
    desk.log.gate.set()
    assert (await inside).status_code == 202
    await stopping
    assert len(await desk.stored()) == 1


async def test_a_stop_keeps_its_deadline(tmp_path: Path) -> None:
    async with desk_at(tmp_path) as desk:
        desk.log.gate = asyncio.Event()
        inside = asyncio.create_task(desk.post(POST))
        await desk.log.appending.wait()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(4):
            await desk.service.stop(loop.time() + 0.05)
        desk.log.gate.set()
        assert (await inside).status_code == 202


async def test_it_starts_while_the_log_is_away(tmp_path: Path) -> None:
    async with desk_at(tmp_path) as desk:
        again = build(context_of(desk.log))
        desk.log.lag_error = Unavailable("no broker")
        assert not again.ready().ok
        assert again.live().ok


def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    with pytest.raises(ConfigError, match="16 characters at least"):
        build(context_of(log, api_keys="feed:short"))
