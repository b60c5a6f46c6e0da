"""Every state that something of the alerter can be in, as closed sets of words. The words are stored, sent and counted.

An incident's own states are `services.contracts.incident.IncidentState`, because receivers read them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.contracts.incident import IncidentState

ENDED: Final = frozenset(state for state in IncidentState if state.is_over)
"""For queries: `incidents.c.state.in_(ENDED)`."""


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    """Its retries are used up."""
    CANCELLED = "cancelled"
    """Its endpoint was disabled or deleted."""

    @property
    def is_over(self) -> bool:
        return self is not DeliveryState.PENDING


class AttemptOutcome(StrEnum):
    """How one attempt to deliver ended, or that it has not."""

    BEGUN = "begun"
    """It is on its way."""
    UNKNOWN = "unknown"
    """The process ended before it could record how the attempt ended."""
    DELIVERED = "delivered"
    REFUSED = "refused"
    """An answer other than 2xx."""
    GONE = "gone"
    """410: the receiver wants nothing more, ever."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    """The address is not allowed."""

    @property
    def is_known(self) -> bool:
        """Whether the attempt ended and the end was recorded."""
        return self not in (AttemptOutcome.BEGUN, AttemptOutcome.UNKNOWN)


class PageState(StrEnum):
    SENT = "sent"
    ARRIVED = "arrived"
    FAILED = "failed"
    VOID = "void"
    """Somebody has the incident, or it is over: the page no longer matters."""


class StepState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    CANCELLED = "cancelled"


class ClockState(StrEnum):
    """Of an answer clock."""

    RUNNING = "running"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    """The post was deleted: nobody can answer it any more."""
    EARLY = "early"
    """An answer arrived before the question that it answers."""
