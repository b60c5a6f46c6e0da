"""The steps of an incident's policy as rows. One waits at a time, and the process that moves it to `done` does it.

The transaction that does a step writes the row of the next one, so a crash neither misses a step nor does one twice.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import Final, cast

from sqlalchemy import Connection, delete, func, insert, select, update

from alerter.escalation import pages
from alerter.states import StepState
from alerter.store import later
from alerter.store.tables import steps

_ADD: Final = insert(steps)
_NEXT: Final = select(func.min(steps.c.due_at)).where(steps.c.state == StepState.WAITING)


def schedule(
    connection: Connection,
    incident: str,
    number: int,
    due_at: datetime,
    *,
    done: bool = False,
    because: str | None = None,
) -> None:
    """Add a step. `done` means that this very transaction does it; `because` says why it comes sooner than planned."""
    row = {"incident": incident, "number": number, "due_at": due_at, "because": because}
    state = {"state": StepState.DONE, "done_at": due_at} if done else {"state": StepState.WAITING, "done_at": None}
    later.do(connection, _ADD, [{**row, **state}])


def take(connection: Connection, incident: str, number: int, now: datetime) -> bool:
    """Move a waiting step to `done`. Returns True if it was waiting, so the caller is to do it."""
    return bool(
        connection.execute(
            update(steps)
            .where(steps.c.incident == incident, steps.c.number == number, steps.c.state == StepState.WAITING)
            .values(state=StepState.DONE, done_at=now)
        ).rowcount
    )


def cancel(connection: Connection, incident: str, now: datetime) -> None:
    """Cancel what waits and void the pages: somebody has the incident, or it is over or held back."""
    pages.void(connection, incident)
    connection.execute(
        update(steps)
        .where(steps.c.incident == incident, steps.c.state.in_((StepState.WAITING, StepState.UNTOLD)))
        .values(state=StepState.CANCELLED, done_at=now)
    )


def resume(connection: Connection, incident: str, due_at: datetime, last: int, because: str | None = None) -> None:
    """Resume the policy where it stopped: with the cancelled step, or else with the last one, once more.

    Steps that had reached nobody before they were cancelled are done again, from the first of them on. `last` is the
    number of the policy's last step: where it was used up and was to be repeated, that one is done again.
    """
    rows = planned(connection, incident)
    if any(state is StepState.WAITING for _, _, state, _ in rows):
        return
    stopped = [number for number, *_ in takewhile(lambda row: row[2] is StepState.CANCELLED, reversed(rows))]
    number = stopped[-1] if stopped else max((number for number, *_ in rows), default=None)
    if number is not None:
        number = min(number, last)
        connection.execute(delete(steps).where(steps.c.incident == incident, steps.c.number > number))
        connection.execute(
            update(steps)
            .where(steps.c.incident == incident, steps.c.number == number)
            .values(state=StepState.WAITING, due_at=due_at, done_at=None, because=because)
        )


def waiting(connection: Connection, incident: str) -> tuple[int, datetime, datetime | None] | None:
    """Returns the number of the waiting step, when it is due, and when the step before was done."""
    row = connection.execute(
        select(steps.c.number, steps.c.due_at).where(steps.c.incident == incident, steps.c.state == StepState.WAITING)
    ).one_or_none()
    if row is None:
        return None
    before = (steps.c.incident == incident, steps.c.number == row.number - 1)
    return row.number, row.due_at, connection.scalar(select(steps.c.done_at).where(*before))


def hasten(connection: Connection, incident: str, number: int, due_at: datetime, because: str | None = None) -> bool:
    """Bring a waiting step forward to `due_at`. Returns True if that is sooner than it was due."""
    values = {"due_at": due_at} | ({} if because is None else {"because": because})
    return bool(
        connection.execute(
            update(steps)
            .where(
                steps.c.incident == incident,
                steps.c.number == number,
                steps.c.state == StepState.WAITING,
                steps.c.due_at > due_at,
            )
            .values(**values)
        ).rowcount
    )


def put_off(connection: Connection, incident: str, number: int, due_at: datetime) -> None:
    """Let a waiting step wait until `due_at`."""
    which = (steps.c.incident == incident, steps.c.number == number, steps.c.state == StepState.WAITING)
    connection.execute(update(steps).where(*which).values(due_at=due_at))


def because(connection: Connection, incident: str, number: int) -> str | None:
    """Returns why a step came sooner than the policy says, or `None`."""
    query = select(steps.c.because).where(steps.c.incident == incident, steps.c.number == number)
    return connection.scalar(query)


def due(connection: Connection, now: datetime, most: int) -> list[tuple[str, int]]:
    rows = connection.execute(
        select(steps.c.incident, steps.c.number)
        .where(steps.c.state == StepState.WAITING, steps.c.due_at <= now)
        .order_by(steps.c.due_at, steps.c.incident)
        .limit(most)
    )
    return [(row.incident, row.number) for row in rows]


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def planned(connection: Connection, incident: str) -> list[tuple[int, datetime, StepState, datetime | None]]:
    """Returns number, due time, state and time done of all steps that have a row."""
    rows = connection.execute(select(steps).where(steps.c.incident == incident).order_by(steps.c.number))
    return [(row.number, row.due_at, StepState(row.state), row.done_at) for row in rows]
