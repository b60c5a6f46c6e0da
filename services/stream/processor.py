"""The one shape of a stateful stage: records and timers in, an outcome out; nothing takes effect until it is committed."""

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
    """The stage of one lane. One instance a partition; it may keep what it likes in memory, because after any trouble the
    instance is thrown away and a new one restored from what was committed."""

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state. Values may be kept as bytes and decoded on first touch.

        Raises `Damaged` where an entry is of an unknown version or cannot be read.
        """

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        """Think about these records, in order. A record that cannot be read becomes a dead letter, never an error."""

    def due(self) -> datetime | None:
        """When the earliest timer wants to fire; `None` without timers."""

    async def fire(self, now: datetime) -> StepResult:
        """Do what the timers that are due by `now` want done."""
