"""The board's filters as they stand in its address, so that a view of it is a link. Pure.

An empty field filters nothing, as a browser sends the fields that nobody filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from alerter.api.incident_filter import MOST_CHARS, IncidentFilter, StateSet
from alerter.api.problems import Problem

_TOLD_NOBODY: Final = "told-nobody"
_WORDS: Final = ("brand", "network", "language", "label")
MAX_FIRST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """What an address of the board asks for. `first` is the place of the page's first row."""

    asked: IncidentFilter = field(default_factory=lambda: IncidentFilter(states=(StateSet.OPEN,)))
    is_mine: bool = False
    first: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it shows all that is open."""
        return replace(self, first=0) == BoardFilter()

    def query(self, first: int = 0) -> str:
        """Returns the address's query, in one spelling for each view; empty for all that is open, from its first row on."""
        asked = self.asked
        fields = [
            *((("q", asked.text),) if asked.text else ()),
            *(("state", one.value) for one in asked.states if asked.states != (StateSet.OPEN,)),
            *(("severity", str(one)) for one in asked.severities),
            *((name, value) for name in _WORDS if (value := getattr(asked, name)) is not None),
            *((name, "1") for name, is_on in self._switches() if is_on),
            *((("from", str(first)),) if first else ()),
        ]
        return urlencode(fields)

    def _switches(self) -> Sequence[tuple[str, bool]]:
        return ("mine", self.is_mine), ("free", self.asked.is_free), (_TOLD_NOBODY, self.asked.is_untold)


def read(fields: Sequence[tuple[str, str]], person: str) -> BoardFilter:
    """Returns what the fields of an address ask for, as seen by this person. Raises `Problem` 404 for what cannot be."""
    given: dict[str, list[str]] = {}
    for name, value in fields:
        if value.strip():
            given.setdefault(name, []).append(value.strip()[:MOST_CHARS])

    def one(name: str) -> str | None:
        return given.get(name, [None])[0]

    try:
        states = tuple(dict.fromkeys(StateSet(value) for value in given.get("state", ["open"])))
        severities = tuple(sorted({int(value) for value in given.get("severity", [])}))
        first = int(one("from") or 0)
    except ValueError:
        raise Problem(404, "there is no such view of the board") from None
    if not 0 <= first <= MAX_FIRST or not set(severities) <= {1, 2, 3, 4}:
        raise Problem(404, "there is no such view of the board")
    is_mine = "mine" in given
    asked = IncidentFilter(
        states=states,
        severities=severities,
        text=one("q"),
        holders=names_of(person) if is_mine else frozenset(),
        is_free="free" in given,
        is_untold=_TOLD_NOBODY in given,
        brand=one("brand"),
        network=one("network"),
        language=one("language"),
        label=one("label"),
    )
    return BoardFilter(asked, is_mine, first)


def names_of(person: str) -> frozenset[str]:
    """Returns the names under which a person has incidents: the console writes the key behind it, a phone does not."""
    return frozenset({person, person.partition(" (")[0]})
