"""The same night under other rules: earlier or later, more or fewer, and what is missing now."""

from __future__ import annotations

from services.tools.drills.compare import compare
from services.tools.drills.judge import DrillCheck, Page, Report


def report(messages: int, told: dict[str, float], checks: tuple[DrillCheck, ...] = ()) -> Report:
    pages = [Page(story, "acme", at, None) for story, at in told.items()]
    return Report(checks, (), messages, pages)


def test_what_differs_is_said_in_a_sentence() -> None:
    comparison = compare(report(5, {"x:a": 2400.0}), report(3, {"x:a": 1560.0}))
    assert comparison.summary == "14 minutes earlier, two pages fewer"
    assert [change.words for change in comparison.changes] == ["14 minutes earlier"]


def test_what_is_missed_now_and_what_was_missed_before_are_named() -> None:
    comparison = compare(report(5, {"x:a": 60.0, "x:b": 60.0}), report(6, {"x:b": 120.0, "x:c": 60.0}))
    assert comparison.summary == (
        "one minute later, one story told that was missed, one story missed that was told, one page more"
    )
    assert {change.story: change.words for change in comparison.changes} == {
        "x:a": "missed now, told before",
        "x:b": "one minute later",
        "x:c": "told now, missed before",
    }


def test_the_same_is_the_same() -> None:
    same = report(5, {"x:a": 60.0})
    assert compare(same, same).summary == "at the same time, as many pages"
    assert compare(report(0, {}), report(0, {})).summary == "as many pages"


def test_only_what_the_old_rules_gave_can_be_broken() -> None:
    good, bad = DrillCheck(True, "told"), DrillCheck(False, "nobody was told")
    assert compare(report(1, {}, (good,)), report(1, {}, (bad,))).broken == ["nobody was told"]
    assert compare(report(1, {}, (bad,)), report(1, {}, (bad,))).broken == []
