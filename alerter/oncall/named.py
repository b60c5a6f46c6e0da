"""Where the database names a person or a schedule: what is still to come would reach nobody without them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, or_, select

from alerter.states import ENDED
from alerter.store.tables import incidents, overrides
from services.config.declared import RotaPart
from services.config.yaml_reading import Place

MOST: Final = 20


def in_database(connection: Connection, part: RotaPart, name: str, now: datetime) -> Iterator[Place]:
    """Yields the overrides that have not ended and the open incidents whose policy names this person or schedule."""
    if part is RotaPart.POLICIES:
        return  # an incident keeps the policy that it was opened with
    if part is RotaPart.RESPONDERS:
        stands_in = or_(overrides.c.responder == name, overrides.c.replaces == name)
        found = select(overrides.c.schedule, overrides.c.id).where(stands_in, overrides.c.ends > now)
        for row in connection.execute(found.order_by(overrides.c.begins).limit(MOST)):
            yield ("schedules", row.schedule, "overrides", row.id)
    frozen = incidents.c.dossier.contains(f'"{part.one}:{name}"', autoescape=True)
    still_open = select(incidents.c.id).where(incidents.c.state.not_in(ENDED), frozen).order_by(incidents.c.opened_at)
    for incident in connection.scalars(still_open.limit(MOST)):
        yield ("incidents", incident, "policy")
