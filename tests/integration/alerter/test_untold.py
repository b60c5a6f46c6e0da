"""An incident that nobody was told of is loud everywhere, and its page leaves as soon as somebody can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.unit.alerter import make

DANA = {"id": "dana", "methods": ["dana-push"]}
LATER = {"id": "base", "rotation": "daily", "begins": "2026-03-20T09:00", "responders": ["dana"]}
FRONT = {"endpoints": ["front"]}
LEAD = {"after_minutes": 20, "endpoints": ["lead"]}


@asynccontextmanager
async def running(make_house: MakeHouse, *steps: dict[str, Any], **more: Any) -> AsyncIterator[House]:
    settings = {"public_url": None} if more.pop("console", False) else {}
    rota = {name: more.pop(name) for name in ("responders", "schedules", "brands", "quiet_hours") if name in more}
    config = make.config(policies=[{"id": "default", "steps": steps, **more}], **rota)
    house = make_house(config, **settings)
    await house.receiver.start()
    async with house.running():
        yield house


async def open_one(house: House, **more: Any) -> str:
    await house.signal(make.forecast(crossing=None, **more))
    await house.settle()
    return str((await house.incidents())[-1]["id"])


async def explained(house: House, incident: str) -> Any:
    return (await house.http.get(f"/v1/incidents/{incident}/explain")).json()


async def untold(house: House) -> tuple[float | None, object]:
    """The metric, and what `/readyz` says."""
    await house.alerter.gauges.turn()
    return house.registry.get_sample_value("firebreak_incidents_untold"), house.alerter.ready().detail.get("untold")


async def test_nobody_told_is_said_by_metric_readiness_board_page_and_api(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, LEAD, console=True) as house:
        assert await untold(house) == (0, None)
        first = await open_one(house)
        assert await untold(house) == (1, 1)
        assert house.alerter.ready().ok, "the process is well, its policy is not"
        told = await explained(house, first)
        assert [step["state"] for step in told["steps"]] == ["untold", "untold"]
        assert told["untold"] == "endpoint front is missing, disabled or not for this brand"
        await house.endpoint("other")
        await open_one(house, story="bsky:p2")
        assert await untold(house) == (2, 2), "an endpoint that no policy names reaches nobody"
        async with sign_in(house) as client:
            board = (await client.get("/console")).text
            assert 'Nobody was told of these incidents <span class="count">2</span>' in board
            assert board.count("<strong>Nobody was told</strong>") == 2
            page = (await client.get(f"/console/incidents/{first}")).text
            assert "<strong>Nobody was told</strong>" in page
            assert "endpoint front is missing" in page
            assert page.count("reached nobody</td>") == 2
            await house.endpoint("front")
            await house.settle()
            assert "Nobody was told" not in (await client.get("/console")).text
            assert "<strong>Nobody was told" not in (await client.get(f"/console/incidents/{first}")).text
        assert await untold(house) == (0, None)


async def test_what_nobody_was_told_of_stands_first_on_the_board(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, console=True) as house:
        await house.endpoint("front", brands=["other"])
        quiet = await open_one(house, story="bsky:quiet")
        await house.signal(make.forecast(brand="other", story="bsky:loud", mood=make.mood(), probability=0.95))
        await house.settle()
        assert {one["severity"] for one in await house.incidents()} == {1, 3}
        async with sign_in(house) as client:
            board = (await client.get("/console")).text
        assert board.index(f'data-incident="{quiet}"') == board.index('data-incident="')


async def test_the_page_waits_and_leaves_when_the_endpoint_is_created_and_the_policy_goes_on(
    make_house: MakeHouse,
) -> None:
    async with running(make_house, FRONT, LEAD) as house:
        incident = await open_one(house)
        await house.pass_time(25 * 60)
        await house.endpoint("front")
        await house.settle()
        (page,) = house.receiver.at("/front")
        assert page.body["type"] == "incident.opened"
        assert "nobody could be told for 25 minutes: endpoint front is missing" in page.body["data"]["because"]
        await house.pass_time(19 * 60)
        assert [step["state"] for step in (await explained(house, incident))["steps"]] == ["done", "waiting"]
        await house.pass_time(60)
        assert [step["state"] for step in (await explained(house, incident))["steps"]][:2] == ["done", "untold"]
        assert await untold(house) == (0, None), "somebody was told"
        await house.endpoint("lead")
        await house.settle()
        assert house.receiver.types("/lead") == ["incident.escalated"]
        await house.pass_time(20 * 60)
        assert house.receiver.types("/front") == ["incident.opened"], "a page that waited leaves once"


async def test_enabling_an_endpoint_sends_what_waited_for_it(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT) as house:
        await house.endpoint("front")
        house.receiver.answers["/front"] = receiver.status(410)
        await open_one(house)
        assert await untold(house) == (1, 1), "its last page was lost, and there is no fallback"
        house.receiver.answers.pop("/front")
        await house.pass_time(30 * 60)
        assert len(house.receiver.at("/front")) == 1, "nobody pages what is disabled"
        await house.http.post("/v1/endpoints/front/enable")
        await house.settle()
        assert len(house.receiver.at("/front")) == 2
        assert await untold(house) == (0, None)


async def test_a_page_that_is_lost_is_an_alarm_until_it_arrives_after_all(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT) as house:
        await house.endpoint("front")
        house.receiver.answers["/front"] = receiver.status(500)
        await open_one(house)
        await house.pass_time(30, step=1)
        assert await untold(house) == (1, 1)
        failed = len(house.receiver.at("/front"))
        await house.pass_time(600, step=10)
        ids = {one.headers["webhook-id"] for one in house.receiver.at("/front")}
        assert len(ids) == 1, "it is tried again, and not paged again beside it"
        assert len(house.receiver.at("/front")) > failed
        house.receiver.answers.pop("/front")
        await house.pass_time(3600, step=60)
        assert await untold(house) == (0, None)
        assert {one.headers["webhook-id"] for one in house.receiver.at("/front")} == ids, "nobody is paged twice"


async def test_a_lost_page_is_not_sent_again_once_a_later_one_arrived(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, insist_minutes=15) as house:
        await house.endpoint("front")
        house.receiver.answers["/front"] = receiver.status(500)
        await house.signal(make.forecast(crossing=None, mood=make.mood(), probability=0.95))  # severity 1
        await house.settle()
        await house.pass_time(14 * 60, step=10)
        assert await untold(house) == (1, 1)
        house.receiver.answers.pop("/front")
        await house.pass_time(14 * 60, step=10)
        arrived = {one.headers["webhook-id"] for one in house.receiver.at("/front")}
        assert len(arrived) == 2, "the first, and its repetition"
        assert await untold(house) == (0, None)


async def test_somebody_who_takes_the_shift_gets_what_waited(make_house: MakeHouse) -> None:
    night = {"id": "night", "zone": "UTC", "layers": [LATER]}
    async with running(make_house, {"targets": ["schedule:night"]}, responders=[DANA], schedules=[night]) as house:
        await house.endpoint("dana-push")
        await open_one(house)
        assert await untold(house) == (1, 1)
        end = (make.NOW + timedelta(hours=4)).isoformat()
        body = {"begins": house.clock.now().isoformat(), "ends": end, "responder": "dana", "by": "dana"}
        assert (await house.http.post("/v1/schedules/night/overrides", json=body)).status_code == 201
        await house.settle()
        assert house.receiver.types("/dana-push") == ["incident.opened"]


@pytest.mark.parametrize("how", ["who has it is absent", "back from an absence", "an override ends"])
async def test_whatever_changes_who_is_on_call_sends_what_waited(make_house: MakeHouse, how: str) -> None:
    begins = "2026-02-01T09:00"
    layers = [{**LATER, "begins": begins}]
    if how == "who has it is absent":
        layers.append({"id": "above", "rotation": "daily", "begins": begins, "responders": ["lee"]})
    night = {"id": "night", "zone": "UTC", "layers": layers}
    people = [DANA, {"id": "lee", "methods": ["nowhere"]}]
    async with running(make_house, {"targets": ["schedule:night"]}, responders=people, schedules=[night]) as house:
        await house.endpoint("dana-push")
        away = {"responder": "dana", "begins": "2026-03-01", "ends": "2026-03-02", "by": "mia"}
        ends = (make.NOW + timedelta(hours=4)).isoformat()
        instead = {"begins": make.NOW.isoformat(), "ends": ends, "responder": "lee", "by": "mia"}
        made = ""
        if how == "back from an absence":
            made = "/v1/absences/" + (await house.http.post("/v1/absences", json=away)).json()["id"]
        elif how == "an override ends":
            place = "/v1/schedules/night/overrides"
            made = f"{place}/" + (await house.http.post(place, json=instead)).json()["id"]
        await open_one(house)
        assert await untold(house) == (1, 1)
        if made:
            assert (await house.http.delete(made)).status_code == 204
        else:
            assert (await house.http.post("/v1/absences", json=away | {"responder": "lee"})).status_code == 201
        await house.settle()
        assert house.receiver.types("/dana-push") == ["incident.opened"]


async def test_a_page_that_arrives_after_all_lets_a_policy_that_ran_out_go_on(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, LEAD) as house:
        await house.endpoint("front")
        house.receiver.answers["/front"] = receiver.status(500)
        await open_one(house, mood=make.mood(), probability=0.95)
        await house.pass_time(90, step=5)
        assert await untold(house) == (1, 1), "its page is lost, and there is no lead"
        del house.receiver.answers["/front"]
        await house.pass_time(60 * 60)
        assert await untold(house) == (0, None)
        assert house.receiver.types("/front").count("incident.escalated") >= 2, "every fifteen minutes"


async def test_a_method_that_the_file_names_later_is_found_within_minutes(make_house: MakeHouse) -> None:
    dana = {"id": "dana", "methods": ["dana-sms"]}
    async with running(make_house, {"targets": ["responder:dana"]}, responders=[dana]) as house:
        await house.endpoint("dana-push")
        await open_one(house)
        await house.reconfigure(
            house.config.model_copy(update={"responders": make.config(responders=[DANA]).responders})
        )
        await house.pass_time(5 * 60)
        assert house.receiver.types("/dana-push") == ["incident.opened"]


@pytest.mark.parametrize("action", ["acknowledge", "snooze", "resolve"])
async def test_who_has_it_is_told_by_no_page_that_waited(make_house: MakeHouse, action: str) -> None:
    async with running(make_house, FRONT) as house:
        incident = await open_one(house)
        body = {"by": "mia"} | ({"minutes": 60} if action == "snooze" else {})
        assert (await house.http.post(f"/v1/incidents/{incident}/{action}", json=body)).status_code == 200
        assert await untold(house) == (0, None)
        await house.endpoint("front")
        await house.pass_time(6 * 60)
        assert house.receiver.at("/front") == []


async def test_an_acknowledgement_that_expires_brings_back_what_had_reached_nobody(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, LEAD) as house:
        incident = await open_one(house)
        await house.http.post(f"/v1/incidents/{incident}/acknowledge", json={"by": "mia", "minutes": 5})
        await house.pass_time(8 * 60)
        assert [step["state"] for step in (await explained(house, incident))["steps"]] == ["untold", "untold"]
        assert await untold(house) == (1, 1)
        await house.endpoint("front")
        await house.settle()
        assert len(house.receiver.at("/front")) == 1


async def test_quiet_hours_hold_back_what_waited_too(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT) as house:
        await open_one(house)
        ends = (house.clock.now() + timedelta(hours=1)).isoformat()
        silence = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": ends, "by": "mia"}
        answer = await house.http.post("/v1/silences", json=silence)
        assert answer.status_code == 201, answer.text
        await house.endpoint("front")
        await house.settle()
        assert house.receiver.at("/front") == []
        assert await untold(house) == (0, None), "nobody is to be told for now"
        await house.pass_time(61 * 60)
        assert len(house.receiver.at("/front")) == 1


async def test_what_waits_survives_the_process(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=[{"id": "default", "steps": [FRONT]}]))
    await house.receiver.start()
    async with house.running():
        await open_one(house)
    async with house.running():
        assert await untold(house) == (1, 1)
        await house.endpoint("front")
        await house.settle()
        assert house.receiver.types("/front") == ["incident.opened"]


async def test_a_hundred_that_wait_for_one_endpoint_are_each_paged_once(make_house: MakeHouse) -> None:
    async with running(make_house, FRONT, LEAD) as house:
        await house.signal(*(make.forecast(story=f"bsky:s{n}", crossing=None) for n in range(120)))
        await house.settle()
        assert await untold(house) == (120, 120)
        await house.endpoint("front")
        await house.settle()
        paged = [one.body["data"]["story"] for one in house.receiver.at("/front")]
        assert len(paged) == len(set(paged)) == 120


async def test_the_start_says_in_its_log_which_steps_reach_nobody(make_house: MakeHouse) -> None:
    with capture_logs() as logged:
        async with running(make_house, FRONT):
            pass
        house = make_house(make.config(policies=[{"id": "default", "steps": [FRONT]}]))
        await house.receiver.start()
        async with house.running():
            await house.endpoint("front")
        first = len(logged)
        async with house.running():
            pass
    said = [(line["event"], line["why"]) for line in logged[:first] if "why" in line]
    assert said[0] == ("nobody_would_be_told", "step 1 of default reaches nobody: endpoint front does not exist")
    assert [line for line in logged[first:] if line["event"] == "nobody_would_be_told"] == []
