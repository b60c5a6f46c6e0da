"""Compares the configuration's names with the endpoints that exist, and plays every policy over the coming week.

The start logs what it finds, and `firebreak doctor` prints it: nobody should learn in a crisis that a name was mistyped
or that nobody is reached on Sundays.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from alerter.notify import methods
from alerter.notify.health import TRIP_FAILURES
from alerter.notify.hours import hours_of
from alerter.oncall import rosters
from alerter.oncall.method_states import ALL_ON, MethodStates
from alerter.oncall.reach import AHEAD, DryRun, Finding, Reachable
from alerter.oncall.roster import Roster
from alerter.states import EndpointState
from alerter.store import at_rest
from alerter.store.tables import endpoints
from services.base.settings import Settings
from services.config.endpoint_names import endpoint_names
from services.config.model import Config

MOST: Final = 40
"""Most findings that are told; the rest is counted."""
MOST_PLACES: Final = 3
MOST_HINTS: Final = 20
"""Looking for a name that is spelt alike takes a while, so only the first few get one."""


class Known(NamedTuple):
    """What the database says of the coming week."""

    endpoints: Mapping[str, Reachable] = {}
    roster: Roster = Roster()
    methods: MethodStates = ALL_ON


def read(connection: Connection, now: datetime, config: Config) -> Known:
    columns = endpoints.c["name", "brands", "state", "failures", "hours", "owner", "fallback"]
    found = {row.name: _reachable(row) for row in connection.execute(select(*columns))}
    return Known(found, rosters.between(connection, now, now + AHEAD, now), methods.states(connection, config))


def _reachable(row: Any) -> Reachable:
    hours = hours_of(row.hours)
    names = {"the owner": row.owner, "the fallback": row.fallback}
    return Reachable(
        frozenset(json.loads(row.brands)),
        row.state == EndpointState.ENABLED and row.failures < TRIP_FAILURES,
        hours.windows,
        hours.zone,
        tuple((what, name) for what, name in names.items() if name is not None),
    )


def of_settings(settings: Settings, config: Config) -> tuple[tuple[Finding, ...], bool]:
    """Returns the findings by the database that the settings name, and whether there is one: before the first start
    there is none, and no endpoint. Raises `DatabaseAway`."""
    now = datetime.now(UTC)
    known = at_rest.read(settings, lambda connection: read(connection, now, config))
    return findings(config, known or Known(roster=Roster(now=now)), now), known is not None


def findings(config: Config, known: Known, now: datetime) -> tuple[Finding, ...]:
    """Returns what is wrong and what is worth knowing, the wrong first, at most `MOST` and a count of the rest."""
    played = DryRun(config, known.roster, known.endpoints, now, off=known.methods.off).findings()
    found = sorted(
        (*played, *_unconfirmed(config, known), *_names(config, known.endpoints)),
        key=lambda finding: not finding.is_wrong,
    )
    if len(found) > MOST:
        rest = found[MOST:]
        found[MOST:] = [Finding(f"and {len(rest)} more of the kind", any(finding.is_wrong for finding in rest))]
    return tuple(found)


def _unconfirmed(config: Config, known: Known) -> Iterator[Finding]:
    """Yields who has no confirmed method that works although only confirmed ones count, and which methods do not count."""
    if not config.only_confirmed_methods:
        return
    for person in config.responders:
        there = (known.endpoints.get(name) for name in person.methods)
        works = {name for name, one in zip(person.methods, there, strict=True) if one is not None and one.works}
        used = [name for name in known.methods.methods(person) if name in works]
        open_ = [name for name in used if name in known.methods.unconfirmed(person)]
        if used and len(open_) == len(used):
            how = f"{', '.join(used)} {'is' if len(used) == 1 else 'are'} used although nobody confirmed that"
            yield Finding(
                f"{person.id} has no confirmed method: {how}. Confirm one on the page of {person.called}", True
            )
        elif open_:
            yield Finding(f"no page comes to {person.id} by {', '.join(open_)}: not confirmed yet", False)


def _names(config: Config, there: Mapping[str, Reachable]) -> list[Finding]:
    """Returns the names of endpoints that are used and that no endpoint has, each with where it stands: in the file, or as the
    owner or fallback of an endpoint."""
    places: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for one in endpoint_names(config):
        places[one.name][one.words] = None
    for endpoint, known in there.items():
        for what, name in known.leads_to:
            places[name][f"{what} of endpoint {endpoint}"] = None
    missing = [name for name in places if name not in there]
    hints = {name: _hint(config, name, there) for name in missing[:MOST_HINTS]}
    return [Finding(_missing(config, name, list(places[name]), hints.get(name, "")), False) for name in missing]


def _missing(config: Config, name: str, places: Sequence[str], hint: str) -> str:
    more = len(places) - MOST_PLACES
    where = ", ".join(places[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
    declared = "it is declared under `endpoints`, and to be created" if name in (config.endpoints or ()) else ""
    rest = "; ".join(one for one in (declared, hint) if one)
    return f"there is no endpoint {name!r} (named by {where})" + (f": {rest}" if rest else "")


def _hint(config: Config, name: str, there: Mapping[str, Reachable]) -> str:
    if name in (config.endpoints or ()):
        return ""
    for kind, found in (("responder", config.responder(name)), ("schedule", config.schedule(name))):
        if found is not None:
            return f"did you mean `{kind}:{name}`?"
    alike = get_close_matches(name, [*there, *(config.endpoints or ())], 1)
    return f"did you mean {alike[0]!r}?" if alike else ""
