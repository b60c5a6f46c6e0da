"""The store on both databases: migrations make what `tables.py` says, up and down with rows in them, and writes share
commits without sharing failures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from alerter.store import migrate
from alerter.store.database import Database, default_url, engine_of
from alerter.store.tables import endpoints, metadata, positions, secrets
from alerter.timekeeper.retention import Keep, purge
from services.base.errors import Damaged
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import MakeDatabase, MakeHouse
from tests.unit.alerter import make

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9000", "{head}"

def upgrade():
    with op.batch_alter_table("endpoints") as table:
        table.add_column(sa.Column("colour", sa.String(8), nullable=False, server_default="red"))
        table.alter_column("description", new_column_name="words")

def downgrade():
    with op.batch_alter_table("endpoints") as table:
        table.alter_column("words", new_column_name="description")
        table.drop_column("colour")
"""


@pytest.fixture
def url(tmp_path: Path, make_database: MakeDatabase) -> str:
    return make_database() or default_url(tmp_path)


@pytest.fixture
def with_a_next(tmp_path: Path) -> Path:
    """Our migrations and one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    (folder / "versions" / "9000_next.py").write_text(NEXT.format(head=migrate.HEAD))
    return folder


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(url: str) -> None:
    engine = engine_of(url)
    migrate.up(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == [], "run: python -m alerter.store.revise"


def fill(connection: Connection) -> None:
    for name in ("desk", "other"):
        connection.execute(
            insert(endpoints).values(
                name=name, kind="webhook", url="u", brands="[]", state="enabled", created_at=make.NOW
            )
        )
        connection.execute(insert(secrets).values(endpoint=name, secret=f"whsec_{name}"))


def test_a_migration_keeps_every_row_up_and_down(url: str, with_a_next: Path) -> None:
    engine = engine_of(url)
    migrate.up(engine)
    with engine.begin() as connection:
        fill(connection)
    with migrate.migrating(engine) as connection:
        migrate.to(connection, "9000", with_a_next)
        assert connection.execute(text("SELECT colour, words FROM endpoints")).all() == [("red", "")] * 2
        # Written anew on SQLite: what hangs on it must not fall with the old one.
        assert connection.scalar(text("SELECT COUNT(*) FROM secrets")) == 2
    with migrate.migrating(engine) as connection:
        migrate.to(connection, migrate.HEAD, with_a_next)
        rows = connection.execute(select(endpoints.c.name, secrets.c.secret).join(secrets).order_by(endpoints.c.name))
        assert rows.all() == [("desk", "whsec_desk"), ("other", "whsec_other")]
    with engine.begin() as connection:
        connection.execute(endpoints.delete())
        assert connection.scalar(select(func.count()).select_from(secrets)) == 0, "the foreign keys are back"
    engine.dispose()


def test_all_the_way_down_leaves_nothing_and_up_again_works(url: str) -> None:
    engine = engine_of(url)
    migrate.up(engine)
    with engine.begin() as connection:
        fill(connection)
    with migrate.migrating(engine) as connection:
        migrate.to(connection, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.up(engine)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


def test_a_migration_that_fails_changes_nothing(url: str, with_a_next: Path) -> None:
    broken = with_a_next / "versions" / "9000_next.py"
    broken.write_text(
        broken.read_text().replace('new_column_name="words")', 'new_column_name="words")\n    op.drop_table("none")')
    )
    engine = engine_of(url)
    migrate.up(engine)
    before = {column["name"] for column in inspect(engine).get_columns("endpoints")}
    with pytest.raises(Exception, match="none"), migrate.migrating(engine) as connection:
        migrate.to(connection, "9000", with_a_next)
    assert {column["name"] for column in inspect(engine).get_columns("endpoints")} == before
    with engine.connect() as connection:
        assert migrate.version(connection) == migrate.HEAD
    engine.dispose()


async def test_several_may_start_at_once(url: str) -> None:
    several = [Database(url) for _ in range(4)]
    await asyncio.gather(*(one.start() for one in several))
    assert await several[0].read(migrate.version) == migrate.HEAD
    for one in several:
        await one.close()


async def test_a_version_that_is_not_known_refuses_to_start(url: str) -> None:
    database = Database(url)
    await database.start()
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(Damaged, match="version 9999"):
        await database.start()
    await database.close()


async def test_writes_that_wait_together_share_a_commit_and_no_failure(url: str) -> None:
    database = Database(url)
    await database.start()
    commits = 0

    def counted(_connection: Connection) -> None:
        nonlocal commits
        commits += 1

    engine: Engine = database._engine
    event.listen(engine, "commit", counted)

    def put(number: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            connection.execute(insert(positions).values(partition=number, next=0))
            return number

        return work

    # The first write holds the thread until the others stand in line.
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(
        database.write(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10))
    )
    numbers = [*range(10), 3, *range(10, 20)]
    later = [asyncio.create_task(database.write(put(number))) for number in numbers]
    await asyncio.sleep(0)
    gate.set()
    came = await asyncio.gather(first, *later, return_exceptions=True)
    assert [one for one in came if isinstance(one, BaseException)] == [came[11]]
    assert isinstance(came[11], IntegrityError)
    assert commits <= 2
    stored = await database.read(lambda c: c.scalars(select(positions.c.partition)).all())
    assert sorted(stored) == list(range(20))
    await database.close()


async def test_what_is_old_is_forgotten_and_what_is_open_or_waits_is_kept(make_house: MakeHouse) -> None:
    policy = [{"id": "default", "steps": [{"endpoints": ["all"]}]}]
    house = make_house(make.config(policies=policy))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        for story in ("old", "open"):
            await house.signal(make.forecast(story=f"bsky:{story}"))
            await house.settle()
        ids = {one["story"]: one["id"] for one in await house.incidents()}
        await house.http.post(f"/v1/incidents/{ids['bsky:old']}/resolve", json={"by": "dana"})
        await house.settle()
        house.receiver.answers["/desk"] = receiver.status(500)
        await house.signal(make.forecast(story="bsky:new"))
        await house.settle()

        keep = Keep(timedelta(days=30), timedelta(days=100))

        async def left(days: int) -> tuple[int, int, int]:
            then, wall = house.clock.now() + timedelta(days=days), house.alerter.deliverer.wall_now()
            while await house.alerter.database.write(lambda c: purge(c, then, wall, keep)):
                pass
            waiting = [one for one in await house.deliveries() if one["state"] == "pending"]
            return len(await house.incidents()), len(await house.deliveries()), len(waiting)

        assert await left(29) == (3, 4, 1)
        assert await left(31) == (3, 1, 1)
        assert await left(101) == (2, 1, 1)
        shown = await house.http.get(f"/v1/incidents/{ids['bsky:old']}/explain")
        assert shown.status_code == 404
        tables = [table for table in metadata.sorted_tables if "incident" in table.c and table.name != "standing"]
        for table in tables:
            about = select(func.count()).select_from(table).where(table.c.incident == ids["bsky:old"])
            assert await house.alerter.database.read(lambda c, q=about: c.scalar(q)) == 0, table.name  # type: ignore[misc]
