"""The rebalance state machine: what belongs to an older turn never disturbs the present one."""

from __future__ import annotations

import logging

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.eventlog.kafka.log_throttle import FewLines
from services.eventlog.rebalance import PartitionStage, Rebalance, Standing, Ticket

GRACE = 6.0


def reading(state: Rebalance, partition: int) -> Ticket:
    ticket = state.acquire(partition)
    assert ticket is not None
    assert state.read(ticket)
    return ticket


def test_a_partition_is_parked_until_it_is_acquired() -> None:
    state = Rebalance()
    assert state.acquire(0) is None
    state.assign({0, 1})
    assert state.assigned == {0, 1}
    assert state.stage(0) is PartitionStage.PARKED
    ticket = reading(state, 0)
    assert state.stage(0) is PartitionStage.READING
    assert state.standing(ticket, 0) is Standing.HOLDS
    assert state.stage(1) is PartitionStage.PARKED


def test_acquiring_again_supersedes_the_older_ticket() -> None:
    state = Rebalance()
    state.assign({0})
    old = reading(state, 0)
    new = reading(state, 0)
    assert state.standing(old, 0) is Standing.SUPERSEDED
    assert state.standing(new, 0) is Standing.HOLDS
    assert not state.read(old)
    state.spend(old)
    assert state.stage(0) is PartitionStage.READING


def test_a_restore_that_ends_after_the_revocation_may_not_read() -> None:
    state = Rebalance()
    state.assign({0})
    ticket = state.acquire(0)
    assert ticket is not None
    state.revoke(10.0, GRACE)
    assert not state.read(ticket)
    state.ended()
    assert not state.read(ticket)
    assert state.standing(ticket, 10.0) is Standing.GONE


def test_a_restore_that_ends_after_the_partition_came_back_may_not_read() -> None:
    state = Rebalance()
    state.assign({0})
    old = state.acquire(0)
    assert old is not None
    state.revoke(10.0, GRACE)
    state.ended()
    state.assign({0})
    assert not state.read(old)
    assert state.standing(old, 11.0) is Standing.GONE
    new = reading(state, 0)
    assert new.turn > old.turn


def test_what_is_in_hand_may_be_finished_until_the_one_deadline() -> None:
    state = Rebalance()
    state.assign({0, 1})
    ticket = reading(state, 0)
    revocation = state.revoke(10.0, GRACE)
    assert revocation == (frozenset({0, 1}), 16.0)
    assert state.assigned == frozenset()
    assert state.acquire(0) is None
    assert state.standing(ticket, 15.9) is Standing.ENDING
    assert state.standing(ticket, 16.0) is Standing.GONE


def test_revoking_twice_tells_nobody_twice_and_keeps_the_deadline() -> None:
    state = Rebalance()
    state.assign({0})
    first = state.revoke(10.0, GRACE)
    second = state.revoke(12.0, GRACE)
    assert second == (frozenset(), first.deadline)


def test_an_owner_that_failed_can_be_acquired_again() -> None:
    state = Rebalance()
    state.assign({0})
    ticket = reading(state, 0)
    state.spend(ticket)
    state.spend(ticket)
    assert state.stage(0) is PartitionStage.SPENT
    assert state.standing(ticket, 0) is Standing.HOLDS
    reading(state, 0)
    assert state.stage(0) is PartitionStage.READING


class Turns(RuleBasedStateMachine):
    """Any order of calls: at most one ticket of a partition is worth anything, and only while the partition is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Rebalance()
        self.now = 0.0
        self.tickets: list[Ticket] = []
        self.ours: set[int] = set()
        self.ending = False

    @rule(partitions=st.frozensets(st.integers(0, 2)))
    def assign(self, partitions: frozenset[int]) -> None:
        assert self.state.assign(partitions) == partitions
        self.ours, self.ending = set(partitions), False

    @rule()
    def revoke(self) -> None:
        told = self.state.revoke(self.now, GRACE).partitions
        assert told == (frozenset() if self.ending else frozenset(self.ours))
        self.ending = self.ending or bool(self.ours)

    @rule()
    def ended(self) -> None:
        self.state.ended()
        if self.ending:
            self.ours, self.ending = set(), False

    @rule(partition=st.integers(0, 2))
    def acquire(self, partition: int) -> None:
        ticket = self.state.acquire(partition)
        assert (ticket is not None) == (partition in self.ours and not self.ending)
        if ticket is not None:
            self.tickets.append(ticket)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), spend=st.booleans())
    def finish(self, data: st.DataObject, spend: bool) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        newest = max(one for one in self.tickets if one.partition == ticket.partition)
        if spend:
            self.state.spend(ticket)
        elif self.state.read(ticket):
            assert ticket == newest
            assert ticket.partition in self.ours
            assert not self.ending

    @rule(seconds=st.floats(0, 2 * GRACE))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def at_most_one_ticket_counts(self) -> None:
        for partition in range(3):
            alive = [
                one
                for one in self.tickets
                if one.partition == partition
                and self.state.standing(one, self.now) in {Standing.HOLDS, Standing.ENDING}
            ]
            assert len(alive) <= 1
            assert not alive or partition in self.ours


Turns.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTurns = Turns.TestCase


def test_a_flood_of_log_lines_becomes_a_few_and_a_count(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    logger = logging.getLogger("flooded")
    limit = FewLines(lines=2, clock=lambda: now[0])
    logger.addFilter(limit)
    for n in range(1000):
        logger.warning("Unable to connect %s", n)
    now[0] = 61.0
    logger.warning("Unable to connect %s", "again")
    logger.removeFilter(limit)
    assert [record.getMessage() for record in caplog.records] == [
        "Unable to connect 0",
        "Unable to connect 1",
        "Unable to connect again (998 lines suppressed)",
    ]
