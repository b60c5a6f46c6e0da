"""The whole product as a user starts it: a process of its own, a post in over HTTP, a signed webhook out."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.base.clock import RealClock
from services.config.loading import parse
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys, serving
from services.tools.sink import Sink
from tests.patience import PATIENCE_SECONDS

CONFIG = parse(
    """
brands: [{id: acme, name: Acme Air, accounts: [{network: x, handle: acmeair, owner: care}], line: {engagements: 100}}]
rules:
  - {id: severe, complaint_severity: 2, policy: desk, playbook: storm}
policies: [{id: desk, steps: [{endpoints: [desk]}]}]
playbooks: {storm: "1. Answer where it was written."}
"""
)


def complaint(number: int) -> dict[str, Any]:
    return {
        "network": "x",
        "post_id": f"p{number}",
        "kind": "original",
        "author": {"id": f"a{number}", "handle": f"mia{number}", "followers": 40},
        "text": "@acmeair you lost my wheelchair and nobody answers, this is a disgrace, worst airline ever",
        "permalink": f"https://x.com/mia{number}/status/p{number}",
    }


class House:
    def __init__(self, installation: Installation, keys: Keys, sink: Sink) -> None:
        self.installation = installation
        self.sink = sink
        self.client = httpx2.AsyncClient(timeout=20)
        self._keys = keys

    async def post(self, *posts: dict[str, Any]) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._keys.post}"}
        return await self.client.post(f"{self.installation.url('ingest')}/v1/posts", json=list(posts), headers=headers)

    async def admin(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._keys.admin}"}
        return await self.client.request(method, f"{self.installation.url('alerter')}{path}", headers=headers, **more)

    async def told(self, count: int) -> list[str]:
        """The stories of so many opened incidents, once they came."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(stories := self._stories()) < count:
                await asyncio.sleep(0.02)
        return stories

    def _stories(self) -> list[str]:
        return sorted({str(m.body["data"]["story"]) for m in self.sink.received if m.body["type"] == "incident.opened"})


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[House]:
    keys = Keys.fresh()
    installation = Installation(directory, CONFIG, {**keys.environment(), "FIREBREAK_PARTITIONS": "2"})
    async with serving(sink := Sink(RealClock())) as sink_url:
        try:
            await installation.start()
            here = House(installation, keys, sink)
            answer = await here.admin("POST", "/v1/endpoints", json={"name": "desk", "url": f"{sink_url}/hooks/desk"})
            assert answer.status_code == 201, answer.text
            sink.secrets["desk"] = answer.json()["secret"]
            yield here
            await here.client.aclose()
        finally:
            await installation.stop()


async def test_a_post_becomes_a_webhook_that_the_reference_library_verifies(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        assert (await here.post(complaint(1))).status_code == 202
        assert await here.told(1) == ["x:p1"]
        body = here.sink.received[0].body
        assert here.sink.refused == 0
    said = str(body)
    for words in ("https://x.com/mia1/status/p1", "Answer where it was written", "mia1", "severe"):
        assert words in said


async def test_a_stop_is_orderly_and_nothing_that_was_accepted_is_lost(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        (member,) = here.installation.members
        assert (await here.post(*(complaint(n) for n in range(40)))).status_code == 202
        member.send(signal.SIGTERM)
        assert await member.ended() == 0
        await member.start()
        await member.ready()
        assert await here.told(40) == sorted(f"x:p{n}" for n in range(40))


async def test_a_kill_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        (member,) = here.installation.members
        await here.told(0)
        for start in range(0, 60, 20):
            assert (await here.post(*(complaint(n) for n in range(start, start + 20)))).status_code == 202
            member.send(signal.SIGKILL)
            assert await member.ended() == -signal.SIGKILL
            await member.start()
            await member.ready()
        assert await here.told(60) == sorted(f"x:p{n}" for n in range(60))
        ids: dict[tuple[str, str], set[str]] = {}
        for message in here.sink.received:
            ids.setdefault((str(message.body["data"]["story"]), str(message.body["type"])), set()).add(message.id)
        assert all(len(found) == 1 for found in ids.values()), "a repeated delivery keeps its id"


async def test_who_cannot_show_a_key_gets_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        url = here.installation.url("ingest")
        for path in ("/v1/endpoints", "/v1/incidents", "/v1/deliveries"):
            assert (await here.client.get(f"{url}{path}")).status_code == 401
        assert (await here.client.post(f"{url}/v1/posts", json=complaint(1))).status_code == 401
        logs = "".join(member.log.read_text() for member in here.installation.members)
        assert here._keys.post not in logs
        assert here._keys.admin not in logs
        assert here.sink.secrets["desk"] not in logs


@pytest.mark.parametrize("services", [("ingest",), ("scorer",), ("alerter",)])
async def test_each_service_runs_alone(tmp_path: Path, services: tuple[str, ...]) -> None:
    installation = Installation(tmp_path, CONFIG, Keys.fresh().environment(), (services,))
    await installation.start()
    async with httpx2.AsyncClient() as client:
        ready = (await client.get(f"{installation.members[0].url}/readyz")).json()
    assert set(ready) == {*services, "config"}
    assert await installation.stop() == [0]
