"""A storm with half of the receivers down for ten minutes, the process killed again and again: nothing is lost, and only
what was in flight at a kill arrives twice. The same for two replicas that work on one database at once."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from alerter.notify import signing
from alerter.notify.deliverer import MOST_AT_ONCE
from tests.forked import Forked
from tests.integration.alerter import lives, receiver, storm_life
from tests.integration.alerter.receiver import Receiver, verify
from tests.patience import PATIENCE_SECONDS
from tests.postgres_fixture import Databases

NAMES = ("one", "two", "three", "four", "five")
FAILING = ("two", "four")
SPEED = 30.0
OUTAGE_SECONDS = 600.0
"""In the story; a thirtieth of it in real time."""


@pytest.fixture
async def hooks() -> AsyncIterator[Receiver]:
    one = Receiver(keeps_alive=True)
    await one.start()
    yield one
    await one.stop()


def plan(folder: Path, hooks: Receiver, incidents: int) -> str:
    secret = signing.new_secret()
    endpoints = {name: hooks.url(f"/{name}") for name in NAMES}
    what = {"origin": time.time(), "endpoints": endpoints, "secret": secret, "incidents": incidents, "steps": 1}
    (folder / "plan.json").write_text(json.dumps(what))
    return secret


async def begin(folder: Path, database: str, instance: str) -> Forked:
    return await lives.begin(storm_life.main, [str(folder), str(SPEED), database, instance], said(folder, instance))


def said(folder: Path, instance: str) -> Path:
    return folder / f"said-{instance}"


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not what():
            await asyncio.sleep(0.05)


def judge(hooks: Receiver, secret: str, incidents: int) -> Counter[str]:
    """Every endpoint took every incident's message, each under one id of its own; how often each was taken."""
    taken = [one for one in hooks.got if one.id and one.taken]
    stories: dict[tuple[str, str], set[str]] = {}
    for one in taken:
        stories.setdefault((one.path, one.body["data"]["story"]), set()).add(one.id)
    assert set(stories) == {(f"/{name}", f"bsky:s{number}") for name in NAMES for number in range(incidents)}
    assert {len(ids) for ids in stories.values()} == {1}
    for one in taken[:: max(1, len(taken) // 200)]:
        verify(secret, one)
    return Counter(one.id for one in taken)


def failing_until_told(hooks: Receiver) -> Callable[[], None]:
    """Makes some receivers answer 503; call the result to mend them. What they refused was not taken."""
    down = True

    async def answer(got: receiver.Got, writer: asyncio.StreamWriter) -> None:
        code = 503 if down else 204
        got.taken = not down
        await receiver.status(code)(got, writer)

    for name in FAILING:
        hooks.answers[f"/{name}"] = answer

    def mend() -> None:
        nonlocal down
        down = False

    return mend


@pytest.mark.slow
async def test_a_thousand_incidents_to_five_endpoints_survive_an_outage_and_three_kills(
    tmp_path: Path, hooks: Receiver
) -> None:
    incidents, kills = 1000, 3
    secret = plan(tmp_path, hooks, incidents)
    mend, began, in_flight = failing_until_told(hooks), time.monotonic(), 0
    for number in range(kills):
        process = await begin(tmp_path, "", "alone")
        mark = len(hooks.got)
        await until(lambda m=mark, p=process: len(hooks.got) - m > 400 or p.returncode is not None)  # type: ignore[misc]
        assert process.returncode is None, said(tmp_path, "alone").read_text()[-2000:]
        if number == kills - 1:
            await asyncio.sleep(max(0.0, OUTAGE_SECONDS / SPEED - (time.monotonic() - began)))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        in_flight += MOST_AT_ONCE
    mend()
    process = await begin(tmp_path, "", "alone")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.wait() == 0, said(tmp_path, "alone").read_text()[-2000:]
    times = judge(hooks, secret, incidents)
    assert len(times) == incidents * len(NAMES)
    repeated = sum(count - 1 for count in times.values())
    print(f"{repeated} of {len(times)} deliveries arrived twice; {kills} kills")
    assert repeated <= in_flight
    assert max(times.values()) <= 1 + kills


@pytest.mark.slow
async def test_two_replicas_deliver_each_message_once_and_what_one_had_in_hand_when_killed_at_most_twice(
    tmp_path: Path, hooks: Receiver, postgres: Databases
) -> None:
    incidents, url = 300, postgres.empty()
    secret = plan(tmp_path, hooks, incidents)
    replicas = [await begin(tmp_path, url, name) for name in ("a", "b")]
    await until(lambda: len(hooks.got) > 300 or any(one.returncode is not None for one in replicas))
    for one, name in zip(replicas, "ab", strict=True):
        assert one.returncode is None, said(tmp_path, name).read_text()[-2000:]
    replicas[0].send_signal(signal.SIGKILL)
    await replicas[0].wait()
    replicas[0] = await begin(tmp_path, url, "a")
    async with asyncio.timeout(PATIENCE_SECONDS):
        for one, name in zip(replicas, "ab", strict=True):
            assert await one.wait() == 0, said(tmp_path, name).read_text()[-2000:]
    times = judge(hooks, secret, incidents)
    assert len(times) == incidents * len(NAMES)
    repeated = sum(count - 1 for count in times.values())
    print(f"{repeated} of {len(times)} deliveries arrived twice; 2 replicas, 1 kill")
    assert repeated <= MOST_AT_ONCE
    assert max(times.values()) <= 2
