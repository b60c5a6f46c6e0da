"""Which people a key sees, puts on duty and hands incidents over to. A key that is limited to brands does so with the people
of these brands alone: whoever else there is, is to it as if there were nobody of that name.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from alerter.api.auth import Caller
from alerter.desk.service import IncidentService
from alerter.incidents.record import IncidentRecord
from alerter.notify import endpoints
from alerter.oncall.brand_people import people_of
from alerter.oncall.responders import Directory
from services.config.model import Config
from services.config.rota import Responder


def people(caller: Caller, config: Config) -> Collection[str] | None:
    """Returns the ids of the people whom the caller sees and may put on duty: those whom the policies and accounts of its
    brands lead to. `None`: everybody."""
    return None if caller.brands is None else people_of(config, caller.brands).responders


def person_of(caller: Caller, config: Config, name: str) -> Responder | None:
    """Returns the responder with this id, or `None` if there is none, or it is nobody whom the caller sees."""
    seen = people(caller, config)
    return config.responder(name) if seen is None or name in seen else None


def may_ask(connection: Connection, caller: Caller, config: Config, brand: str, name: str, now: datetime) -> bool:
    """Returns True if the caller may ask whoever has this name to take an incident of the brand: somebody of the brand's, or
    an endpoint of its own."""
    if caller.brands is None:
        return True
    said = name.strip()
    found = Directory(config).named(said, now)
    if people_of(config, (brand,)).has(said if found is None else found.target):
        return True
    brands = endpoints.brands_of(connection, said) if found is None else None
    return brands is not None and caller.covers(json.loads(brands))


def to_ask(caller: Caller, config: Config, brand: str) -> list[str]:
    """Returns the names of the people and schedules that may be asked to take an incident of the brand, for a form."""
    if caller.brands is None:
        return [*(one.called for one in config.responders), *(one.id for one in config.schedules)]
    own = people_of(config, (brand,))
    names = [one.called for one in config.responders if one.id in own.responders]
    return [*names, *(one.id for one in config.schedules if one.id in own.schedules)]


def held_from_outside(desk: IncidentService, record: IncidentRecord) -> IncidentRecord:
    """Note that whoever has the incident gave their name from outside, so that it pages nobody but people of its brand."""
    record = record.model_copy(update={"held_from_outside": True})
    desk.store.keep(record)
    return record
