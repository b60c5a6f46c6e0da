"""Forgets a post that was deleted where it was written, wherever we keep it, in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from alerter.desk.announce import Announcer
from alerter.incidents import model
from alerter.incidents.store import Origin
from alerter.notify import outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.store.tables import deliveries
from services.contracts.signal import PostRedacted


def redact(announcer: Announcer, signal: PostRedacted, origin: Origin) -> bool:
    """Forget the post in incidents and in bodies that may still be sent, and tell every endpoint that got it.

    Returns True if any incident quoted it.
    """
    connection, now = announcer.connection, announcer.now
    post = (signal.network, signal.post_id)
    mentioning = announcer.store.mentioning(post)
    for record in mentioning:
        transition = model.redact(record, post, now)
        if transition is not None:
            announcer.announce(record, transition, origin)
        names = _bodies(connection, record.incident.id, post)
        if names:
            cause = Cause("post.redacted", record.incident.id, ("redacted", *post))
            body = native.render_redaction(record.incident, signal)
            outbox.enqueue(connection, cause, body, sorted(names), now, announcer.context.wall)
    return bool(mentioning)


def _bodies(connection: Connection, incident: str, post: tuple[str, str]) -> set[str]:
    """Take the post out of bodies. Returns the endpoints that got it, or may have."""
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
