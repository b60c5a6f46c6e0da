"""Which partitions are a member's, since when and until when. Decisions only: no Kafka, no tasks, no clock of its own.

Every assignment and every acquisition is a *turn*, and turns only grow. A caller that begins something slow (a restore, a
batch) holds the `Ticket` of its turn, and asks afterwards whether the ticket still holds. Nothing that belongs to an older
turn can disturb the present one, however late it comes back.

    absent -> parked -> acquiring -> reading -> spent -> acquiring ...        assigned, and who works on it
                 \\___________\\___________\\________\\____-> ending -> absent    revoked: committing is allowed to the deadline
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class PartitionStage(StrEnum):
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
    PartitionStage.PARKED: frozenset({PartitionStage.ACQUIRING, PartitionStage.ENDING}),
    PartitionStage.ACQUIRING: frozenset(
        {PartitionStage.ACQUIRING, PartitionStage.READING, PartitionStage.SPENT, PartitionStage.ENDING}
    ),
    PartitionStage.READING: frozenset({PartitionStage.ACQUIRING, PartitionStage.SPENT, PartitionStage.ENDING}),
    PartitionStage.SPENT: frozenset({PartitionStage.ACQUIRING, PartitionStage.ENDING}),
    PartitionStage.ENDING: frozenset[PartitionStage](),
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
class _Slot:
    assigned: int
    turn: int
    stage: PartitionStage = PartitionStage.PARKED

    def to(self, stage: PartitionStage) -> None:
        if stage not in NEXT[self.stage]:
            raise AssertionError(f"a partition went from {self.stage} to {stage}")
        self.stage = stage


class Rebalance:
    """The state of one member. Times are given by the caller and only compared with each other."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._turn = 0
        self._deadline = 0.0

    @property
    def assigned(self) -> frozenset[int]:
        """What may be acquired now."""
        return frozenset(number for number, slot in self._slots.items() if slot.stage is not PartitionStage.ENDING)

    def stage(self, partition: int) -> PartitionStage | None:
        slot = self._slots.get(partition)
        return slot.stage if slot else None

    def assign(self, partitions: Iterable[int]) -> frozenset[int]:
        """These, and only these, are ours from now on. What was held before is over, even where it is given back: between
        two assignments somebody else may have owned it."""
        self._turn += 1
        self._slots = {number: _Slot(self._turn, self._turn) for number in partitions}
        return frozenset(self._slots)

    def revoke(self, now: float, grace: float) -> Revocation:
        """End everything at `now + grace`. Returns the partitions that end by this call: none if it is called again."""
        ending = self.assigned
        if ending:
            self._deadline = now + grace
        for number in ending:
            self._slots[number].to(PartitionStage.ENDING)
        return Revocation(ending, self._deadline)

    def ended(self) -> None:
        """Forget the partitions that were ending: the deadline has passed, or all work was done before."""
        self._slots = {number: slot for number, slot in self._slots.items() if slot.stage is not PartitionStage.ENDING}

    def acquire(self, partition: int) -> Ticket | None:
        """Begin to own the partition; an earlier ticket is superseded. Returns `None` if it is not ours, or is ending."""
        slot = self._slots.get(partition)
        if slot is None or slot.stage is PartitionStage.ENDING:
            return None
        slot.to(PartitionStage.ACQUIRING)
        self._turn += 1
        slot.turn = self._turn
        return Ticket(partition, slot.turn)

    def read(self, ticket: Ticket) -> bool:
        """The restore is complete. Returns True if the ticket still holds, so that reading may begin."""
        slot = self._current(ticket)
        if slot is None or slot.stage not in {PartitionStage.ACQUIRING, PartitionStage.READING}:
            return False
        if slot.stage is PartitionStage.ACQUIRING:
            slot.to(PartitionStage.READING)
        return True

    def spend(self, ticket: Ticket) -> None:
        """The ticket's owner failed or closed. Changes nothing if the turn is over, or if the partition is ending."""
        slot = self._current(ticket)
        if slot is not None and slot.stage in {PartitionStage.ACQUIRING, PartitionStage.READING}:
            slot.to(PartitionStage.SPENT)

    def standing(self, ticket: Ticket, now: float) -> Standing:
        slot = self._slots.get(ticket.partition)
        if slot is None or ticket.turn < slot.assigned:
            return Standing.GONE
        if slot.turn != ticket.turn:
            return Standing.SUPERSEDED
        if slot.stage is PartitionStage.ENDING:
            return Standing.ENDING if now < self._deadline else Standing.GONE
        return Standing.HOLDS

    def _current(self, ticket: Ticket) -> _Slot | None:
        slot = self._slots.get(ticket.partition)
        return slot if slot is not None and slot.turn == ticket.turn else None
