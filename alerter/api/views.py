"""What the API reads from the tables: page by page, newest first, and only what is about the caller's brands. Inside a
transaction of `store.database`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, or_, select, true

from alerter.api import endpoint_trouble, schemas
from alerter.api.auth import Caller, seen_by
from alerter.api.incident_filter import IncidentFilter
from alerter.escalation import policy, rings, steps, untold
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord
from alerter.incidents.source_policy import SourcePolicies, record_outside
from alerter.incidents.store import read_record
from alerter.notify.hours import hours_of
from alerter.notify.outlet import Kind
from alerter.notify.tickets import rows as ticket_rows
from alerter.states import DeliveryState, EndpointState, StepState
from alerter.store.tables import attempts, deliveries, endpoints, incidents, timeline
from services.base.clock import moment
from services.config.model import Config

_EPOCH = moment(0)
MOST_REPEATED: Final = 3
"""How many repetitions of a policy that is used up are shown: the newest ones."""


class BadCursor(ValueError):
    """Not one of ours."""


def cursor_of(at: datetime, key: str | int) -> str:
    return base64.urlsafe_b64encode(f"{(at - _EPOCH) // timedelta(microseconds=1)}:{key}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        number, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").partition(":")
        return _EPOCH + timedelta(microseconds=int(number)), key
    except (binascii.Error, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise BadCursor("this is not a cursor that we gave out") from error


def page(
    connection: Connection, query: Select[Any], at: Column[Any], key: Column[Any], cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """The newest rows by (at, key) after `cursor`, and the cursor of what follows. Raises `BadCursor`."""
    if cursor is not None:
        moment_, text = _place(cursor)
        try:
            last = key.type.python_type(text)
        except ValueError as error:
            raise BadCursor("this cursor belongs to another list") from error
        query = query.where(or_(at < moment_, and_(at == moment_, key < last)))
    rows = connection.execute(query.order_by(at.desc(), key.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    last_shown = rows[limit - 1]
    return rows[:limit], cursor_of(getattr(last_shown, at.name), getattr(last_shown, key.name))


def shown_to(caller: Caller, record: IncidentRecord, policies: SourcePolicies) -> IncidentRecord:
    """A key that is limited to brands is outside the house: it reads of posts what a webhook would say of them."""
    return record_outside(record, policies) if caller.outside else record


def incident_page(
    connection: Connection, caller: Caller, config: Config, asked: IncidentFilter, cursor: str | None, limit: int
) -> schemas.Incidents:
    conditions, policies = asked.conditions(caller, config), config.source_policy
    query = select(incidents.c.id, incidents.c.opened_at, incidents.c.dossier).where(*conditions)
    rows, after = page(connection, query, incidents.c.opened_at, incidents.c.id, cursor, limit)
    records = with_tickets(connection, [read_record(row.dossier) for row in rows])
    items = tuple(shown_to(caller, record, policies).incident for record in records)
    return schemas.Incidents(items=items, next=after)


def record_of(connection: Connection, caller: Caller, incident: str) -> IncidentRecord | None:
    """All that we know of it; `shown_to` tells what of it the caller may read. `None`: there is none, for this caller."""
    query = select(incidents.c.dossier).where(incidents.c.id == incident, seen_by(caller, incidents.c.brand))
    text = connection.scalar(query)
    return None if text is None else read_record(text)


def record_shown(
    connection: Connection, caller: Caller, policies: SourcePolicies, incident: str
) -> IncidentRecord | None:
    record = record_of(connection, caller, incident)
    return None if record is None else shown_to(caller, with_tickets(connection, [record])[0], policies)


def with_tickets(connection: Connection, records: Sequence[IncidentRecord]) -> list[IncidentRecord]:
    """Returns the incidents with the tickets that other systems have made of them by now."""
    found = ticket_rows.external_ids(connection, [record.incident.id for record in records])
    return [record.with_incident(external_ids=found.get(record.incident.id, ())) for record in records]


def explanation(
    connection: Connection, caller: Caller, policies: SourcePolicies, incident: str
) -> schemas.Explanation | None:
    record = record_shown(connection, caller, policies, incident)
    if record is None:
        return None
    known = {number: rest for number, *rest in steps.planned(connection, incident)}
    planned = []
    ahead = _ahead(record, known)
    repeated = [number for number in known if number >= policy.count(record.policy)]
    for number in (*range(policy.count(record.policy)), *repeated[-MOST_REPEATED:]):
        targets = policy.step_of(record.policy, number).targets
        due_at, state, done_at = known.get(number, (ahead.get(number), None, None))
        planned.append(
            schemas.PlannedStep(number=number, endpoints=targets, due_at=due_at, state=state, done_at=done_at)
        )
    rows = connection.execute(select(timeline).where(timeline.c.incident == incident).order_by(timeline.c.id))
    fields = set(schemas.TimelineEntry.model_fields) - {"took_seconds"}
    lines = [
        schemas.TimelineEntry(
            **{name: getattr(row, name) for name in fields},
            took_seconds=None if row.took_micro is None else row.took_micro / 1e6,
        )
        for row in rows
    ]
    sent = connection.execute(
        _delivery_query().where(deliveries.c.incident == incident).order_by(deliveries.c.created_at)
    ).all()
    return schemas.Explanation(
        incident=record.incident,
        how_sure=words.how_sure(record.incident),
        by_when=words.by_when(record.incident),
        who_has_it=words.who_has_it(record.incident),
        untold=untold.words_of(connection, [incident]).get(incident),
        policy=record.policy,
        steps=tuple(planned),
        rings=tuple(
            schemas.PlannedRing(
                step=None if ring.is_hand_over else ring.number, who=ring.who, method=ring.method, due_at=ring.due_at
            )
            for ring in rings.waiting(connection, incident)
        ),
        timeline=tuple(lines),
        deliveries=_deliveries(connection, sent),
    )


def _ahead(record: IncidentRecord, known: Mapping[int, Sequence[Any]]) -> dict[int, datetime]:
    """When the steps after the one that waits will be due, if nobody acknowledges."""
    waiting = next((n for n, (_, state, _) in known.items() if state is StepState.WAITING), None)
    if waiting is None:
        return {}
    return dict(policy.plan(record.policy, waiting, known[waiting][0], record.incident.answer_by))


def _delivery_query() -> Select[Any]:
    # Not the body: it is large, and what it says stands in the incident.
    return select(*(column for column in deliveries.c if column.name != "body"))


def delivery_page(
    connection: Connection, caller: Caller, endpoint: str | None, state: str | None, cursor: str | None, limit: int
) -> schemas.Deliveries:
    query = _delivery_query().where(deliveries_seen(connection, caller))
    if endpoint is not None:
        query = query.where(deliveries.c.endpoint == endpoint)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    rows, after = page(connection, query, deliveries.c.created_at, deliveries.c.id, cursor, limit)
    return schemas.Deliveries(items=_deliveries(connection, rows), next=after)


def delivery_shown(connection: Connection, caller: Caller, delivery: str) -> schemas.DeliveryShown | None:
    """One delivery with its body."""
    query = select(deliveries).where(deliveries.c.id == delivery, deliveries_seen(connection, caller))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    (shown,) = _deliveries(connection, [row])
    return schemas.DeliveryShown(**shown.model_dump(), body=json.loads(row.body))


def delivery_brand(connection: Connection, caller: Caller, delivery: str) -> tuple[bool, str | None]:
    """Whether the caller sees this delivery, and the brand that it concerns, if it is one."""
    query = select(incidents.c.brand).select_from(
        deliveries.outerjoin(incidents, deliveries.c.incident == incidents.c.id)
    )
    row = connection.execute(
        query.where(deliveries.c.id == delivery, deliveries_seen(connection, caller))
    ).one_or_none()
    return row is not None, None if row is None else row.brand


def deliveries_seen(connection: Connection, caller: Caller) -> ColumnElement[bool]:
    """Those about incidents of the caller's brands, and those about no incident to endpoints that are the caller's."""
    if caller.brands is None:
        return true()
    own = [row.name for row in connection.execute(select(endpoints)) if caller.covers(json.loads(row.brands))]
    about = select(incidents.c.id).where(seen_by(caller, incidents.c.brand))
    return or_(deliveries.c.incident.in_(about), and_(deliveries.c.incident.is_(None), deliveries.c.endpoint.in_(own)))


def _deliveries(connection: Connection, rows: Sequence[Any]) -> tuple[schemas.Delivery, ...]:
    made: dict[str, list[schemas.Attempt]] = defaultdict(list)
    query = select(attempts).where(attempts.c.delivery.in_([row.id for row in rows])).order_by(attempts.c.number)
    for row in connection.execute(query):
        made[row.delivery].append(schemas.attempt_of(row))
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
            superseded_by=row.superseded_by,
            attempts=tuple(made[row.id]),
        )
        for row in rows
    )


def endpoint_list(connection: Connection, caller: Caller, config: Config) -> schemas.Endpoints:
    """Those that the caller sees, what is in trouble first."""
    rows = connection.execute(select(endpoints).order_by(endpoints.c.name))
    every = [schemas.Endpoint(**endpoint_fields(row)) for row in rows]
    own = [one for one in every if caller.covers(one.brands)]
    return schemas.Endpoints(items=endpoint_trouble.with_trouble(connection, caller, own, config))


def endpoint_fields(row: Any) -> dict[str, Any]:
    parts = urlsplit(row.url)
    # What apprise takes for a host is often a password.
    host = "..." if row.kind == Kind.APPRISE else parts.netloc
    return {
        "name": row.name,
        "kind": Kind(row.kind),
        "target": f"{parts.scheme}://{host}",
        "header_names": tuple(json.loads(row.header_names)),
        "hours": hours_of(row.hours),
        "options": json.loads(row.options),
        "description": row.description,
        "brands": tuple(json.loads(row.brands)),
        "severities": tuple(json.loads(row.severities)),
        "types": tuple(json.loads(row.types)),
        "subscribed": row.subscribed,
        "owner": row.owner,
        "fallback": row.fallback,
        "concurrency": row.concurrency,
        "per_second": row.per_second,
        "failures": row.failures,
        "failing_since": row.failing_since,
        "paused_until": row.paused_until,
        "state": EndpointState(row.state),
        "disabled_because": row.disabled_because,
        "created_at": row.created_at,
        "version": row.version,
        "changed_at": row.changed_at,
        "changed_by": row.changed_by,
    }


def endpoint_shown(connection: Connection, caller: Caller, name: str) -> schemas.Endpoint | None:
    row = connection.execute(select(endpoints).where(endpoints.c.name == name)).one_or_none()
    if row is None or not caller.covers(json.loads(row.brands)):
        return None
    return schemas.Endpoint(**endpoint_fields(row))
