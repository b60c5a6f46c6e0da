"""`firebreak purge`: says what would go, asks, and deletes that alone, while the alerter runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from alerter.cli import app
from alerter.incidents.suppression import STORM
from alerter.store.tables import metadata
from alerter.timekeeper import retention
from alerter.timekeeper.purging import Purge
from services.base.clock import ManualClock
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

LONG_AGO = datetime(2020, 3, 1, 9, tzinfo=UTC)
DAY, NEXT_DAY = "2020-03-01", "2020-03-02"


@pytest.fixture
def old_house(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> House:
    """Its incidents end on that day; the command finds its database."""
    house = make_house()
    house.clock = ManualClock(LONG_AGO)
    for name, value in (("DATA", str(house.settings.data)), ("DATABASE", house.settings.database)):
        monkeypatch.delenv(f"FIREBREAK_{name}", raising=False)
        if value is not None:
            monkeypatch.setenv(f"FIREBREAK_{name}", value)
    return house


async def purge(*words: str, typed: str | None = None) -> Any:
    return await asyncio.to_thread(lambda: CliRunner().invoke(app.app, ["purge", *words], typed))


async def resolved(house: House, story: str, **more: Any) -> str:
    await house.signal(make.forecast(story=story, **more))
    await house.settle()
    (found,) = [one for one in await house.incidents() if one["story"] == story and one["state"] == "prior"]
    await house.http.post(f"/v1/incidents/{found['id']}/resolve", json={"by": "dana"})
    await house.settle()
    return str(found["id"])


async def rows(house: House) -> dict[str, int]:
    def count(connection: Any) -> dict[str, int]:
        return {t.name: connection.scalar(select(func.count()).select_from(t)) for t in metadata.sorted_tables}

    return await house.alerter.database.read(count)


async def stories(house: House) -> set[str]:
    return {one["story"] for one in await house.incidents()}


async def test_it_says_what_would_go_asks_and_leaves_the_rest(
    old_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_INCIDENTS", 2)
    house = old_house
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        gone = [await resolved(house, f"bsky:p{n}") for n in range(5)]
        await resolved(house, "bsky:other", brand="other")
        await house.signal(make.forecast(story="bsky:open"))
        await house.settle()
        before = await rows(house)

        refused = await purge("--before", NEXT_DAY, "--brand", "acme", typed="n\n")
        assert refused.exit_code == 1
        shown = [line.replace("│", " ").split() for line in refused.output.splitlines()]
        said = {line[0]: line[1] for line in shown if len(line) == 2}
        assert (said["incidents"], said["deliveries"], said["attempts"], said["steps"]) == ("5", "10", "10", "10")
        assert await rows(house) == before, "nothing happened"

        done = await purge("--before", NEXT_DAY, "--brand", "acme", "--yes")
        assert done.exit_code == 0, done.output
        assert "deleted 5 incidents" in done.output
        assert await stories(house) == {"bsky:other", "bsky:open"}
        left = await rows(house)
        assert {t: before[t] - left[t] for t in left if before[t] != left[t]} == {
            **{t: int(count) for t, count in said.items() if t in left},
            "audit": -1,
        }
        for table in (t for t in metadata.sorted_tables if "incident" in t.c and t.name != "standing"):
            about = select(func.count()).select_from(table).where(table.c.incident.in_(gone))
            assert await house.alerter.database.read(lambda c, q=about: c.scalar(q)) == 0, table.name  # type: ignore[misc]

        (line, *_) = (await house.http.get("/v1/audit")).json()["items"]
        assert (line["what"], line["on"], line["brand"]) == ("incidents.purged", "acme", "acme")
        assert line["actor"].startswith("cli:")
        assert (line["detail"]["before"], line["detail"]["rows"]["incidents"]) == (NEXT_DAY, 5)

        again = await purge("--before", NEXT_DAY, "--brand", "acme")
        assert (again.exit_code, again.output.strip()) == (0, "nothing to delete")
        everybody = await purge("--before", NEXT_DAY, typed="y\n")
        assert everybody.exit_code == 0, everybody.output
        assert await stories(house) == {"bsky:open"}
        # The alerter goes on as if nothing had been.
        await house.signal(make.forecast(2, Level.CROSSED, story="bsky:open"))
        await house.settle()
        assert (await house.incidents())[0]["state"] == "active"


async def test_what_ended_later_or_has_not_reached_everybody_stays(old_house: House) -> None:
    house = old_house
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await resolved(house, "bsky:sent")
        house.receiver.answers["/desk"] = receiver.status(500)
        await resolved(house, "bsky:unsent")
        assert (await purge("--before", DAY, "--yes")).output.strip() == "nothing to delete"
        assert (await purge("--before", NEXT_DAY, "--yes")).exit_code == 0
        assert await stories(house) == {"bsky:unsent"}


async def test_a_story_that_comes_back_has_an_incident_with_ids_of_its_own(old_house: House) -> None:
    """Receivers know the old ones: a page with one of them would count as a repetition."""
    house = old_house
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        first = await resolved(house, "bsky:p1")
        await resolved(house, STORM)
        assert (await purge("--before", NEXT_DAY, "--yes")).exit_code == 0
        far = LONG_AGO + timedelta(days=4000)
        await house.alerter.database.write(lambda c: retention.forget(c, LONG_AGO + timedelta(days=13), LONG_AGO))
        second = await resolved(house, "bsky:p1", number=2)
        assert first != second
        ids = [one.id for one in house.receiver.at("/desk")]
        assert len(set(ids)) == len(ids)
        await house.alerter.database.write(lambda c: retention.forget(c, far, LONG_AGO))
        assert (await rows(house))["stories"] == 2, "of a brand's storms the number stays for ever"


async def test_answer_clocks_that_do_not_run_any_more_go_too(old_house: House) -> None:
    house = old_house
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(
            make.negative("p1", 1, "bsky:p1"), make.negative("p2", 1, "bsky:p2"), make.answered("bsky:p1")
        )
        await house.settle()
        assert (await rows(house))["answer_clocks"] == 2
        done = await purge("--before", NEXT_DAY, "--yes")
        assert "deleted 0 incidents and 1 answer clocks" in done.output
        assert (await rows(house))["answer_clocks"] == 1


async def test_a_day_that_has_not_begun_and_a_database_that_is_not_there_are_refused(tmp_path: Path) -> None:
    later = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    assert "has not begun" in (await purge("--before", later)).output
    assert "%Y-%m-%d" in (await purge("--before", "soon")).output
    with pytest.raises(ConfigError, match="there is no database at"):
        Purge(Settings(_env_file=None, data=tmp_path / "nowhere"), datetime.now(UTC))
    assert not (tmp_path / "nowhere").exists()
