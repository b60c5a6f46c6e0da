"""As long as it is not known what is usual for a brand, a surge says so, and only the brand's own numbers make it severe."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerter.rules.severity import grade
from services.contracts.codec import decode
from services.contracts.signal import BrandSurge, BrandVolume, Line, SurgePhase
from tests.unit.scorer.surge_lane import ACME, BEGIN, Lane

HOUR = 3_600


def severity(surge: BrandSurge) -> int:
    return grade(surge, Line(), None).severity


async def steady(lane: Lane, an_hour: int, hours: float, number: int = 0) -> list[BrandSurge]:
    said = []
    for one in range(int(an_hour * hours)):
        said += await lane.take(lane.complaint(number + one))
        lane.clock.advance(HOUR / an_hour)
    return said


@pytest.mark.parametrize("an_hour", [30, 300, 2_000])
async def test_steady_complaints_from_the_first_minute_are_never_severe(an_hour: int) -> None:
    said = await steady(Lane(), an_hour, 2)
    assert all(not surge.baseline_known for surge in said)
    assert [surge for surge in said if severity(surge) < 3] == []


async def test_a_surge_on_the_first_day_is_told_with_what_is_not_known() -> None:
    said = await steady(Lane(), 300, 0.5)
    assert said[0].phase is SurgePhase.START
    assert "What is usual is not known yet: 0 h of the first week were seen" in said[0].reason
    assert severity(said[0]) == 3
    assert "not known" in grade(said[0], Line(), None).words


async def test_an_explosion_on_the_first_day_is_proven_by_the_numbers_of_the_day() -> None:
    lane = Lane()
    said = await steady(lane, 30, 1)
    assert said == []
    said = await steady(lane, 1_800, 0.5, number=1000)
    assert next(surge.phase for surge in said) is SurgePhase.START
    assert min(severity(surge) for surge in said) == 2
    proven = next(surge for surge in said if severity(surge) == 2)
    assert proven.at - said[0].at <= timedelta(minutes=5), "at once, not when it has doubled"
    assert "times the busiest ten minutes so far" in grade(proven, Line(), None).words
    assert len(said) <= 4


async def test_a_busy_morning_after_a_quiet_night_proves_nothing() -> None:
    lane = Lane()
    said = await steady(lane, 10, 6)
    for an_hour in (40, 80, 160, 300):
        said += await steady(lane, an_hour, 1, number=1000)
    assert [surge for surge in said if severity(surge) < 3] == []


async def test_the_first_monday_after_a_quiet_weekend_is_not_severe() -> None:
    lane = Lane()
    said = await steady(lane, 20, 36)
    said += await steady(lane, 180, 3, number=1000)
    assert [surge for surge in said if severity(surge) < 3] == []


async def test_after_a_week_of_its_own_a_brand_is_known_and_a_storm_is_as_severe_as_it_is() -> None:
    lane = Lane()
    await steady(lane, 6, 24 * 7 + 1)
    said = await steady(lane, 1_800, 0.2, number=2000)
    assert said[0].baseline_known
    assert said[0].own_factor is None
    assert "not known" not in said[0].reason
    assert min(severity(surge) for surge in said) == 1


async def test_a_week_in_which_nobody_complains_is_known_too() -> None:
    lane = Lane()
    await lane.take(BrandVolume(brand=ACME, minute=BEGIN, lane=0, posts=5, scored=5, negative=0, abstained=0))
    lane.clock.advance(8 * 24 * HOUR)
    said = await steady(lane, 1_800, 0.2)
    assert said[0].baseline_known


async def test_a_restart_in_the_middle_says_the_same() -> None:
    one, other = Lane(), Lane()
    told, again = await steady(one, 30, 1), await steady(other, 30, 1)
    told += await steady(one, 1_800, 0.3, number=1000)
    for number in range(540):
        again += await other.take(other.complaint(1000 + number))
        other.clock.advance(2)
        other.restart()
    assert told == again


def test_a_surge_that_was_written_before_is_as_severe_as_it_was() -> None:
    old = (
        b'{"type":"brand.surge","version":1,"id":"0123456789abcdef0123456789abcdef","data":{"brand":"acme",'
        b'"phase":"start","begins":"2026-03-02T18:00:00Z","at":"2026-03-02T18:10:00Z","window_seconds":600.0,'
        b'"observed":60,"expected":5.0,"factor":12.0,"surprise":12.0,"reason":"many","model":"m"}}'
    )
    surge = decode(old).event
    assert isinstance(surge, BrandSurge)
    assert surge.baseline_known
    assert severity(surge) == 1
