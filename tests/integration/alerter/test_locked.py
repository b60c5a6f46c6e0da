"""A database that somebody else holds, such as a backup: the alerter is live, not ready, says why, and loses nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerter.timekeeper.gauges import GaugeReader
from services.config.loading import parse
from services.runtime.process import Process
from tests.integration.alerter.conftest import House, MakeHouse
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make
from tests.unit.services.test_process import readiness, running, settings


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The file is locked for writing, as by a backup that wants it to stand still."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


async def until_ready(house: House, *, ready: bool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while house.alerter.ready().ok is not ready:
            await asyncio.sleep(0.05)


async def test_a_locked_database_is_not_ready_and_live_and_then_all_is_done(
    make_house: MakeHouse, databases: object
) -> None:
    if databases is not None:
        return  # of SQLite alone: one file, one writer
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await until_ready(house, ready=True)
        with held(house.settings.data / "alerter.db"):
            await house.signal(make.forecast())
            await until_ready(house, ready=False)
            assert house.alerter.ready().detail["waiting"] == "the database is locked or does not answer"
            assert house.alerter.live().ok
            refused = await house.http.post("/v1/endpoints", json={"name": "x", "url": "https://x.example"})
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        await until_ready(house, ready=True)
        await house.settle()
        assert house.receiver.types("/desk") == ["incident.opened"]


async def test_a_lock_is_noticed_though_there_is_nothing_to_write(make_house: MakeHouse, databases: object) -> None:
    if databases is not None:
        return
    house = make_house()
    async with house.running():
        await until_ready(house, ready=True)
        with held(house.settings.data / "alerter.db"):
            await until_ready(house, ready=False)
            assert house.alerter.live().ok
        await until_ready(house, ready=True)
    assert GaugeReader.every_seconds <= 10


async def test_a_start_waits_for_a_locked_database(tmp_path: Path) -> None:
    config = parse("brands: [{id: acme, name: Acme}]")
    process = Process(settings(tmp_path), config, ("alerter",))
    async with running(process):
        pass
    again = Process(settings(tmp_path), config, ("alerter",))
    with held(tmp_path / "alerter.db"):
        async with asyncio.timeout(PATIENCE_SECONDS):
            starting = asyncio.create_task(again.run(stop := asyncio.Event()))
            while not again.services[0].database.away and not starting.done():  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)
        assert not starting.done()
        assert again.services[0].live().ok
        assert not again.services[0].ready().ok
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not again.services[0].ready().ok:
            await asyncio.sleep(0.05)
    stop.set()
    await starting


async def test_a_stop_while_the_database_is_locked_ends(tmp_path: Path) -> None:
    config = parse("brands: [{id: acme, name: Acme}]")
    async with running(Process(settings(tmp_path), config, ("alerter",))) as client:
        await readiness(client)
    again = Process(settings(tmp_path), config, ("alerter",))
    with held(tmp_path / "alerter.db"):
        starting = asyncio.create_task(again.run(stop := asyncio.Event()))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not again.services[0].database.away:  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)
            stop.set()
            await starting
