"""A log that is older than the database beside it, or another one, is noticed, and nothing that it holds stays untold."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.position import Position, healed
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.conftest import MakeHouse
from tests.unit.alerter import make


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(folder / "log.db", 1, retention=False)
    await log.start()
    try:
        yield log
    finally:
        await log.close()


async def fill(log: SqliteLog, count: int) -> None:
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    await log.append([Message(SIGNALS.name, "acme", b"%d" % n, 0) for n in range(count)])
    await asyncio.sleep(0.01)


async def applied(log: SqliteLog) -> Position:
    """The position of somebody who has applied all there is."""
    records = (await log.read(SIGNALS.name, 0, 0, 1000)).records
    return Position(0).after(records, records[-1].offset + 1)


@pytest.mark.parametrize(("since", "goes_on_at"), [(0, 18), (12, 18), (18, 18), (40, 18)])
async def test_after_an_old_log_is_restored_all_that_it_got_since_is_told(
    tmp_path: Path, since: int, goes_on_at: int
) -> None:
    async with opened(tmp_path) as log:
        await fill(log, 18)
    shutil.copytree(tmp_path, backup := tmp_path / "backup")
    async with opened(tmp_path) as log:
        await fill(log, 18)
        position = await applied(log)
        assert position.next == 36
        assert await healed(log, SIGNALS.name, 0, position) is None
    async with opened(backup) as log:
        if since:
            await fill(log, since)
        assert await healed(log, SIGNALS.name, 0, position) == Position(goes_on_at)


async def test_without_its_time_all_is_read_again_that_is_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await fill(log, 18)
        assert await healed(log, SIGNALS.name, 0, Position(36)) == Position(0)
        assert await healed(log, SIGNALS.name, 0, Position(18)) is None
        assert await healed(log, SIGNALS.name, 0, Position(0)) is None


async def test_complaints_that_come_after_a_restore_are_told_and_old_ones_are_not_told_again(
    make_house: MakeHouse,
) -> None:
    house = make_house(partitions=1)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("operator")
        await house.signal(*(make.forecast(story=f"bsky:p{n}") for n in range(2)))
        await house.settle()
        told = {incident["story"] for incident in await house.incidents()}
        assert len(told) == 2
    for file in house.settings.data.glob("log.db*"):
        file.unlink()  # as restored from a backup of the first day
    async with house.running():
        await house.settle()
        await house.signal(make.forecast(story="bsky:new"), id="new")
        await house.settle()
        found = [incident["story"] for incident in await house.incidents()]
        assert sorted(found) == sorted({*told, "bsky:new"})
        assert (
            house.registry.get_sample_value("firebreak_lane_positions_healed_total", {"stage": "alerter"}) or 0
        ) >= 1
