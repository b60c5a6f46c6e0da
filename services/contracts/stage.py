"""What the stages say of themselves in `firebreak.signals`: trouble of the installation, that concerns no brand."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from services.contracts.base import Count, Event, Part


class Misplacement(StrEnum):
    """Why a stage could not go on where it was."""

    ANOTHER_LOG = "another_log"
    """Its position was said of another log: the log, or what the stage knows, was restored or made anew."""
    RETENTION = "retention"
    """The log has dropped what it had not read yet."""


class Moved(Part):
    """Where a stage was on one partition of what it reads, and where it went on instead."""

    stage: str
    partition: Count
    position: Count
    goes_on_at: Count
    why: Misplacement

    @property
    def lost(self) -> int:
        """How many records the stage never read, where that is known."""
        return self.goes_on_at - self.position if self.why is Misplacement.RETENTION else 0


class StageMoved(Event):
    """A stage went on elsewhere than where it was. Those who run the installation look whether posts were lost."""

    TYPE: ClassVar[str] = "stage.moved"

    moved: Moved
