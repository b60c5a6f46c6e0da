"""Corrects a post that was edited where it was written, wherever we keep it, in the caller's transaction: in incidents, in
bodies that may still be sent or sent again, and in what waits for an answer. Everybody who was sent the earlier words gets
`post.edited`, with the new ones where its network's terms let them out.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from alerter.answers.answer_clocks import waits
from alerter.desk.announce import Announcer
from alerter.incidents import cards, model
from alerter.incidents.source_policy import outside
from alerter.incidents.store import Origin
from alerter.notify import alertmanager_resend, outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.store.tables import deliveries
from services.contracts.changed import PostEdited
from services.contracts.signal import PostCard


def correct(announcer: Announcer, signal: PostEdited, origin: Origin) -> bool:
    """Correct the post in incidents and bodies, and tell every endpoint that got it. Returns True if any incident quoted it."""
    connection, now, context = announcer.connection, announcer.now, announcer.context
    mentioning = announcer.store.mentioning(cards.key(signal.post))
    shown = outside(signal.post, context.config.source_policy)
    for record in mentioning:
        transition = model.edit(record, signal.post, still_waits=waits(signal), now=now)
        if transition is not None:
            announcer.announce(record, transition, origin)
        if shown is None:
            continue  # nothing of it left the house
        incident = record.incident
        names = _bodies(connection, incident.id, shown)
        alertmanager_resend.correct(connection, incident.id, shown)
        if names:
            cause = Cause("post.edited", incident.id, ("edited", *cards.key(shown), origin.signal))
            body = native.render_edit(incident, shown, still_waits=waits(signal), now=now)
            outbox.enqueue(connection, cause, body, sorted(names), now, context.wall)
    return bool(mentioning)


def _bodies(connection: Connection, incident: str, post: PostCard) -> set[str]:
    """Correct the post in bodies. Returns the endpoints that got its earlier words, or may have."""
    names = set()
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.endpoint, deliveries.c.body, deliveries.c.attempts).where(
            deliveries.c.incident == incident, deliveries.c.type.like("incident.%")
        )
    ).all()
    for row in rows:
        body = native.with_edit(row.body, post)
        if body is not None:
            connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(body=body))
            outbox.forget_answers(connection, [row.id])
            if row.attempts:
                names.add(row.endpoint)
    return names
