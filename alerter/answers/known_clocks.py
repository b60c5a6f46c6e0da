"""Which answer clocks the signals of a batch may meet, read in two queries for all of them. In a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from alerter.states import ClockState
from alerter.store.tables import answer_clocks as clocks

ONE_WAVE: Final = timedelta(days=1)
"""Copies of a text join the clock of the first one for so long."""
_IDS: Final = select(clocks.c.id).where(clocks.c.id.in_(bindparam("ids", expanding=True)))
_FIRST: Final = (
    select(clocks.c.id, clocks.c.brand, clocks.c.voice)
    .where(
        clocks.c.brand.in_(bindparam("brands", expanding=True)),
        clocks.c.voice.in_(bindparam("voices", expanding=True)),
        clocks.c.state.in_([ClockState.RUNNING, ClockState.ANSWERED]),
        clocks.c.noted_at >= bindparam("since", type_=clocks.c.noted_at.type),
    )
    .order_by(clocks.c.noted_at)
)


class WantedClock(NamedTuple):
    """The clock of a post, and the voice of its text."""

    clock: str
    brand: str
    voice: str | None


class KnownClocks:
    """What is known of clocks; `forget` after a change to them that this does not follow."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._known: dict[str, bool] = {}
        self._first: dict[tuple[str, str], str | None] = {}

    def prefetch(self, wanted: Iterable[WantedClock]) -> None:
        """Read what is not known of these yet."""
        new = [one for one in wanted if one.clock not in self._known]
        if not new:
            return
        self._known |= dict.fromkeys((one.clock for one in new), False)
        self._known |= dict.fromkeys(self._connection.scalars(_IDS, {"ids": list({one.clock for one in new})}), True)
        spoken = {(one.brand, one.voice) for one in new if one.voice is not None} - self._first.keys()
        if not spoken:
            return
        self._first |= dict.fromkeys(spoken)
        brands, voices = ({*one} for one in zip(*spoken, strict=True))
        asked = {"brands": list(brands), "voices": list(voices), "since": self._now - ONE_WAVE}
        for row in self._connection.execute(_FIRST, asked):
            if self._first.get((row.brand, row.voice), "") is None:
                self._first[row.brand, row.voice] = row.id

    def has(self, wanted: WantedClock) -> bool:
        """Returns True if the post has a clock."""
        self.prefetch([wanted])
        return self._known[wanted.clock]

    def first(self, wanted: WantedClock) -> str | None:
        """Returns the clock that counts the copies of the text, if it began within a day, or `None`."""
        self.prefetch([wanted])
        return None if wanted.voice is None else self._first.get((wanted.brand, wanted.voice))

    def started(self, wanted: WantedClock, runs: bool) -> None:
        """Note that the post has a clock now; one that runs counts the copies of its text."""
        self._known[wanted.clock] = True
        if runs and wanted.voice is not None:
            self._first[wanted.brand, wanted.voice] = self._first.get((wanted.brand, wanted.voice)) or wanted.clock

    def forget(self) -> None:
        self._known.clear()
        self._first.clear()
