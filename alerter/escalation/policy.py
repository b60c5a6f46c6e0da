"""Calculates when each step of a policy is due. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from services.config.model import Policy, Step

HAND_OVER: Final = -1
"""Stands in place of a step's number for pages of a hand-over, which no step of the policy sends."""
LEAST_WAIT: Final = timedelta(minutes=3)
LEAST_SHARE: Final = 1 / 3
"""However little time is left, a person needs a moment to wake up and look before the next one is woken: a wait shrinks to
no less than a third, and to no less than three minutes. A shorter configured wait stands."""
WORTH_SAYING: Final = timedelta(minutes=1)
"""A step that comes early by less than this needs no explanation."""


def count(policy: Policy) -> int:
    """Returns the number of steps in all rounds. Steps are numbered from 0 through all rounds."""
    return policy.step_count


def step_of(policy: Policy, number: int) -> Step:
    """Returns what step `number` does. From the end of the policy on that is its last step, again and again."""
    return policy.steps[number % len(policy.steps)] if number < count(policy) else policy.steps[-1]


def is_last(policy: Policy, number: int) -> bool:
    """Returns True if no step of the policy follows on this one."""
    return number + 1 >= count(policy)


def wait_before(policy: Policy, number: int) -> timedelta:
    """Returns the configured time between the step before (or the opening) and this one."""
    if number >= count(policy):
        return insists_after(policy) or timedelta(0)
    minutes = step_of(policy, number).after_minutes
    if number and number % len(policy.steps) == 0:
        minutes += policy.repeat_after_minutes
    return timedelta(minutes=minutes)


def insists_after(policy: Policy) -> timedelta | None:
    """Returns how long after the last step it is repeated, or `None` if it is not."""
    return None if policy.insist_minutes == "never" else timedelta(minutes=policy.insist_minutes)


def least_wait(policy: Policy, wait: timedelta) -> timedelta:
    """Returns to how much a configured wait may shrink."""
    floor = max(LEAST_WAIT, wait * LEAST_SHARE)
    if policy.least_wait_minutes is not None:
        floor = timedelta(minutes=policy.least_wait_minutes)
    return min(wait, floor)


def due(policy: Policy, number: int, since: datetime, answer_by: datetime | None) -> datetime:
    """Returns when a step is due. `since` is the time of the step before.

    If the rest of the first round would end after `answer_by`, all its waits shrink in proportion so that it does not,
    but none to less than `least_wait`. Later rounds were not hurried in time, and come as they are written.
    """
    wait = wait_before(policy, number)
    size = len(policy.steps)
    if answer_by is None or number >= size or policy.hasten == "never":
        return since + wait
    rest = sum((wait_before(policy, later) for later in range(number, size)), timedelta(0))
    left = max(timedelta(0), answer_by - since)
    if rest <= left:
        return since + wait
    return since + max(least_wait(policy, wait), wait * (left / rest))


def early_by(policy: Policy, number: int, since: datetime, now: datetime) -> timedelta:
    """Returns how long before its configured time a step comes; zero if that is not worth a word."""
    early = since + wait_before(policy, number) - now
    return early if number < len(policy.steps) and early >= WORTH_SAYING else timedelta(0)


def plan(policy: Policy, number: int, due_at: datetime, answer_by: datetime | None) -> Iterator[tuple[int, datetime]]:
    """Yield the steps after `number`, which is due at `due_at`, with the time of each if nobody acknowledges."""
    for later in range(number + 1, count(policy)):
        due_at = due(policy, later, due_at, answer_by)
        yield later, due_at
