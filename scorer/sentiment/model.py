"""The protocol of sentiment models, and what they read in a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DangerKind(StrEnum):
    """What a post may warn of, beside what its words say: fire, smoke and shock; injury and illness; contamination and
    allergens; a dangerous failure; breach, takeover and fraud; a threat to life, also one's own; violence and harassment; the
    law, a regulator or the press."""

    FIRE = "fire"
    INJURY = "injury"
    CONTAMINATION = "contamination"
    FAILURE = "failure"
    FRAUD = "fraud"
    LIFE = "life"
    VIOLENCE = "violence"
    LEGAL = "legal"


@dataclass(frozen=True, slots=True)
class Danger:
    """The likeliest danger in a text, the probability of any, and whether that is sure enough to page people."""

    kind: DangerKind
    probability: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says. `negative`, `neutral` and `positive` are probabilities that sum to 1, `complaint` is one too.
    `severity` goes from 0 to 4 (Jin & Aletras, 2021): none, no explicit reproach, disapproval, accusation, blame. `complaint`
    and `severity` are `None` if the model does not tell them. `abstain` is the reason if the model would rather not judge the
    text (a language that it does not know, too unsure); the figures are given all the same. `danger` is `None` if the model
    does not read for it. `model` is the name of what read the text, where several share the work."""

    negative: float
    neutral: float
    positive: float
    complaint: float | None = None
    severity: int | None = None
    abstain: str | None = None
    danger: Danger | None = None
    model: str | None = None


class SentimentModel(Protocol):
    """Reads texts. Called from one thread at a time, never from the event loop's."""

    @property
    def name(self) -> str:
        """Name, version and precision, as every signal states them in `model`."""

    @property
    def degraded(self) -> bool:
        """True if this is a fallback for a better model. `/readyz` says so."""

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order. `languages` are BCP 47 tags, `None` where the network states none. Never raises
        because of what a text contains: the readings of empty or unreadable texts abstain with a reason."""
