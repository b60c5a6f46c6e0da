"""Every time on every page says its zone; lists and forms have the same one; whoever looks chooses which."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest

from alerter.console import zones
from services.config.model import Config
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.integration.alerter.test_console import browser, csrf, sign_in
from tests.integration.alerter.test_console_rota import RESPONDERS, SCHEDULES, standing, words
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

TIME = re.compile(r"<time[^>]*>([^<]*)</time>")


def config(**zone_of: str) -> Config:
    people = [{**one, **({"zone": zone_of[one["id"]]} if one["id"] in zone_of else {})} for one in RESPONDERS]
    return make.config(schedules=SCHEDULES, responders=people)


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(config(dana="Asia/Kathmandu"), public_url=None)
    await made.receiver.start()
    async with made.running():
        await made.endpoint("desk")
        await made.signal(make.forecast(), make.negative("p9", story="bsky:p9"))
        await made.settle()
        yield made


async def choose(client: httpx2.AsyncClient, zone: str, **more: str) -> httpx2.Response:
    return await client.post("/console/zone", data={"csrf": await csrf(client), "zone": zone, **more})


async def shown(client: httpx2.AsyncClient) -> set[str]:
    """The zones that the times of the on-call page name."""
    page = inner((await client.get("/console/on-call")).text)
    assert TIME.findall(page)
    return {said.rpartition(" ")[2] for said in TIME.findall(page)}


def inner(page: str) -> str:
    """The page without the strip above it, whose clock stands beside the name of its zone."""
    return page.partition("<main")[2]


@pytest.mark.parametrize(("zone", "called"), [("UTC", "UTC"), ("Europe/Berlin", "CET"), ("America/Sao_Paulo", "UTC-3")])
async def test_every_time_on_every_page_says_the_zone_that_was_chosen(house: House, zone: str, called: str) -> None:
    incident = (await house.incidents())[0]["id"]
    await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "dana"})
    await house.settle()
    delivery = (await house.deliveries())[0]["id"]
    async with sign_in(house, person="max") as client:
        answer = await choose(client, zone, next="/console/on-call")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/on-call")
        paths = ["", f"/incidents/{incident}", "/answers", "/on-call", "/endpoints", f"/deliveries/{delivery}", "/zone"]
        for path in paths:
            whole = (await client.get(f"/console{path}")).text
            assert re.search(rf"as of \d\d:\d\d {re.escape(called)}", words(whole)), "the clock of the strip"
            page = inner(whole)
            if not path:
                assert f"times in {called}" in words(page), "the board says it once, for all of its narrow columns"
                continue
            times = TIME.findall(page)
            assert times, path
            assert {said.rpartition(" ")[2] for said in times} == {called}, path
            body = re.sub(r"<(text|pre)\b.*?</\1>", " ", page, flags=re.DOTALL)  # an axis, and what was sent
            for said in re.findall(r"\b\d\d:\d\d\b(?! [A-Z]{3}).{0,20}", words(body)):
                raise AssertionError(f"{path}: a time without its zone: {said}")


async def test_a_form_is_in_the_zone_of_the_lists_and_its_answer_too(house: House) -> None:
    async with sign_in(house, person="max") as client:
        await choose(client, "America/New_York")
        page = (await client.get("/console/on-call")).text
        assert 'name="begins" type="datetime-local" required value="2026-03-01T04:00"' in page
        hidden = re.search(r'<input type="hidden" name="zone" value="([^"]+)">', page)
        assert hidden is not None
        assert hidden[1] == "America/New_York"
        form = {"responder": "max", "begins": "2026-03-01T04:00", "ends": "2026-03-01T12:00", "zone": hidden[1]}
        answer = await client.post("/console/on-call/crisis/overrides", data={"csrf": await csrf(client), **form})
        assert answer.status_code == 303
        (made,) = await standing(house)
        assert (made.begins, made.ends) == (datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 1, 17, tzinfo=UTC))
        assert "Now Max until 01 Mar 12:00 EST" in words((await client.get("/console/on-call")).text)
        wrong = {**form, "zone": "Mars/Olympus"}
        refused = await client.post("/console/on-call/crisis/overrides", data={"csrf": await csrf(client), **wrong})
        assert refused.status_code == 422


def test_the_night_in_which_the_clocks_change_is_told_by_the_name_of_the_zone() -> None:
    at = [datetime(2026, 3, 29, 0, 59, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert [zones.short(one, "Europe/Berlin") for one in at] == ["CET", "CEST"]
    named = {"Asia/Kathmandu": "UTC+5:45", "America/Sao_Paulo": "UTC-3", "America/St_Johns": "NST", "UTC": "UTC"}
    assert {name: zones.short(make.NOW, name) for name in named} == named


async def test_a_persons_own_zone_is_theirs_until_they_choose_another(house: House) -> None:
    async with sign_in(house, person="Dana") as client:
        assert await shown(client) == {"UTC+5:45"}
        assert "your own, Asia/Kathmandu" in (await client.get("/console/zone")).text
        await choose(client, "Europe/Berlin")
        assert await shown(client) == {"CET"}
        await choose(client, "")
        assert await shown(client) == {"UTC+5:45"}
    key = (await make_key(house, "centre", "respond", "acme"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house, key, "Dana") as outside:
        page = (await outside.get("/console")).text
        assert "Kathmandu" not in page, "whoever has a key from outside learns nothing of whom they name"


async def test_a_zone_that_only_a_configuration_may_name_serves_in_lists_and_forms(make_house: MakeHouse) -> None:
    house = make_house(config(dana="Etc/GMT+3"), public_url=None)
    async with house.running(), sign_in(house, person="dana") as client:
        assert await shown(client) == {"UTC-3"}
        form = {"responder": "max", "begins": "2026-03-01T06:00", "ends": "2026-03-01T08:00", "zone": "Etc/GMT+3"}
        answer = await client.post("/console/on-call/crisis/overrides", data={"csrf": await csrf(client), **form})
        assert answer.status_code == 303
        (made,) = await standing(house)
        assert made.begins == datetime(2026, 3, 1, 9, tzinfo=UTC)


async def sign_in_on(client: httpx2.AsyncClient, person: str, device: str) -> httpx2.Response:
    form = {"key": KEY, "person": person, "next": "/console", "device": device}
    return await client.post("/console/login", data=form)


async def test_a_device_says_its_zone_at_the_login_and_is_heard_where_nobody_chose(house: House) -> None:
    async with browser(house) as client:
        answer = await sign_in_on(client, "max", "Asia/Tokyo")
        cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(zones.COOKIE))
        assert {"HttpOnly", "SameSite=lax", "Path=/console"} <= set(cookie.split("; "))
        assert await shown(client) == {"JST"}
        await choose(client, "UTC")
        await sign_in_on(client, "max", "Asia/Tokyo")
        assert await shown(client) == {"UTC"}, "what was chosen stays"
    async with browser(house) as client:
        await sign_in_on(client, "dana", "Asia/Tokyo")
        assert await shown(client) == {"UTC+5:45"}, "her own goes before that of the device that she borrows"


@pytest.mark.parametrize(
    "name", ["", "x", "../../etc/passwd", "Europe/Berlin\n", "~", "posix/Europe/Berlin", "é", "%00"]
)
async def test_no_other_word_is_a_zone(house: House, name: str) -> None:
    assert not zones.known(name)
    async with browser(house) as client:
        await sign_in_on(client, "max", name)
        assert await shown(client) == {"UTC"}
        client.cookies.set(zones.COOKIE, zones.kept(name))
        assert await shown(client) == {"UTC"}
        if name:
            assert (await choose(client, name)).status_code == 422


async def test_the_choice_leads_nowhere_else(house: House) -> None:
    async with sign_in(house) as client:
        for target in ("https://evil.example", "//evil.example", "/v1/keys"):
            assert (await choose(client, "UTC", next=target)).headers["location"] == "/console"
        assert (await client.post("/console/zone", data={"zone": "UTC"})).status_code == 403
        size = len((await client.get("/console/zone")).content)
        assert size < 60_000, size


def test_every_zone_that_is_offered_is_one_that_a_configuration_may_name() -> None:
    names = zones.names()
    assert names[0] == "UTC"
    assert len(set(names)) == len(names) > 300
    for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"):
        assert name in names
        make.config(responders=[{"id": "lee", "methods": ["desk"], "zone": name}])
