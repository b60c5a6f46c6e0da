"""The result of one attempt to deliver. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from alerter.states import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Result:
    outcome: AttemptOutcome
    status: int | None = None
    detail: str = ""
    """The beginning of the response body, or what went wrong; never the request."""
    retry_after: float | None = None
    """Seconds after which the receiver asks to be tried again."""
    seconds: float = 0.0
    reference: str | None = None
    """What the receiver calls the message, where that is needed to change it later."""
