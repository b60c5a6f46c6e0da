"""Sends alerts to an Alertmanager again and again, as it expects.

A firing alert ends by itself if it is not repeated. A resolved one is repeated for a while, in case a member of the
cluster was away. All times are real time: Alertmanager knows no other.

Alertmanager believes whoever speaks last, and a repeat may arrive after the news that it knows nothing of. So what is new
is said once more at the next turn, and a turn that sent what is no longer the newest says the newest at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from alerter.metrics import AlerterMetrics
from alerter.notify.endpoints import keys_of_many
from alerter.notify.formats import native
from alerter.notify.outlet import Keys, Kind, OutboundMessage
from alerter.notify.outlets import AlertmanagerPush
from alerter.states import AttemptOutcome, EndpointState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import endpoints, standing
from services.contracts.incident import IncidentState
from services.contracts.signal import PostCard

logger = structlog.get_logger()

ENDED_FOR: Final = timedelta(minutes=5)
"""How long a resolved alert is repeated."""
MOST_ALERTS: Final = 200


def note(connection: Connection, arrived: Sequence[OutboundMessage], wall: datetime) -> None:
    """Note what Alertmanagers have accepted, so that it is repeated."""
    for message in arrived:
        if message.kind is not Kind.ALERTMANAGER or not message.is_about_incident:
            continue
        incident = json.loads(message.body)["data"]
        values: dict[str, Any] = {
            "sequence": incident["sequence"],
            "body": message.body,
            "made_wall": message.made,
            "due_wall": wall,
            "ends_wall": wall + ENDED_FOR if IncidentState(incident["state"]).is_over else None,
        }
        place = (standing.c.endpoint == message.endpoint, standing.c.incident == incident["id"])
        known = connection.scalar(select(standing.c.sequence).where(*place))
        if known is None:
            connection.execute(insert(standing).values(endpoint=message.endpoint, incident=incident["id"], **values))
        elif known <= incident["sequence"]:
            connection.execute(update(standing).where(*place).values(**values))


def redact(connection: Connection, incident: str, post: tuple[str, str]) -> None:
    """Take a deleted post out of what is sent again."""
    _rewrite(connection, incident, lambda body: native.without(body, post))


def correct(connection: Connection, incident: str, post: PostCard) -> None:
    """Correct an edited post in what is sent again."""
    _rewrite(connection, incident, lambda body: native.with_edit(body, post))


def _rewrite(connection: Connection, incident: str, change: Callable[[bytes], bytes | None]) -> None:
    for row in connection.execute(select(*standing.c["endpoint", "body"]).where(standing.c.incident == incident)).all():
        body = change(row.body)
        if body is not None:
            place = (standing.c.endpoint == row.endpoint, standing.c.incident == incident)
            connection.execute(update(standing).where(*place).values(body=body))


_AGAIN: Final = (
    update(standing)
    .where(standing.c.endpoint == bindparam("where"), standing.c.incident == bindparam("which"))
    .values(due_wall=bindparam("due"))
)


def due(connection: Connection, wall: datetime) -> list[Any]:
    """Returns what is to be sent again now, in the order of endpoints, and sets when it is due next."""
    connection.execute(delete(standing).where(standing.c.ends_wall < wall))
    rows = connection.execute(
        select(*standing.c, endpoints.c.url, endpoints.c.options)
        .join(endpoints, endpoints.c.name == standing.c.endpoint)
        .where(standing.c.due_wall <= wall, endpoints.c.state == EndpointState.ENABLED)
        .order_by(standing.c.endpoint, standing.c.incident)
        .limit(MOST_ALERTS)
        .with_for_update(skip_locked=True, of=standing)
    ).all()
    again = [
        {
            "where": row.endpoint,
            "which": row.incident,
            "due": wall + timedelta(seconds=json.loads(row.options)["resend_seconds"]),
        }
        for row in rows
    ]
    if again:
        connection.execute(_AGAIN, again)
    return list(rows)


def due_with_keys(connection: Connection, wall: datetime) -> tuple[list[Any], dict[str, Keys]]:
    """Returns what is `due`, with the secrets of its endpoints."""
    rows = due(connection, wall)
    return rows, keys_of_many(connection, {row.endpoint for row in rows}, wall)


def overtaken(connection: Connection, sent: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the places among those just sent whose news is newer by now."""
    newest = {
        (row.endpoint, row.incident): row.sequence
        for row in connection.execute(
            select(standing.c.endpoint, standing.c.incident, standing.c.sequence).where(
                standing.c.incident.in_([row.incident for row in sent])
            )
        )
    }
    return [
        {"where": row.endpoint, "which": row.incident}
        for row in sent
        if newest.get((row.endpoint, row.incident), row.sequence) != row.sequence
    ]


def anything(connection: Connection, wall: datetime) -> bool:
    """Returns True if anything is due."""
    return connection.scalar(select(standing.c.incident).where(standing.c.due_wall <= wall).limit(1)) is not None


class Repeater(PeriodicLoop):
    name = "repeater"
    every_seconds = 1.0

    def __init__(
        self, database: Database, outlet: AlertmanagerPush, wall: Callable[[], float], metrics: AlerterMetrics
    ) -> None:
        super().__init__(metrics)
        self._database = database
        self._outlet = outlet
        self._wall = wall

    async def turn(self) -> None:
        """Send again what is due."""
        wall = datetime.fromtimestamp(self._wall(), UTC)
        if not await self._database.read(lambda c: anything(c, wall)):
            return
        rows, keys = await self._database.write(lambda c: due_with_keys(c, wall))
        by_endpoint: dict[str, list[Any]] = {}
        for row in rows:
            by_endpoint.setdefault(row.endpoint, []).append(row)
        for endpoint, due_rows in by_endpoint.items():
            options = json.loads(due_rows[0].options)
            alerts = [
                alert for row in due_rows for alert in self._outlet.alerts(row.body, endpoint, options, row.made_wall)
            ]
            headers = keys.get(endpoint, Keys()).headers
            result = await self._outlet.push(due_rows[0].url, options, alerts, headers)
            if result.outcome is not AttemptOutcome.DELIVERED:
                logger.warning(
                    "alerts_not_repeated", endpoint=endpoint, alerts=len(due_rows), outcome=result.outcome.value
                )
        stale = await self._database.read(lambda c: overtaken(c, rows))
        if stale:
            now = [{**place, "due": wall} for place in stale]
            await self._database.write(lambda c: c.execute(_AGAIN, now))
