"""A real Alertmanager: an alert fires for as long as its incident is open, and ends with it; `amtool` sees the same."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import Got, status
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

ONE_STEP = [{"id": "default", "steps": [{"endpoints": ["all"]}]}]
CONFIG = "route: {receiver: nobody, group_by: [incident], group_wait: 1s}\nreceivers: [{name: nobody}]\n"
STANDS_SECONDS = 3.0


@pytest.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an Alertmanager for this test; `ALERTMANAGER_URL` names one that runs already."""
    url = os.environ.get("ALERTMANAGER_URL")
    if url is not None:
        yield url
        return
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        why = "NO ALERTMANAGER, NOT TESTED: Debian's package prometheus-alertmanager, or ALERTMANAGER_URL"
        pytest.skip(why)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "alertmanager.yml").write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx2.AsyncClient() as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    if (await client.get(f"{url}/-/ready")).status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def active(url: str, incident: str) -> list[Any]:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/api/v2/alerts", params={"active": "true"})
    return [alert for alert in answer.json() if alert["labels"].get("incident") == incident]


async def by_amtool(url: str) -> list[Any]:
    program = shutil.which("amtool")
    if program is None:
        pytest.skip("there is no amtool here")
    process = await asyncio.create_subprocess_exec(
        program, f"--alertmanager.url={url}", "alert", "query", "--output=json", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    found: list[Any] = json.loads(said)
    return found


async def firing_house(house: House, url: str, **options: Any) -> str:
    body = {"name": "am", "kind": "alertmanager", "url": url}
    options = {"resend_seconds": 1, "stands_minutes": STANDS_SECONDS / 60, "labels": {"team": "care"}, **options}
    answer = await house.http.post("/v1/endpoints", json={**body, "options": options})
    assert answer.status_code == 201, answer.text
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


async def test_an_alert_fires_while_its_incident_is_open_and_ends_with_it(
    make_house: MakeHouse, alertmanager: str
) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    async with house.running():
        incident = await firing_house(house, alertmanager)
        (first,) = await active(alertmanager, incident)
        assert first["labels"] | {"incident": "", "rule": ""} == {
            "alertname": "FirebreakIncident",
            "brand": "acme",
            "severity": "warning",
            "team": "care",
            "incident": "",
            "rule": "",
        }
        assert "By when" in first["annotations"]["description"]
        # It would have ended by itself long ago, were it not said again.
        await asyncio.sleep(2 * STANDS_SECONDS)
        (again,) = await active(alertmanager, incident)
        assert (again["fingerprint"], again["startsAt"]) == (first["fingerprint"], first["startsAt"])
        assert [alert["labels"]["incident"] for alert in await by_amtool(alertmanager)] == [incident]
        # Another severity is another alert there: the one before must not stay.
        await house.signal(make.forecast(2, Level.CROSSED, probability=0.99, mood=make.mood()))
        await house.settle()
        # A repeat of what was known before may arrive last; what is new is said once more after it.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while [a["labels"]["severity"] for a in await active(alertmanager, incident)] != ["critical"]:
                await asyncio.sleep(0.05)
        await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": "dana"})
        await house.settle()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await active(alertmanager, incident):
                await asyncio.sleep(0.05)
        assert await by_amtool(alertmanager) == []
        await asyncio.sleep(1.5)  # it is said again that it is over
        assert await active(alertmanager, incident) == []


async def test_a_repeat_that_arrives_after_the_news_is_not_the_last_word(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    await house.receiver.start()
    arrived, newer = asyncio.Event(), asyncio.Event()
    believed: list[str] = []

    async def alertmanager(got: Got, writer: asyncio.StreamWriter) -> None:
        is_first_repeat = len(house.receiver.got) == 2
        if is_first_repeat:
            arrived.set()
            await newer.wait()
        now = datetime.now(UTC)
        believed.extend(a["labels"]["severity"] for a in got.body if datetime.fromisoformat(a["endsAt"]) > now)
        if believed[-1] == "critical":
            newer.set()
        await status(200)(got, writer)

    house.receiver.answers["/api/v2/alerts"] = alertmanager
    async with house.running(), asyncio.timeout(PATIENCE_SECONDS):
        await firing_house(house, house.receiver.url(""), resend_seconds=3600, stands_minutes=240)
        await arrived.wait()
        await house.signal(make.forecast(2, Level.CROSSED, probability=0.99, mood=make.mood()))
        while believed[:3] != ["warning", "critical", "warning"]:
            await asyncio.sleep(0.01)
        while believed[-1] != "critical":
            await asyncio.sleep(0.01)


async def test_an_alert_outlives_a_restart_and_ends_by_itself_when_we_are_gone(
    make_house: MakeHouse, alertmanager: str
) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    async with house.running():
        incident = await firing_house(house, alertmanager)
    async with house.running():
        await asyncio.sleep(2 * STANDS_SECONDS)
        assert len(await active(alertmanager, incident)) == 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await active(alertmanager, incident):
            await asyncio.sleep(0.2)


async def test_every_member_of_a_cluster_is_told_and_one_that_is_away_keeps_nobody_waiting(
    make_house: MakeHouse, alertmanager: str
) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    await house.receiver.start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with house.running():
        incident = await firing_house(house, away, peers=[alertmanager, house.receiver.url("")])
        assert len(await active(alertmanager, incident)) == 1
        (delivery,) = await house.deliveries()
        assert delivery["state"] == "delivered"
        assert house.receiver.at("/api/v2/alerts")
