"""The score stage: chooses the texts that say something about a brand, and has them read all at once."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from scorer.lane_state import LaneState
from scorer.sentiment.model import Reading
from scorer.step import SPEAKING, Arrival, Step
from services.contracts.post import PostKind, PostObserved, StoryLinked

_READ: Final = SPEAKING | {PostKind.EDIT}


class Score(Protocol):
    """Returns one reading for each text, in order; the work is done off the event loop."""

    def __call__(self, texts: Sequence[str], languages: Sequence[str | None]) -> Awaitable[list[Reading]]: ...


class Scoring:
    """Reads posts of people whose conversation concerns a brand, by what it says or by what it answers."""

    def __init__(self, state: LaneState, score: Score) -> None:
        self._state = state
        self._score = score

    async def score(self, step: Step) -> None:
        """Give a reading to each arrival whose text says something about a brand."""
        branded: set[str] = set()
        speaking: list[tuple[Arrival, PostObserved]] = []
        for arrival in step.arrivals:
            event = arrival.event
            if type(event) is PostObserved:
                if event.brands or event.author_brand is not None:
                    branded.add(event.conversation)
                if event.text is not None and event.kind in _READ and event.author_brand is None:
                    speaking.append((arrival, event))
            elif type(event) is StoryLinked and event.brands:
                branded.add(event.conversation)
        wanted = [
            (arrival, post)
            for arrival, post in speaking
            if post.conversation in branded or self._state.concerns_a_brand(post.conversation)
        ]
        if not wanted:
            return
        readings = await self._score([post.text or "" for _, post in wanted], [post.language for _, post in wanted])
        for (arrival, _), reading in zip(wanted, readings, strict=True):
            arrival.reading = reading
