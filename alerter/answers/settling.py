"""What people do to answer clocks: answered where we do not hear it, needs no answer, somebody answers it, later, not over.

Each is done to several clocks at once. Where it cannot be done to one of them, that one is named with the reason, and the
others are done. All functions run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select, update

from alerter.answers.answer_clocks import FORGOTTEN
from alerter.states import AnsweredBy, ClockState, Dismissal
from alerter.store.tables import answer_clocks as clocks

MOST: Final = 200
"""Clocks in one go."""
WORDS_KEPT: Final = timedelta(days=1)
"""After a person settled a clock: so long it can be taken back, with its text."""
_WAITS: Final = frozenset({ClockState.RUNNING, ClockState.LISTED})
_SETTLED: Final = frozenset({ClockState.ANSWERED, ClockState.DISMISSED})
_ENDS: Final[Mapping[ClockState, str]] = {
    ClockState.ANSWERED: "it is answered",
    ClockState.DISMISSED: "it needs no answer",
    ClockState.WITHDRAWN: "it was deleted",
}


@dataclass(frozen=True, slots=True)
class ClockDeed:
    """What was done to one clock. `why_not` says why nothing was."""

    clock: str
    brand: str
    post: str
    why_not: str | None = None


Change = Callable[[Any], "dict[str, Any] | str"]
"""Takes the row of a clock, and returns what is to change in it, or why it cannot be."""


def answer(connection: Connection, found: Sequence[Any], how: AnsweredBy, by: str, now: datetime) -> list[ClockDeed]:
    """They were answered by phone, mail or in private: the clocks stop."""
    return _apply(connection, found, lambda row: _end(row, ClockState.ANSWERED, how, by, now))


def dismiss(connection: Connection, found: Sequence[Any], why: Dismissal, by: str, now: datetime) -> list[ClockDeed]:
    """They need no answer. They no longer count in how fast the brand answers."""
    return _apply(connection, found, lambda row: _end(row, ClockState.DISMISSED, why, by, now))


def assign(connection: Connection, found: Sequence[Any], to: str) -> list[ClockDeed]:
    """Somebody answers them, or (empty) nobody in particular. When they are due stays as it is."""
    return _apply(connection, found, lambda row: _waiting(row) or {"assigned_to": to or None})


def snooze(connection: Connection, found: Sequence[Any], until: datetime) -> list[ClockDeed]:
    """They come back into the inbox at `until`. When they are due stays as it is, and the owner is told of it as ever."""
    return _apply(connection, found, lambda row: _waiting(row) or {"snoozed_until": until})


def take_back(connection: Connection, found: Sequence[Any]) -> list[ClockDeed]:
    """They wait after all. Only what a person settled can be taken back."""
    return _apply(connection, found, _running_again)


def visible(connection: Connection, ids: Iterable[str], only: Any) -> list[Any]:
    """Returns the rows of these clocks for which the condition `only` holds, locked, in the order of their ids."""
    query = select(clocks).where(clocks.c.id.in_(list(ids)), only, clocks.c.state != ClockState.EARLY)
    return list(connection.execute(query.order_by(clocks.c.id).with_for_update()))


def forget_words(connection: Connection, now: datetime) -> int:
    """Forget the words of what a person settled a while ago. Returns of how many."""
    over = (clocks.c.state.in_(_SETTLED), clocks.c.settled_by.is_not(None), clocks.c.answered_at < now - WORDS_KEPT)
    return connection.execute(update(clocks).where(*over, clocks.c.text.is_not(None)).values(**FORGOTTEN)).rowcount


def _apply(connection: Connection, found: Sequence[Any], change: Change) -> list[ClockDeed]:
    deeds = []
    for row in found:
        changed = change(row)
        why_not = changed if isinstance(changed, str) else None
        if not isinstance(changed, str):
            connection.execute(update(clocks).where(clocks.c.id == row.id).values(**changed))
        deeds.append(ClockDeed(row.id, row.brand, f"{row.network}:{row.post_id}", why_not))
    return deeds


def _waiting(row: Any) -> str | None:
    """Returns why the clock cannot be changed, or `None` if it waits."""
    return None if row.state in _WAITS else _ENDS[ClockState(row.state)]


def _end(
    row: Any, state: ClockState, settled_as: AnsweredBy | Dismissal, by: str, now: datetime
) -> dict[str, Any] | str:
    ends = {"state": state, "answered_at": now, "tell_at": None, "snoozed_until": None}
    return _waiting(row) or {**ends, "settled_by": by, "settled_as": settled_as.value}


def _running_again(row: Any) -> dict[str, Any] | str:
    if row.state in _WAITS:
        return "it waits already"
    if row.state not in _SETTLED:
        return _ENDS[ClockState(row.state)]
    if row.settled_by is None:
        return "it was answered on its network"
    told = row.told_at is not None
    again = {"state": ClockState.RUNNING, "answered_at": None, "tell_at": None if told else row.due_at}
    return {**again, "settled_by": None, "settled_as": None}
