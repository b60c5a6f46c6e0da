"""Finds who is meant by the name to which somebody hands an incident. Only who exists and can be told is asked.

A name may be a responder's id or name, a schedule (whoever is on call for it), or an endpoint (a team's).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from alerter.escalation.paging import Paging
from alerter.incidents.record import IncidentRecord
from alerter.oncall.responders import Contact, Nobody
from services.base.errors import FirebreakError
from services.config.rota import ALL
from services.contracts.base import BrandId

MOST_NAMES: Final = 30
"""A longer list of names helps nobody who mistyped one."""


class NotThere(FirebreakError):
    """Nobody who could be told has this name. The message says who could be asked instead."""


def receiver(paging: Paging, record: IncidentRecord, name: str, now: datetime) -> Contact:
    """Returns who is asked to take the incident. Raises `NotThere` if nobody has this name, or they cannot be told."""
    brand, said = record.incident.brand, name.strip()
    found = paging.directory.named(said, now)
    if isinstance(found, Nobody):
        raise NotThere(f"{found.because}; {_others(paging, brand)}")
    if found is None:
        if said != ALL and paging.usable_in_order((said,), brand):
            return Contact(said, said, (said,), said)
        raise NotThere(f"there is nobody called {said}; {_others(paging, brand)}")
    if not paging.usable_in_order(found.methods, brand):
        how = f"there is no working endpoint {' or '.join(found.methods)}" if found.methods else "every method is off"
        raise NotThere(f"{found.who} cannot be told: {how}; {_others(paging, brand)}")
    return found


def _others(paging: Paging, brand: BrandId) -> str:
    """Returns in words who could be asked: people first, then schedules, then endpoints."""
    config, usable = paging.directory.config, paging.usable((ALL,), brand)
    people = [one for one in config.responders if usable.intersection(one.methods)]
    own = {method for one in people for method in one.methods}
    names = [one.called for one in people] + [one.id for one in config.schedules] + sorted(usable - own)
    if not names:
        return "there is nobody yet who can be told: create an endpoint first"
    more = f" and {len(names) - MOST_NAMES} others" if len(names) > MOST_NAMES else ""
    return f"you can ask {', '.join(names[:MOST_NAMES])}{more}"
