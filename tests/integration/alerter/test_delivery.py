"""Receivers as they are: slow, rude, gone, lying. A page still gets through, once, and every attempt is on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from alerter.escalation import pages
from alerter.notify import claims, http, leases, outbox
from alerter.notify.health import LONGEST_PAUSE_SECONDS
from alerter.notify.places import REQUESTS, Places
from alerter.notify.retries import WAITS_SECONDS
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

ONE_STEP = [{"id": "default", "steps": [{"endpoints": ["all"]}]}]


async def the_delivery(house: House) -> Any:
    (delivery,) = await house.deliveries(endpoint="desk")
    return delivery


async def test_what_fails_is_tried_again_under_the_same_id_with_a_fresh_timestamp(house: House) -> None:
    house.receiver.answers["/desk"] = receiver.status(500, body=b"out of order")
    await house.http.post("/v1/endpoints/desk/test")
    await house.settle()
    await house.pass_time(20, step=1)
    assert len(house.receiver.at("/desk")) == 4  # at once, after 2, 7 and 17 seconds
    house.receiver.answers.pop("/desk")
    await house.pass_time(25, step=1)
    got = house.receiver.at("/desk")
    assert len(got) == 5
    assert len({one.id for one in got}) == 1
    assert len({one.raw for one in got}) == 1
    for one in got:
        verify(house.secrets["desk"], one)
        assert abs(int(one.headers["webhook-timestamp"]) - one.arrived) < 5
    delivery = await the_delivery(house)
    assert delivery["state"] == "delivered"
    assert [a["outcome"] for a in delivery["attempts"]] == ["refused"] * 4 + ["delivered"]
    assert delivery["attempts"][0]["detail"] == "out of order"


async def test_after_the_whole_schedule_a_delivery_is_exhausted_and_can_be_sent_again(house: House) -> None:
    house.receiver.answers["/desk"] = receiver.status(500)
    await house.http.post("/v1/endpoints/desk/test")
    await house.settle()
    for seconds in WAITS_SECONDS:
        await house.pass_time(seconds * 1.1 + LONGEST_PAUSE_SECONDS, step=24 * 3600)
    delivery = await the_delivery(house)
    assert (delivery["state"], len(delivery["attempts"])) == ("exhausted", 17)
    house.receiver.answers.pop("/desk")
    answer = await house.http.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert answer.json() == {"delivery": delivery["id"]}
    await house.settle()
    assert (await the_delivery(house))["state"] == "delivered"
    assert len({one.id for one in house.receiver.at("/desk")}) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(house: House, code: int) -> None:
    house.receiver.answers["/desk"] = receiver.status(code, f"location: {house.receiver.url('/elsewhere')}")
    await house.signal(make.forecast())
    await house.settle()
    delivery = await the_delivery(house)
    assert [(a["outcome"], a["status"]) for a in delivery["attempts"]] == [("refused", code)]
    assert house.receiver.at("/elsewhere") == []


async def test_410_disables_the_endpoint_and_cancels_what_waits_for_it(house: House) -> None:
    house.receiver.answers["/desk"] = receiver.status(410)
    await house.signal(make.forecast())
    await house.settle()
    (endpoint,) = (await house.http.get("/v1/endpoints")).json()["items"]
    assert (endpoint["state"], endpoint["disabled_because"]) == ("disabled", "the receiver answered 410 Gone")
    assert (await the_delivery(house))["state"] == "cancelled"
    await house.pass_time(3600)
    assert len(house.receiver.at("/desk")) == 1
    assert (await house.http.post("/v1/endpoints/desk/test")).status_code == 409


@pytest.mark.parametrize(("asked", "seconds"), [("30", 30), ("99999999999", 60), ("0", 2), ("-1", 2)])
async def test_retry_after_is_honoured_within_bounds(house: House, asked: str, seconds: int) -> None:
    house.receiver.answers["/desk"] = receiver.status(429, f"retry-after: {asked}")
    await house.http.post("/v1/endpoints/desk/test")
    await house.settle()
    await house.pass_time(seconds - 1, step=0.5)
    assert len(house.receiver.at("/desk")) == 1
    await house.pass_time(seconds * 0.1 + 1.1, step=0.5)
    assert len(house.receiver.at("/desk")) == 2


@pytest.mark.parametrize("code", [403, 500, 503])
async def test_retry_after_is_honoured_whatever_the_refusal(house: House, code: int) -> None:
    house.receiver.answers["/desk"] = receiver.status(code, "retry-after: 30")
    await house.http.post("/v1/endpoints/desk/test")
    await house.settle()
    await house.pass_time(29, step=1)
    assert len(house.receiver.at("/desk")) == 1
    await house.pass_time(5, step=1)
    assert len(house.receiver.at("/desk")) == 2


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (receiver.reset, "unreachable", None),
        (receiver.no_http, "unreachable", None),
        (receiver.stall, "timeout", None),
        (receiver.endless, "delivered", 200),
        (receiver.silent_body, "delivered", 200),
        (receiver.status(200, body=b"x" * 50_000), "delivered", 200),
    ],
    ids=["reset", "no-http", "stall", "endless-body", "silent-body", "huge-body"],
)
async def test_a_hostile_answer_is_one_recorded_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch, answer: Any, outcome: str, status: int | None
) -> None:
    if outcome == "timeout":  # the others answer, on a loaded machine perhaps late
        monkeypatch.setattr(house.alerter.outlets.sender, "timeout_seconds", 0.3)
    monkeypatch.setattr(http, "BODY_SECONDS", 0.2)
    house.receiver.answers["/desk"] = answer
    await house.signal(make.forecast())
    await house.settle()
    (attempt,) = (await the_delivery(house))["attempts"]
    assert (attempt["outcome"], attempt["status"]) == (outcome, status)
    assert len(attempt["detail"] or "") <= http.KEPT_BODY_BYTES


async def test_an_endpoint_that_stalls_holds_up_nobody_else(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    await house.receiver.start()
    house.receiver.answers["/slow"] = receiver.stall
    many = claims.USUAL_PLACES + 4
    async with house.running():
        await house.endpoint("slow")
        await house.endpoint("desk")
        for n in range(many):
            await house.signal(make.forecast(story=f"bsky:s{n}"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(house.receiver.at("/desk")) < many:
                await asyncio.sleep(0.01)
        assert len(house.receiver.at("/slow")) == REQUESTS.unknown
        house.alerter.outlets.sender.timeout_seconds = 0.1
        await house.receiver.stop()


async def test_a_name_that_leads_inside_is_blocked_and_nothing_is_sent(make_house: MakeHouse) -> None:
    asked: list[str] = []

    async def hostile(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["10.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    house = make_house()
    await house.receiver.start()
    async with house.running(resolver=hostile):
        url = f"http://rebinding.example:{house.receiver.port}/desk"
        await house.http.post("/v1/endpoints", json={"name": "desk", "url": url})
        await house.signal(make.forecast())
        await house.settle()
        (attempt,) = (await the_delivery(house))["attempts"]
        assert attempt["outcome"] == "blocked"
        assert attempt["detail"] == "rebinding.example leads to 10.0.0.1, which is not allowed (private)"
        assert house.receiver.got == []
        await house.pass_time(3, step=1)
        assert len(house.receiver.got) == 1  # the second answer is in the operator's allow-list
        assert house.receiver.got[0].headers["host"] == f"rebinding.example:{house.receiver.port}"


async def test_a_lease_that_a_dead_process_left_is_swept(house: House) -> None:
    """As if another replica had died between claiming and recording."""
    house.receiver.answers["/desk"] = receiver.status(500)
    await house.http.post("/v1/endpoints/desk/test")
    await house.settle()
    now, wall = house.clock.now(), house.alerter.deliverer.wall_now()
    later = now + timedelta(seconds=5)
    dead = claims.Claimant("a dead replica", {True: Places(REQUESTS).view(0.0)})
    (stolen,) = await house.alerter.database.write(lambda c: claims.claim(c, dead, later, wall, pages).claimed)
    assert stolen.number == 2
    house.receiver.answers.pop("/desk")
    house.clock.advance(60)
    await asyncio.sleep(0.05)
    assert len(house.receiver.at("/desk")) == 1
    house.alerter.deliverer._wall = lambda: time.time() + leases.LEASE.total_seconds() + 1
    mono = 1000.0
    keeper = house.alerter.deliverer.leases
    keeper._monotonic = lambda: mono
    await keeper.turn()
    mono += leases.GRACE_SECONDS / 2
    await keeper.turn()
    assert await house.alerter.database.read(outbox.next_due) is None, "it may still be renewed"
    mono += leases.GRACE_SECONDS / 2
    await keeper.turn()
    await house.settle()
    delivery = await the_delivery(house)
    assert [a["outcome"] for a in delivery["attempts"]] == ["refused", "unknown", "delivered"]
    assert house.registry.get_sample_value("firebreak_delivery_leases_swept_total") == 1


async def test_a_deleted_endpoint_gets_nothing_more(house: House) -> None:
    house.receiver.answers["/desk"] = receiver.status(500)
    await house.signal(make.forecast())
    await house.settle()
    assert (await house.http.delete("/v1/endpoints/desk?even_if_named=true")).status_code == 204
    await house.pass_time(3600, step=600)
    assert len(house.receiver.at("/desk")) == 1
    assert (await the_delivery(house))["state"] == "cancelled"


async def test_endpoints_hear_of_their_brands_only(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("acme-desk", brands=["acme"])
        await house.endpoint("other-desk", brands=["other"])
        await house.endpoint("every-desk")
        await house.signal(make.forecast())
        await house.settle()
        assert {one.path for one in house.receiver.got} == {"/acme-desk", "/every-desk"}


async def test_a_stop_waits_for_what_is_in_flight_and_then_ends(house: House) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(got: receiver.Got, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        await receiver.status(204)(got, writer)

    house.receiver.answers["/desk"] = late
    await house.http.post("/v1/endpoints/desk/test")
    await asked.wait()
    stopping = asyncio.create_task(house.alerter.stop(asyncio.get_running_loop().time() + 60))
    while not house.alerter.deliverer._stop.is_set():
        await asyncio.sleep(0.01)
    answer.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stopping
    assert all(task.done() for task in house.alerter._loops)
