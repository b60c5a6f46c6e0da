"""The board's order and counts come from the database, however many incidents are open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, column, event, insert, select, table

from alerter.api.auth import Caller
from alerter.api.incident_filter import IncidentFilter, StateSet
from alerter.api.scopes import Scope
from alerter.console import live, rendering, rows, strip
from alerter.incidents.store import incident_of
from alerter.store import migrate
from alerter.store.database import default_url, engine_of
from alerter.store.tables import incidents
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import MAX_PAGE_BYTES, sign_in
from tests.unit.alerter import make

OPEN = 250
MOST_QUERIES = 30
ASSETS = sum(len(rendering.static(name)[0]) for name in rendering.KINDS)
BEFORE = "0001"
"""The version that had no columns for the board."""


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    """Without a public address, so that the session's cookie travels over plain HTTP."""
    made = make_house(public_url=None)
    async with made.running():
        yield made


async def queries(house: House) -> int:
    """How many statements a page of the board takes, with its strip."""
    context, caller = house.alerter.context(), Caller("admin", Scope.ADMIN)
    seen: list[str] = []

    def read(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", lambda *said: seen.append(said[2]))
        rows.read(connection, caller, IncidentFilter(states=(StateSet.OPEN,)), 0, context, with_ended=True)
        strip.read(connection, caller, context)
        live.fingerprint(connection, caller)

    await house.alerter.database.read(read)
    return len(seen)


async def test_with_250_open_the_worst_that_nobody_has_comes_first_and_all_are_counted(house: House) -> None:
    worst = make.forecast(story="bsky:worst", probability=0.95, mood=make.mood(), crossing=None)
    await house.signal(worst)
    await house.settle()
    (first,) = await house.incidents()
    assert first["severity"] == 1
    of_one = await queries(house)
    house.clock.advance(60)
    await house.signal(*(make.forecast(story=f"bsky:s{n}", crossing=None) for n in range(OPEN - 1)))
    await house.settle()
    taken = (await house.incidents())[0]["id"]
    await house.alerter.act(lambda desk: desk.people.acknowledge(taken, "dana", ""))
    async with sign_in(house) as client:
        assert await queries(house) == of_one, "as many as for a single one"
        assert of_one <= MOST_QUERIES
        page = (await client.get("/console")).text
        assert len(page.encode()) + ASSETS < MAX_PAGE_BYTES
        shown = re.findall(r'data-incident="([0-9a-f]+)"', page)
        assert shown[0] == first["id"], "the one that was changed longest ago is the worst"
        assert taken not in shown
        assert f'<span class="count">{OPEN - 1}</span>' in page
        assert f"of {OPEN}, the most urgent first" in page
        last = (await client.get(f"/console?from={OPEN - 10}")).text
    assert re.findall(r'data-incident="([0-9a-f]+)"', last)[-1] == taken


async def test_what_somebody_has_what_eases_and_what_is_late_have_their_places(house: House) -> None:
    late = make.forecast(story="bsky:late")  # may cross the line in 45 minutes
    going = make.forecast(story="bsky:going", level=Level.CROSSED, crossing=None)
    for signal in (make.forecast(story="bsky:calm", crossing=None), late, going, make.forecast(story="bsky:held")):
        await house.signal(signal)
        await house.settle()
    ids = {one["story"].removeprefix("bsky:"): one["id"] for one in await house.incidents()}
    held, going_on, due, calm = (ids[story] for story in ("held", "going", "late", "calm"))
    await house.alerter.act(lambda desk: desk.people.acknowledge(held, "dana", "", 600))
    async with sign_in(house) as client:
        order = [going_on, due, calm, held]
        assert re.findall(r'data-incident="([0-9a-f]+)"', (await client.get("/console")).text) == order
        house.clock.advance(40 * 60)  # by now it is late, and more severe than nothing that presses
        await house.signal(make.forecast(2, Level.EASING, story="bsky:going"))
        await house.settle()
        order = [due, calm, going_on, held]
        assert re.findall(r'data-incident="([0-9a-f]+)"', (await client.get("/console")).text) == order


async def test_incidents_of_the_version_before_get_their_places(
    house: House, make_database: Callable[[], str | None], tmp_path: Path
) -> None:
    await house.signal(make.forecast(), make.forecast(1, Level.CROSSED, story="bsky:two"), make.surge())
    await house.signal(make.forecast(2, Level.EASING, story="bsky:two"))
    await house.settle()
    taken = next(one["id"] for one in await house.incidents() if one["state"] == "prior")
    await house.alerter.act(lambda desk: desk.people.acknowledge(taken, "dana", ""))
    columns = ("id", "acknowledged_by", "answer_by", "easing", "words", "kept_words", "labels", "networks", "languages")
    query = select(incidents).order_by(incidents.c.id)
    rows = await house.alerter.database.read(lambda c: c.execute(query).all())
    assert any(row.acknowledged_by for row in rows)
    assert any(row.answer_by for row in rows)

    other = tmp_path / "other"
    other.mkdir()
    engine = engine_of(make_database() or default_url(other))
    with engine.begin() as connection:
        migrate.to(connection, BEFORE)
        known = [c.name for c in incidents.columns if c.name not in columns[1:]]
        was = table("incidents", *(column(name, incidents.c[name].type) for name in known))
        connection.execute(insert(was), [{name: getattr(row, name) for name in known} for row in rows])
        migrate.to(connection, "head")
        carried = connection.execute(query).all()
    engine.dispose()
    assert [[getattr(row, name) for name in columns] for row in carried] == [
        [getattr(row, name) for name in columns] for row in rows
    ]


async def test_whoever_only_looks_at_a_link_waits_for_nobody_and_holds_up_nobody(make_house: MakeHouse) -> None:
    """A chat program opens every link that it is sent, also while somebody works on the incident."""
    house = make_house(public_url="https://firebreak.example")
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(make.forecast())
        await house.settle()
        (incident,) = await house.incidents()
        link = house.alerter.links.acknowledge(incident["id"], "desk", house.alerter.context().wall)
        assert link is not None
        engine = engine_of(house.settings.database or default_url(house.settings.data))
        with engine.begin() as connection:
            assert incident_of(connection, incident["id"], lock=True) is not None
            async with asyncio.timeout(10):
                answer = await house.http.get(link.removeprefix("https://firebreak.example"))
        engine.dispose()
    assert answer.status_code == 200
    assert incident["title"] in answer.text
