"""After a post was deleted, or a day was purged, nobody who reads the database finds who wrote it, or where.

Looked for in every column of every table, and with SQLite in the bytes of its files, the write-ahead log included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from alerter.cli import app
from alerter.store.database import default_url, engine_of
from alerter.store.tables import metadata
from services.base.clock import ManualClock
from services.contracts.base import BrandId
from services.contracts.signal import PostCard
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

HANDLE: Final = "furious_felicity"
LONG_AGO: Final = datetime(2020, 3, 1, 9, tzinfo=UTC)


def theirs(post: str = "p1", **more: Any) -> PostCard:
    """A post whose author, text and links all hold the handle."""
    return make.card(
        post,
        author=f"@{HANDLE}",
        text=f"smoke in the cabin, says {HANDLE}",
        permalink=f"https://bsky.example/{HANDLE}/{post}",
        reply_link=f"https://bsky.example/reply?to={HANDLE}",
        **more,
    )


async def where(house: House) -> set[str]:
    """Everything in which the handle stands: columns as `table.column`, and files."""
    await house.alerter.database.fold()

    def read(connection: Any) -> set[str]:
        return {
            f"{table.name}.{name}"
            for table in metadata.sorted_tables
            for row in connection.execute(select(table)).mappings()
            for name, value in row.items()
            if HANDLE in (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
        }

    return await house.alerter.database.read(read) | in_files(house.settings.data)


def in_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("alerter.db*") if HANDLE.encode() in path.read_bytes()}


async def everywhere(house: House) -> None:
    """An incident that quotes the post in every role, told to receivers of every kind, and its answer clocks, with a
    digest. One receiver repeats in its answers what it was sent."""
    await house.receiver.start()
    house.receiver.answers["/echo"] = echo
    await house.endpoint("desk")
    await house.endpoint("echo", subscribed=True)
    for kind in ("alertmanager", "alertmanager_webhook", "slack", "teams"):
        body = {"name": kind, "kind": kind, "url": house.receiver.url(f"/{kind}"), "subscribed": True}
        assert (await house.http.post("/v1/endpoints", json=body)).status_code == 201
    post = theirs()
    await house.signal(
        make.negative().model_copy(update={"post": post}),
        make.forecast(root=post, loudest=(post,), exemplars=(post,), driver=post),
        make.negative(brand=BrandId("other")).model_copy(update={"post": post}),
        make.unread(story="bsky:p2").model_copy(update={"post": theirs("p2")}),
        make.flagged("p3", story="bsky:p3").model_copy(update={"post": theirs("p3")}),
    )
    await house.settle()


async def echo(got: receiver.Got, writer: asyncio.StreamWriter) -> None:
    await receiver.status(200, body=got.raw[:4000])(got, writer)


async def test_after_its_deletion_nothing_in_the_database_says_who_wrote_a_post(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running():
        await everywhere(house)
        before = await where(house)
        assert {"incidents.dossier", "deliveries.body", "answer_clocks.permalink", "standing.body"} <= before
        await house.signal(*gone("p1", "p2", "p3"))
        await house.settle()
        assert await where(house) == set()


async def test_a_deletion_that_one_brand_hears_of_stops_the_clocks_of_all(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running():
        await everywhere(house)
        await house.signal(*(make.redacted(post, f"bsky:{post}") for post in ("p1", "p2", "p3")))
        await house.settle()
        assert not {place for place in await where(house) if place.startswith("answer_clocks")}
        clocks = (await house.http.get("/v1/answer-clocks", params={"brand": "other"})).json()["items"]
        assert [clock["state"] for clock in clocks] == ["withdrawn"]


def gone(*posts: str) -> Sequence[Any]:
    return [make.redacted(post, f"bsky:{post}", brand) for post in posts for brand in ("acme", "other")]


async def test_after_a_purge_no_clock_that_runs_on_and_no_digest_says_who_wrote_a_post(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"id": "dana", "methods": ["desk"], "digest": "desk"}]
    accounts = [{"network": "bsky", "handle": "acme", "owner": "dana"}]
    brand = {
        "id": "acme",
        "name": "Acme",
        "line": {"engagements": 500},
        "accounts": accounts,
        "promise": {"minutes": 60},
    }
    house = make_house(make.config(brands=[brand], rules=[], responders=people))
    house.clock = ManualClock(LONG_AGO)
    for name, value in (("DATA", str(house.settings.data)), ("DATABASE", house.settings.database or "")):
        monkeypatch.setenv(f"FIREBREAK_{name}", value) if value else monkeypatch.delenv(
            f"FIREBREAK_{name}", raising=False
        )
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        for post in ("p1", "p2"):
            card = theirs(post, at=LONG_AGO)
            await house.signal(make.negative(story=f"bsky:{post}").model_copy(update={"post": card}))
        await house.settle()
        await house.pass_time(2 * 3600)
        await house.signal(make.answered("bsky:p1"))
        await house.settle()
        assert {"answer_clocks.permalink", "deliveries.body"} <= await where(house)
        words = ["purge", "--before", "2020-03-02", "--yes"]
        done = await asyncio.to_thread(lambda: CliRunner().invoke(app.app, words))
        assert done.exit_code == 0, done.output
        assert await where(house) == set()
        (clock,) = (await house.http.get("/v1/answer-clocks")).json()["items"]
        assert (clock["post_id"], clock["state"], clock["permalink"]) == ("p2", "running", None)
        again = await asyncio.to_thread(lambda: CliRunner().invoke(app.app, words))
        assert again.output.strip() == "nothing to delete"


def test_sqlite_is_told_to_overwrite_what_it_deletes_instead_of_trusting_its_build(tmp_path: Path) -> None:
    engine = engine_of(default_url(tmp_path))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    engine.dispose()


@pytest.mark.parametrize(("hours", "way"), [(None, 2), (24, 1)], ids=["fast", "on"])
async def test_so_is_that_of_the_log(tmp_path: Path, hours: float | None, way: int) -> None:
    log = SqliteLog(tmp_path / "log.db", 1, keep_texts_hours=hours)
    await log.start()
    found = await log._file.write(lambda db: db.execute("PRAGMA secure_delete").fetchone())
    await log.close()
    assert found == (way,)
