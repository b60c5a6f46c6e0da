"""What one lane of the first stage remembers: restored as a whole, and committed as a whole with the offsets it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scorer.copies import Copies
from scorer.lateness import Lateness
from scorer.mood import Moods
from scorer.recalibration_state import RecalibrationState
from scorer.seen import SeenEvents
from scorer.virality.cascade import Cascade
from scorer.volume import Volumes
from scorer.whereabouts import HOUR, Past, Whereabouts
from services.stream.state import KeyedState

STATE_VERSION: Final = 5
READABLE: Final = frozenset({3, 4})
"""Of a stored cascade, and the older versions that differ only in lacking fields. The other parts of the state have versions
of their own."""


def cascade_state() -> KeyedState[Cascade]:
    """An empty state of cascades by conversation, as the lanes store it."""
    return KeyedState("c:", Cascade, STATE_VERSION, READABLE)


class LaneState:
    """Cascades by conversation, the events that they counted, where posts stand and which are gone, open minutes and last
    texts by brand, usual moods by account, recalibrations and last arrivals by network."""

    def __init__(self) -> None:
        self.cascades = cascade_state()
        self.seen = SeenEvents()
        self.whereabouts = Whereabouts()
        self.volumes = Volumes()
        self.moods = Moods()
        self.recalibrations = RecalibrationState()
        self.lateness = Lateness()
        self.copies = Copies()

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state. Raises `Damaged` for an entry that another release wrote."""
        self.cascades.restore(entries)
        self.seen.restore(entries)
        self.whereabouts.restore(entries)
        self.volumes.restore(entries)
        self.moods.restore(entries)
        self.recalibrations.restore(entries)
        self.lateness.restore(entries)
        self.copies.restore(entries)

    def next_due(self) -> float | None:
        """When the earliest timer wants to fire, in epoch seconds; `None` without timers."""
        times = [at for at in (self.cascades.next_due(), self.volumes.next_due()) if at is not None]
        return min(times) if times else None

    def changes(self) -> dict[str, bytes | None]:
        """What was put and deleted since the last call, as it is to be committed."""
        parts = (
            *(self.cascades, self.seen, self.whereabouts, self.volumes),
            *(self.moods, self.recalibrations, self.lateness, self.copies),
        )
        return {key: value for part in parts for key, value in part.changes().items()}

    def begin(self, conversation: str) -> Cascade:
        """A conversation that is not in the state. If it was once, it still concerns the brands that it concerned then."""
        cascade = Cascade(story=conversation, network=conversation.partition(":")[0])
        past = self.whereabouts.past_of(conversation)
        if past is not None:
            cascade.brands, cascade.account = list(past.brands), past.account
            cascade.rooted, cascade.written = bool(past.written), past.written
        return cascade

    def concerns_a_brand(self, conversation: str) -> bool:
        """Returns True if what was read of the conversation until now was about a brand."""
        cascade = self.cascades.get(conversation)
        if cascade is not None:
            return bool(cascade.brands)
        past = self.whereabouts.past_of(conversation)
        return past is not None and bool(past.brands)

    def end(self, conversation: str, cascade: Cascade, now: float) -> int:
        """A conversation is over: forget it, with the events that it counted, but not what it was about.

        Returns how many other conversations that are over had to be forgotten before their time.
        """
        self.seen.forget(conversation, cascade)
        self.cascades.delete(conversation)
        if not cascade.brands:
            return 0
        written = cascade.written or (cascade.begins if cascade.knows_root else 0.0)
        return self.whereabouts.end(conversation, Past(int(now // HOUR), cascade.brands, cascade.account, written))
