"""Who tries keys at the console's door is slowed down, counted and written down; who is on call gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import structlog
from sqlalchemy import func, select, update

from alerter.console import sessions as console_sessions
from alerter.console.sign_ins import OWN_SECONDS, OWN_TRIES
from alerter.store.tables import sessions
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.test_console import browser, sign_in
from tests.integration.alerter.test_keys import make_key


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(public_url=None)
    async with made.running():
        yield made


def at(house: House, address: str) -> httpx2.AsyncClient:
    """A browser whose requests come from `address`."""
    transport = httpx2.ASGITransport(app=house.app, client=(address, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://alerter")


async def tries(client: httpx2.AsyncClient, key: str) -> httpx2.Response:
    return await client.post("/console/login", data={"key": key, "person": "dana"})


async def test_an_address_that_guesses_is_slowed_down_and_the_person_on_call_gets_in_from_another(house: House) -> None:
    clock = [1000.0]
    house.alerter.sign_ins._monotonic = lambda: clock[0]
    async with at(house, "203.0.113.9") as guesser, at(house, "198.51.100.7") as dana:
        for _ in range(OWN_TRIES):
            assert (await tries(guesser, "guess")).status_code == 401
        slowed = await tries(guesser, KEY)
        assert slowed.status_code == 429, "also the right key, or the wait would tell which one is right"
        assert 1 <= int(slowed.headers["retry-after"]) <= OWN_SECONDS
        assert "Try again in" in slowed.text
        assert not guesser.cookies
        assert (await tries(dana, KEY)).status_code == 303
        clock[0] += OWN_SECONDS
        assert (await tries(guesser, KEY)).status_code == 303, "who mistyped waits for ten seconds and no longer"
        assert (await tries(guesser, "guess")).status_code == 401, "and begins anew"
    for outcome, count in (("ok", 2), ("wrong", OWN_TRIES + 1), ("throttled", 1)):
        assert house.registry.get_sample_value("firebreak_sign_ins_total", {"outcome": outcome}) == count


async def test_no_try_writes_a_key_or_a_name_into_the_log(house: House) -> None:
    with structlog.testing.capture_logs() as lines:
        async with at(house, "203.0.113.9") as client:
            for key in ("a-guessed-key-of-some-length", KEY):
                await client.post("/console/login", data={"key": key, "person": "Dana Doe"})
    told = [line for line in lines if line["event"] == "sign_in"]
    assert [(line["outcome"], line["address"]) for line in told] == [("wrong", "203.0.113.9"), ("ok", "203.0.113.9")]
    for private in (KEY, "a-guessed-key-of-some-length", "Dana"):
        assert private not in repr(lines)


async def test_of_more_sessions_than_a_key_may_have_the_one_used_least_lately_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_sessions, "MAX_OF_A_KEY", 3)
    other = (await make_key(house, "night-shift", "respond"))["authorization"].removeprefix("Bearer ")
    opened: list[Any] = []
    async with sign_in(house, other, "erin") as erin, browser(house) as reader:
        for age in (30, 50, 40):
            async with sign_in(house, person=f"tab of {age}") as client:
                opened.append(client.cookies["firebreak_session"])

            def older(connection: Any, age: int = age) -> None:
                last = sessions.c.person == f"tab of {age}"
                ends = house.alerter.context().wall + timedelta(days=6, minutes=-age)
                connection.execute(update(sessions).where(last).values(ends_wall=ends))

            await house.alerter.database.write(older)
        async with sign_in(house, person="a fourth") as fourth:
            assert (await fourth.get("/console")).status_code == 200
        states = []
        for token in opened:
            reader.cookies.set("firebreak_session", token)
            states.append((await reader.get("/console")).status_code)
        assert states == [200, 303, 200]
        assert (await erin.get("/console")).status_code == 200, "another key's sessions are not counted with these"
        count = select(func.count()).select_from(sessions)
        assert await house.alerter.database.read(lambda c: c.scalar(count)) == 4


async def test_a_person_with_a_key_of_their_own_cannot_act_as_somebody_else(house: House) -> None:
    mine = (await make_key(house, "dana", "respond"))["authorization"].removeprefix("Bearer ")
    for typed, shown in (("", "dana"), ("Dana", "dana"), ("erin", "erin (dana)"), ("x" * 200, "x" * 93 + " (dana)")):
        async with sign_in(house, mine, typed) as client:
            assert f'<a class="me" href="/console/me"><bdi>{shown}</bdi></a>' in (await client.get("/console")).text
