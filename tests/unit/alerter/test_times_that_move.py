"""Each time that the database keeps is either moved when the clock was set back, or known to stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, create_engine, insert, select

from alerter.states import DeliveryState, PageState, StepState
from alerter.store.tables import Moment, deliveries, incidents, metadata, pages, steps
from alerter.timekeeper import set_back
from services.contracts.incident import IncidentState
from tests.unit.alerter.make import NOW

PAST = {
    "created_at", "made_at", "noted_at", "opened_at", "changed_at", "told_at", "touched_at", "at", "asked_at", "answered_at",
    "crossed_at", "begun_at", "finished_at", "paged_wall", "failing_since", "reported_at", "heard_at", "hour", "confirmed_at",
    "off_at", "endpoint_made", "asked_wall", "newest_at",
}  # fmt: skip
"""When something was. Nothing is reckoned from it that is still to come, or only by people."""
SAID = {
    "silences.starts_at", "silences.ends_at", "overrides.begins", "overrides.ends", "absences.begins", "absences.ends",
    "schedule_versions.holds_from", "schedule_versions.ends", "incidents.answer_by", "incidents.held_until",
    "answer_clocks.due_at", "sources.gap_begins", "sources.gap_ends", "drills.ends_at", "drill_pages.due_at",
}  # fmt: skip
"""Times of day that somebody said, that the world has, or that are only shown."""
DONE = {"rings.done_at", "attempts.ended_at", "declarations.ends"}
ENDS_WALL = {"secrets.ends_wall", "keys.ends_wall", "keys.revoked_wall", "sessions.ends_wall", "attempts.begun_wall"}
ENDS_WALL |= {"inbound.at_wall", "deliveries.created_wall", "standing.made_wall"}
BACK = timedelta(hours=2)


def test_no_time_column_was_forgotten() -> None:
    every = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.c
        if isinstance(column.type, Moment)
    }
    moved = {f"{column.table.name}.{column.name}" for column, _ in (*set_back.BY_CLOCK, *set_back.BY_WALL)}
    stays = SAID | DONE | ENDS_WALL | {name for name in every if name.partition(".")[2] in PAST}
    assert every - moved - stays == set(), "say of each whether it moves"
    assert moved & stays == set()


def rows(connection: Connection, since: datetime | None) -> None:
    opened: dict[str, Any] = {"id": "i", "brand": "acme", "story": "s", "ordinal": 0, "state": IncidentState.PRIOR}
    opened |= {"severity": 2, "sequence": 1, "opened_at": NOW, "changed_at": NOW, "dossier": "{}"}
    connection.execute(insert(incidents).values(**opened))
    sent: dict[str, Any] = {"id": "d", "endpoint": "lead", "incident": "i", "sequence": 1, "cause": "c", "type": "t"}
    sent |= {"body": b"{}", "state": DeliveryState.PENDING, "created_at": NOW, "created_wall": NOW}
    connection.execute(insert(deliveries).values(**sent, next_attempt_at=NOW, waits_since=since))
    connection.execute(insert(steps).values(incident="i", number=0, due_at=NOW, state=StepState.DONE, done_at=NOW))
    page: dict[str, Any] = {"incident": "i", "number": 0, "target": "lead", "who": "lead", "endpoint": "lead"}
    page |= {"delivery": "d", "rest": "[]", "fallback": False, "state": PageState.SENT, "paged_wall": NOW}
    connection.execute(insert(pages).values(**page, paged_at=NOW, check_at=NOW + timedelta(minutes=1)))


def moved(since: datetime | None, state: IncidentState = IncidentState.PRIOR) -> Any:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        rows(connection, since)
        connection.execute(incidents.update().values(state=state))
        set_back.note(connection, NOW, NOW)
        assert set_back.mend(connection, NOW - BACK, NOW - BACK) == BACK
        found = select(
            deliveries.c.waits_since, deliveries.c.created_at, steps.c.done_at, pages.c.paged_at, pages.c.check_at
        )
        joined = deliveries.join(steps, steps.c.incident == deliveries.c.incident)
        return connection.execute(found.select_from(joined.join(pages, pages.c.delivery == deliveries.c.id))).one()


def test_a_delivery_waits_for_its_fallback_no_longer_than_it_would_have() -> None:
    assert moved(None).waits_since == NOW - BACK, "since it was made"
    assert moved(NOW - timedelta(seconds=30)).waits_since == NOW - BACK - timedelta(seconds=30)
    assert moved(None).created_at == NOW


def test_what_a_step_has_paged_is_still_what_it_paged_since_it_was_done() -> None:
    found = moved(None)
    assert (found.done_at, found.paged_at, found.check_at) == (
        NOW - BACK,
        NOW - BACK,
        NOW - BACK + timedelta(minutes=1),
    )
    over = moved(None, IncidentState.RESOLVED)
    assert (over.done_at, over.paged_at) == (NOW, NOW), "what is over is left as it was"
