"""The result of one attempt to deliver. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerter.states import AttemptOutcome


@dataclass(frozen=True, slots=True)
class TicketNews:
    """What an attempt taught us of a ticket."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Its id and what else is kept; empty: nothing new."""
    url: str | None = None
    said: str = ""
    """The operation that arrived; empty: none."""
    made: bool = False
    """It was made, and the answer did not say its id."""
    unclear: bool = False
    """It was asked for, and nobody knows whether that succeeded."""
    sequence: int | None = None
    """The state of the incident that was told."""


@dataclass(frozen=True, slots=True)
class Result:
    outcome: AttemptOutcome
    status: int | None = None
    detail: str = ""
    """The beginning of the response body, or what went wrong; never the request."""
    retry_after: float | None = None
    """Seconds after which the receiver asks to be tried again."""
    seconds: float = 0.0
    ticket: TicketNews | None = None
    """For endpoints that keep tickets."""
    reference: str | None = None
    """What the receiver calls the message, where that is needed to change it later."""
