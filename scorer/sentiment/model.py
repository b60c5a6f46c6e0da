"""What every sentiment model promises, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says. `negative + neutral + positive == 1`; `complaint` in [0, 1]; `severity` 0-4 after Jin & Aletras
    (2021): none, no explicit reproach, disapproval, accusation, blame. `abstain` gives the reason where the model would
    rather not say (a language it does not know, too unsure); the figures are filled all the same."""

    negative: float
    neutral: float
    positive: float
    complaint: float | None = None
    severity: int | None = None
    abstain: str | None = None


class SentimentModel(Protocol):
    """Reads texts. Called from one thread at a time, never from the event loop's."""

    @property
    def name(self) -> str:
        """Name, version and precision, as it stands in every signal's `model` field."""

    @property
    def degraded(self) -> bool:
        """Whether this stands in for a better model; announced in `/readyz`."""

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading a text, in order. `languages` are BCP 47 tags where the network told one. Never raises for what a
        text contains: empty or unreadable texts abstain with a reason."""
