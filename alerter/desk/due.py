"""All that falls due about incidents by time alone: one list, for the engine that serves and for rehearsals.

Each kind says when the next of it is due, which are due now, and how one is done. Its rows are in the database, so that
nothing is lost with a process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from alerter.desk.timers import Timers
from alerter.escalation import pages, rings, steps, untold
from alerter.incidents import store
from alerter.incidents.store import IncidentStore


class DueKind(NamedTuple):
    """One kind of what falls due."""

    next_due: Callable[[Connection], datetime | None]
    due: Callable[[Connection, datetime, int], Sequence[Any]]
    """Takes the time and how many to return at most."""
    do: Callable[[Timers, Any], bool]
    """Takes one of those that `due` returned. Returns False if nothing was left to do."""


KINDS: Final = (
    DueKind(steps.next_due, steps.due, lambda timers, step: timers.step(*step)),
    DueKind(pages.next_due, pages.due, lambda timers, page: timers.unreached(*page)),
    DueKind(rings.next_due, rings.due, lambda timers, ring: timers.ring(*ring)),
    DueKind(untold.next_due, untold.due, lambda timers, incident: timers.look_again(incident)),
    DueKind(
        store.next_due,
        lambda connection, now, most: IncidentStore(connection).due(now, most),
        lambda timers, incident: timers.fire(incident),
    ),
)
"""In the order in which they are done. Acknowledgements, snoozes, hand-overs and silence end by an incident's own timer."""


def next_due(connection: Connection) -> datetime | None:
    """Returns when the next of any kind is due, or `None` if nothing is."""
    return min((moment for kind in KINDS if (moment := kind.next_due(connection)) is not None), default=None)
