"""A rolling update as a cluster does it, in the runbook's order, while posts keep coming: over Kafka and PostgreSQL, with two
replicas of each service as processes of their own. Nothing that was accepted is lost, and nobody is told anything twice.

A StatefulSet takes its pods one by one from the last, and the new one has the name of the old. A Deployment that may have none
unavailable starts the new pod before it stops an old one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import yaml

from deploy.local_kafka import LocalKafka
from services.base.clock import RealClock
from services.config.loading import parse
from services.tools.drills.installation import Member
from services.tools.drills.player import Keys, serving
from services.tools.sink import Sink
from tests.deploy.rendered import workloads
from tests.patience import PATIENCE_SECONDS, patient
from tests.postgres_fixture import Databases

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

REPLICAS: Final = 2
ORDER: Final = ("alerter", "scorer", "ingest")
"""Readers before writers: the runbook's order."""
CONFIG: Final = parse(
    """
brands: [{id: acme, name: Acme Air, accounts: [{network: x, handle: acmeair, owner: care}]}]
rules: [{id: severe, complaint_severity: 2, policy: desk}]
policies: [{id: desk, steps: [{endpoints: [desk]}]}]
"""
)


def complaint(number: int) -> dict[str, Any]:
    return {
        "network": "x", "post_id": f"p{number}", "kind": "original",
        "author": {"id": f"a{number}", "handle": f"mia{number}", "followers": 40},
        "text": "@acmeair you lost my wheelchair and nobody answers, this is a disgrace, worst airline ever",
        "permalink": f"https://x.com/mia{number}/status/p{number}",
    }  # fmt: skip


class Fleet:
    """Replicas by service. Each gets the settings of the chart's pods: those that are stable, a name that survives."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._made = 0
        self.running: dict[str, list[Member]] = {service: [] for service in ORDER}
        self.ended: list[int | None] = []

    async def start(self, service: str, ordinal: int) -> Member:
        """A process with the place `ordinal` among its service's, once it is ready."""
        self._made += 1
        named = {} if service == "ingest" else {"FIREBREAK_INSTANCE": f"{service}-{ordinal}"}
        member = Member((service,), {**self._environment, **named}, self._folder / f"{self._made}-{service}.log")
        await member.start()
        self.running[service].insert(ordinal, member)
        await member.ready()
        return member

    async def stop(self, service: str, ordinal: int) -> None:
        member = self.running[service].pop(ordinal)
        self.ended.append(await member.stop())

    async def replace(self, service: str) -> None:
        for ordinal in reversed(range(REPLICAS)):
            if service == "ingest":
                await self.start(service, len(self.running[service]))
                await self.stop(service, 0)
            else:
                await self.stop(service, ordinal)
                await self.start(service, ordinal)

    async def stop_all(self) -> None:
        for service in reversed(ORDER):
            while self.running[service]:
                await self.stop(service, 0)


class Client:
    """Posts one complaint after the other to whichever ingest takes it, as clients behind a load balancer do."""

    def __init__(self, fleet: Fleet, keys: Keys) -> None:
        self._fleet = fleet
        self._key = keys.post
        self._enough = asyncio.Event()
        self.accepted: list[str] = []

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        async with httpx2.AsyncClient(timeout=20, headers=headers) as http:
            while not self._enough.is_set():
                number = len(self.accepted)
                if await self._taken(http, complaint(number)):
                    self.accepted.append(f"x:p{number}")
                await asyncio.sleep(0.1)

    async def _taken(self, http: httpx2.AsyncClient, post: dict[str, Any]) -> bool:
        for member in list(self._fleet.running["ingest"]):
            try:
                if (await http.post(f"{member.url}/v1/posts", json=post)).status_code == 202:
                    return True
            except httpx2.TransportError:
                continue
        return False

    def enough(self) -> None:
        self._enough.set()


@asynccontextmanager
async def fleet(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Fleet]:
    (folder / "firebreak.yaml").write_text(yaml.safe_dump(CONFIG.model_dump(mode="json", exclude_defaults=True)))
    one = Fleet(folder, environment)
    try:
        for service in ORDER:
            await asyncio.gather(*(one.start(service, ordinal) for ordinal in range(REPLICAS)))
        yield one
    finally:
        await one.stop_all()


async def test_an_update_in_the_runbooks_order_loses_nothing_and_repeats_nothing(
    kafka: LocalKafka, postgres: Databases, tmp_path: Path
) -> None:
    keys, sink = Keys.fresh(), Sink(RealClock())
    with patient(), postgres.lent() as database:
        environment = {
            **keys.environment(),
            "FIREBREAK_CONFIG": str(tmp_path / "firebreak.yaml"),
            "FIREBREAK_DATA": str(tmp_path),
            "FIREBREAK_LOG": "kafka",
            "FIREBREAK_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "FIREBREAK_KAFKA_PREFIX": f"roll-{secrets.token_hex(4)}.",
            "FIREBREAK_PARTITIONS": "4",
            "FIREBREAK_DATABASE": database,
            "FIREBREAK_SENTIMENT": "lexicon",
        }
        async with serving(sink) as sink_url, fleet(tmp_path, environment) as here, httpx2.AsyncClient() as http:
            made = await http.post(
                f"{here.running['alerter'][0].url}/v1/endpoints",
                json={"name": "desk", "url": f"{sink_url}/hooks/desk"},
                headers={"authorization": f"Bearer {keys.admin}"},
            )
            sink.secrets["desk"] = made.json()["secret"]
            client = Client(here, keys)
            posting = asyncio.create_task(client.run())
            counts = [0]
            for service in ORDER:
                await here.replace(service)
                assert not posting.done()
                counts.append(len(client.accepted))
            client.enough()
            await posting
            assert counts == sorted(set(counts)), "posts were accepted throughout"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not set(client.accepted) <= set(opened(sink)):
                    await asyncio.sleep(0.05)
            replaced = list(here.ended)
    assert replaced == [0] * (REPLICAS * len(ORDER)), "each old process ended in order"
    assert Counter(opened(sink)) == Counter(client.accepted), "each was told once"
    assert set(Counter(one.id for one in sink.received).values()) == {1}
    assert sink.refused == 0


def opened(sink: Sink) -> list[str]:
    return [str(one.body["data"]["story"]) for one in sink.received if one.body["type"] == "incident.opened"]


def test_the_chart_replaces_pods_as_it_is_played_here() -> None:
    found = workloads()
    for service in ORDER:
        workload = found[service]
        assert workload["spec"]["replicas"] == REPLICAS
        if workload["kind"] == "Deployment":
            assert service == "ingest"
            assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        else:
            # The API's own default: one by one, from the last.
            assert "updateStrategy" not in workload["spec"]
