"""Answers that are due, and a brand's month: what was counted is what is shown, and of other brands nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from alerter.store import volume
from alerter.timekeeper import retention
from services.contracts.base import BrandId
from services.contracts.signal import BrandVolume, Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_console_rota import words
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(public_url=None)
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        yield made


def said(posts: int, negative: int, hours_ago: float = 0, brand: str = "acme", lane: int = 0) -> BrandVolume:
    minute = (make.NOW - timedelta(hours=hours_ago)).replace(second=0)
    return BrandVolume(
        brand=BrandId(brand), minute=minute, lane=lane, posts=posts, scored=posts, negative=negative, abstained=0
    )


async def test_what_is_said_of_a_brand_is_counted_once_by_the_hour(house: House) -> None:
    await house.signal(said(10, 4), id="a")
    await house.signal(said(10, 4), id="a")  # appended twice, as after a crash
    await house.signal(said(5, 1, lane=1), said(7, 0, hours_ago=3), said(9, 9, brand="other"))
    await house.settle()
    found = await house.alerter.database.read(lambda c: volume.hours(c, "acme", make.NOW - timedelta(days=1)))
    assert [(hour.posts, hour.negative) for hour in found] == [(7, 0), (15, 5)]
    later = make.NOW + timedelta(days=401)
    gone = await house.alerter.database.write(lambda c: retention.forget(c, later, later))
    assert gone["volumes"] == 3


async def test_a_brands_month_shows_its_mood_its_alarms_and_its_answers(house: House) -> None:
    await house.signal(*(said(100, 10, 24 * day) for day in range(1, 9)), said(100, 60))
    await house.signal(make.forecast(), make.negative("p9", story="bsky:p9", severity=1))
    await house.settle()
    house.clock.advance(600)
    await house.signal(make.forecast(2, Level.CROSSED, crossed_at=make.NOW + timedelta(seconds=600)))
    await house.settle()
    incident = next(item["id"] for item in await house.incidents() if item["outlook"] is not None)
    await house.http.post(f"/v1/incidents/{incident}/resolve", json={"by": "dana"})
    async with sign_in(house) as client:
        page = words((await client.get("/console/brands/acme")).text)
        assert "900 posts, 140 negative" in page.replace(" of them", "")
        assert "On a usual day it is 10 %; the worst day was 01 Mar with 60 %." in page
        assert re.search(r"Precision 100 %", page)
        assert re.search(r"Lead time to the line 10 min median of 1", page)
        assert re.search(r"bsky under 100 1 0 %", page)
        assert "has crossed the line" in page
        assert words((await client.get("/console/brands")).text).count("Other") == 1
        assert (await client.get("/console/brands/nobody")).status_code == 404
        empty = words((await client.get("/console/brands/other")).text)
        assert "No posts about Other yet." in empty


async def test_answers_are_listed_by_when_they_are_due_small_ones_too(house: House) -> None:
    await house.signal(make.negative("late", story="bsky:late"), make.negative("soon", story="bsky:soon"))
    await house.settle()
    async with sign_in(house) as client:
        page = (await client.get("/console/answers")).text
        assert "0 overdue, 2 more waiting" in words(page)
        assert words(page).count("Answer on bsky") == 2
        house.clock.advance(2 * 3600)
        await house.settle()
        assert "2 overdue, 0 more waiting" in words((await client.get("/console/answers")).text)
        await house.signal(make.answered("bsky:late").model_copy(update={"post_id": "late"}))
        await house.settle()
        assert "1 overdue" in words((await client.get("/console/answers")).text)
        assert await csrf(client)


async def test_a_key_for_another_brand_sees_none_of_it(house: House) -> None:
    await house.signal(said(100, 10), make.negative("p9", story="bsky:p9", severity=1))
    await house.settle()
    key = (await make_key(house, "others", "read", "other"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house, key) as client:
        assert (await client.get("/console/brands/acme")).status_code == 404
        assert "Acme" not in (await client.get("/console/brands")).text
        assert "0 overdue, 0 more waiting" in words((await client.get("/console/answers")).text)


async def test_what_was_not_read_is_listed_with_its_language_text_and_link_clock_or_not(house: House) -> None:
    plain = make.unread("p1", story="bsky:p1")
    hostile = make.unread("p2", story="bsky:p2", addressed=False, language=None).model_copy(
        update={"post": make.card("p2", text="<script>alert(1)</script>", language=None)}
    )
    await house.signal(plain, hostile)
    await house.settle()
    key = (await make_key(house, "others", "read", "other"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house) as client:
        page = (await client.get("/console/answers")).text
        assert "Not read 2 posts that the model would not read" in words(page)
        assert "Acme ms 1" in words(page)
        assert "Acme unknown language 1" in words(page)
        assert "teruk betul" in page
        assert words(page).count("Answer on bsky") == words(page).count("Read on bsky") == 1
        assert "0 overdue, 1 more waiting" in words(page), "only what names the brand has a clock"
        assert "<script>alert(1)" not in page
        await house.signal(make.redacted("p1", story="bsky:p1"))
        await house.settle()
        assert "teruk betul" not in (await client.get("/console/answers")).text
    async with sign_in(house, key) as client:
        assert 'id="unread"' not in (await client.get("/console/answers")).text
