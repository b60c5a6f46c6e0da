"""The kinds of failure, by who may try again: the caller, later (`Backpressure`), we ourselves (`Transient`), or nobody
(`ConfigError`, `Damaged`).

A record that will never work is no error: it becomes a dead letter (`services.stream.deadletter`).
"""

from __future__ import annotations

from typing import ClassVar


class FirebreakError(Exception):
    """The root of all errors that Firebreak raises on purpose."""


class Backpressure(FirebreakError):
    """We are full or the log is away; the caller may come back after `retry_after` seconds."""

    def __init__(self, why: str, retry_after: float) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after = retry_after


class Transient(FirebreakError):
    """It may work when tried again."""

    restart_helps: ClassVar[bool] = True
    """False for what is outside of this process, such as a file that a backup holds: a new one would wait like this one."""


class ConfigError(FirebreakError):
    """The operator's input is wrong; the text names the place and what would be right."""


class Damaged(FirebreakError):
    """Our own data cannot be trusted: the service stops rather than go on."""
