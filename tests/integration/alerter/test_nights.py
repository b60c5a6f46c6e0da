"""The nights in which the clocks change, minute by minute: each incident pages whoever the wall says, and nobody is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest

from services.base.clock import ManualClock
from services.contracts.base import ConversationId, StoryId
from tests.integration.alerter.conftest import MakeHouse
from tests.unit.alerter import make

NIGHTS = [
    ("Europe/Berlin", "2026-03-29", 60),
    ("Europe/Berlin", "2026-10-25", -60),
    ("America/New_York", "2026-03-08", 60),
    ("America/New_York", "2026-11-01", -60),
    ("Australia/Lord_Howe", "2026-04-05", -30),
    ("Australia/Lord_Howe", "2026-10-04", 30),
]
PEOPLE = ("ana", "ben", "cem")
EVERY = timedelta(minutes=15)


@pytest.mark.parametrize(("zone", "night", "skipped"), NIGHTS)
async def test_a_policy_misses_nobody_in_the_night_the_clocks_change(
    make_house: MakeHouse, zone: str, night: str, skipped: int
) -> None:
    """Hand-offs every four hours on the wall: at 22:15, 02:15 (which is skipped, or there twice) and 06:15. In the nights in
    which an hour is there twice the zone is the layer's own, and the schedule's another one."""
    there = ZoneInfo(zone)
    first = (datetime.fromisoformat(night) - timedelta(days=30)).date()
    zones: dict[str, str] = {"zone": zone} if skipped < 0 else {}
    layer = {
        "id": "base",
        "rotation": "custom",
        "shift_hours": 4,
        "begins": f"{first}T02:15",
        "responders": PEOPLE,
        **zones,
    }
    config = make.config(
        responders=[{"id": who, "methods": [who]} for who in PEOPLE],
        schedules=[{"id": "night", "zone": "UTC" if zones else zone, "layers": [layer]}],
        policies=[
            {
                "id": "default",
                "steps": [{"targets": ["schedule:night"]}, {"after_minutes": 5, "targets": ["second"]}],
                "fallback": ["missed"],
            }
        ],
    )
    begin = datetime.fromisoformat(f"{night}T00:00").replace(tzinfo=there).astimezone(UTC) - timedelta(hours=2)
    hours = 10
    house = make_house(config)
    house.clock = ManualClock(begin)
    await house.receiver.start()
    async with house.running():
        for name in (*PEOPLE, "second", "missed"):
            await house.endpoint(name)
        paged: list[tuple[datetime, str]] = []
        for number in range(hours * 4):
            story = f"bsky:n{number}"
            await house.signal(
                make.forecast(
                    story=StoryId(story), conversation=ConversationId(story), crossing=None, at=house.clock.now()
                )
            )
            await house.settle()
            opened = [one for one in house.receiver.got if one.type == "incident.opened"]
            assert len(opened) == number + 1, "each incident pages one person"
            paged.append((house.clock.now(), opened[-1].path.removeprefix("/")))
            await house.pass_time(EVERY.total_seconds(), step=300)
        assert house.receiver.at("/missed") == []
        assert house.receiver.types("/second") == ["incident.escalated"] * len(paged), "no step missed, none doubled"
    turns = [(who, [moment for moment, _ in some]) for who, some in groupby(paged, key=lambda pair: pair[1])]
    people = [who for who, _ in turns]
    start = PEOPLE.index(people[0])
    assert people == [PEOPLE[(start + n) % 3] for n in range(len(people))], "everybody serves in turn"
    # The skipped or doubled hour lies in the shift that ends at 02:15, or in the one after: together they are 8 hours long
    # on the wall, and that much shorter or longer in time.
    first_of = [moments[0] for _, moments in turns]
    at_night = first_of[people.index(people[1])], first_of[people.index(people[1]) + 2]
    assert at_night[1] - at_night[0] == timedelta(hours=8) - timedelta(minutes=skipped)
    walls = [moment.astimezone(there).strftime("%H:%M") for moment in first_of[1:]]
    assert walls[0] == "22:15"
    assert walls[2] == "06:15"
    assert walls[1] in ("02:15", "02:30", "03:00"), "a hand-off that is skipped happens at the skip"
