"""The shape of every stateful stage: it is given records and due timers, and returns what it wants done. Nothing takes effect
until that is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.eventlog.base import Message, Record


@dataclass(slots=True)
class StepResult:
    """What one step wants done, all or nothing: messages (dead letters included) and changed state."""

    appends: list[Message] = field(default_factory=list)
    changes: dict[str, bytes | None] = field(default_factory=dict)


class Processor(Protocol):
    """The stage of one lane. Each partition has its own instance, which may keep what it likes in memory: after any trouble
    it is thrown away, and a new one is restored from what was committed."""

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state. Values may be kept as bytes and decoded on first touch.

        Raises `Damaged` where an entry is of an unknown version or cannot be read.
        """

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        """Returns what these records, in order, lead to. A record that cannot be read becomes a dead letter, never an
        error. Thinking is done `off_loop`, so that it may be ended."""

    def due(self) -> datetime | None:
        """Returns when the earliest timer wants to fire, or `None` if there is no timer."""

    async def fire(self, now: datetime) -> StepResult:
        """Returns what the timers lead to that are due by `now`."""
