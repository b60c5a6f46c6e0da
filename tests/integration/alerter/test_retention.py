"""What is forgotten by age alone stands in one table, and goes when its time has come and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from alerter.store.tables import metadata, overrides, silences, stories
from alerter.timekeeper.retention import KEPT, forget
from tests.integration.alerter.conftest import House
from tests.unit.alerter import make

FOREVER = {
    "incidents": "by the setting FIREBREAK_KEEP_INCIDENTS_DAYS, with all that hangs on them",
    "deliveries": "by the setting FIREBREAK_KEEP_DELIVERIES_DAYS",
    "attempts": "with their delivery",
    "timeline": "with its incident",
    "mentions": "with its incident",
    "outcomes": "with its incident",
    "steps": "with its incident",
    "pages": "with its incident",
    "rings": "with its incident",
    "drill_pages": "with its drill",
    "contact_methods": "one row for each method of a person, who are made by hand",
    "groupings": "with its incident",
    "standing": "minutes after an alert ended",
    "seen": "by offset",
    "positions": "one row a partition",
    "publications": "when they are published",
    "answer_digests": "one row an account",
    "endpoints": "made and deleted by people",
    "keys": "made and revoked by people",
    "installation": "one row a shared key",
    "audit": "for ever",
}


def test_every_table_says_how_long_its_rows_are_kept() -> None:
    assert {kept.moment.table.name for kept in KEPT} | FOREVER.keys() == set(metadata.tables)


@pytest.mark.parametrize("days", [89, 91])
async def test_a_row_goes_when_its_time_has_come_and_not_before(house: House, days: int) -> None:
    ended = {"covers": "all", "matchers": "[]", "author": "dana", "comment": "", "created_at": make.NOW}
    silence = {"id": "s1", "starts_at": make.NOW - timedelta(hours=1), "ends_at": make.NOW, **ended}
    story = {"brand": "acme", "openings": 0, "complaint": 3, "touched_at": make.NOW}
    await house.alerter.database.write(
        lambda c: (
            c.execute(insert(silences), silence),
            c.execute(insert(stories), [story | {"story": "bsky:p9"}, story | {"story": "storm"}]),
        )
    )
    now = make.NOW + timedelta(days=days)
    gone = await house.alerter.database.write(lambda c: forget(c, now, house.alerter.context().wall))
    assert gone["silences"] == (days > 90)
    assert gone["stories"] == 1
    left = await house.alerter.database.read(lambda c: list(c.scalars(select(stories.c.story))))
    assert left == ["storm"], "a brand's storms go on counting"
    assert gone[overrides.name] == 0
