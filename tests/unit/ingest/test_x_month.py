"""A simulated month of X for three brands, one of which has a storm, with the real purse and the real levels of sampling.
Prints what was heard of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from ingest.sources.purse import Purse
from ingest.sources.x.prices import Bill
from ingest.sources.x.rules import level_for
from services.base.clock import ManualClock
from services.config.connectors.base import Spending

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
STEP_SECONDS = 300
STORM_DAY, STORM_HOURS = 12, range(9, 15)
A_STEP = 6
"""Posts in five minutes that name one of the three brands: 1,728 a day."""
STORM = 100
"""How many times that in the storm."""


def rate(day: int, hour: int) -> int:
    return A_STEP * (STORM if day == STORM_DAY and hour in STORM_HOURS else 1)


def test_a_month_with_a_storm_stays_within_its_budget_and_never_goes_dark_in_the_storm() -> None:
    clock = ManualClock(BEGIN)
    purse = Purse(Spending(day_dollars=60, month_dollars=1000), clock)
    bill = Bill(purse, clock, authors=True)
    written: dict[tuple[int, int], int] = defaultdict(int)
    heard: dict[tuple[int, int], int] = defaultdict(int)
    serial = 0
    for _ in range(30 * 86_400 // STEP_SECONDS):
        now = clock.now()
        hour = (now.day, now.hour)
        percent = level_for(bill.share())
        written[hour] += rate(*hour)
        for _ in range(round(rate(*hour) * percent / 100)):
            if not bill.may(bill.at_most(1)):
                break
            serial += 1
            bill.pay({str(serial)}, {str(serial)})
            heard[hour] += 1
        clock.advance(STEP_SECONDS)
        assert purse.spent.today <= 60
        assert purse.spent.this_month <= 1000

    usual = {hour for hour in written if hour[0] != STORM_DAY}
    storm = {(STORM_DAY, hour) for hour in STORM_HOURS}
    shares = {
        name: sum(heard[hour] for hour in hours) / sum(written[hour] for hour in hours)
        for name, hours in (("usual days", usual), ("the storm", storm))
    }
    print({name: f"{share:.1%}" for name, share in shares.items()}, {hour: heard[hour] for hour in sorted(storm)})
    assert shares["usual days"] >= 0.95
    assert all(heard[hour] > 0 for hour in storm), "in no hour of the storm is nothing heard"
