"""The queue between the one consumer of a member and the owner of one partition."""

from __future__ import annotations

import asyncio
from collections import deque

from services.eventlog.base import Record


class PartitionQueue:
    """Records that wait for their owner. `position` is the consumer's: past control records too."""

    def __init__(self, position: int) -> None:
        self.records: deque[Record] = deque()
        self.position = position
        self.full = False
        self.error: Exception | None = None
        self.wake = asyncio.Event()

    @property
    def next(self) -> int:
        """The next offset to hand out."""
        return self.records[0].offset if self.records else self.position
