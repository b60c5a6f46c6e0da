"""What the start and the doctor foretell of a week is what the alerter then does: one roster, the same hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from alerter.escalation import dry_run
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

DANA = {"id": "dana", "methods": ["dana-push"]}
LEE = {"id": "lee", "methods": ["lee-push"]}
NIGHT: dict[str, Any] = {
    "id": "night",
    "zone": "UTC",
    "layers": [{"id": "base", "rotation": "daily", "begins": "2026-02-28T09:00", "responders": ["lee", "dana"]}],
}
"""From `NOW`, a Sunday at 9:00, it is Dana's turn for a day."""
MORNING = {"windows": [{"begins": "10:00", "ends": "22:00"}]}
"""Closed at `NOW`."""


def built(make_house: MakeHouse, *steps: list[str], fallback: tuple[str, ...] = ()) -> House:
    policy = {
        "id": "default",
        "steps": [{"targets": one, "after_minutes": 30 * bool(n)} for n, one in enumerate(steps)],
    }
    config = make.config(policies=[{**policy, "fallback": fallback}], responders=[DANA, LEE], schedules=[NIGHT])
    return make_house(config)


async def foretold(house: House) -> list[str]:
    known = await house.alerter.database.read(lambda c: dry_run.read(c, NOW, house.config))
    return [one.words for one in dry_run.findings(house.config, known, NOW)]


async def open_one(house: House) -> None:
    await house.signal(make.forecast(crossing=None))
    await house.settle()


async def test_an_absence_is_foretold_by_the_start_and_is_why_the_fallback_is_told(make_house: MakeHouse) -> None:
    house = built(make_house, ["schedule:night"], fallback=("lead",))
    await house.receiver.start()
    async with house.running():
        for name in ("dana-push", "lee-push", "lead"):
            await house.endpoint(name)
        away = {"responder": "dana", "begins": "2026-03-01", "ends": "2026-03-01", "by": "dana"}
        assert (await house.http.post("/v1/absences", json=away)).status_code == 201
    with capture_logs() as logged:
        async with house.running():
            await open_one(house)
            assert len(house.receiver.at("/lead")) == 1
            assert house.receiver.at("/dana-push") == []
    said = [line["why"] for line in logged if line["event"] in ("nobody_would_be_told", "policy_name_leads_nowhere")]
    when, why = "from Sun 1 Mar 09:00 to Mon 2 Mar 00:00 (UTC)", "nobody is on call for night: dana is absent"
    assert said == [f"step 1 of default reaches nobody {when}: {why}; then its fallback (lead) is told instead"]


@pytest.mark.parametrize(
    ("steps", "fallback", "then", "told"),
    [
        ((["desk"], ["lead"]), (), "; then step 2 comes at once", "/lead"),
        ((["desk"],), ("lead",), "; then its fallback (lead) is told instead", "/lead"),
        ((["desk", "lead"],), (), None, "/lead"),
        ((["desk"],), (), "", None),
    ],
)
async def test_what_is_foretold_of_hours_is_what_happens(
    make_house: MakeHouse, steps: tuple[list[str], ...], fallback: tuple[str, ...], then: str | None, told: str | None
) -> None:
    house = built(make_house, *steps, fallback=fallback)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk", hours=MORNING)
        for name in ("lead", "dana-push", "lee-push"):
            await house.endpoint(name)
        why = "endpoint desk takes nothing then but severity 1"
        words = f"step 1 of default reaches nobody between 22:00 and 10:00 (UTC): {why}"
        assert await foretold(house) == ([] if then is None else [words + then])
        await open_one(house)
        assert len(house.receiver.at("/desk")) == 0
        assert len(house.receiver.at("/lead")) == (1 if told else 0)
        await house.pass_time(3700, step=600)
        assert len(house.receiver.at("/desk")) == 1, "what waited comes when it opens"


async def test_another_configuration_is_played_when_it_is_taken(make_house: MakeHouse) -> None:
    """A name that was mistyped in an edit is said then, and not at the next start."""
    house = built(make_house, ["desk"])
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        mistyped = {"id": "default", "steps": [{"targets": ["dekk"]}]}
        with capture_logs() as logged:
            await house.reconfigure(make.config(policies=[mistyped]))
            for _ in range(2):  # once, however often it is looked at
                await house.alerter.foresight.turn()
        # What was there at the start may still be on its way into the log.
        said = [line["why"] for line in logged if "dekk" in str(line.get("why"))]
    assert said == [
        "step 1 of default reaches nobody: endpoint dekk does not exist",
        "there is no endpoint 'dekk' (named by step 1 of default): did you mean 'desk'?",
    ]


async def test_an_edit_that_waits_for_its_hand_over_is_foretold_as_it_will_be(make_house: MakeHouse) -> None:
    """Dana keeps the turn that the file of today would give to lee."""
    house = built(make_house, ["schedule:night"])
    await house.receiver.start()
    async with house.running():
        await house.endpoint("lee-push")
        layer: dict[str, Any] = {**NIGHT["layers"][0], "responders": ["dana", "lee"]}
        changed = {**NIGHT, "layers": [layer]}
        policies = house.config.policies
        config = make.config(responders=[DANA, LEE], schedules=[changed]).model_copy(update={"policies": policies})
        await house.reconfigure(config)
        known = await house.alerter.database.read(lambda c: dry_run.read(c, NOW, house.config))
        found = dry_run.findings(config, known, NOW)[0].words
        assert "from Sun 1 Mar 09:00 to Mon 2 Mar 09:00, Tue 3 Mar 09:00 to Wed 4 Mar 09:00" in found
        await open_one(house)
        assert house.receiver.at("/lee-push") == [], "it is dana's turn, who cannot be reached"
        house.clock.advance(timedelta(days=1).total_seconds())
        await house.settle()
        assert house.receiver.types("/lee-push")[:1] == ["incident.opened"], "his turn has begun"


async def test_the_doctor_reads_the_same_without_a_service(make_house: MakeHouse) -> None:
    house = built(make_house, ["responder:dana"])
    await house.receiver.start()
    async with house.running():
        await house.endpoint("dana-push")
        today = datetime.now(UTC).date()
        away = {"responder": "dana", "begins": f"{today}", "ends": f"{today + timedelta(days=30)}", "by": "dana"}
        house.clock.advance((datetime.now(UTC) - NOW).total_seconds())
        assert (await house.http.post("/v1/absences", json=away)).status_code == 201
        findings, begun = dry_run.of_settings(house.settings, house.config)
    assert begun
    assert [one.words for one in findings if one.is_wrong] == [
        "step 1 of default reaches nobody in the whole coming week: dana is absent"
    ]
