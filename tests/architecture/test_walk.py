"""The walk of one signal in CONTRIBUTING.md is short, and every file of it is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MOST_FILES: Final = 15


def test_a_newcomer_follows_one_signal_through_at_most_fifteen_files() -> None:
    walk = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## One signal, from HTTP to webhook")[2]
    steps = re.findall(r"^(\d+)\. `([^`]+)`: \S", walk, re.MULTILINE)
    assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1))
    assert 5 < len(steps) <= MOST_FILES
    for _, path in steps:
        assert (ROOT / path).is_file(), path
    assert steps[0][1].startswith("ingest/")
    assert steps[-1][1].startswith("alerter/notify/")
