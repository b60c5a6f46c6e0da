"""What the page about on-call says is so: its example is a configuration that follows the sun."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from alerter.api.drills import DrillIn
from alerter.notify import codes
from alerter.notify.links import CODE_DIGITS
from alerter.oncall import absences, duty
from alerter.oncall.shifts import on_call
from alerter.timekeeper.retention import KEPT
from services.config.loading import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")


def test_the_example_is_right_and_follows_the_sun_while_only_some_clocks_have_changed() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (schedule,) = parse(f"brands: [{{id: acme, name: Acme}}]\n{example}").schedules
    # In the week of the 9th of March New York has changed its clocks and Berlin has not: nine there is 14:00 here.
    for moment, who in (
        ("2026-03-09T14:00:00+01:00", "cem"),
        ("2026-03-09T13:59:59+01:00", "ben"),
        ("2026-03-06T15:00:00+01:00", "cem"),
        ("2026-03-06T14:59:59+01:00", "ana"),
        ("2026-03-10T09:00:00+11:00", "eva"),
        ("2026-04-07T09:00:00+10:30", "eva"),
    ):
        assert on_call(schedule, (), datetime.fromisoformat(moment)).responder == who, moment


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    hours = {
        name: value.total_seconds() / 3600
        for name, value in vars(duty).items()
        if name in ("MOST_ON_DUTY", "LEAST_REST")
    }
    assert hours == {"MOST_ON_DUTY": 48, "LEAST_REST": 11}
    assert "more than 48 hours on duty" in PAGE
    assert "less than 11 hours of" in PAGE
    kept = {one.moment.table.name: one.keep.days for one in KEPT}
    assert {kept["absences"], kept["schedule_versions"], kept["drills"]} == {400}
    assert PAGE.count("400 days") == 3
    assert (codes.LASTS.total_seconds(), codes.MOST_TRIES, codes.MOST_CODES, CODE_DIGITS) == (600, 5, 5, 6)
    assert "sends six digits there, which they enter within ten minutes" in PAGE
    assert DrillIn.model_fields["wait_minutes"].default == 5
    assert all(kind in PAGE for kind in absences.AbsenceKind)
