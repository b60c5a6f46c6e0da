"""A batch of signals is applied in short transactions, and what follows is the same as if each signal had come alone."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, func, select, text

from alerter.desk import consumer
from alerter.desk.context import Context
from alerter.desk.position import stored
from alerter.incidents.store import FORGET_EVERY, SEEN_OFFSETS
from alerter.notify import endpoints, signing
from alerter.notify.endpoints import Draft
from alerter.store.database import default_url, engine_of
from alerter.store.tables import incidents, metadata, positions
from services.contracts.base import Event, event_id
from services.contracts.codec import encode
from services.contracts.incident import IncidentChanged
from services.contracts.signal import Level, SurgePhase
from services.contracts.topics import DEADLETTER, SIGNALS
from services.eventlog.base import Message, Record
from tests.integration.alerter import lives, parts_life
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.migrated import migrated_file
from tests.integration.alerter.parts_life import OPENS_EVERY, SIGNALS_IN_ALL, ticking
from tests.integration.alerter.receiver import Receiver, verify
from tests.load import bench_opening
from tests.load.bench_opening import Opener
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make


def complaints(count: int) -> list[Event]:
    return [make.negative(post=f"c{n}", story=f"bsky:c{n}") for n in range(count)]


def commits(house: House) -> float:
    return house.registry.get_sample_value("firebreak_lane_commits_total", {"stage": "alerter"}) or 0.0


async def letters(house: House) -> Counter[int]:
    """How many dead letters there are of the records at each offset."""
    found: Counter[int] = Counter()
    for partition, (start, _) in (await house.log.bounds(DEADLETTER.name)).items():
        for record in (await house.log.read(DEADLETTER.name, partition, start, 100)).records:
            found[int((record.value or b"").split(b'"offset": ')[1].split(b",")[0])] += 1
    return found


async def test_a_transaction_applies_what_there_is_time_for_and_the_next_one_goes_on(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running(monotonic=ticking(0.01)):
        await house.log.append([Message(SIGNALS.name, "acme", b"no json")])
        await house.signal(*complaints(25))
        await house.log.append([Message(SIGNALS.name, "acme", b"no json either")])
        await house.settle()
        assert commits(house) >= 3
        told = [one.event.incident for one in await house.on_log() if isinstance(one.event, IncidentChanged)]
        changes = [(incident.id, incident.sequence) for incident in told]
        assert len({incident for incident, _ in changes}) == 25
        assert len(changes) == len(set(changes))
        found = await letters(house)
        assert sorted(found) == [0, 26]
        assert set(found.values()) == {1}
        at = await house.alerter.database.read(lambda c: max(c.scalars(select(positions.c.next))))
        assert at == 27


async def test_a_signal_that_takes_longer_than_a_transaction_may_is_applied_all_the_same(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running(monotonic=ticking(60.0)):
        await house.signal(*complaints(5))
        await house.settle()
        assert commits(house) == 5
        assert len(await house.incidents()) == 5


async def test_a_lane_that_is_to_stop_goes_no_further_than_its_transaction(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running(monotonic=ticking(60.0)):
        await house.signal(*complaints(200))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not commits(house):
                await asyncio.sleep(0)
    assert commits(house) < 200
    async with house.running():
        await house.settle()
        assert await house.alerter.database.read(lambda c: c.scalar(select(func.count()).select_from(incidents))) == 200


@pytest.mark.parametrize("seam", ["alerter.begun:3", "alerter.committed:3"])
async def test_a_kill_between_the_parts_of_a_batch_applies_no_signal_twice_and_loses_none(
    tmp_path: Path, seam: str
) -> None:
    migrated_file(tmp_path)
    receiver, secret = Receiver(), signing.new_secret()
    await receiver.start()
    words = [str(tmp_path), receiver.url(""), secret]
    engine = create_engine(default_url(tmp_path))

    async def life(**armed: str) -> int:
        process = await lives.begin(parts_life.main, words, tmp_path / "said", **armed)
        try:
            return await process.wait()
        finally:
            await process.end()

    def counted() -> tuple[Any, ...]:
        queries = ("MAX(next) FROM positions", "COUNT(*) FROM seen", "COUNT(*) FROM stories", "COUNT(*) FROM incidents")
        with engine.connect() as connection:
            return tuple(connection.scalar(text(f"SELECT {query}")) for query in queries)

    assert await life(FIREBREAK_CRASH_AT=seam) == -signal.SIGKILL, (tmp_path / "said").read_text()
    position, *applied, opened = counted()
    assert 0 < position < SIGNALS_IN_ALL
    assert applied == [position, position]
    assert opened == len(range(0, position, OPENS_EVERY))
    assert await life() == 0, (tmp_path / "said").read_text()
    assert counted() == (*[SIGNALS_IN_ALL] * 3, SIGNALS_IN_ALL // OPENS_EVERY)
    ids: dict[str, set[str]] = {}
    for one in receiver.got:
        verify(secret, one)
        ids.setdefault(one.body["data"]["story"], set()).add(one.id)
    assert ids.keys() == {f"bsky:c{n}" for n in range(0, SIGNALS_IN_ALL, OPENS_EVERY)}
    assert {len(some) for some in ids.values()} == {1}
    engine.dispose()
    await receiver.stop()


@pytest.mark.parametrize(
    "refused",
    [
        make.negative(story="bsky:c2").model_copy(update={"post": make.card("c2", followers=2**70)}),
        # SQLite takes it.
        make.unread(story="bsky:c2").model_copy(update={"post": make.card("c2", text="half\0text")}),
    ],
    ids=["a number too large", "a NUL"],
)
async def test_a_value_that_the_database_refuses_sets_its_signal_aside_and_no_other(
    make_house: MakeHouse, refused: Event
) -> None:
    house = make_house()
    async with house.running():
        good = complaints(5)
        await house.signal(*good[:2], refused, *good[3:])
        await house.settle()
        assert {one["story"] for one in await house.incidents()} == {f"bsky:c{n}" for n in (0, 1, 3, 4)}
        aside = {"stage": "alerter", "reason": "processor_error"}
        is_taken = refused.TYPE == "post.unread" and house.settings.database is None
        assert house.registry.get_sample_value("firebreak_dead_letters_total", aside) == (0 if is_taken else 1)


CONFIG = make.config(
    rules=[
        {"id": "viral", "level": "likely", "policy": "default", "playbook": "answer"},
        {"id": "severe", "complaint_severity": 3, "policy": "default"},
        {"id": "danger", "topics": ["safety"], "policy": "default", "group_by": ["topic"]},
        {"id": "surge", "surge_factor": 3, "policy": "default"},
    ],
    brands=[{"id": "acme", "name": "Acme", "line": {"engagements": 500}, "pages_per_hour": 3}],
)


def night(rng: random.Random) -> list[Event]:
    """Signals of all kinds about a few stories and posts, in any order, copies and deletions among them."""

    def one() -> Event:
        post = f"p{rng.randrange(6)}"
        story, voice = f"bsky:{post}", rng.choice([None, "v1", "v2"])
        kind = rng.randrange(9)
        made: list[Callable[[], Event]] = [
            lambda: make.negative(post, rng.choice([1, 3, 4]), story, voice=voice),
            lambda: make.negative(post, rng.choice([None, 2]), story, voice=voice),
            lambda: make.flagged(post, story, voice=voice),
            lambda: make.unread(post, story, voice=voice, addressed=rng.random() < 0.5),
            lambda: make.asked(post, story),
            lambda: make.answered(story),
            lambda: make.redacted(post, story),
            lambda: make.forecast(rng.randrange(1, 5), rng.choice([Level.LIKELY, Level.CROSSED]), story),
            lambda: make.surge(SurgePhase.START, rng.randrange(9), stories=(story,)),
        ]
        return made[kind]()

    return [one() for _ in range(60)]


def records(events: Sequence[Event]) -> list[Record]:
    return [
        Record(SIGNALS.name, 0, offset, "acme", encode(event, event_id("night", offset)), 1_700_000_000_000)
        for offset, event in enumerate(events)
    ]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    made: list[Engine] = []

    def build() -> Engine:
        folder = tmp_path / str(len(made))
        migrated_file(folder)
        made.append(engine_of(default_url(folder)))
        return made[-1]

    yield build
    for engine in made:
        engine.dispose()


def played(engine: Engine, batches: Sequence[Sequence[Record]], clock: Callable[[], float]) -> dict[str, list[Any]]:
    """What the tables hold once these batches are applied, but for the numbers that count the rows."""
    with engine.begin() as connection:
        for name in ("desk", "second"):
            endpoints.add(connection, Draft(name, f"https://{name}.example/"), make.NOW)
        position = stored(connection, 0, 0)
    context = Context(make.NOW, make.NOW + timedelta(seconds=1), CONFIG, None)
    for batch in batches:
        left: consumer.DecodedBatch | None = consumer.sort_out(batch, batch[-1].offset + 1)
        while left is not None:
            with engine.begin() as connection:
                part = consumer.apply(connection, 0, position, left, context, {}, clock=clock)
            position, left = part.position, part.left
    with engine.connect() as connection:
        return {table.name: _rows(connection, table) for table in metadata.sorted_tables if table.name != "endpoints"}


def _rows(connection: Connection, table: Any) -> list[Any]:
    kept = [column for column in table.c if not (column.name == "id" and column.type.python_type is int)]
    return sorted(repr(tuple(row)) for row in connection.execute(select(*kept)))


@pytest.mark.parametrize("seed", range(8))
def test_a_batch_leaves_the_same_rows_as_its_signals_one_by_one(empty: Callable[[], Engine], seed: int) -> None:
    every = records(night(random.Random(seed)))
    alone = played(empty(), [[record] for record in every], lambda: 0.0)
    together = played(empty(), [every], lambda: 0.0)
    in_parts = played(empty(), [every], ticking(0.015))
    assert together == alone
    assert in_parts == alone
    assert alone["incidents"]


def test_signals_that_were_applied_are_remembered_for_a_while(empty: Callable[[], Engine]) -> None:
    engine = empty()
    one, other = records([make.negative(post=f"c{n}", story=f"bsky:c{n}") for n in range(2)])
    held = {}
    for offset in (SEEN_OFFSETS - 1, SEEN_OFFSETS + FORGET_EVERY):
        held[offset] = len(played(engine, [[one], [other._replace(offset=offset)]], lambda: 0.0)["seen"])
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
    assert held == {SEEN_OFFSETS - 1: 2, SEEN_OFFSETS + FORGET_EVERY: 1}


def test_opening_many_incidents_at_once_takes_fewer_statements_than_incidents(tmp_path: Path) -> None:
    opener = Opener(default_url(tmp_path))
    opener.open(bench_opening.complaints(0, 1))
    opener.statements.clear()
    assert opener.open(bench_opening.complaints(1, 100)) == 100
    assert opener.statements.total() < 60, opener.statements
    opener.close()
