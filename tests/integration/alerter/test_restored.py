"""A log that is older than the database beside it, or another one, is noticed, and nothing that it holds stays untold."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import jsonschema_rs
import pytest

from alerter.api.webhook_schema import webhook_schema
from services.contracts.stage import Misplacement, Moved, StageMoved
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.position import Position, healed
from services.eventlog.sqlite import SqliteLog
from services.tools.doctor import diagnose
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


@pytest.mark.parametrize(
    ("why", "kind", "says"),
    [
        (Misplacement.ANOTHER_LOG, "log.restored", "Look whether posts were lost"),
        (Misplacement.RETENTION, "log.dropped", "the log dropped 20 records before scorer had read them"),
    ],
)
async def test_what_a_stage_lost_is_told_to_operators_and_to_nobody_else(
    make_house: MakeHouse, why: Misplacement, kind: str, says: str
) -> None:
    house = make_house(make.config(operators=["operator"]))
    await house.receiver.start()
    async with house.running():
        for name in ("operator", "desk"):
            await house.endpoint(name, types=["incident.opened"])
        moved = Moved(stage="scorer", partition=1, position=10, goes_on_at=30, why=why)
        for _ in range(2):  # the log hands a signal over more than once
            await house.signal(StageMoved(moved=moved), id="moved")
        await house.settle()
        (got,) = house.receiver.got
        assert (got.path, got.type) == ("/operator", kind)
        assert says in got.body["data"]["because"]
        jsonschema_rs.validate(webhook_schema(), got.body)
        assert await house.incidents() == []


async def test_signals_that_the_log_dropped_are_told(make_house: MakeHouse) -> None:
    house = make_house(make.config(operators=["operator"]), partitions=1)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("operator", types=["incident.opened"])
        await house.signal(make.forecast(story="bsky:a"))
        await house.settle()
    with closing(sqlite3.connect(house.settings.data / "log.db")) as log, log:
        # As if five more had come and been dropped while the alerter was away.
        log.execute("UPDATE topics SET start = next + 5, next = next + 5 WHERE topic = ?", (SIGNALS.name,))
        log.execute("DELETE FROM records WHERE topic = ?", (SIGNALS.name,))
    for _ in range(2):
        async with house.running():
            await house.settle()
            told = [got for got in house.receiver.got if got.type.startswith("log.")]
            assert [got.type for got in told] == ["log.dropped"], "once, whatever restarts"
            data = told[0].body["data"]
            assert (data["stage"], data["goes_on_at"] - data["position"]) == ("alerter", 5)
            await house.signal(make.forecast(story="bsky:b"))
            await house.settle()
            assert "bsky:b" in [incident["story"] for incident in await house.incidents()]


async def test_the_doctor_sees_before_a_start_that_the_log_is_another_one(
    make_house: MakeHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    house = make_house(partitions=1)
    await house.receiver.start()
    async with house.running():
        await house.signal(make.forecast(story="bsky:a"))
        await house.settle()

    async def told() -> str:
        await diagnose(house.settings)
        return " ".join(capsys.readouterr().out.split())

    assert "which is not so in this log" not in await told()
    for file in house.settings.data.glob("log.db*"):
        file.unlink()
    async with opened(house.settings.data):
        pass
    said = await told()
    assert "signals of partition 0 are said to be applied up to 1, which is not so in this log" in said
    assert "goes on at 0" in said
