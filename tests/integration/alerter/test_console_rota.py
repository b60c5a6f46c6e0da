"""The page that says who is on call, and lets somebody stand in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from alerter.oncall import overrides
from alerter.oncall.shifts import Override
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

SCHEDULES: list[dict[str, Any]] = [
    {
        "id": "crisis",
        "zone": "Europe/Berlin",
        "layers": [
            {
                "id": "weeks",
                "rotation": "weekly",
                "begins": "2026-01-05T09:00:00",
                "responders": ["dana", "lee"],
                "only": [{"days": ["mon", "tue", "wed", "thu", "fri", "sun"]}],
            }
        ],
    }
]
RESPONDERS = [{"id": name, "name": name.title(), "methods": ["desk"]} for name in ("dana", "lee", "max")]


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(schedules=SCHEDULES, responders=RESPONDERS), public_url=None)
    async with made.running():
        yield made


def words(page: str) -> str:
    return re.sub(r" (?=[,.:;])", "", " ".join(re.sub(r"<[^>]+>", " ", page).split()))


async def standing(house: House) -> list[Override]:
    far = datetime(2100, 1, 1, tzinfo=UTC)
    return await house.alerter.database.read(lambda c: overrides.between(c, make.NOW, far))


async def test_the_page_says_who_is_on_call_who_is_next_and_when_nobody_is(house: House) -> None:
    async with sign_in(house) as client:
        said = words((await client.get("/console/on-call")).text)
    # Sunday the 1st of March, 9:00 UTC: the week of Lee's turn ends on Monday at 9:00 in Berlin.
    assert re.search(r"Now Lee until 02 Mar 08:00 UTC", said), said
    assert re.search(r"Next Dana from 02 Mar 08:00 UTC", said)
    assert "Nobody is on call for 2 days" in said, "two Saturdays"


async def test_somebody_stands_in_on_the_schedules_own_clock(house: House) -> None:
    form = {"responder": "max", "begins": "2026-03-01T09:00", "ends": "2026-03-01T18:00", "comment": "her birthday"}
    async with sign_in(house, person="max") as client:
        token = await csrf(client)
        answer = await client.post("/console/on-call/crisis/overrides", data={"csrf": token, **form})
        assert answer.headers["location"] == "/console/on-call?done=overridden"
        (made,) = await standing(house)
        assert (made.begins.hour, made.ends.hour, made.responder, made.replaces) == (8, 17, "max", None)
        said = words((await client.get("/console/on-call")).text)
        assert "Now Max until 01 Mar 17:00 UTC" in said
        assert "her birthday" in said
        path = f"/console/on-call/crisis/overrides/{made.id}/remove"
        assert (await client.post(path, data={"csrf": token})).status_code == 303
        assert (await client.post(path, data={"csrf": token})).status_code == 404
    assert await standing(house) == []
    changes = (await house.http.get("/v1/audit")).json()["items"]
    assert [(c["what"], c["on"]) for c in changes] == [
        ("override.deleted", f"crisis/{made.id}"),
        ("override.created", f"crisis/{made.id}"),
    ]


async def test_a_form_that_makes_no_sense_says_why_and_changes_nothing(house: House) -> None:
    right = {"responder": "max", "begins": "2026-03-01T10:00", "ends": "2026-03-01T18:00"}
    wrong: list[tuple[dict[str, str], int]] = [
        ({"responder": "nobody-i-know"}, 422),
        ({"replaces": "nobody-i-know"}, 422),
        ({"begins": ""}, 422),
        ({"begins": "tomorrow"}, 422),
        ({"begins": "2026-03-01T10:00+01:00"}, 422),
        ({"ends": "2026-03-01T09:00"}, 422),
        ({"ends": "9999-12-31T23:59"}, 422),
        ({"begins": "2020-01-01T00:00", "ends": "2020-01-02T00:00"}, 422),
    ]
    async with sign_in(house) as client:
        token = await csrf(client)
        for change, status in wrong:
            answer = await client.post("/console/on-call/crisis/overrides", data={"csrf": token, **right, **change})
            assert answer.status_code == status, change
            assert 'role="alert"' in answer.text
        unknown = await client.post("/console/on-call/other/overrides", data={"csrf": token, **right})
        assert unknown.status_code == 404
    assert await standing(house) == []


async def test_a_key_changes_only_schedules_that_it_sees_and_only_with_the_scope(house: House) -> None:
    for name, scope, brands, status in (("reader", "read", (), 403), ("centre", "respond", ("acme",), 404)):
        key = (await make_key(house, name, scope, *brands))["authorization"].removeprefix("Bearer ")
        async with sign_in(house, key) as client:
            page = (await client.get("/console/on-call")).text
            assert "Stand in" not in page
            assert ("crisis" in page) == (name == "reader"), "no policy of acme leads to it"
            form = {
                "responder": "max",
                "begins": "2026-03-01T10:00",
                "ends": "2026-03-01T18:00",
                "csrf": await csrf(client),
            }
            assert (await client.post("/console/on-call/crisis/overrides", data=form)).status_code == status
            path = f"/console/on-call/crisis/overrides/{'0' * 32}/remove"
            assert (await client.post(path, data=form)).status_code == status
    assert await standing(house) == []
