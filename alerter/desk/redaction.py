"""A post that was deleted where it was written is forgotten wherever we keep it, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select, update

from alerter.desk.context import Context
from alerter.incidents import model
from alerter.incidents.record import IncidentRecord, Transition
from alerter.incidents.store import IncidentStore
from alerter.notify import outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.store.tables import deliveries
from services.contracts.signal import PostRedacted


def redact(
    connection: Connection,
    store: IncidentStore,
    context: Context,
    signal: PostRedacted,
    carry_out: Callable[[IncidentRecord, Transition], None],
) -> bool:
    """Forget the post in incidents, also in bodies that wait to be sent (or sent again), and tell every endpoint that was
    sent it; whether any incident knew it."""
    post = (signal.network, signal.post_id)
    holding = store.mentioning(post)
    for record in holding:
        outcome = model.redact(record, post, context.now)
        if outcome is not None:
            carry_out(record, outcome)
        names = _bodies(connection, record.incident.id, post)
        if names:
            cause = Cause("post.redacted", record.incident.id, ("redacted", *post))
            body = native.render_redaction(record.incident, signal)
            outbox.enqueue(connection, cause, body, sorted(names), context.now, context.wall)
    return bool(holding)


def _bodies(connection: Connection, incident: str, post: tuple[str, str]) -> set[str]:
    """The endpoints that were, or may have been, sent the post."""
    names = set()
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.endpoint, deliveries.c.body, deliveries.c.attempts).where(
            deliveries.c.incident == incident, deliveries.c.type.like("incident.%")
        )
    ).all()
    for row in rows:
        body = native.without(row.body, post)
        if body is not None:
            connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(body=body))
            if row.attempts:
                names.add(row.endpoint)
    return names
