"""A signal that kills every alerter that applies it is found and set aside; the others are told, each once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from alerter.desk.consumer import Consumer
from services.contracts.topics import DEADLETTER
from services.stream.strikes import MOST_DEATHS
from tests.integration.alerter.conftest import House, MakeHouse
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

DEADLY = "bsky:deadly"


class Killed(BaseException):
    """As if the process had been killed: nothing of what it does is committed."""


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever applies the deadly signal is killed."""
    commit = Consumer._commit

    async def commit_or_die(consumer: Consumer, lane: Any, base: Any, batch: Any, *rest: Any) -> Any:
        if any(getattr(envelope.event, "story", None) == DEADLY for _, envelope in batch.signals):
            raise Killed
        return await commit(consumer, lane, base, batch, *rest)

    monkeypatch.setattr(Consumer, "_commit", commit_or_die)


async def _lives(house: House, *stories: str) -> bool:
    """One life, in which these are told of, until everything is done; False if it was killed."""
    try:
        async with house.running(), asyncio.timeout(PATIENCE_SECONDS):
            await house.signal(*(make.forecast(story=story) for story in stories))
            while not await house.alerter.idle():
                await asyncio.sleep(0.005)
    except BaseExceptionGroup as group:
        if group.subgroup(Killed) is None:
            raise
        return False
    return True


@pytest.mark.usefixtures("fragile")
async def test_a_signal_that_kills_the_alerter_is_set_aside_and_the_others_are_told_once(make_house: MakeHouse) -> None:
    house = make_house(partitions=1)
    lives = [await _lives(house, "bsky:before", DEADLY, "bsky:after")]
    while not lives[-1]:
        lives.append(await _lives(house))
        assert len(lives) <= 2 * MOST_DEATHS + 1
    assert len(lives) > MOST_DEATHS
    async with house.running():
        await house.settle()
        found = sorted(incident["story"] for incident in await house.incidents())
        letters = [json.loads(r.value or b"") for r in (await house.log.read(DEADLETTER.name, 0, 0, 10)).records]
    assert found == ["bsky:after", "bsky:before"]
    assert [letter["reason"] for letter in letters] == ["fatal"]
