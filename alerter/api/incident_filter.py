"""Which incidents somebody asks for: the same filters in lists of the API and on the board, as conditions of a query.

A key that is limited to brands finds nothing by what it may not read: words that a source keeps in the house are not searched
for it, and of a network whose terms the configuration makes stricter only the labels are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, and_, not_, or_, true

from alerter.api.auth import Caller, seen_by
from alerter.escalation import untold
from alerter.incidents import findable
from alerter.states import ENDED
from alerter.store.tables import incidents
from services.config.model import Config
from services.contracts.incident import IncidentState
from services.contracts.language_tags import language
from services.contracts.post import SourcePolicy

MOST_CHARS: Final = 200
"""Of a search, a label or any other word that is looked for."""


class StateSet(StrEnum):
    """States that are asked for together, or one alone."""

    OPEN = "open"
    OVER = "over"
    PRIOR = "prior"
    ACTIVE = "active"
    EASING = "easing"
    RESOLVED = "resolved"
    AVERTED = "averted"
    EXPIRED = "expired"

    @property
    def states(self) -> frozenset[IncidentState]:
        return _SETS.get(self) or frozenset({IncidentState(self.value)})


_SETS: Final[Mapping[StateSet, frozenset[IncidentState]]] = {
    StateSet.OPEN: frozenset(IncidentState) - ENDED,
    StateSet.OVER: ENDED,
}


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What is left empty filters nothing."""

    states: tuple[StateSet, ...] = ()
    severities: tuple[int, ...] = ()
    brand: str | None = None
    network: str | None = None
    language: str | None = None
    label: str | None = None
    text: str | None = None
    since: datetime | None = None
    """Opened then or later."""
    holders: frozenset[str] = frozenset()
    """Acknowledged under one of these names."""
    is_free: bool = False
    """Nobody has it."""
    is_untold: bool = False
    """Nobody was told of it."""

    def conditions(self, caller: Caller, config: Config) -> list[ColumnElement[bool]]:
        """Returns what is asked of the rows of `incidents`, among those that the caller sees."""
        return [seen_by(caller, incidents.c.brand), *self._plain(), *self._found_by(caller, config)]

    def _plain(self) -> Iterable[ColumnElement[bool]]:
        c = incidents.c
        if self.states:
            yield c.state.in_(sorted(frozenset[IncidentState]().union(*(one.states for one in self.states))))
        if self.severities:
            yield c.severity.in_(self.severities)
        if self.brand is not None:
            yield c.brand == self.brand
        if self.since is not None:
            yield c.opened_at >= self.since
        if self.holders:
            yield c.acknowledged_by.in_(sorted(self.holders))
        if self.is_free:
            yield c.acknowledged_by.is_(None)
        if self.is_untold:
            yield untold.IS_UNTOLD

    def _found_by(self, caller: Caller, config: Config) -> Iterable[ColumnElement[bool]]:
        c = incidents.c
        if self.network is not None:
            yield findable.holds(c.networks, self.network)
        if self.language is not None:
            yield findable.holds(c.languages, language(self.language) or self.language)
        if self.label is not None:
            yield findable.holds(c.labels, self.label)
        words = findable.words_in(self.text or "")
        if words:
            yield _says(words, caller, config)


def _says(words: list[str], caller: Caller, config: Config) -> ColumnElement[bool]:
    c = incidents.c
    if not caller.outside:
        return findable.says((c.words, c.kept_words), words)
    strict = [one.network for one in config.sources if one.policy is not SourcePolicy.TEXT_ALLOWED]
    open_ = and_(true(), *(not_(findable.holds(c.networks, network)) for network in strict))
    return or_(and_(open_, findable.says((c.words,), words)), findable.says((c.labels,), words))
