"""Which partitions are a member's, since when and until when. Decisions only: no Kafka, no tasks, no clock of its own.

Every assignment and every acquisition is a *turn*, and turns only grow. Whoever begins something slow (a restore, a batch)
holds the `Ticket` of its turn and asks afterwards whether it still stands; nothing that belongs to an older turn can
disturb the present one, however late it comes back.

    absent -> parked -> acquiring -> reading -> spent -> acquiring ...        assigned, and who works on it
                 \\___________\\___________\\________\\____-> ending -> absent    revoked: committing is allowed to the deadline
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class LaneStage(StrEnum):
    """Where an assigned partition stands."""

    PARKED = "parked"
    """Ours; nothing is read until somebody acquires it."""
    ACQUIRING = "acquiring"
    READING = "reading"
    SPENT = "spent"
    """Its owner failed. Still ours: acquire again."""
    ENDING = "ending"
    """Revoked: what is in hand may be committed until the deadline."""


NEXT: Final = {
    LaneStage.PARKED: frozenset({LaneStage.ACQUIRING, LaneStage.ENDING}),
    LaneStage.ACQUIRING: frozenset({LaneStage.ACQUIRING, LaneStage.READING, LaneStage.SPENT, LaneStage.ENDING}),
    LaneStage.READING: frozenset({LaneStage.ACQUIRING, LaneStage.SPENT, LaneStage.ENDING}),
    LaneStage.SPENT: frozenset({LaneStage.ACQUIRING, LaneStage.ENDING}),
    LaneStage.ENDING: frozenset[LaneStage](),
}


class Standing(StrEnum):
    """What a ticket is still worth."""

    HOLDS = "holds"
    ENDING = "ending"
    """Revoked, and the deadline has not passed: finish, begin nothing."""
    SUPERSEDED = "superseded"
    """The same member has acquired the partition again."""
    GONE = "gone"
    """Not this member's any more."""


class Ticket(NamedTuple):
    partition: int
    turn: int


class Revocation(NamedTuple):
    """`deadline` is on the caller's clock; all that must end shares it."""

    partitions: frozenset[int]
    deadline: float


@dataclass(slots=True)
class _Lane:
    assigned: int
    turn: int
    stage: LaneStage = LaneStage.PARKED

    def to(self, stage: LaneStage) -> None:
        if stage not in NEXT[self.stage]:
            raise AssertionError(f"a partition went from {self.stage} to {stage}")
        self.stage = stage


class Rebalance:
    """The state of one member. Times are given by the caller and only compared with each other."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self._turn = 0
        self._deadline = 0.0

    @property
    def assigned(self) -> frozenset[int]:
        """What may be acquired now."""
        return frozenset(number for number, lane in self._lanes.items() if lane.stage is not LaneStage.ENDING)

    def stage(self, partition: int) -> LaneStage | None:
        lane = self._lanes.get(partition)
        return lane.stage if lane else None

    def assign(self, partitions: Iterable[int]) -> frozenset[int]:
        """These, and only these, are ours from now on. What was held before is over, even where it is given back: between
        two assignments somebody else may have owned it."""
        self._turn += 1
        self._lanes = {number: _Lane(self._turn, self._turn) for number in partitions}
        return frozenset(self._lanes)

    def revoke(self, now: float, grace: float) -> Revocation:
        """Everything ends at `now + grace`. Called again, it changes nothing and tells of nobody twice."""
        ending = self.assigned
        if ending:
            self._deadline = now + grace
        for number in ending:
            self._lanes[number].to(LaneStage.ENDING)
        return Revocation(ending, self._deadline)

    def ended(self) -> None:
        """The deadline passed, or everybody was done before: what was ending is absent."""
        self._lanes = {number: lane for number, lane in self._lanes.items() if lane.stage is not LaneStage.ENDING}

    def acquire(self, partition: int) -> Ticket | None:
        """Begin to own it; an earlier ticket is superseded. `None` when it is not ours, or ending."""
        lane = self._lanes.get(partition)
        if lane is None or lane.stage is LaneStage.ENDING:
            return None
        lane.to(LaneStage.ACQUIRING)
        self._turn += 1
        lane.turn = self._turn
        return Ticket(partition, lane.turn)

    def read(self, ticket: Ticket) -> bool:
        """The restore is complete; whether the ticket still holds, and reading may begin."""
        lane = self._current(ticket)
        if lane is None or lane.stage not in {LaneStage.ACQUIRING, LaneStage.READING}:
            return False
        if lane.stage is LaneStage.ACQUIRING:
            lane.to(LaneStage.READING)
        return True

    def spend(self, ticket: Ticket) -> None:
        """Its owner failed or closed. Says nothing about others' turns, nor about one that is ending anyway."""
        lane = self._current(ticket)
        if lane is not None and lane.stage in {LaneStage.ACQUIRING, LaneStage.READING}:
            lane.to(LaneStage.SPENT)

    def standing(self, ticket: Ticket, now: float) -> Standing:
        lane = self._lanes.get(ticket.partition)
        if lane is None or ticket.turn < lane.assigned:
            return Standing.GONE
        if lane.turn != ticket.turn:
            return Standing.SUPERSEDED
        if lane.stage is LaneStage.ENDING:
            return Standing.ENDING if now < self._deadline else Standing.GONE
        return Standing.HOLDS

    def _current(self, ticket: Ticket) -> _Lane | None:
        lane = self._lanes.get(ticket.partition)
        return lane if lane is not None and lane.turn == ticket.turn else None
