"""Steps that were due and reached nobody: they are kept, and their page leaves as soon as somebody can be reached.

A step reaches nobody if no endpoint of its names exists, is enabled and takes the brand, or nobody is on call. That may
end at any time: an endpoint is created or enabled, somebody takes the shift, the configuration changes. A new endpoint
makes these steps due at once (`look_now`); for the rest they are looked at every `LOOK_AGAIN`. An incident with
such a step, and with no page that arrived or may still arrive, is one that nobody was told of.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, select, type_coerce, update

from alerter.states import ENDED, DeliveryState, PageState, StepState
from alerter.store.tables import deliveries, incidents, pages, steps

LOOK_AGAIN: Final = timedelta(minutes=5)
"""A new endpoint is seen at once. This is for shifts and configurations, and bounds what a thousand such steps cost."""

_UNTOLD: Final = steps.c.state == StepState.UNTOLD
_NEXT: Final = select(func.min(steps.c.due_at)).where(_UNTOLD)
_REACHED: Final = (
    exists()
    .where(pages.c.incident == incidents.c.id, pages.c.state.in_((PageState.SENT, PageState.ARRIVED)))
    .correlate(incidents)
)
_ARRIVED_LATE: Final = (
    exists()
    .where(
        pages.c.incident == incidents.c.id,
        pages.c.delivery == deliveries.c.id,
        deliveries.c.state == DeliveryState.DELIVERED,
    )
    .correlate(incidents)
)
IS_UNTOLD: Final[ColumnElement[bool]] = and_(
    incidents.c.state.not_in(ENDED),
    # First the steps, by their index: there are few, as a rule none.
    incidents.c.id.in_(select(steps.c.incident).where(_UNTOLD).correlate(None)),
    ~_REACHED,
    ~_ARRIVED_LATE,
)
"""A condition: the incident is open, people should know of it, and nobody was reached."""


class Untold(NamedTuple):
    number: int
    since: datetime
    because: str


def note(connection: Connection, incident: str, number: int, now: datetime, because: str) -> None:
    """Keep a step that was done and reached nobody, and why."""
    connection.execute(
        update(steps)
        .where(steps.c.incident == incident, steps.c.number == number)
        .values(
            state=StepState.UNTOLD,
            due_at=now + LOOK_AGAIN,
            # Since when it is so. A page of it that was lost, and arrives after all, was made then.
            done_at=func.coalesce(steps.c.done_at, type_coerce(now, steps.c.done_at.type)),
            because=because,
        )
    )


def look_now(connection: Connection, now: datetime) -> None:
    """Look again at once, because an endpoint was created or enabled, or somebody takes a shift."""
    connection.execute(update(steps).where(_UNTOLD, steps.c.due_at > now).values(due_at=now))


def due(connection: Connection, now: datetime, most: int) -> list[str]:
    """Returns the incidents with a step that is to be looked at now."""
    first = func.min(steps.c.due_at)
    query = select(steps.c.incident).where(_UNTOLD, steps.c.due_at <= now).group_by(steps.c.incident)
    return list(connection.scalars(query.order_by(first, steps.c.incident).limit(most)))


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def of(connection: Connection, incident: str) -> list[Untold]:
    """Returns the steps of an incident that reached nobody, the first of them first."""
    query = select(*steps.c["number", "done_at", "because"]).where(steps.c.incident == incident, _UNTOLD)
    return [Untold(row.number, row.done_at, row.because or "") for row in connection.execute(query.order_by("number"))]


def postpone(connection: Connection, incident: str, now: datetime) -> None:
    """Look at an incident's steps later, because they still reach nobody."""
    connection.execute(update(steps).where(steps.c.incident == incident, _UNTOLD).values(due_at=now + LOOK_AGAIN))


def settle(connection: Connection, incident: str, number: int) -> None:
    """Look at a step no longer: people know."""
    here = (steps.c.incident == incident, steps.c.number == number, _UNTOLD)
    connection.execute(update(steps).where(*here).values(state=StepState.DONE))


def through(connection: Connection, incident: str, number: int, now: datetime) -> bool:
    """Note that the step reaches somebody now. Returns True if the policy is to go on from it.

    That is so if no later step has reached anybody or waits: what was run through in vain is run through again.
    """
    here = steps.c.incident == incident
    connection.execute(update(steps).where(here, steps.c.number == number).values(state=StepState.DONE, done_at=now))
    later = (here, steps.c.number > number)
    if connection.scalar(select(steps.c.number).where(*later, ~_UNTOLD).limit(1)) is not None:
        return False
    connection.execute(delete(steps).where(*later))
    return True


def on_the_way(connection: Connection, incident: str) -> frozenset[str]:
    """Returns the endpoints that a page about the incident waits for: it arrives by itself once they take it."""
    query = select(pages.c.endpoint).join(deliveries, deliveries.c.id == pages.c.delivery)
    return frozenset(
        connection.scalars(query.where(pages.c.incident == incident, deliveries.c.state == DeliveryState.PENDING))
    )


def reached_nobody(connection: Connection, incident: str) -> bool:
    """Returns True if no page about the incident has arrived, and none is under way."""
    query = select(incidents.c.id).where(incidents.c.id == incident, ~_REACHED, ~_ARRIVED_LATE)
    return connection.scalar(query) is not None


def words_of(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Returns why nobody was told of each of these incidents, in words, for those of which nobody was."""
    if not ids:
        return {}
    found = connection.execute(
        select(*steps.c["incident", "because"])
        .join(incidents, incidents.c.id == steps.c.incident)
        .where(_UNTOLD, incidents.c.id.in_(list(ids)), IS_UNTOLD)
        .order_by(steps.c.number.desc())
    )
    return {row.incident: row.because or "" for row in found}  # the first step's stands


def count(connection: Connection) -> int:
    """Returns how many open incidents nobody was told of."""
    return connection.scalar(select(func.count()).select_from(incidents).where(IS_UNTOLD)) or 0
