"""What was usual before a brand was watched can be taught, once, and is worth as much as what was seen."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from datetime import timedelta
from pathlib import Path

import pytest

from alerter.rules.severity import grade
from scorer.cli import baseline
from scorer.history import messages, read
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.contracts.codec import decode
from services.contracts.signal import BrandHistory, BrandSurge, Line
from services.contracts.topics import SIGNALS
from services.runtime.process import open_log
from tests.unit.scorer.surge_lane import ACME, BEGIN, Lane

WEEKS = 3
CONFIG = """
brands: [{id: acme, name: Acme, line: {engagements: 500}}]
rules: [{id: surge, surge_factor: 3, policy: desk}]
policies: [{id: desk, steps: [{endpoints: [desk]}]}]
"""


def hours_of(path: Path, rng: random.Random, an_hour: int = 30, weeks: float = WEEKS) -> Path:
    first = BEGIN - timedelta(weeks=weeks)
    lines = ["brand,at,negative"]
    for hour in range(int(weeks * 168)):
        count = sum(rng.random() < 0.5 for _ in range(2 * an_hour))
        lines.append(f"acme,{(first + timedelta(hours=hour)).isoformat()},{count}")
    path.write_text("\n".join(lines))
    return path


def events_of(path: Path) -> list[BrandHistory]:
    found = []
    for one in messages(*read(path, {"acme"})):
        for message in one:
            event = decode(message.value).event
            assert isinstance(event, BrandHistory)
            found.append(event)
    return found


async def test_a_brand_whose_history_is_taught_is_known_on_its_first_day(tmp_path: Path) -> None:
    lane = Lane()
    history = events_of(hours_of(tmp_path / "history.csv", random.Random(1)))
    assert len(history) == WEEKS * 7 + 1
    await lane.take(*history)
    lane.restart()
    said = []
    for number in range(60):
        said += await lane.take(lane.complaint(number))
        lane.clock.advance(120)
    assert said == [], "thirty an hour are usual"
    for number in range(600):
        said += await lane.take(lane.complaint(100 + number))
        lane.clock.advance(1)
    said += await lane.wait(600)
    assert said[0].baseline_known
    assert 10 < said[0].expected < 20, "in half an hour"
    assert min(severity(surge) for surge in said) <= 2


def severity(surge: BrandSurge) -> int:
    return grade(surge, Line(), None).severity


async def test_teaching_it_again_or_in_two_pieces_changes_nothing(tmp_path: Path) -> None:
    history = events_of(hours_of(tmp_path / "history.csv", random.Random(2)))
    once, twice, pieces = Lane(), Lane(), Lane()
    await once.take(*history)
    await twice.take(*history)
    await twice.take(*history)
    twice.restart()
    await twice.take(*history[3:7])
    await pieces.take(*history[:10])
    await pieces.take(*history[5:])
    assert once.state == twice.state
    assert once.state == pieces.state


async def test_what_was_seen_is_not_taught() -> None:
    lane, other = Lane(), Lane()
    for one in (lane, other):
        await one.take(one.complaint(1))
    later = BrandHistory(brand=ACME, begins=BEGIN, every_seconds=3_600, negative=(500,) * 24)
    await lane.take(later)
    assert lane.state == other.state


async def test_minutes_are_as_good_as_hours(tmp_path: Path) -> None:
    first = BEGIN - timedelta(weeks=2)
    rows = [
        json.dumps({"brand": "acme", "at": (first + timedelta(minutes=minute)).isoformat(), "negative": 1})
        for minute in range(0, 2 * 168 * 60, 2)
    ]
    path = tmp_path / "history.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    lane = Lane()
    await lane.take(*events_of(path))
    model = lane.processor._get(ACME, lane.clock.now().timestamp()).model
    assert model.baseline_known
    assert model.baseline.expected(BEGIN.timestamp()) == pytest.approx(2.5, rel=0.2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("brand,at,negative\nacme,2026-01-01T00:00:30Z,3\n", "line 2"),
        ("brand,at,negative\nacme,yesterday,3\n", "line 2"),
        ("brand,at,negative\nacme,2026-01-01T00:00,-3\n", "line 2"),
        ("brand,at,negative\nacme,2026-01-01T00:00,3\nacmee,2026-01-01T00:00,3\n", "no brand 'acmee'"),
        ("brand,at\nacme,2026-01-01T00:00\n", "wanted are brand, at and negative"),
        ("brand,at,negative\nacme,1926-01-01T00:00,3\nacme,2026-01-01T00:00,3\n", "days apart"),
        ("", "no counts"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read(path, {"acme"})


def test_the_command_writes_it_into_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "firebreak.yaml").write_text(CONFIG)
    monkeypatch.setenv("FIREBREAK_CONFIG", str(tmp_path / "firebreak.yaml"))
    monkeypatch.setenv("FIREBREAK_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    baseline(hours_of(tmp_path / "history.csv", random.Random(3), weeks=1))
    assert "acme: " in capsys.readouterr().out

    async def written() -> int:
        log = open_log(Settings())
        await log.start()
        try:
            bounds = await log.bounds(SIGNALS.name)
            return sum(end - start for start, end in bounds.values())
        finally:
            await log.close()

    assert asyncio.run(written()) == 8
