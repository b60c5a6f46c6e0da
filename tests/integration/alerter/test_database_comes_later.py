"""Where everything is started at once, the database may come later than the alerter: it waits, is live, and says what it waits
for. Only damage ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import yaml
from sqlalchemy import create_engine, make_url, text

from services.config.loading import parse
from services.tools.drills.installation import Member, free_port
from services.tools.drills.player import Keys
from tests.patience import PATIENCE_SECONDS
from tests.postgres_fixture import Databases

CONFIG = parse("brands: [{id: acme, name: Acme Air}]")


@asynccontextmanager
async def alerter(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Member]:
    (folder / "firebreak.yaml").write_text(yaml.safe_dump(CONFIG.model_dump(mode="json", exclude_defaults=True)))
    at = {"FIREBREAK_CONFIG": str(folder / "firebreak.yaml"), "FIREBREAK_DATA": str(folder)}
    more = {"FIREBREAK_LOG_FORMAT": "json", "FIREBREAK_PARTITIONS": "1"}
    member = Member(("alerter",), {**Keys.fresh().environment(), **at, **more, **environment}, folder / "alerter.log")
    await member.start()
    try:
        yield member
    finally:
        await member.stop()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if await holds():
                    return
            await asyncio.sleep(0.05)


async def status(member: Member, path: str) -> int:
    async with httpx2.AsyncClient(timeout=10) as client:
        return (await client.get(f"{member.url}{path}")).status_code


@asynccontextmanager
async def forwarded(port: int, to: tuple[str, int] | str) -> AsyncIterator[None]:
    """What comes to `port` goes on to a server that is there already: a host and port, or the path of a socket."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = asyncio.open_unix_connection(to) if isinstance(to, str) else asyncio.open_connection(*to)
        there, back = await opened
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


def told(member: Member) -> list[str]:
    """The reasons in its log for which it waits."""
    lines = [json.loads(line) for line in member.log.read_text().splitlines() if line.startswith("{")]
    return [str(line["why"]) for line in lines if line["event"] == "database_away"]


async def test_an_alerter_waits_for_a_database_that_comes_later(postgres: Databases, tmp_path: Path) -> None:
    url = make_url(postgres.empty())
    socket = url.query.get("host")
    where = f"{socket}/.s.PGSQL.{url.port or 5432}" if isinstance(socket, str) else (url.host or "", url.port or 5432)
    port = free_port()
    here = url.set(host="127.0.0.1", port=port, query={}, password=url.password or "not-asked-for")
    environment = {"FIREBREAK_DATABASE": here.render_as_string(hide_password=False)}
    async with alerter(tmp_path, environment) as member:

        async def waits() -> bool:
            return bool(told(member)) and await status(member, "/readyz") == 503

        async def ready() -> bool:
            return await status(member, "/readyz") == 200

        await until(waits)
        assert await status(member, "/healthz") == 200, "a restart would help nobody"
        async with forwarded(port, where):
            await until(ready)
            assert await member.stop() == 0
    assert str(here.password) not in member.log.read_text()
    assert "Traceback" not in member.log.read_text()


async def test_an_alerter_that_waits_for_its_database_can_be_stopped(tmp_path: Path) -> None:
    environment = {"FIREBREAK_DATABASE": f"postgresql+psycopg://u:0123456789abcdef@127.0.0.1:{free_port()}/x"}
    async with alerter(tmp_path, environment) as member:

        async def waits() -> bool:
            return bool(told(member))

        await until(waits)
        member.send(signal.SIGTERM)
        assert await member.ended() == 0
    assert "0123456789abcdef" not in member.log.read_text()


@pytest.mark.parametrize("revision", ["9999", "nonsense"])
async def test_a_database_of_another_version_is_not_waited_for(tmp_path: Path, revision: str) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'alerter.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    engine.dispose()
    async with alerter(tmp_path, {}) as member:
        assert await member.ended() == 1
    assert revision in member.log.read_text()
    assert told(member) == []
