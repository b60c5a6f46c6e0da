"""Forgets a post that was deleted where it was written, wherever we keep it, in the caller's transaction.

A signal that says what it said may still be under way, from another lane of the scorer or out of a surge, and would open an
incident with its words. So deleted posts are remembered by id, and taken out of every signal before it is applied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from alerter.desk.announce import Announcer
from alerter.incidents import model
from alerter.incidents.store import Origin
from alerter.notify import alertmanager_resend, outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.store.database import insert_missing
from alerter.store.tables import deliveries, redactions
from services.contracts.base import Event
from services.contracts.signal import PostCard, PostRedacted

AT_ONCE: Final = 1_000
"""Posts that are asked for in one query."""
_GONE: Final = select(redactions.c.post).where(redactions.c.post.in_(bindparam("posts", expanding=True)))


class Redactions:
    """The posts that were deleted, for one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: set[str] = set()
        self._gone: set[str] = set()

    def prefetch(self, events: Iterable[Event]) -> None:
        """Find out in one query which of the posts in these signals were deleted."""
        wanted = {_name(card) for event in events for card in _cards(event)} - self._asked
        self._asked |= wanted
        for some in _portions(wanted):
            self._gone.update(self._connection.scalars(_GONE, {"posts": some}))

    def remember(self, signal: PostRedacted, now: datetime) -> None:
        """Remember that the post was deleted."""
        post = _name(signal)
        insert_missing(self._connection, redactions, [{"post": post, "at": now}])
        self._asked.add(post)
        self._gone.add(post)

    def without(self, event: Event) -> Event | None:
        """Returns the signal without deleted posts; `None` if it is about one of them."""
        self.prefetch([event])
        if not any(_name(card) in self._gone for card in _cards(event)):
            return event
        if hasattr(event, "post"):
            return None
        changes: dict[str, Any] = {}
        for name in _ONE:
            card = getattr(event, name, None)
            if card is not None and _name(card) in self._gone:
                changes[name] = None
        for name in _SEVERAL:
            cards = getattr(event, name, ())
            changes |= {name: tuple(card for card in cards if _name(card) not in self._gone)} if cards else {}
        return event.model_copy(update=changes)


_ONE: Final = ("root", "driver")
_SEVERAL: Final = ("loudest", "exemplars")


def _cards(event: Event) -> list[PostCard]:
    """The posts that a signal shows."""
    single = (getattr(event, name, None) for name in ("post", *_ONE))
    several = (card for name in _SEVERAL for card in getattr(event, name, ()))
    return [*(card for card in single if card is not None), *several]


def _name(post: PostCard | PostRedacted) -> str:
    return f"{post.network}:{post.post_id}"


def _portions(names: Collection[str]) -> Iterable[list[str]]:
    every = sorted(names)
    return (every[begin : begin + AT_ONCE] for begin in range(0, len(every), AT_ONCE))


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
        alertmanager_resend.redact(connection, record.incident.id, post)
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
            outbox.forget_answers(connection, [row.id])
            if row.attempts:
                names.add(row.endpoint)
    return names
