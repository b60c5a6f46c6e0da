"""The interface by which other modules learn how deliveries ended. Escalation listens, to follow up a page that fails.

`notify` knows no module above it, so `alerter.service` passes the listener in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection


class DeliveryListener(Protocol):
    """Called inside the transaction that records how a delivery ended."""

    def arrived(self, connection: Connection, ids: Sequence[str]) -> None:
        """These deliveries reached their endpoints."""

    def failing(self, connection: Connection, delivery: str, tries: int, ended: bool, now: datetime) -> bool:
        """A delivery failed `tries` times, or was given up (`ended`). Returns True if a page fails by that."""

    def superseded(self, connection: Connection, heirs: Mapping[str, str]) -> None:
        """These deliveries are not sent: another one to the same endpoint, by its id, stands for each."""

    def put_off(self, connection: Connection, ids: Sequence[str], now: datetime) -> bool:
        """These deliveries wait for the hours of their endpoint. Returns True if pages fail by that."""

    def endpoint_failing(self, connection: Connection, endpoint: str, now: datetime) -> bool:
        """An endpoint only fails. Returns True if pages that wait for it fail by that."""

    def endpoint_gone(self, connection: Connection, endpoint: str, now: datetime) -> None:
        """An endpoint was disabled or deleted."""
