"""Delays shrink toward the answer-by time, but leave a person a minute; rounds repeat."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

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
        assert wait >= min(configured, policy.LEAST_BETWEEN_STEPS)
        if answer_by is None:
            assert wait == configured


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 600))
def test_everybody_was_told_before_it_is_too_late_if_a_minute_each_allows(minutes: list[int], left: int) -> None:
    of = a_policy(0, *minutes)
    by = NOW + left * MINUTE
    if left >= len(minutes):
        slack = timedelta(seconds=len(minutes) * 60)
        assert walk(of, by)[-1] <= max(by, NOW + slack) + timedelta(seconds=60 * len(minutes))
    if sum(minutes) <= left:
        assert walk(of, by)[-1] == NOW + sum(minutes) * MINUTE


def test_the_waits_shrink_alike() -> None:
    of = a_policy(0, 20, 40)
    assert [m - NOW for m in walk(of, NOW + 30 * MINUTE)] == [0 * MINUTE, 0 * MINUTE, 10 * MINUTE, 30 * MINUTE]
    assert [m - NOW for m in walk(of, NOW)] == [0 * MINUTE, 0 * MINUTE, 1 * MINUTE, 2 * MINUTE]


def test_a_round_begins_again_after_its_own_wait() -> None:
    of = a_policy(0, 5, repeat=1, repeat_after_minutes=7)
    assert [(m - NOW) / MINUTE for m in walk(of, None)] == [0, 0, 5, 12, 17]


@given(policies, times)
def test_the_plan_is_what_will_be(of: Policy, answer_by: datetime | None) -> None:
    moments = walk(of, answer_by)[1:]
    assert [moment for _, moment in policy.plan(of, 0, moments[0], answer_by)] == moments[1:]
