"""Who is told what became of deliveries. The module that pages people listens, so that a page that fails goes on to the next.

`notify` knows nobody above it: the process hands the listener in (`alerter.service`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection


class DeliveryListener(Protocol):
    """Called inside the transaction that records what happened."""

    def arrived(self, connection: Connection, delivery: str) -> None:
        """A delivery reached its endpoint."""

    def failing(self, connection: Connection, delivery: str, tries: int, ended: bool, now: datetime) -> bool:
        """A delivery failed `tries` times, or was given up (`ended`). Returns True if somebody must be paged otherwise now."""

    def endpoint_failing(self, connection: Connection, endpoint: str, now: datetime) -> bool:
        """An endpoint has only failed for a while. Returns True if somebody must be paged otherwise now."""

    def endpoint_gone(self, connection: Connection, endpoint: str, now: datetime) -> None:
        """An endpoint was disabled or deleted."""
