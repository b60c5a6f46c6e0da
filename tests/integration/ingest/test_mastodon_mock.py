"""The connector against `mastodon-mock`, which others wrote to be taken for a Mastodon: a process of its own, real sockets. Its
WebSocket does not look for a token in the headers, so its server-sent events are heard."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ingest.sources.mastodon.source import build
from services.base.clock import RealClock
from tests.integration.ingest.heard import PATIENCE_SECONDS, context, listening, until

pytest.importorskip("mastodon_mock", reason="mastodon-mock is not installed")

ACCOUNTS = "".join(
    f'[[seed.accounts]]\nusername = "{name}"\naccess_token = "{name}-token"\n' for name in ("acmeair", "mia", "bob")
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = tmp_path / "mock.toml"
    file.write_text(f"[streaming]\nenabled = true\n\n{ACCOUNTS}", encoding="utf-8")
    command = (sys.executable, "-m", "mastodon_mock", "serve", "--host", "127.0.0.1", "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        *command,
        "--config",
        str(file),
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), httpx2.AsyncClient() as client:
            while True:
                assert process.returncode is None, "the server ended"
                try:
                    if (await client.get(f"{url}/api/v2/instance")).status_code == 200:
                        break
                except httpx2.HTTPError:
                    await asyncio.sleep(0.1)
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class People:
    """They write on the server."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def post(self, name: str, text: str, **more: Any) -> dict[str, Any]:
        return await self.act(name, "POST", "/api/v1/statuses", {"status": text, "visibility": "public", **more})

    async def act(self, name: str, method: str, path: str, said: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {name}-token"}
        answer = await self._client.request(method, path, headers=headers, json=said)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


async def test_an_evening_on_a_server_is_heard_live_caught_up_looked_at_and_answered(server: str) -> None:
    section = {"kind": "mastodon", "server": server, "poll_seconds": 10}
    secrets = {"token": "acmeair-token"}
    async with (
        httpx2.AsyncClient(base_url=server) as client,
        context(section, secrets, network="mastodon", clock=RealClock()) as at,
    ):
        people, source = People(client), build(at)
        async with listening(source) as ears:
            await until(lambda: ears.cursor or ears.trouble)
            said = await people.post("mia", "@acmeair smoke in the cabin and nobody answers us", language="en")
            await people.post("bob", "good evening")
            reply = await people.post("bob", "same here", in_reply_to_id=said["id"])
            await until(lambda: len(ears.items) >= 2)
            await people.act("mia", "PUT", f"/api/v1/statuses/{said['id']}", {"status": "@acmeair smoke. Edited."})
            await people.act("bob", "DELETE", f"/api/v1/statuses/{reply['id']}")
            await until(lambda: f"deletion {reply['uri']}" in ears.ids and f"edit {said['uri']}" in ears.ids)
            assert ears.trouble is None
            cursor = ears.cursor
        assert ears.ids[0] == f"original {said['uri']}"
        replied = next(item for item in ears.items if item["kind"] == "reply")
        assert (replied["parent_id"], replied["root_id"]) == (said["uri"], said["uri"])
        assert not [item for item in ears.items if item.get("text") == "good evening"]

        meanwhile = [(await people.post("mia", f"Acme Air, number {number}"))["uri"] for number in range(3)]
        again = build(at)
        async with listening(again, cursor) as ears:
            await until(lambda: ears.trouble or set(meanwhile) <= {item["post_id"] for item in ears.items})
            assert ears.trouble is None
            assert [item["post_id"] for item in ears.items if item["post_id"] in meanwhile] == meanwhile

        await people.act("bob", "POST", f"/api/v1/statuses/{said['id']}/favourite")
        looked = await again.look([said["uri"]])
        counters = next(item["counters"] for item in looked.items if item["kind"] == "counters")
        assert counters["likes"] == 1
        answer = await again.answer("We are on our way.", said["uri"], "the-same-key")
        assert answer == await again.answer("We are on our way.", said["uri"], "the-same-key")
