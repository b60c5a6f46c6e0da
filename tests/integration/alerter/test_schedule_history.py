"""What a schedule said before it was edited is kept: nobody is put on call by a reload, and the past stays as it was."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from alerter.oncall import histories
from alerter.oncall.versions import edited
from alerter.store.tables import schedule_versions
from services.config.model import Config
from tests.integration.alerter.conftest import House, MakeDatabase, MakeHouse
from tests.integration.alerter.test_reloading import without
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

FOUR = ("r0", "r1", "r2", "r3")
PEOPLE = [{"id": who, "methods": [who]} for who in FOUR]
DAY = timedelta(days=1)


def rota(*people: str, **more: Any) -> dict[str, Any]:
    layer = {"id": "weeks", "rotation": "weekly", "begins": "2026-01-05T09:00:00", "responders": people, **more}
    return {"id": "crisis", "zone": "Europe/Berlin", "layers": [layer]}


def config(*people: str, **more: Any) -> Config:
    policy = {"id": "default", "steps": [{"targets": ["schedule:crisis"]}], "fallback": ["lead"]}
    return make.config(responders=PEOPLE, schedules=[rota(*people, **more)], policies=[policy])


async def shifts(house: House, begins: Any = NOW, days: int = 28) -> list[tuple[str | None, str]]:
    answer = await house.http.get(
        "/v1/schedules/crisis/shifts", params={"begins": begins.isoformat(), "days": str(days)}
    )
    assert answer.status_code == 200, answer.text
    return [(shift["responder"], shift["ends"]) for shift in answer.json()["shifts"]]


async def rows(house: House) -> list[Any]:
    query = select(schedule_versions).order_by(schedule_versions.c.number)
    return list(await house.alerter.database.read(lambda c: c.execute(query).all()))


async def on_call(house: House) -> str | None:
    found: str | None = (await house.http.get("/v1/on-call")).json()["items"][0]["now"]["responder"]
    return found


async def test_appending_somebody_to_a_weekly_rota_changes_nobodys_present_shift_nor_the_past(
    make_house: MakeHouse,
) -> None:
    house = make_house(config(*FOUR[:3]))
    await house.receiver.start()
    async with house.running():
        for name in (*FOUR, "lead"):
            await house.endpoint(name)
        before, past = await on_call(house), await shifts(house, NOW - 28 * DAY)
        assert before == "r1"
        await house.reconfigure(config(*FOUR))
        for noted in (False, True):
            if noted:
                await house.alerter.rota_history.turn()
            assert await on_call(house) == before, f"noted: {noted}"
            assert [who for who, _ in await shifts(house)] == ["r1", "r2", "r3", "r0", "r1"]
            assert await shifts(house, NOW - 28 * DAY) == past
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        assert [(got.path, got.type) for got in house.receiver.got] == [("/r1", "incident.opened")]
        assert len(await rows(house)) == 2
        lines = (await house.http.get("/v1/audit")).json()["items"]
        (said,) = [line for line in lines if line["what"] == "schedule.changed"]
        assert (said["actor"], said["on"]) == ("configuration", "crisis")


async def test_a_restart_with_another_file_is_an_edit_too_and_with_the_same_one_is_none(make_house: MakeHouse) -> None:
    house = make_house(config(*FOUR[:3]))
    async with house.running():
        assert await on_call(house) == "r1"
    house.config = config("r3", "r2", "r1", "r0")
    for _ in range(2):
        async with house.running():
            assert await on_call(house) == "r1", "whose turn it was"
            assert [who for who, _ in await shifts(house)][:3] == ["r1", "r0", "r3"]
            assert len(await rows(house)) == 2


async def test_an_edit_that_waits_for_the_hand_over_can_be_taken_back(make_house: MakeHouse) -> None:
    daily = {"rotation": "daily"}
    house = make_house(config(*FOUR, **daily))
    async with house.running():
        first, planned = await rows(house), await shifts(house)
        await house.reconfigure(config(*FOUR, begins="2026-01-07T09:00:00"))
        await house.alerter.rota_history.turn()
        assert (await shifts(house))[0] == planned[0], "the present shift ends as planned"
        assert (await shifts(house))[1] != planned[1]
        await house.reconfigure(config(*FOUR, **daily))
        await house.alerter.rota_history.turn()
        assert (await rows(house), await shifts(house)) == (first, planned)


async def test_two_replicas_note_an_edit_once(
    make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Any
) -> None:
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    one, other = make_house(config(*FOUR[:3]), database=url), make_house(config(*FOUR[:3]), database=url)
    other.clock = one.clock
    async with one.running(), other.running():
        for number in range(5):
            one.clock.advance(86_400)
            people = FOUR if number % 2 == 0 else FOUR[:3]
            await one.reconfigure(config(*people))
            assert await on_call(one) == await on_call(other)
            await other.reconfigure(config(*people))
            await asyncio.gather(one.alerter.rota_history.turn(), other.alerter.rota_history.turn())
            found = await rows(one)
            assert [row.number for row in found] == list(range(1, number + 3))
            assert [row.ends for row in found] == [*(row.holds_from for row in found[1:]), None]


async def test_a_replica_that_came_with_an_older_file_and_went_does_not_have_the_last_word(
    make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Any
) -> None:
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    one, other = make_house(config(*FOUR), database=url), make_house(config(*FOUR[1:]), database=url)
    other.clock = one.clock
    async with one.running():
        before = await on_call(one)
        async with other.running():
            assert await on_call(one) == await on_call(other) == before
        planned = await shifts(one)
        assert "r0" not in (await rows(one))[-1].text
        one.clock.advance(3600)
        await one.alerter.rota_history.turn()
        assert await shifts(one, NOW) == planned
        (*_, newest) = await rows(one)
        assert "r0" in newest.text


async def test_whoever_writes_second_changes_nothing(make_house: MakeHouse) -> None:
    """Both replicas read before either wrote."""
    house = make_house(config(*FOUR[:3]))
    async with house.running():
        new = config(*FOUR).schedules[0]
        stale = await house.alerter.database.read(lambda c: histories.numbered(c, NOW))
        later = [version for _, version in stale["crisis"]]
        await house.alerter.database.write(lambda c: histories.take(c, [new], NOW))
        written = await rows(house)
        after = edited(later, new, NOW + timedelta(seconds=2))
        done = await house.alerter.database.write(lambda c: histories.note(c, "crisis", stale["crisis"], after))
        assert not done
        assert await rows(house) == written


async def test_an_old_version_is_forgotten_and_the_newest_never(make_house: MakeHouse) -> None:
    house = make_house(config(*FOUR[:3]))
    async with house.running():
        await house.reconfigure(config(*FOUR))
        await house.alerter.rota_history.turn()
        for days, left in ((399, 2), (401, 1)):
            house.clock.advance((NOW + days * DAY - house.clock.now()).total_seconds())
            await house.alerter.purger.turn()
            assert len(await rows(house)) == left
        assert await on_call(house) is not None


@pytest.mark.parametrize("gone", ["r1", "r0"])
async def test_whoever_is_taken_out_is_not_paged_any_more(make_house: MakeHouse, gone: str) -> None:
    house = make_house(config(*FOUR[:3]))
    await house.receiver.start()
    async with house.running():
        for name in (*FOUR, "lead"):
            await house.endpoint(name)
        left = [who for who in FOUR[:3] if who != gone]
        people = [one for one in PEOPLE if one["id"] != gone]
        await house.reconfigure(without(house.config, responders=people, schedules=[rota(*left)]))
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        assert [got.path for got in house.receiver.got] == ["/r2" if gone == "r1" else "/r1"]
