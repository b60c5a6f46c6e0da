"""The steps of an incident's policy as rows: one waits at a time, and whoever moves it to `done` is the one who does it.

The row of the next step is written by the transaction that does the one before, so a crash neither misses nor doubles one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

from sqlalchemy import Connection, func, insert, select, update

from alerter.escalation import pages
from alerter.states import StepState
from alerter.store.tables import steps

_ADD: Final = insert(steps)


def schedule(
    connection: Connection,
    incident: str,
    number: int,
    due_at: datetime,
    *,
    done: bool = False,
    because: str | None = None,
) -> None:
    """`done`: it is being done in this very transaction. `because`: why it comes sooner than the policy says."""
    row = {"incident": incident, "number": number, "due_at": due_at, "because": because}
    state = {"state": StepState.DONE, "done_at": due_at} if done else {"state": StepState.WAITING, "done_at": None}
    connection.execute(_ADD, {**row, **state})


def take(connection: Connection, incident: str, number: int, now: datetime) -> bool:
    """Whether it was ours to do: it waited until now, and does not any more."""
    return bool(
        connection.execute(
            update(steps)
            .where(steps.c.incident == incident, steps.c.number == number, steps.c.state == StepState.WAITING)
            .values(state=StepState.DONE, done_at=now)
        ).rowcount
    )


def cancel(connection: Connection, incident: str, now: datetime) -> None:
    """Somebody has it, or it is over: nobody else is told, and no page of it matters any more."""
    pages.void(connection, incident)
    connection.execute(
        update(steps)
        .where(steps.c.incident == incident, steps.c.state == StepState.WAITING)
        .values(state=StepState.CANCELLED, done_at=now)
    )


def resume(connection: Connection, incident: str, due_at: datetime, because: str | None = None) -> None:
    """The policy goes on where it was: with the step that was cancelled, or else once more with the last that was done."""
    rows = planned(connection, incident)
    if any(state is StepState.WAITING for _, _, state, _ in rows):
        return
    cancelled = [number for number, _, state, _ in rows if state is StepState.CANCELLED]
    number = min(cancelled) if cancelled else max((number for number, *_ in rows), default=None)
    if number is not None:
        connection.execute(
            update(steps)
            .where(steps.c.incident == incident, steps.c.number == number)
            .values(state=StepState.WAITING, due_at=due_at, done_at=None, because=because)
        )


def waiting(connection: Connection, incident: str) -> tuple[int, datetime, datetime | None] | None:
    """The step that waits: its number, when it is due, and when the one before was done."""
    row = connection.execute(
        select(steps.c.number, steps.c.due_at).where(steps.c.incident == incident, steps.c.state == StepState.WAITING)
    ).one_or_none()
    if row is None:
        return None
    before = (steps.c.incident == incident, steps.c.number == row.number - 1)
    return row.number, row.due_at, connection.scalar(select(steps.c.done_at).where(*before))


def hasten(connection: Connection, incident: str, number: int, due_at: datetime, because: str | None = None) -> bool:
    """A step that waits comes sooner; whether it does."""
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


def because(connection: Connection, incident: str, number: int) -> str | None:
    """Why a step came sooner than the policy says."""
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
    query = select(func.min(steps.c.due_at)).where(steps.c.state == StepState.WAITING)
    return cast("datetime | None", connection.scalar(query))


def planned(connection: Connection, incident: str) -> list[tuple[int, datetime, StepState, datetime | None]]:
    """All steps that have a row: done, cancelled, and the one that waits."""
    rows = connection.execute(select(steps).where(steps.c.incident == incident).order_by(steps.c.number))
    return [(row.number, row.due_at, StepState(row.state), row.done_at) for row in rows]
