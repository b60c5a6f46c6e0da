"""A receiver that was away is told what was and what is, once. Data is told in full, and no page is lost by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from alerter.states import PageState
from alerter.store.tables import pages
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.integration.alerter.test_outlets import ONE_STEP, ROUTING_KEY, at, only
from tests.unit.alerter import make

PEOPLE: dict[str, dict[str, Any]] = {
    "slack": {"per_second": 1000},
    "teams": {"per_second": 1000},
    "alertmanager_webhook": {},
    "pagerduty": {"key": ROUTING_KEY},
}


@pytest.fixture
async def quiet(make_house: MakeHouse) -> Any:
    made = make_house(make.config(policies=ONE_STEP))
    await made.receiver.start()
    async with made.running():
        yield made


async def act(house: House, *actions: str) -> None:
    (incident,) = await house.incidents()
    for action in actions:
        answer = await house.http.post(f"/v1/incidents/{incident['id']}/{action}", json={"by": "dana"})
        assert answer.status_code == 200, answer.text
        await house.settle()


async def comes_back(house: House, path: str = "/out", seconds: float = 120) -> list[Any]:
    """Returns what arrives at a receiver that was down, from the moment on at which it accepts messages again."""
    house.receiver.answers.pop(path)
    before = len(house.receiver.at(path))
    await house.pass_time(seconds, step=2)
    return [one.body for one in house.receiver.at(path)[before:]]


@pytest.mark.parametrize("kind", PEOPLE)
async def test_after_an_outage_people_are_told_what_was_and_what_is_once(quiet: House, kind: str) -> None:
    await only(quiet, kind, **PEOPLE[kind])
    quiet.receiver.answers["/out"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await act(quiet, "acknowledge")
    await act(quiet, "resolve")
    (said,) = await comes_back(quiet)
    if kind == "pagerduty":
        assert said["event_action"] == "resolve"  # never triggered there, so nobody is rung
    else:
        text = json.dumps(said)
        assert "it is over" in text
        assert "Not delivered before" in text
        assert "UTC: SEV3, it has not crossed the line yet. Nobody has it yet." in text
    sent = {one["type"]: one for one in await quiet.deliveries()}
    assert {name: one["state"] for name, one in sent.items()} == {
        "incident.opened": "superseded",
        "incident.acknowledged": "superseded",
        "incident.resolved": "delivered",
    }
    newest = sent["incident.resolved"]["id"]
    assert {one["superseded_by"] for one in sent.values()} == {newest, None}
    assert sent["incident.opened"]["superseded_by"] == newest, "also where what stood for it is superseded in its turn"
    assert sent["incident.opened"]["attempts"], "what was tried stays on record"
    opened = sent["incident.opened"]["id"]
    shown = await quiet.http.get(f"/v1/deliveries/{newest}")
    assert shown.json()["body"]["data"]["was"].endswith("Nobody has it yet.")
    (await quiet.http.get(f"/v1/deliveries/{opened}")).raise_for_status()
    count = quiet.registry.get_sample_value("firebreak_deliveries_total", {"state": "superseded"})
    assert count == 2


async def test_a_webhook_gets_every_message_in_its_order(quiet: House) -> None:
    await quiet.endpoint("out")
    quiet.receiver.answers["/out"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await act(quiet, "acknowledge", "resolve")
    came = await comes_back(quiet)
    assert {one["type"] for one in came} == {"incident.opened", "incident.acknowledged", "incident.resolved"}
    assert {one["state"] for one in await quiet.deliveries()} == {"delivered"}
    assert all("was" not in one["data"] for one in came)


@pytest.mark.parametrize(("action", "event"), [("acknowledge", "acknowledge"), ("resolve", "resolve")])
async def test_a_page_for_what_somebody_has_rings_nobody_also_where_nothing_newer_is_for_it(
    make_house: MakeHouse, action: str, event: str
) -> None:
    """A subscriber to openings alone is sent no acknowledgement that could stand for the page."""
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["desk"]}]}]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await only(house, "pagerduty", key=ROUTING_KEY, subscribed=True, types=["incident.opened"])
        house.receiver.answers["/out"] = receiver.status(500)
        await house.signal(make.forecast())
        await house.settle()
        await act(house, action)
        (said,) = await comes_back(house)
        assert said["event_action"] == event
        (one,) = await house.deliveries(endpoint="out")
        body = (await house.http.get(f"/v1/deliveries/{one['id']}")).json()["body"]["data"]
        assert body["was"].endswith("Nobody has it yet.")


async def test_what_arrives_at_once_says_nothing_of_the_past(quiet: House) -> None:
    await only(quiet, "slack", per_second=1000)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await act(quiet, "acknowledge", "resolve")
    assert len(at(quiet)) == 3
    assert "Not delivered before" not in json.dumps(at(quiet))


async def test_another_incident_is_another_matter(quiet: House) -> None:
    await only(quiet, "slack", per_second=1000)
    quiet.receiver.answers["/out"] = receiver.status(500)
    for story in ("bsky:a", "bsky:b"):
        await quiet.signal(make.forecast(story=story))
    await quiet.settle()
    came = await comes_back(quiet)
    assert len(came) == 2
    assert {one["state"] for one in await quiet.deliveries()} == {"delivered"}


async def test_a_page_whose_delivery_is_superseded_arrives_with_what_stands_for_it(make_house: MakeHouse) -> None:
    people = [{"id": "dana", "methods": ["out", "other"]}]
    policies = [{"id": "default", "steps": [{"targets": ["responder:dana"]}]}]
    house = make_house(make.config(responders=people, policies=policies))
    await house.receiver.start()
    async with house.running():
        await only(house, "slack", per_second=1000)
        await house.endpoint("other")
        house.receiver.answers["/out"] = receiver.status(500)
        await house.signal(make.forecast())
        await house.settle()
        await house.signal(make.forecast(2, Level.CROSSED))
        await house.settle()
        assert len(await house.deliveries(endpoint="out")) == 2
        house.receiver.answers.pop("/out")
        await house.pass_time(180, step=2)
        states = {one["state"] for one in await house.deliveries(endpoint="out")}
        assert states == {"superseded", "delivered"}
        assert house.receiver.at("/other") == [], "nobody else is paged for a page that arrived"
        found = await house.alerter.database.read(lambda c: c.scalars(select(pages.c.state)).all())
        assert set(found) == {PageState.ARRIVED}


async def test_a_page_whose_delivery_is_superseded_is_lost_after_its_own_minute(make_house: MakeHouse) -> None:
    people = [{"id": "dana", "methods": ["out", "other"]}]
    policies = [{"id": "default", "steps": [{"targets": ["responder:dana"]}]}]
    house = make_house(make.config(responders=people, policies=policies))
    await house.receiver.start()
    async with house.running():
        await only(house, "slack", per_second=1000)
        await house.endpoint("other")
        house.receiver.answers["/out"] = receiver.status(503, "retry-after: 50")
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(40, step=2)
        await house.signal(make.forecast(2, Level.CROSSED))
        await house.settle()
        await house.pass_time(30, step=2)
        assert len(house.receiver.at("/other")) == 1


async def test_failures_of_what_is_superseded_count_for_what_stands_for_it(make_house: MakeHouse) -> None:
    """Three failures send a page to the next method, whichever of its messages they were."""
    people = [{"id": "dana", "methods": ["out", "other"]}]
    policies = [{"id": "default", "steps": [{"targets": ["responder:dana"]}], "insist_minutes": "never"}]
    house = make_house(make.config(responders=people, policies=policies))
    await house.receiver.start()
    async with house.running():
        await only(house, "slack", per_second=1000)
        await house.endpoint("other")
        house.receiver.answers["/out"] = receiver.status(500)
        await house.signal(make.forecast())
        await house.settle()
        await house.pass_time(3, step=1)
        assert (len(house.receiver.at("/out")), len(house.receiver.at("/other"))) == (2, 0)
        await house.signal(make.forecast(2, Level.CROSSED))
        await house.settle()
        assert len(house.receiver.at("/out")) == 3
        assert len(house.receiver.at("/other")) == 1


async def test_what_stands_for_an_older_message_goes_to_the_fallback_when_that_would_have(quiet: House) -> None:
    await quiet.endpoint("spare", brands=["other"])
    await only(quiet, "slack", per_second=1000, fallback="spare")
    quiet.receiver.answers["/out"] = receiver.status(503, "retry-after: 40")
    await quiet.signal(make.forecast())
    await quiet.settle()
    await quiet.pass_time(20, step=1)
    await quiet.signal(make.forecast(2, Level.CROSSED))
    await quiet.settle()
    await quiet.pass_time(42, step=1)
    states = {one["state"] for one in await quiet.deliveries(endpoint="out")}
    assert "superseded" in states
    assert len(quiet.receiver.at("/spare")) == 1


async def test_what_is_sent_again_by_hand_after_something_newer_arrived_is_not_sent_to_people(quiet: House) -> None:
    await only(quiet, "slack", per_second=1000)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await act(quiet, "acknowledge")
    opened = next(one for one in await quiet.deliveries() if one["type"] == "incident.opened")
    await quiet.http.post(f"/v1/deliveries/{opened['id']}/resend")
    await quiet.settle()
    assert len(at(quiet)) == 2
    again = (await quiet.http.get(f"/v1/deliveries/{opened['id']}")).json()
    assert (again["state"], again["superseded_by"] is not None) == ("superseded", True)


async def test_the_console_says_what_stands_for_a_message(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=ONE_STEP), public_url=None)
    await house.receiver.start()
    async with house.running():
        await shown_in_the_console(house)


async def shown_in_the_console(quiet: House) -> None:
    await only(quiet, "slack", per_second=1000)
    quiet.receiver.answers["/out"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await act(quiet, "resolve")
    await comes_back(quiet)
    sent = {one["type"]: one for one in await quiet.deliveries()}
    async with sign_in(quiet) as client:
        page = await client.get(f"/console/deliveries/{sent['incident.opened']['id']}")
        assert page.status_code == 200, page.text
        assert f"/console/deliveries/{sent['incident.resolved']['id']}" in page.text
