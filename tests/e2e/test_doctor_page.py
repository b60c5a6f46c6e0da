"""`firebreak doctor --page` against an installation that runs elsewhere: it asks, rings, waits, reports, and fails if somebody
does not confirm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.config.loading import parse
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys
from tests.e2e.test_cli import firebreak
from tests.integration.alerter.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

CONFIG = """
brands: [{id: acme, name: Acme}]
rules: [{id: viral, level: likely, policy: all}]
policies: [{id: all, steps: [{targets: ["responder:dana", "responder:lee"]}]}]
responders: [{id: dana, name: Dana Ito, methods: [dana]}, {id: lee, name: Lee Park, methods: [lee]}]
"""


class Rota:
    """A running installation with two people on duty, and whoever confirms for them."""

    def __init__(self, url: str, keys: Keys, receiver: Receiver, client: httpx2.AsyncClient) -> None:
        self.url, self.keys, self.receiver, self.client = url, keys, receiver, client

    async def command(self, *words: str, key: str | None = None) -> Any:
        """In a thread, so that this loop goes on answering."""
        asked = ("doctor", "--page", "--url", self.url, *words)
        return await asyncio.to_thread(lambda: firebreak(*asked, ADMIN_KEY=key or self.keys.admin))

    async def confirm(self, *people: str, before: int = 0) -> None:
        """Press the button of each page when it comes. `before`: how many each got earlier."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for name in people:
                while len(self.receiver.at(f"/{name}")) <= before:
                    await asyncio.sleep(0.05)
                link = self.receiver.at(f"/{name}")[-1].body["data"]["links"]["confirm"]
                answer = await self.client.post(link.replace("https://firebreak.example", self.url), data={"by": name})
                assert answer.status_code == 200, answer.text


@pytest.fixture
async def rota(tmp_path: Path) -> AsyncIterator[Rota]:
    keys, receiver = Keys.fresh(), Receiver()
    await receiver.start()
    settings = {
        **keys.environment(),
        "FIREBREAK_PARTITIONS": "1",
        "FIREBREAK_SENTIMENT": "lexicon",
        "FIREBREAK_EGRESS_ALLOW": "127.0.0.0/8",
        "FIREBREAK_PUBLIC_URL": "https://firebreak.example",
    }
    installation = Installation(tmp_path, parse(CONFIG), settings, (("alerter",),))
    try:
        await installation.start()
        url, headers = installation.url("alerter"), {"authorization": f"Bearer {keys.admin}"}
        async with httpx2.AsyncClient(headers=headers, timeout=10) as client:
            for name in ("dana", "lee"):
                body = {"name": name, "url": receiver.url(f"/{name}")}
                assert (await client.post(f"{url}/v1/endpoints", json=body)).status_code == 201
            yield Rota(url, keys, receiver, client)
    finally:
        await installation.stop()
        await receiver.stop()


async def test_it_asks_rings_waits_and_says_who_confirmed(rota: Rota) -> None:
    asked = await rota.command()
    assert asked.returncode == 1
    assert "Ring everybody who is on duty now" in asked.stdout
    assert rota.receiver.got == [], "without an answer nobody is rung"

    done, _ = await asyncio.gather(rota.command("--yes", "--wait", "5"), rota.confirm("dana", "lee"))
    assert done.returncode == 0, done.stderr
    assert "ringing 2 people on duty; they have 5 min to confirm" in done.stdout
    assert "2 of 2 confirmed" in done.stdout
    assert "Dana Ito by dana after" in done.stdout

    late, _ = await asyncio.gather(rota.command("--yes", "--wait", "0.1"), rota.confirm("dana", before=1))
    assert late.returncode == 1
    assert "1 of 2 confirmed" in late.stdout
    assert "Lee Park did not confirm (rung by lee)" in late.stdout
    assert "Traceback" not in late.stdout + late.stderr


async def test_it_says_what_is_missing_and_shows_no_key(rota: Rota) -> None:
    refused = await rota.command("--yes", key="a-key-that-opens-nothing")
    assert refused.returncode == 1
    assert "401" in refused.stderr
    assert "a-key-that-opens-nothing" not in refused.stdout + refused.stderr
    assert rota.receiver.got == []


def test_its_options_belong_to_it() -> None:
    assert "FIREBREAK_ADMIN_KEY" in firebreak("doctor", "--page", "--yes").stderr
    nobody = firebreak("doctor", "--page", "--yes", "--url", "http://127.0.0.1:1", ADMIN_KEY="a-key-for-nobody-at-all")
    assert nobody.returncode == 1
    assert "did not answer" in nobody.stderr
    assert "a-key-for-nobody" not in nobody.stdout + nobody.stderr
    for words in (("--yes",), ("--all-methods",), ("--url", "http://127.0.0.1:1")):
        answer = firebreak("doctor", *words)
        assert answer.returncode == 2
        assert "belong to --page" in answer.stderr
