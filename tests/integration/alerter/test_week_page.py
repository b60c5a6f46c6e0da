"""The page of a week shows the same as the schedules say, in the reader's zone, and to each key only what it may see."""

from __future__ import annotations

import pytest

from tests.integration.alerter.conftest import House
from tests.integration.alerter.test_console import sign_in
from tests.integration.alerter.test_console_rota import house as house  # noqa: PLC0414 - the same two schedules
from tests.integration.alerter.test_console_rota import words
from tests.integration.alerter.test_keys import make_key


async def test_a_week_has_a_row_for_each_person_and_a_red_one_where_nobody_is_on_call(house: House) -> None:
    absent = {"by": "lee", "responder": "lee", "begins": "2026-03-01T00:00:00Z", "ends": "2026-03-01T12:00:00Z"}
    assert (await house.http.post("/v1/absences", json=absent)).status_code == 201
    async with sign_in(house) as client:
        page = (await client.get("/console/on-call/week")).text
        said = words(page)
        assert "On call, week of 23 February 2026" in said, "today is Sunday the first of March"
        assert 'class="gap"' in page
        assert "Nobody" in said
        assert "Dana" in said
        assert "absent: " in said
        later = words((await client.get("/console/on-call/week?from=2026-03-05")).text)
        assert "week of 02 March 2026" in later
        assert "crisis 08:00 to 24:00" in later, "Dana takes over on Monday at nine in Berlin"
        mine = words((await client.get("/console/on-call/week?from=2026-03-05&mine=1")).text)
        assert "Dana crisis" in mine
        assert "Lee" not in mine.partition("Stand in")[0]


@pytest.mark.parametrize("asked", ["from=yesterday", "from=9999-12-31", "from=0001-01-01", "from=2026-13-45", "mine=x"])
async def test_a_week_that_there_is_not_is_this_week(house: House, asked: str) -> None:
    async with sign_in(house) as client:
        answer = await client.get(f"/console/on-call/week?{asked}")
        assert answer.status_code == 200
        assert "week of 23 February 2026" in words(answer.text)


async def test_a_key_of_another_brand_sees_no_shift_of_others(house: House) -> None:
    key = (await make_key(house, "others", "read", "other"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house, key, person="nobody-here") as client:
        said = words((await client.get("/console/on-call/week")).text)
        assert "crisis" not in said
        assert "Dana" not in said
