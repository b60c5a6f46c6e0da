"""Receivers that stall, in every way, hold up nobody else: no timeout is charged to the others, and nothing goes twice.

Here an attempt may last for ten minutes. So whoever waits for one that stalls would wait for longer than the test does.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, select

from alerter.escalation import pages
from alerter.notify import claims, endpoints, http, outbox
from alerter.notify.claims import Claimant
from alerter.notify.endpoints import Draft
from alerter.notify.outbox import Cause
from alerter.notify.outlet import Kind
from alerter.notify.places import REQUESTS, Places
from alerter.states import AttemptOutcome
from alerter.store import later
from alerter.store.database import Database, default_url
from alerter.store.tables import attempts, deliveries
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.migrated import migrated_file
from tests.integration.alerter.receiver import Got
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

EACH: Final = 20
"""Messages to each receiver: more than it has places, so that those that stall would take all there are."""
STALLING: Final = tuple(f"stalling{number}" for number in range(30))
WELL: Final = tuple(f"well{number}" for number in range(30))
TEN_MINUTES: Final = 600.0
BODY: Final = json.dumps({"type": "endpoint.test", "data": {}}).encode()


async def drip(_got: Got, writer: asyncio.StreamWriter) -> None:
    """A head that never ends."""
    writer.write(b"HTTP/1.1 204 X\r\nx-drip: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def never_accepting() -> AsyncIterator[str]:
    """The URL of a port whose queue is full: a connection is never made."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        place = listening.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(place)
        try:
            yield f"http://127.0.0.1:{place[1]}"
        finally:
            for one in filling:
                one.close()


async def added(house: House, drafts: Sequence[Draft]) -> None:
    def add(connection: Connection) -> None:
        for draft in drafts:
            endpoints.add(connection, draft, house.clock.now())

    await house.alerter.database.write(add)


async def queued(house: House, names: Sequence[str], count: int, what: str = "isolation") -> None:
    def enqueue(connection: Connection) -> None:
        for number in range(count):
            cause = Cause("endpoint.test", None, (what, number))
            outbox.enqueue(connection, cause, BODY, names, house.clock.now(), house.alerter.deliverer.wall_now())

    await house.alerter.database.write(enqueue)
    house.alerter.ring()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await asyncio.sleep(0.01)


async def outcomes(house: House) -> Counter[tuple[str, str]]:
    """How many attempts came to what, for those that stall and those that do not."""
    query = select(deliveries.c.endpoint, attempts.c.outcome).join(deliveries, deliveries.c.id == attempts.c.delivery)
    rows = await house.alerter.database.read(lambda c: c.execute(query).all())
    return Counter((row.endpoint.rstrip("0123456789"), row.outcome) for row in rows)


HOW_THEY_STALL: Final = {"silent": receiver.stall, "head_only": receiver.silent_body, "dripping": drip}


@pytest.mark.parametrize("how", [*HOW_THEY_STALL, "never_accepting"])
async def test_thirty_of_sixty_receivers_that_stall_hold_up_no_other(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", TEN_MINUTES)
    house = make_house()
    await house.receiver.start()
    house.receiver.keeps_alive = True
    house.receiver.answers = {f"/{name}": HOW_THEY_STALL.get(how, receiver.stall) for name in STALLING}
    async with house.running(), never_accepting() as nowhere:
        house.alerter.outlets.sender.timeout_seconds = TEN_MINUTES
        base = nowhere if how == "never_accepting" else house.receiver.url("")
        await added(house, [Draft(name, f"{base}/{name}", concurrency=16) for name in STALLING])
        await added(house, [Draft(name, house.receiver.url(f"/{name}"), concurrency=16) for name in WELL])
        await queued(house, (*STALLING, *WELL), EACH)
        well = {f"/{name}" for name in WELL}
        await until(lambda: sum(one.path in well for one in house.receiver.got) >= len(WELL) * EACH)
        async with asyncio.timeout(PATIENCE_SECONDS):  # the last of them are still to be recorded
            while (await outcomes(house))["well", AttemptOutcome.BEGUN]:
                await asyncio.sleep(0.01)
        came = Counter(one.id for one in house.receiver.got if one.path in well)
        assert (len(came), set(came.values())) == (len(WELL) * EACH, {1}), "each once"
        ended = await outcomes(house)
        assert ended["well", "delivered"] == len(WELL) * EACH
        assert {outcome for group, outcome in ended if group == "well"} == {"delivered"}
        assert ended["stalling", "begun"] <= REQUESTS.slow.total
        await house.receiver.stop()  # what is in flight ends


async def test_receivers_on_one_host_do_not_hold_each_other_up_and_a_test_message_goes_through(
    make_house: MakeHouse,
) -> None:
    house = make_house()
    await house.receiver.start()
    house.receiver.answers["/loud"] = receiver.stall
    async with house.running():
        await house.endpoint("loud", concurrency=16)
        await house.endpoint("desk")
        await queued(house, ["loud"], 1000)
        await until(lambda: len(house.receiver.at("/loud")) == REQUESTS.unknown)
        await house.http.post("/v1/endpoints/desk/test")
        await until(lambda: len(house.receiver.at("/desk")) == 1)
        house.alerter.outlets.sender.timeout_seconds = 0.1
        await house.receiver.stop()


async def test_a_backlog_of_one_receiver_is_not_read_to_serve_another(tmp_path: Path) -> None:
    migrated_file(tmp_path)
    database, now = Database(default_url(tmp_path)), make.NOW
    places = Places(REQUESTS)
    for number in range(REQUESTS.unknown):  # it is full
        places.begin("loud", str(number), 0.0)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    def cost(connection: Connection, backlog: int) -> int:
        """How many hundreds of steps SQLite takes to find what may be sent."""
        nonlocal steps
        for name, count in (("loud", backlog), ("desk", 1)):
            for number in range(count):
                cause = Cause("endpoint.test", None, (backlog, number))
                outbox.enqueue(connection, cause, BODY, [name], now, now)
        later.flush(connection)  # to write them is not what is counted
        raw: Any = connection.connection.dbapi_connection
        steps = 0
        raw.set_progress_handler(step, 100)
        found = claims.claim(connection, Claimant("me", {True: places.view(0.0)}), now, now, pages)
        outbox.next_due(connection)
        raw.set_progress_handler(None, 0)
        assert [one.message.endpoint for one in found.claimed] == ["desk"]
        return steps

    try:
        for name in ("loud", "desk"):
            await database.write(lambda c, n=name: endpoints.add(c, Draft(n, f"http://127.0.0.1:9/{n}"), now))  # type: ignore[misc]
        few, many = [await database.write(lambda c, b=backlog: cost(c, b)) for backlog in (10, 5000)]  # type: ignore[misc]
    finally:
        await database.close()
    assert many <= 2 * few + 5


async def test_a_member_of_a_cluster_that_stalls_is_not_waited_for(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["all"]}]}]))
    await house.receiver.start()
    house.receiver.answers["/b/api/v2/alerts"] = receiver.stall
    async with house.running():
        house.alerter.outlets.sender.timeout_seconds = TEN_MINUTES
        options = {"peers": [house.receiver.url("/b")]}
        draft = {"name": "am", "kind": "alertmanager", "url": house.receiver.url("/a"), "options": options}
        answer = await house.http.post("/v1/endpoints", json=draft)
        assert answer.status_code == 201, answer.text
        await house.signal(make.forecast())
        await house.settle()
        (delivery,) = await house.deliveries(endpoint="am")
        assert delivery["state"] == "delivered"
        assert len(house.receiver.at("/a/api/v2/alerts")) == 1
        await house.receiver.stop()


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_apprise_receivers_that_stall_leave_processes_for_the_others(make_house: MakeHouse) -> None:
    pytest.importorskip("apprise")
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["all"]}]}]))
    await house.receiver.start()
    stalling = [f"stalling{number}" for number in range(4)]
    house.receiver.answers = {f"/{name}": receiver.stall for name in stalling}
    async with house.running():
        port = house.receiver.port
        await added(house, [Draft(n, f"json://127.0.0.1:{port}/{n}", Kind.APPRISE) for n in (*stalling, "well")])
        for number in range(3):
            await house.signal(make.forecast(story=f"bsky:s{number}"))
        await until(lambda: len(house.receiver.at("/well")) == 3)
        ended = await outcomes(house)
        assert (ended["stalling", AttemptOutcome.TIMEOUT], ended["well", AttemptOutcome.TIMEOUT]) == (0, 0)
        await house.receiver.stop()
