"""The drill format says what is wrong, a seed always plays the same night, and the judge is fair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.base.errors import ConfigError
from services.tools.drills.crowd import Night
from services.tools.drills.judge import Received, judge
from services.tools.drills.script import Script, load

NIGHT: dict[str, Any] = {
    "title": "t",
    "story": "s",
    "lasts": "1h",
    "config": {"brands": [{"id": "acme", "name": "Acme", "line": {"engagements": 10}}]},
    "posts": [
        {"at": "1m", "id": "root", "by": {"handle": "mia", "followers": 40, "age_days": 3}, "text": "Acme is terrible"},
        {"at": "5m", "id": "quote", "by": {"handle": "tess"}, "text": "look", "quotes": "root"},
    ],
    "crowds": [
        {"id": "wave", "does": "repost", "to": "root", "begins": "10m", "count": 30, "median": "5m"},
        {"id": "under", "does": "reply", "to": "quote", "begins": "10m", "count": 3, "lasts": "5m", "texts": ["{a|b} c"]},
    ],
    "expect": [{"brand": "acme", "about": "root", "told_by": "12m", "before_the_line": True, "at_most": 2, "says": ["hello"]}],
}  # fmt: skip


def night(seed: int = 1, **changes: Any) -> Night:
    return Night(Script.model_validate({**NIGHT, **changes}), seed, "run")


def opened(at: float, story: str = "x:run-root", brand: str = "acme", **more: Any) -> Received:
    body = {
        "type": "incident.opened",
        "data": {"brand": brand, "story": story, "severity": 2, "title": "hello", **more},
    }
    return Received(at, "desk", f"id-{at}", body)


def test_a_seed_always_plays_the_same_night_and_another_one_another() -> None:
    assert night(1).actions == night(1).actions
    assert night(1).actions != night(2).actions


def test_a_quote_belongs_to_two_conversations() -> None:
    engagements = night().engagements()
    assert len(engagements["run-root"]) == 31
    assert len(engagements["run-quote"]) == 3
    assert night().story_of("run-quote") == "x:run-root"


def test_the_truth_is_when_the_line_was_crossed() -> None:
    crossings = night().crossings()
    assert set(crossings) == {"run-root"}
    assert (
        crossings["run-root"]
        == sorted(a.at for a in night().actions if a.post.get("parent_id") == "run-root" or "quote_of" in a.post)[9]
    )


def test_who_was_told_in_time_is_praised() -> None:
    report = judge(night(), [opened(11 * 60.0)])
    assert report.ok, report.checks
    (page,) = report.pages
    assert page.lead_minutes is not None
    assert page.lead_minutes > 0


@pytest.mark.parametrize(
    ("received", "words"),
    [
        ([], "nobody was told"),
        ([opened(13 * 60.0)], "wanted by 0h12m00s"),
        ([opened(59 * 60.0)], "the line was crossed at"),
        ([opened(11 * 60.0, brand="blue")], "nobody was told"),
        ([opened(600.0), opened(601.0), opened(602.0)], "3 messages to one endpoint"),
        ([opened(11 * 60.0, title="other")], "no message says 'hello'"),
    ],
)
def test_what_went_wrong_is_named(received: list[Received], words: str) -> None:
    report = judge(night(), received)
    assert not report.ok
    assert any(words in verdict.what for verdict in report.checks), report.checks


def test_a_repeated_delivery_counts_once() -> None:
    assert judge(night(), [opened(660.0), opened(660.0)]).messages == 1


def test_nobody_may_be_told_where_the_script_says_so() -> None:
    silent = night(expect=[], never=[{"brand": "acme"}])
    assert judge(silent, []).ok
    assert not judge(silent, [opened(1.0)]).ok


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lasts": "1 hour"}, "a time is written like"),
        ({"crowds": [{**NIGHT["crowds"][0], "to": "nobody"}]}, "no post 'nobody'"),
        ({"crowds": [{**NIGHT["crowds"][0], "median": None}]}, "either `median`"),
        ({"crowds": [{**NIGHT["crowds"][0], "to": None}]}, "`to` names"),
        ({"crowds": [{**NIGHT["crowds"][0], "does": "reply"}]}, "needs `texts`"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_script_that_makes_no_sense_says_where(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "drill.yaml"
    path.write_text(yaml.safe_dump({**NIGHT, **change}))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
