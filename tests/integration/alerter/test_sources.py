"""A storm is paged, and then its source falls silent: quiet and unheard are different things."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)


def heartbeat(house: House, every: float | None = 300, **more: Any) -> SourceCoverage:
    now = house.clock.now()
    fields: dict[str, Any] = {"network": "bsky", "connector": "firehose", "state": CoverageState.HEALTHY}
    fields |= {"begins": now, "ends": now, "every_seconds": every, "observed_at": now}
    return SourceCoverage(**(fields | more))


def gap(house: House, ends: Any = None, **more: Any) -> SourceCoverage:
    fields: dict[str, Any] = {"network": "bsky", "connector": "firehose", "state": CoverageState.GAP}
    fields |= {"begins": make.NOW, "ends": ends, "observed_at": house.clock.now(), "reason": "HTTP 503"}
    return SourceCoverage(**(fields | more))


async def only_one(house: House) -> Any:
    (incident,) = await house.incidents()
    return incident


async def test_a_gap_is_stated_and_ends_nothing_until_it_is_heard_again(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(gap(house))
    await house.settle()
    unknown = await only_one(house)
    assert unknown["unheard"] == "unknown since 09:00 UTC: bsky is not heard (connector firehose: HTTP 503)"
    assert unknown["unknown_since"] == "2026-03-01T09:00:00Z"
    await house.pass_time(35 * 60)
    await house.signal(make.forecast(2, Level.EASING))
    await house.settle()
    await house.pass_time(26 * 3600, step=1800)
    assert (await only_one(house))["state"] == "prior"
    assert "incident.resolved" not in house.receiver.types("/desk")
    ends = house.clock.now()
    await house.signal(gap(house, ends), gap(house))
    await house.settle()
    assert (await only_one(house))["unheard"].startswith("bsky was not heard from 09:00 to 11:35 UTC")
    await house.pass_time(25 * 60)
    assert (await only_one(house))["state"] == "prior", (
        "a story is quiet after half an hour, and half an hour was not heard"
    )
    await house.pass_time(10 * 60)
    over = await only_one(house)
    assert over["state"] == "expired"
    page = house.receiver.at("/desk")[-1].body["data"]
    assert "as far as it was heard, it eased on its own" in page["because"]
    assert page["state_words"].startswith("as far as it was heard, ")
    assert page["how_sure"].startswith("Bsky was not heard from 09:00 to 11:35 UTC (connector firehose: HTTP 503). ")


async def test_an_all_clear_says_that_nobody_reports_whether_the_network_is_heard(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.forecast(2, Level.EASING))
    await house.pass_time(3 * 3600, step=1800)
    assert (await only_one(house))["state"] == "expired"
    page = house.receiver.at("/desk")[-1].body["data"]
    assert page["state_words"].startswith("as far as it was heard, ")
    assert page["how_sure"].startswith("No connector reports whether bsky is heard. ")


async def test_an_all_clear_of_a_network_that_is_reported_has_no_doubt(house: House) -> None:
    await house.signal(heartbeat(house, 86_400))
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.forecast(2, Level.EASING))
    await house.pass_time(3 * 3600, step=1800)
    page = house.receiver.at("/desk")[-1].body["data"]
    assert page["state"] == "expired"
    assert page["state_words"] == "it eased on its own and never crossed the line"


async def test_the_console_states_the_gap(make_house: MakeHouse) -> None:
    house = make_house(public_url=None)
    async with house.running():
        await house.signal(make.forecast(), gap(house))
        await house.settle()
        incident = await only_one(house)
        async with sign_in(house) as client:
            for path in ("/console", f"/console/incidents/{incident['id']}"):
                page = (await client.get(path)).text
                assert "Unknown since 09:00 UTC: bsky is not heard (connector firehose: HTTP 503)." in page, path


async def test_a_heartbeat_that_does_not_come_is_a_gap_and_one_that_was_taken_back_is_none(house: House) -> None:
    await house.signal(heartbeat(house), make.forecast())
    await house.settle()
    await house.pass_time(35 * 60)
    await house.signal(make.forecast(2, Level.EASING))
    await house.settle()
    unknown = await only_one(house)
    assert unknown["state"] == "prior"
    assert unknown["unheard"].startswith("unknown since 09:00 UTC: bsky is not heard (connector firehose: no heartbeat")
    await house.signal(heartbeat(house, None))
    await house.settle()
    await house.pass_time(70 * 60)
    assert (await only_one(house))["state"] == "expired"


async def test_a_gap_of_another_network_or_brand_holds_nothing_up(house: House) -> None:
    await house.signal(
        gap(house, network="x"),
        gap(house, brands=("other",)),
        heartbeat(house, network="mastodon", observed_at=make.NOW - timedelta(days=1)),
        make.forecast(),
    )
    await house.settle()
    await house.signal(make.forecast(2, Level.EASING))
    await house.settle()
    over = await only_one(house)
    assert (over["state"], over["unheard"]) == ("expired", "no connector reports whether bsky is heard")


async def test_an_all_clear_waits_for_its_source(house: House) -> None:
    await house.signal(make.forecast(1, Level.CROSSED))
    await house.settle()
    await house.signal(make.forecast(2, Level.EASING))
    await house.settle()
    await house.pass_time(10 * 60)
    await house.signal(gap(house, begins=house.clock.now()))
    await house.settle()
    await house.pass_time(3 * 3600, step=600)
    waiting = await only_one(house)
    assert waiting["state"] == "easing"
    timeline = (await house.http.get(f"/v1/incidents/{waiting['id']}/explain")).json()["timeline"]
    assert sum(line["kind"] == "unheard" for line in timeline) <= 2, "said once, not every five minutes"
    await house.signal(gap(house, house.clock.now(), begins=make.NOW + 10 * MINUTE))
    await house.settle()
    await house.pass_time(40 * 60)
    assert (await only_one(house))["state"] == "resolved"


async def test_reports_that_are_repeated_or_come_out_of_order_change_nothing(house: House) -> None:
    ended = gap(house, make.NOW - 20 * MINUTE, begins=make.NOW - 40 * MINUTE)
    await house.signal(ended, gap(house, begins=make.NOW - 40 * MINUTE), gap(house, begins=make.NOW - 50 * MINUTE))
    await house.signal(make.forecast())
    await house.settle()
    assert (await only_one(house))["unheard"].startswith("bsky was not heard from 08:20 to 08:40 UTC")
