"""Every drill that comes with us, played through the real thing on the manual clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.tools.drills.player import play_manual
from services.tools.drills.script import load

DRILLS = sorted((Path(__file__).parents[2] / "deploy" / "drills").glob("*.yaml"))


@pytest.mark.parametrize("path", DRILLS, ids=lambda path: path.stem)
async def test_the_night_goes_as_its_script_says(path: Path) -> None:
    script = load(path)
    report, player = await play_manual(script)
    assert player.sink.refused == 0, "a webhook did not verify"
    assert player.sent == len(player.night.actions)
    if script.expected == "now":
        assert report.ok, "\n".join(verdict.what for verdict in report.checks)
    else:
        # It must stay marked only as long as it needs to be.
        assert not report.ok, f"{path.name} passes now: take its `expected` mark away"


@pytest.mark.parametrize("seed", [20, 300])
async def test_the_demo_finds_its_storms_with_any_seed(seed: int) -> None:
    script = load(next(path for path in DRILLS if path.stem == "demo"))
    report, _ = await play_manual(script, seed)
    missed = [page.story for page in report.pages if page.told is None]
    false = [page.story for page in report.pages if page.crossed is None]
    assert (missed, false) == ([], [])
    assert report.ok, "\n".join(verdict.what for verdict in report.checks)
