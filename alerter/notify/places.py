"""Shares the places for attempts in flight between receivers, so that those that stall take none from the others. Pure.

Receivers that answer quickly have places of their own, and so have slow ones. Within a group each receiver has a share
that nobody else can take, and may borrow beyond it from a common part. A receiver is slow once an attempt took long, or
has been in flight for long; what it holds then is written off, up to a bound, so that it is not missing for the quick
ones. One that has not answered this process yet is slow until it does, and gets few places.

Whether an answer was a yes does not matter here: a receiver that refuses at once holds nobody up.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Capacity:
    """The places of one group."""

    shared: int
    """Divided equally between the receivers of the group, at least one each."""
    common: int
    """For those that need more than their share."""

    @property
    def total(self) -> int:
        return self.shared + self.common


@dataclass(frozen=True, slots=True)
class Limits:
    quick: Capacity
    slow: Capacity
    written_off: int
    """How many places slow receivers may hold beyond their group's: those that they had when they began to stall."""
    slow_seconds: float
    """From this on an attempt is slow."""
    unknown: int
    """For a receiver that has not answered yet."""

    @property
    def total(self) -> int:
        """The most attempts in flight at once."""
        return self.quick.total + self.slow.total + self.written_off


REQUESTS: Final = Limits(Capacity(192, 64), Capacity(96, 32), written_off=128, slow_seconds=1.0, unknown=2)
"""For outlets that make requests. Each may hold a connection, and 1,024 open files are all that many systems grant."""
PROCESSES: Final = Limits(Capacity(4, 2), Capacity(5, 1), written_off=4, slow_seconds=5.0, unknown=1)
"""For outlets that need a process for each attempt, which costs some 60 MB. An e-mail takes seconds when all is well."""
FORGET_SECONDS: Final = 600.0
"""After this without an attempt a receiver is unknown again, so that shares are not cut for those that get nothing."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What one receiver holds."""

    in_flight: int = 0
    quick: bool = False
    known: bool = False
    used: float = 0.0
    """When it was last given a place, or gave one back; monotonic seconds."""


_NOTHING: Final = Occupancy()


@dataclass(slots=True)
class _Receiver:
    began: dict[str, float] = field(default_factory=dict)
    quick: bool | None = None
    """How long its last attempt took, or `None` before the first has ended."""
    used: float = 0.0


class Places:
    """Keeps count of the attempts in flight. Times are monotonic seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._receivers: dict[str, _Receiver] = {}

    def begin(self, receiver: str, delivery: str, at: float) -> None:
        one = self._receivers.setdefault(receiver, _Receiver())
        one.began[delivery] = one.used = at

    def end(self, receiver: str, delivery: str, at: float) -> None:
        one = self._receivers[receiver]
        one.quick = at - one.began.pop(delivery) <= self._limits.slow_seconds
        one.used = at

    def view(self, at: float) -> PlacesView:
        """Returns who holds what now, as it may be used on another thread."""
        self._forget(at)
        return PlacesView(self._limits, {name: self._occupancy(one, at) for name, one in self._receivers.items()})

    def _occupancy(self, one: _Receiver, at: float) -> Occupancy:
        waits = at - min(one.began.values(), default=at)
        quick = bool(one.quick) and waits <= self._limits.slow_seconds
        return Occupancy(len(one.began), quick, one.quick is not None, one.used)

    def _forget(self, at: float) -> None:
        old = [n for n, one in self._receivers.items() if not one.began and at - one.used > FORGET_SECONDS]
        for name in old:
            del self._receivers[name]


@dataclass(frozen=True, slots=True)
class PlacesView:
    """Who holds how many places at one moment."""

    limits: Limits
    held: Mapping[str, Occupancy]

    def in_flight(self, receiver: str) -> int:
        return self.held.get(receiver, _NOTHING).in_flight

    def dealt(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Returns how many more places each receiver gets, of those that it wants."""
        slow = sum(one.in_flight for one in self.held.values() if not one.quick)
        missing = max(0, slow - self.limits.slow.total - self.limits.written_off)
        given = self._dealt_to(quick=True, wanted=wanted, missing=missing)
        return given | self._dealt_to(quick=False, wanted=wanted, missing=0)

    def _dealt_to(self, quick: bool, wanted: Mapping[str, int], missing: int) -> dict[str, int]:
        capacity = self.limits.quick if quick else self.limits.slow
        group = {name: one.in_flight for name, one in self.held.items() if one.quick is quick}
        asking = [name for name in wanted if self.held.get(name, _NOTHING).quick is quick]
        share = max(1, capacity.shared // max(1, len(group.keys() | set(asking))))
        borrowed = sum(max(0, count - share) for count in group.values())
        room = capacity.total - sum(group.values()) - missing
        return self._round(self._in_turn(asking), wanted, share, capacity.common - borrowed, room)

    def _in_turn(self, names: Sequence[str]) -> list[str]:
        """Those that hold least come first, and among them the one that was served least recently."""

        def place(name: str) -> tuple[int, float]:
            one = self.held.get(name, _NOTHING)
            return one.in_flight, one.used

        return sorted(names, key=place)

    def _round(
        self, names: Sequence[str], wanted: Mapping[str, int], share: int, common: int, room: int
    ) -> dict[str, int]:
        """Deal one place at a time to each in turn."""
        given: Counter[str] = Counter()
        turns = deque(names)
        while turns and room > 0:
            name = turns.popleft()
            one = self.held.get(name, _NOTHING)
            if given[name] >= (wanted[name] if one.known else min(wanted[name], self.limits.unknown - one.in_flight)):
                continue
            if one.in_flight + given[name] >= share:
                if common <= 0:
                    continue
                common -= 1
            given[name] += 1
            room -= 1
            turns.append(name)
        return dict(given)
