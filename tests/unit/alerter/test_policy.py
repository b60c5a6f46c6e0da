"""Waits of the first round shrink toward the answer-by time, none below its floor; rounds repeat, and then the last step."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.escalation import policy
from services.config.model import Policy
from tests.unit.alerter.make import NOW

MINUTE = timedelta(minutes=1)


def a_policy(*minutes: float, **more: Any) -> Policy:
    steps = [{"after_minutes": m, "targets": ["desk"]} for m in minutes]
    return Policy.model_validate({"id": "p", "steps": steps, **more})


policies = st.builds(
    lambda minutes, repeat: a_policy(*minutes, repeat=repeat),
    st.lists(st.sampled_from([0, 0.5, 1, 2, 5, 15, 60, 600]), min_size=1, max_size=6),
    st.integers(0, 5),
)
times = st.none() | st.floats(-600, 3000).map(lambda m: NOW + m * MINUTE)


def walk(of: Policy, answer_by: datetime | None) -> list[datetime]:
    found = [NOW]
    for number in range(policy.count(of)):
        found.append(policy.due(of, number, found[-1], answer_by))
    return found


@given(policies, times)
def test_no_step_is_late_none_is_rushed_and_none_is_missed(of: Policy, answer_by: datetime | None) -> None:
    moments = walk(of, answer_by)
    assert len(moments) == 1 + len(of.steps) * (1 + of.repeat)
    for number, (before, after) in enumerate(itertools.pairwise(moments)):
        wait, configured = after - before, policy.wait_before(of, number)
        assert wait <= configured
        assert wait >= min(configured, policy.LEAST_WAIT, configured / 3)
        assert wait >= policy.least_wait(of, configured)
        if answer_by is None or number >= len(of.steps):
            assert wait == configured, "only the first round is hurried"


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 600))
def test_everybody_was_told_before_it_is_too_late_if_the_floors_allow(minutes: list[int], left: int) -> None:
    of = a_policy(0, *minutes)
    by = NOW + left * MINUTE
    least = sum((policy.least_wait(of, m * MINUTE) for m in minutes), timedelta(0))
    if sum(minutes) <= left:
        assert walk(of, by)[-1] == NOW + sum(minutes) * MINUTE
    else:
        assert walk(of, by)[-1] <= max(by, NOW) + least
    if len(minutes) == 1:
        assert walk(of, by)[-1] <= max(by, NOW + least)


def test_the_waits_shrink_alike() -> None:
    of = a_policy(0, 20, 40)
    assert [m - NOW for m in walk(of, NOW + 30 * MINUTE)] == [0 * MINUTE, 0 * MINUTE, 10 * MINUTE, 30 * MINUTE]


@pytest.mark.parametrize(
    ("waits", "more", "found"),
    [
        ([10, 15, 25], {}, [0, 3.3, 8.3, 16.7]),  # a third of each, not one a minute
        ([6, 4, 2], {}, [0, 3, 6, 8]),  # at least 3 minutes, and a shorter wait as it is written
        ([10, 15, 25], {"least_wait_minutes": 8}, [0, 8, 16, 24]),
        ([10, 15, 25], {"least_wait_minutes": 0}, [0, 0, 0, 0]),
        ([10, 15, 25], {"least_wait_minutes": 60}, [0, 10, 25, 50]),
        ([10, 15, 25], {"hasten": "never"}, [0, 10, 25, 50]),
    ],
)
def test_a_deadline_that_is_over_shrinks_no_wait_below_its_floor(
    waits: list[float], more: dict[str, Any], found: list[float]
) -> None:
    walked = walk(a_policy(0, *waits, **more), NOW)[1:]
    assert [round((moment - NOW) / MINUTE, 1) for moment in walked] == found


def test_only_the_first_round_is_hurried() -> None:
    of = a_policy(0, 9, repeat=1, repeat_after_minutes=10)
    assert [(m - NOW) / MINUTE for m in walk(of, NOW)] == [0, 0, 3, 13, 22]


def test_a_policy_that_is_used_up_repeats_its_last_step_and_is_not_hurried() -> None:
    of = a_policy(0, 9, repeat=1, insist_minutes=20)
    for number in (4, 5, 40):
        assert policy.step_of(of, number) is of.steps[-1]
        assert policy.due(of, number, NOW, NOW) == NOW + 20 * MINUTE
    assert policy.insists_after(a_policy(0)) == 15 * MINUTE
    assert policy.insists_after(a_policy(0, insist_minutes="never")) is None


def test_how_early_a_step_came_is_measured_against_what_is_written() -> None:
    of = a_policy(0, 20, repeat=1)
    assert policy.early_by(of, 1, NOW, NOW + 9 * MINUTE) == 11 * MINUTE
    assert policy.early_by(of, 1, NOW, NOW + 19.5 * MINUTE) == timedelta(0), "half a minute needs no word"
    assert policy.early_by(of, 1, NOW, NOW + 40 * MINUTE) == timedelta(0)
    assert policy.early_by(of, 3, NOW, NOW) == timedelta(0), "no later round is early"


def test_a_round_begins_again_after_its_own_wait() -> None:
    of = a_policy(0, 5, repeat=1, repeat_after_minutes=7)
    assert [(m - NOW) / MINUTE for m in walk(of, None)] == [0, 0, 5, 12, 17]


@given(policies, times)
def test_the_plan_is_what_will_be(of: Policy, answer_by: datetime | None) -> None:
    moments = walk(of, answer_by)[1:]
    assert [moment for _, moment in policy.plan(of, 0, moments[0], answer_by)] == moments[1:]
