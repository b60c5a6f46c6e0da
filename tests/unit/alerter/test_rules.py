"""Which rule fires, how severe it is, and that the reason says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.rules import decide, severity
from alerter.rules.severity import grade
from services.contracts.signal import Interval, Level, Line, SurgePhase
from tests.unit.alerter import make

LEVELS = [Level.WATCH, Level.LIKELY, Level.IMMINENT, Level.CROSSED]


@pytest.mark.parametrize("asked", LEVELS)
@pytest.mark.parametrize("level", [*LEVELS, Level.EASING])
def test_a_level_fires_from_the_one_asked_for_upwards_and_easing_never(asked: Level, level: Level) -> None:
    decision = decide.decide(make.forecast(level=level), [make.rule(level=asked)], make.LINE, None, make.NOW)
    wanted = level is not Level.EASING and LEVELS.index(level) >= LEVELS.index(asked)
    assert (decision is not None) == wanted


def test_every_given_condition_must_hold() -> None:
    both = [make.rule(level=Level.LIKELY, probability=0.8)]
    assert decide.decide(make.forecast(probability=0.79), both, make.LINE, None, make.NOW) is None
    decision = decide.decide(make.forecast(probability=0.8), both, make.LINE, None, make.NOW)
    assert decision is not None
    assert "the level is likely (the rule asks for at least likely)" in decision.reason
    assert "80 % likely to cross the line" in decision.reason


def test_a_condition_about_what_is_not_known_does_not_hold() -> None:
    severe = [make.rule(level=None, complaint_severity=3)]
    assert decide.decide(make.forecast(), severe, make.LINE, None, make.NOW) is None
    assert decide.decide(make.forecast(), severe, make.LINE, 3, make.NOW) is not None
    assert decide.decide(make.negative(severity=None), severe, make.LINE, None, make.NOW) is None
    assert decide.decide(make.negative(severity=2), severe, make.LINE, None, make.NOW) is None
    assert decide.decide(make.negative(severity=3), severe, make.LINE, None, make.NOW) is not None
    assert decide.decide(make.surge(), severe, make.LINE, 4, make.NOW) is None


def test_a_surge_fires_by_its_factor_until_it_ends() -> None:
    surging = [make.rule(level=None, surge_factor=5)]
    assert decide.decide(make.surge(factor=4.9), surging, make.LINE, None, make.NOW) is None
    assert decide.decide(make.surge(factor=5.0), surging, make.LINE, None, make.NOW) is not None
    assert decide.decide(make.surge(SurgePhase.END, factor=50.0), surging, make.LINE, None, make.NOW) is None


def test_the_first_rule_in_the_file_wins_and_foreign_brands_do_not_count() -> None:
    asked = [make.rule(id="foreign", brands=("other",)), make.rule(id="first"), make.rule(id="second")]
    decision = decide.decide(make.forecast(), asked, make.LINE, None, make.NOW)
    assert decision is not None
    assert decision.rule.id == "first"


def test_what_was_fetched_late_and_is_old_opens_nothing() -> None:
    severe = [make.rule(level=None, complaint_severity=3)]
    old = make.negative(post="p1", severity=4, backfill=True)
    late = make.NOW + timedelta(days=2)
    assert decide.decide(old, severe, make.LINE, None, late) is None
    assert decide.decide(old, severe, make.LINE, None, make.NOW) is not None


def test_automation_lowers_the_severity_by_one_and_is_named_but_never_silences() -> None:
    crowd = make.forecast(level=Level.IMMINENT, probability=0.85)
    robots = make.forecast(level=Level.IMMINENT, probability=0.85, probability_without_automation=0.3)
    human = decide.decide(crowd, [make.rule()], make.LINE, None, make.NOW)
    automated = decide.decide(robots, [make.rule()], make.LINE, None, make.NOW)
    assert human is not None
    assert automated is not None
    assert automated.grade.severity == human.grade.severity + 1
    assert "look automated" in automated.reason
    assert "30 %" in automated.reason


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        ({"probability": 0.95}, "the probability is 95 %"),
        ({"mood": make.mood()}, "80 % of replies and quotes are negative"),
        ({"final_size": Interval(low=900, median=1500, high=3000)}, "1,500 engagements"),
    ],
)
def test_what_makes_a_story_worse_raises_the_severity_and_is_named(worse: dict[str, Any], word: str) -> None:
    plain = grade(make.forecast(), make.LINE, None)
    raised = grade(make.forecast(**worse), make.LINE, None)
    assert raised.severity == plain.severity - 1
    assert word in raised.words


def test_a_severe_complaint_in_the_story_raises_it() -> None:
    assert grade(make.forecast(), make.LINE, 3).severity == grade(make.forecast(), make.LINE, 2).severity - 1


@given(
    st.sampled_from(LEVELS), st.floats(0, 1), st.none() | st.floats(0, 1), st.none() | st.integers(0, 4),
    st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1), st.integers(0, 100),
)  # fmt: skip
def test_a_low_reach_never_lowers_the_severity(
    level: Level,
    probability: float,
    without: float | None,
    complaint: int | None,
    low: int,
    more: int,
    sour: float,
    n: int,
) -> None:
    def graded(reach: int, followers: int) -> int:
        story = make.forecast(
            level=level,
            probability=probability,
            probability_without_automation=without,
            line=Line(audience=10_000),
            mood=make.mood(sour, 0.2, n),
            evidence=make.evidence(reach=reach),
            root=make.card(followers=followers),
        )
        return grade(story, story.line, complaint).severity

    small, large = graded(low, 0), graded(low + more, 10**6)
    assert 1 <= large <= small <= 4
    assert graded(0, 0) <= severity._OF_LEVEL[level] + (1 if without is not None else 0)


@given(st.integers(0, 4), st.none() | st.integers(0, 10**8))
def test_the_worse_the_complaint_the_worse_the_severity(severity: int, followers: int | None) -> None:
    line = Line(audience=100_000)
    post = make.card(followers=followers)
    here = grade(make.negative(severity=severity, post=post.post_id, ), line, None).severity  # fmt: skip
    worse = grade(make.negative(severity=min(4, severity + 1)), line, None).severity
    assert 1 <= worse <= here <= 4


@pytest.mark.parametrize(("factor", "severity"), [(3.0, 3), (5.0, 2), (10.0, 1), (1000.0, 1)])
def test_a_surge_is_graded_by_its_factor(factor: float, severity: int) -> None:
    found = grade(make.surge(factor=factor), make.LINE, None)
    assert found.severity == severity
    assert "60 negative posts where 10.0 are usual" in found.words
