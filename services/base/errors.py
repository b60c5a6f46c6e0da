"""Three words for three troubles, so that a failure says who may retry it.

Backpressure: not now, come back later. Poison: never, set it aside. Transient: try again here.
"""

from __future__ import annotations


class FirebreakError(Exception):
    """The root of what we raise ourselves."""


class Backpressure(FirebreakError):
    """We are full or the log is away; the caller may come back after `retry_after` seconds."""

    def __init__(self, why: str, retry_after: float) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after = retry_after


class Poison(FirebreakError):
    """This input will never work. `reason` is one word of a closed set, `detail` says what and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Transient(FirebreakError):
    """It may work when tried again."""


class ConfigError(FirebreakError):
    """The operator's input is wrong; the text names the place and what would be right."""


class Damaged(FirebreakError):
    """Our own data cannot be trusted: the service stops rather than go on."""
