"""The receivers that the docs offer, in Python, Node and Go, with the reference libraries: they believe us and nobody else."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook

from services.tools.drills.installation import free_port
from tests.deploy.tools import ROOT, find
from tests.integration.alerter.conftest import House
from tests.patience import PATIENCE_SECONDS

RECEIVERS = ROOT / "docs" / "webhooks"
BODY = b'{"type":"incident.opened","data":{"because":"it burns"}}'
Prepare = Callable[[Path], list[str]]


def python(_: Path) -> list[str]:
    return [sys.executable, "receiver.py"]


def node(folder: Path) -> list[str]:
    npm = find("npm")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install the reference library here: {done.stderr[-300:]}")
    return [find("node"), "receiver.mjs"]


def go(folder: Path) -> list[str]:
    done = subprocess.run(
        [find("go"), "build", "-o", "receiver", "."], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
    )  # fmt: skip
    if done.returncode and "dial tcp" in done.stderr:
        pytest.skip(f"Go cannot fetch the reference library here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return ["./receiver"]


@asynccontextmanager
async def listening(folder: Path, command: list[str], secret: str, port: int) -> AsyncIterator[Path]:
    """The receiver until it is left; what it printed is in the file."""
    said = folder / "said.txt"
    environment = {**os.environ, "SECRET": secret, "PORT": str(port)}
    with said.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                assert process.returncode is None, said.read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await writer.wait_closed()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        yield said
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(("language", "prepare"), [("python", python), ("node", node), ("go", go)])
async def test_a_receiver_of_the_docs_believes_us_and_nobody_else(
    house: House, tmp_path: Path, language: str, prepare: Prepare
) -> None:
    folder = tmp_path / language
    shutil.copytree(RECEIVERS / language, folder)
    command = await asyncio.to_thread(prepare, folder)
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks"
    answer = await house.http.post("/v1/endpoints", json={"name": "theirs", "url": url})
    secret = answer.json()["secret"]
    async with listening(folder, command, secret, port) as said, httpx2.AsyncClient() as stranger:
        await house.http.post("/v1/endpoints/theirs/test")
        await house.settle()
        (delivery,) = await house.deliveries(endpoint="theirs")
        assert delivery["state"] == "delivered", delivery

        async def post(body: bytes, key: str, at: float) -> int:
            when = datetime.fromtimestamp(at, UTC)
            headers = {
                "webhook-id": "msg_1",
                "webhook-timestamp": str(int(at)),
                "webhook-signature": Webhook(key).sign("msg_1", when, BODY.decode()),
            }
            return (await stranger.post(url, content=body, headers=headers)).status_code

        now = time.time()
        forger = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
        assert await post(BODY, secret, now) == 204
        assert await post(BODY, secret, now) == 204  # a retry: taken, and not acted on again
        assert await post(BODY.replace(b"burns", b"is fine"), secret, now) == 400
        assert await post(BODY, forger, now) == 400
        assert await post(BODY, secret, now - 3600) == 400
        printed = said.read_text()
    assert printed.count("it burns") == 1
    assert "endpoint.test" in printed
