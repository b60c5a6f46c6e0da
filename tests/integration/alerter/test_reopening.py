"""A storm that was resolved by hand: it comes back as another incident when it grew, and the page says what it was."""

from __future__ import annotations

from typing import Any

from services.contracts.signal import Interval, Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make


async def crossed(house: House, number: int, engagements: int, **more: Any) -> None:
    size = Interval(low=engagements, median=engagements * 1.1, high=engagements * 2)
    evidence = make.evidence(engagements=engagements)
    await house.signal(make.forecast(number, Level.CROSSED, evidence=evidence, final_size=size, crossing=None, **more))
    await house.settle()


async def resolve(house: House, by: str = "dana") -> None:
    (incident, *_) = [one for one in await house.incidents() if one["state"] in ("prior", "active", "easing")]
    answer = await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": by})
    assert answer.status_code == 200


async def test_a_resolved_storm_that_doubles_opens_a_linked_incident_that_says_what_it_was(house: House) -> None:
    await crossed(house, 1, 1200)
    await resolve(house)
    await crossed(house, 2, 1210)
    assert house.receiver.types("/desk") == ["incident.opened", "incident.resolved"], "a trickle"
    for number in range(11):
        await crossed(house, 1, 100, conversation=f"bsky:q{number}")
    assert len(await house.incidents()) == 1
    await house.pass_time(3600)
    await crossed(house, 1, 100, conversation="bsky:last")
    first, second = sorted(await house.incidents(), key=lambda one: str(one["opened_at"]))
    assert second["previous"] == first["id"]
    page = house.receiver.at("/desk")[-1].body
    assert page["type"] == "incident.opened"
    assert page["data"]["because"].startswith(
        "The incident before was resolved by dana at 2026-03-01 09:00 UTC with 1,200 engagements, and now has 2,410"
    )
    assert (first["state"], first["sequence"]) == ("resolved", 2), "what ended is not changed any more"


async def test_the_factor_of_the_brand_counts(make_house: MakeHouse) -> None:
    brand = {"id": "acme", "name": "Acme", "line": {"engagements": 500}, "reopen_factor": 4}
    house = make_house(make.config(brands=[brand]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await crossed(house, 1, 1400)
        await resolve(house)
        await crossed(house, 2, 5500)
        assert len(await house.incidents()) == 1
        await crossed(house, 3, 5600)
        assert len(await house.incidents()) == 2


async def test_a_storm_that_is_resolved_twice_comes_back_twice(house: House) -> None:
    for turn, size in enumerate((600, 1300, 2700)):
        await crossed(house, 2 * turn + 1, size)
        await resolve(house, f"person-{turn}")
        await crossed(house, 2 * turn + 2, size + 20)
    assert house.receiver.types("/desk") == ["incident.opened", "incident.resolved"] * 3
    last = house.receiver.at("/desk")[-2].body["data"]["because"]
    assert "resolved by person-1 at 2026-03-01 09:00 UTC with 1,300 engagements, and now has 2,700" in last
