"""Incident, outbox and progress move together or not at all, also when another replica, the log or the database objects."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from alerter.desk import consumer
from alerter.desk.service import IncidentService
from alerter.desk.signals import Signals
from alerter.store.database import Database, DatabaseAway, Overtaken, default_url
from alerter.store.tables import deliveries, incidents, positions, publications, seen
from services.contracts.signal import Level
from services.contracts.topics import INCIDENTS, SIGNALS
from services.eventlog.base import Message, Unavailable
from services.eventlog.position import Position
from services.stream.deadletter import DeadLetterFlood
from tests.integration.alerter.conftest import House, MakeHouse
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make


def rows(connection: Connection) -> tuple[int | None, ...]:
    tables = (incidents, deliveries, publications, seen)
    return tuple(connection.scalar(select(func.count()).select_from(table)) for table in tables)


async def test_another_replica_at_the_position_rolls_everything_back(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    before = await house.alerter.database.read(rows)
    at = await house.alerter.database.read(lambda c: {r.partition: r.next for r in c.execute(select(positions))})
    partition = max(at, key=lambda p: at[p])
    wrong = Position(at[partition] - 1)
    records = (await house.log.read(SIGNALS.name, partition, 0, 10)).records
    batch = consumer.sort_out(records, 99)
    with pytest.raises(Overtaken):
        await house.alerter.database.write(
            lambda c: consumer.apply(c, partition, wrong, batch, house.alerter.context(), {})
        )
    assert await house.alerter.database.read(rows) == before


async def test_a_lane_that_was_overtaken_loads_again_and_goes_on(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    # The other replica applied what comes next before this one could.
    await house.alerter.database.write(lambda c: c.execute(update(positions).values(next=positions.c.next + 1)))
    await house.signal(make.forecast(2, Level.CROSSED))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await house.alerter.idle():
            await asyncio.sleep(0.02)
    await house.signal(make.forecast(3, Level.CROSSED))
    await house.settle()
    (incident,) = await house.incidents()
    assert (incident["sequence"], incident["state"]) == (2, "active")
    restarts = house.registry.get_sample_value("firebreak_lane_restarts_total", {"stage": "alerter"})
    assert restarts is not None
    assert restarts >= 1


async def test_an_incident_that_another_replica_changed_is_loaded_again(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()

    def both(connection: Connection) -> None:
        desk = IncidentService(connection, house.alerter.context())
        desk.store.load(incident["id"])
        connection.execute(update(incidents).values(sequence=incidents.c.sequence + 1))
        desk.people.acknowledge(incident["id"], "dana", "")

    with pytest.raises(Overtaken):
        await house.alerter.database.write(both)
    assert await house.incidents() == [incident]


async def test_one_signal_that_breaks_us_is_set_aside_and_the_others_are_applied(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Signals.apply

    def breaking(signals: Signals, event: Any, origin: Any) -> Any:
        result = honest(signals, event, origin)
        if event.story == "bsky:cursed":
            raise KeyError("a mistake of ours")
        return result

    monkeypatch.setattr(Signals, "apply", breaking)
    await house.signal(make.forecast(story="bsky:cursed"), make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["story"] == make.STORY
    letters = {"stage": "alerter", "reason": "processor_error"}
    assert house.registry.get_sample_value("firebreak_dead_letters_total", letters) == 1


async def test_a_flood_of_dead_letters_stops_the_service(make_house: MakeHouse) -> None:
    house = make_house(dead_letters_per_minute=5)
    with pytest.RaisesGroup(DeadLetterFlood):
        async with house.running():
            await house.log.append([Message(SIGNALS.name, "acme", b"no json")] * 6)
            await asyncio.sleep(PATIENCE_SECONDS)


async def test_what_goes_to_the_log_waits_until_the_log_is_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = house.log.append
    refused = 0

    async def away(messages: Any) -> None:
        nonlocal refused
        if messages[0].topic == INCIDENTS.name:
            refused += 1
            raise Unavailable("the log is away")
        await honest(messages)

    monkeypatch.setattr(house.log, "append", away)
    await house.signal(make.forecast())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (refused and house.receiver.at("/desk")):
            await asyncio.sleep(0.01)
    assert not await house.alerter.idle()
    monkeypatch.setattr(house.log, "append", honest)
    await house.settle()
    assert len(await house.on_log()) == 1


async def test_a_lane_survives_a_database_that_is_locked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, failures = house.alerter.database.write, 0

    async def locked(work: Any, **how: Any) -> Any:
        nonlocal failures
        if failures < 1:
            failures += 1
            raise DatabaseAway("database is locked")
        return await honest(work, **how)

    monkeypatch.setattr(house.alerter.database, "write", locked)
    await house.signal(make.forecast())
    await house.settle()
    assert house.receiver.types("/desk") == ["incident.opened"]


async def test_two_replicas_share_the_partitions_and_apply_each_signal_once(make_house: MakeHouse) -> None:
    """A second alerter joins and leaves while signals come in. Tests only: SQLite has one alerter."""
    first = make_house()
    await first.receiver.start()
    async with first.running():
        await first.endpoint("desk")
        second = make_house()
        second.settings = first.settings
        for n in range(20):
            await first.signal(
                make.forecast(story=f"bsky:a{n}", brand="acme"), make.forecast(story=f"bsky:b{n}", brand="other")
            )
        async with second.running():
            for n in range(20, 40):
                await first.signal(
                    make.forecast(story=f"bsky:a{n}", brand="acme"), make.forecast(story=f"bsky:b{n}", brand="other")
                )
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len((await first.http.get("/v1/incidents?limit=200")).json()["items"]) < 80:
                    await asyncio.sleep(0.05)
        await first.settle()
        items = (await first.http.get("/v1/incidents?limit=200")).json()["items"]
        assert len(items) == 80
        assert {item["sequence"] for item in items} == {1}
        arrived = [one.id for one in first.receiver.at("/desk")]
        assert len(arrived) == len(set(arrived)) == 80


async def test_the_database_is_as_durable_as_promised(tmp_path: Path) -> None:
    database = Database(default_url(tmp_path))
    await database.start()
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    assert await database.read(lambda c: [c.exec_driver_sql(f"PRAGMA {p}").scalar() for p in pragmas]) == ["wal", 2, 1]
    await database.close()
