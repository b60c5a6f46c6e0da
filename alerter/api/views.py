"""What the API reads from the tables, page by page, newest first. Inside a transaction of `store.database`."""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Column, Connection, Select, and_, or_, select

from alerter.api import schemas
from alerter.escalation import steps
from alerter.incidents import explain
from alerter.incidents.dossier import Dossier
from alerter.notify.endpoints import EndpointState
from alerter.notify.outbox import DeliveryState
from alerter.store.tables import attempts, deliveries, endpoints, incidents, timeline
from services.clock import moment

_EPOCH = moment(0)


class BadCursor(ValueError):
    """Not one of ours."""


def cursor_of(at: datetime, key: str) -> str:
    return base64.urlsafe_b64encode(f"{(at - _EPOCH) // timedelta(microseconds=1)}:{key}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        number, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").partition(":")
        return _EPOCH + timedelta(microseconds=int(number)), key
    except (binascii.Error, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise BadCursor("not a cursor of ours") from error


def _page(query: Select[Any], at: Column[Any], key: Column[Any], cursor: str | None, limit: int) -> Select[Any]:
    if cursor is not None:
        moment_, last = _place(cursor)
        query = query.where(or_(at < moment_, and_(at == moment_, key < last)))
    return query.order_by(at.desc(), key.desc()).limit(limit + 1)


def incident_page(
    connection: Connection, brand: str | None, state: str | None, cursor: str | None, limit: int
) -> schemas.Incidents:
    query = select(incidents.c.id, incidents.c.opened_at, incidents.c.dossier)
    if brand is not None:
        query = query.where(incidents.c.brand == brand)
    if state is not None:
        query = query.where(incidents.c.state == state)
    rows = connection.execute(_page(query, incidents.c.opened_at, incidents.c.id, cursor, limit)).all()
    after = cursor_of(rows[limit - 1].opened_at, rows[limit - 1].id) if len(rows) > limit else None
    items = tuple(Dossier.model_validate_json(row.dossier).incident for row in rows[:limit])
    return schemas.Incidents(items=items, next=after)


def dossier_of(connection: Connection, incident: str) -> Dossier | None:
    text = connection.scalar(select(incidents.c.dossier).where(incidents.c.id == incident))
    return None if text is None else Dossier.model_validate_json(text)


def explanation(connection: Connection, incident: str) -> schemas.Explanation | None:
    dossier = dossier_of(connection, incident)
    if dossier is None:
        return None
    known = {number: rest for number, *rest in steps.planned(connection, incident)}
    planned = []
    for number, step in enumerate(dossier.policy.steps):
        due_at, state, done_at = known.get(number, (None, None, None))
        planned.append(
            schemas.PlannedStep(number=number, endpoints=step.endpoints, due_at=due_at, state=state, done_at=done_at)
        )
    rows = connection.execute(select(timeline).where(timeline.c.incident == incident).order_by(timeline.c.id))
    fields = schemas.TimelineEntry.model_fields
    lines = [schemas.TimelineEntry(**{name: getattr(row, name) for name in fields}) for row in rows]
    sent = connection.execute(
        _delivery_query().where(deliveries.c.incident == incident).order_by(deliveries.c.created_at)
    ).all()
    return schemas.Explanation(
        incident=dossier.incident,
        how_sure=explain.how_sure(dossier.incident),
        by_when=explain.by_when(dossier.incident),
        who_has_it=explain.who_has_it(dossier.incident),
        policy=dossier.policy,
        steps=tuple(planned),
        timeline=tuple(lines),
        deliveries=_deliveries(connection, sent),
    )


def _delivery_query() -> Select[Any]:
    # Not the body: it is large, and what it says stands in the incident.
    return select(*(column for column in deliveries.c if column.name != "body"))


def delivery_page(
    connection: Connection, endpoint: str | None, state: str | None, cursor: str | None, limit: int
) -> schemas.Deliveries:
    query = _delivery_query()
    if endpoint is not None:
        query = query.where(deliveries.c.endpoint == endpoint)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    rows = connection.execute(_page(query, deliveries.c.created_at, deliveries.c.id, cursor, limit)).all()
    after = cursor_of(rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else None
    return schemas.Deliveries(items=_deliveries(connection, rows[:limit]), next=after)


def _deliveries(connection: Connection, rows: Sequence[Any]) -> tuple[schemas.Delivery, ...]:
    made: dict[str, list[schemas.Attempt]] = defaultdict(list)
    query = select(attempts).where(attempts.c.delivery.in_([row.id for row in rows])).order_by(attempts.c.number)
    for row in connection.execute(query):
        made[row.delivery].append(
            schemas.Attempt(
                number=row.number,
                begun_at=row.begun_at,
                ended_at=row.ended_at,
                outcome=row.outcome,
                status=row.status,
                detail=row.detail,
                seconds=None if row.seconds_micro is None else row.seconds_micro / 1e6,
            )
        )
    return tuple(
        schemas.Delivery(
            id=row.id,
            endpoint=row.endpoint,
            incident=row.incident,
            type=row.type,
            state=DeliveryState(row.state),
            created_at=row.created_at,
            next_attempt_at=row.next_attempt_at if row.state == DeliveryState.PENDING else None,
            finished_at=row.finished_at,
            attempts=tuple(made[row.id]),
        )
        for row in rows
    )


def endpoint_list(connection: Connection) -> schemas.Endpoints:
    rows = connection.execute(select(endpoints).order_by(endpoints.c.name))
    return schemas.Endpoints(items=tuple(schemas.Endpoint(**endpoint_fields(row)) for row in rows))


def endpoint_fields(row: Any) -> dict[str, Any]:
    parts = urlsplit(row.url)
    return {
        "name": row.name,
        "target": f"{parts.scheme}://{parts.netloc}",
        "description": row.description,
        "brands": tuple(json.loads(row.brands)),
        "state": EndpointState(row.state),
        "disabled_because": row.disabled_because,
        "created_at": row.created_at,
    }
