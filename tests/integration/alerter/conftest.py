"""The real alerter over the embedded log and either database, with real receivers, on a clock that moves when told to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
import yaml
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from alerter.desk import consumer
from alerter.service import Alerter
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig, Reload
from services.config.file import ConfigFile
from services.config.model import Config
from services.contracts.base import Event, event_id
from services.contracts.codec import decode, encode
from services.contracts.envelope import Envelope
from services.contracts.topics import INCIDENTS, SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.integration.alerter.migrated import migrated_file
from tests.integration.alerter.mounted import app_of
from tests.integration.alerter.receiver import Receiver
from tests.patience import PATIENCE_SECONDS
from tests.postgres_fixture import Databases
from tests.unit.alerter import make

KEY = "an-admin-key-for-tests"


class House:
    """Everything that stands around one running alerter."""

    def __init__(self, folder: Path, config: Config, **settings: Any) -> None:
        fields: dict[str, Any] = {
            "data": folder,
            "partitions": 2,
            "admin_key": SecretStr(KEY),
            "egress_allow": "127.0.0.0/8",
            "public_url": "https://firebreak.example",
        }
        self.settings = Settings(_env_file=None, **(fields | settings))
        self.config = config
        self.file: ConfigFile | None = None
        """Where `running` reads the configuration from, instead of `config`."""
        self.clock = ManualClock(make.NOW)
        self.receiver = Receiver()
        self.secrets: dict[str, str] = {}
        self.app: FastAPI
        self.log: SqliteLog
        self.alerter: Alerter
        self.registry: CollectorRegistry
        self.http: httpx2.AsyncClient
        self._numbers = itertools.count()

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[House]:
        """One life of the process; may be entered again after it ended."""
        self.registry = CollectorRegistry()
        if self.settings.database is None:
            migrated_file(self.settings.data)
        self.log = SqliteLog(self.settings.data / "log.db", self.settings.partitions, retention=False)
        await self.log.start()
        current = CurrentConfig.of(self.config) if self.file is None else CurrentConfig.from_file(self.file)
        context = ServiceContext(
            self.settings,
            current,
            self.log,
            self.clock,
            self.registry,
            FloorMetrics(self.registry),
        )
        self.alerter = Alerter(context, **more)
        loop = asyncio.get_running_loop()
        # A lane that reads sees its stop when it looks up, which is seldom enough to be most of a short test's time.
        with app_of(self.alerter) as self.app, patch.object(consumer, "READ_SECONDS", 0.02):
            transport = httpx2.ASGITransport(app=self.app)
            headers = {"authorization": f"Bearer {KEY}"}
            client = httpx2.AsyncClient(transport=transport, base_url="http://alerter", headers=headers)
            async with client as self.http, asyncio.TaskGroup() as group:
                tasks = Tasks(group)
                await self.alerter.start(tasks)
                try:
                    yield self
                finally:
                    tasks.stopping()
                    await self.alerter.stop(loop.time() + 10)
                    await self.log.close()

    async def reconfigure(self, config: Config) -> None:
        """Put another configuration in force, as a reload does."""
        if self.file is None:
            self.file = ConfigFile(self.settings.data / "firebreak.yaml", self.settings.data)
            self.alerter.process.current._file = self.file
        self.file.path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
        assert await self.alerter.process.current.reload() is Reload.TAKEN

    async def signal(self, *events: Event, id: str | None = None) -> None:  # noqa: A002 - it is the id
        messages = [
            Message(SIGNALS.name, getattr(e, "brand", "acme"), encode(e, event_id("test", id or next(self._numbers))))
            for e in events
        ]
        await self.log.append(messages)

    async def settle(self) -> None:
        """Until nothing is left to do at this time of the clock."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.alerter.idle():
                await asyncio.sleep(0.005)

    async def pass_time(self, seconds: float, step: float = 60.0) -> None:
        """Let the clock run, doing what falls due on the way."""
        left = seconds
        while left > 0:
            self.clock.advance(min(step, left))
            left -= step
            await self.settle()

    async def endpoint(self, name: str, path: str | None = None, **more: Any) -> str:
        url = self.receiver.url(path or f"/{name}")
        answer = await self.http.post("/v1/endpoints", json={"name": name, "url": url, **more})
        assert answer.status_code == 201, answer.text
        self.secrets[name] = answer.json()["secret"]
        return self.secrets[name]

    async def incidents(self) -> list[Any]:
        answer = await self.http.get("/v1/incidents")
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json()["items"]
        return items

    async def deliveries(self, **filters: str) -> list[Any]:
        answer = await self.http.get("/v1/deliveries", params=filters)
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json()["items"]
        return items

    async def on_log(self, topic: str = INCIDENTS.name) -> list[Envelope]:
        found = []
        for partition, (start, _) in (await self.log.bounds(topic)).items():
            batch = await self.log.read(topic, partition, start, 10_000)
            found += [decode(record.value) for record in batch.records]
        return found


MakeHouse = Callable[..., House]


MakeDatabase = Callable[[], str | None]


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases | None:
    """A server that makes databases; `None`: SQLite, where the alerter makes a file of its own."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def make_database(databases: Databases | None) -> MakeDatabase:
    """The URL of an empty database, or `None`."""
    return lambda: None if databases is None else databases.empty()


@pytest.fixture
def borrow_database(databases: Databases | None) -> Iterator[MakeDatabase]:
    """The URL of a database with the tables of today, which stay as they are; `None`: `House.running` copies a file."""
    with ExitStack() as stack:
        yield lambda: None if databases is None else stack.enter_context(databases.lent())


@pytest.fixture
async def make_house(tmp_path: Path, borrow_database: MakeDatabase) -> AsyncIterator[MakeHouse]:
    made: list[House] = []

    def build(config: Config | None = None, **settings: Any) -> House:
        fields = {"database": borrow_database()} | settings
        house = House(tmp_path / f"house{len(made)}", config or make.config(), **fields)
        made.append(house)
        return house

    yield build
    for house in made:
        await house.receiver.stop()


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    """A running alerter with one endpoint, `desk`."""
    made = make_house()
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        yield made
