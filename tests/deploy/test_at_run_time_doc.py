"""What the page about declaring at run time says is so: its file is right, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerter.timekeeper.retention import KEPT
from services.base.errors import ConfigError
from services.config.declared import RotaPart, missing
from services.config.loading import parse

PAGE = (Path(__file__).parents[2] / "docs" / "at-run-time.md").read_text(encoding="utf-8")


def test_the_example_announces_its_policy_and_is_a_mistake_if_it_did_not() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    config = parse(example)
    assert missing(config) == [(RotaPart.POLICIES, "nights")]
    assert config.policy("nights").steps[0].targets == ("all",)
    with pytest.raises(ConfigError, match=r"rules\.0\.policy: no policy 'nights'"):
        parse(example.partition("at_run_time")[0])


def test_the_page_names_every_route_and_the_time_that_is_kept() -> None:
    assert all(f"`/v1/{part.value}`" in PAGE for part in RotaPart)
    kept = {one.moment.table.name: one.keep.days for one in KEPT}
    assert kept["declarations"] == 400
    assert "400 days" in PAGE
