"""Calculates when each step of a policy is due. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from services.config.model import Policy, Step

LEAST_BETWEEN_STEPS: Final = timedelta(seconds=60)
"""However little time is left, a person needs a moment to pick up the phone. A shorter configured wait stands."""


def count(policy: Policy) -> int:
    """Returns the number of steps in all rounds. Steps are numbered from 0 through all rounds."""
    return len(policy.steps) * (1 + policy.repeat)


def step_of(policy: Policy, number: int) -> Step:
    return policy.steps[number % len(policy.steps)]


def wait_before(policy: Policy, number: int) -> timedelta:
    """Returns the configured time between the step before (or the opening) and this one."""
    minutes = step_of(policy, number).after_minutes
    if number and number % len(policy.steps) == 0:
        minutes += policy.repeat_after_minutes
    return timedelta(minutes=minutes)


def due(policy: Policy, number: int, since: datetime, answer_by: datetime | None) -> datetime:
    """Returns when a step is due. `since` is the time of the step before.

    If the rest of the round would end after `answer_by`, all its waits shrink in proportion so that it does not, but
    none to less than `LEAST_BETWEEN_STEPS`.
    """
    wait = wait_before(policy, number)
    if answer_by is None:
        return since + wait
    size = len(policy.steps)
    round_ends = (number // size + 1) * size
    rest = sum((wait_before(policy, later) for later in range(number, round_ends)), timedelta(0))
    left = max(timedelta(0), answer_by - since)
    if rest <= left:
        return since + wait
    return since + min(wait, max(LEAST_BETWEEN_STEPS, wait * (left / rest)))


def plan(policy: Policy, number: int, due_at: datetime, answer_by: datetime | None) -> Iterator[tuple[int, datetime]]:
    """Yield the steps after `number`, which is due at `due_at`, with the time of each if nobody acknowledges."""
    for later in range(number + 1, count(policy)):
        due_at = due(policy, later, due_at, answer_by)
        yield later, due_at
