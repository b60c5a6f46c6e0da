"""The hours of an endpoint: when it may be sent messages, by the clocks of a zone. What comes at another time waits for them.

Severity 1 never waits, nor does a test, a drill or a code that somebody asked for. A page that has to wait counts as one that
does not get through, so that the policy goes on to the next method, person or step. Pure, but for the rows that `put_off`
moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from pydantic import Field
from sqlalchemy import Connection, bindparam, update

from alerter.notify.links import METHOD_CODE, PAGE_OVER, TEST_PAGE
from alerter.notify.listener import DeliveryListener
from alerter.oncall.wallclock import open_spans
from alerter.rules.severity import WORST
from alerter.store.tables import deliveries
from services.config.rota import Window, Zone, zone_of
from services.config.section import Section

_AHEAD: Final = timedelta(days=9)
"""A window comes once a week; the clocks may change on the way."""
_NEVER_WAIT: Final = frozenset({"endpoint.test", TEST_PAGE, PAGE_OVER, METHOD_CODE})


class Hours(Section):
    """When an endpoint may be sent messages."""

    windows: tuple[Window, ...] = Field((), max_length=20, description="empty: always")
    zone: Zone = "UTC"


@lru_cache(maxsize=4096)
def hours_of(text: str) -> Hours:
    """Returns the hours as they are stored."""
    return Hours.model_validate_json(text)


def opens_at(hours: Hours, now: datetime) -> datetime | None:
    """Returns when the next window begins, or `None` if one is open now or there is none at all."""
    spans = open_spans(hours.windows, zone_of(hours.zone), now, now + _AHEAD)
    if not spans:
        return now + _AHEAD
    return None if spans[0].begins <= now else spans[0].begins


_PUT_OFF: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"))
    .values(next_attempt_at=bindparam("due"), waits_since=bindparam("due"))
)


def put_off(
    connection: Connection, rows: Sequence[Any], known: Mapping[str, Any], now: datetime, listener: DeliveryListener
) -> tuple[list[Any], list[str], bool]:
    """Let what comes outside the hours of its endpoint wait for them. `known` has the row of each endpoint.

    Returns what may be sent now, the ids of what waits, and whether pages fail by that.
    """
    opening = {name: opens_at(hours_of(known[name].hours), now) for name in {row.endpoint for row in rows}}
    waits = {row.id: due for row in rows if (due := opening[row.endpoint]) is not None and not _is_urgent(row)}
    if not waits:
        return list(rows), [], False
    connection.execute(_PUT_OFF, [{"which": one, "due": due} for one, due in sorted(waits.items())])
    failed = listener.put_off(connection, list(waits), now)
    return [row for row in rows if row.id not in waits], list(waits), failed


def _is_urgent(row: Any) -> bool:
    return row.type in _NEVER_WAIT or bool(json.loads(row.body)["data"].get("severity") == WORST)
