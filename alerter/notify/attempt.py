"""What came of one attempt, in a closed set of words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from alerter.states import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Result:
    outcome: AttemptOutcome
    status: int | None = None
    detail: str = ""
    """The beginning of the answer's body, or what went wrong; never the request."""
    retry_after: float | None = None
    seconds: float = 0.0
