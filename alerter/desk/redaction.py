"""Forgets a post that was deleted or hidden where it was written, wherever we keep it, in the caller's transaction.

A signal that says what it said may still be under way, from another lane of the scorer or out of a surge, and would open an
incident with its words. So such posts are remembered by id, and their authors where these were erased (`erasure`), and taken
out of every signal before it is applied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from alerter.desk import erasure
from alerter.desk.announce import Announcer
from alerter.incidents import model
from alerter.incidents.authors import author_of
from alerter.incidents.store import Origin
from alerter.notify import alertmanager_resend, outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.store.database import insert_missing
from alerter.store.tables import deliveries, redactions
from services.contracts.base import Event
from services.contracts.changed import PostShown
from services.contracts.signal import PostCard, PostRedacted

AT_ONCE: Final = 1_000
"""Posts that are asked for in one query."""
_GONE: Final = select(redactions.c.post).where(redactions.c.post.in_(bindparam("posts", expanding=True)))


class Redactions:
    """The posts that were deleted or hidden, and the authors who were erased, for one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: set[str] = set()
        self._gone: set[str] = set()
        self._asked_authors: set[str] = set()
        self._erased: dict[str, datetime] = {}

    def prefetch(self, events: Iterable[Event]) -> None:
        """Find out in two queries which of the posts in these signals are gone, themselves or with their authors."""
        cards = [card for event in events for card in _cards(event)]
        wanted = {_name(card) for card in cards} - self._asked
        self._asked |= wanted
        for some in _portions(wanted):
            self._gone.update(self._connection.scalars(_GONE, {"posts": some}))
        authors = {author for card in cards if (author := author_of(card)) is not None} - self._asked_authors
        self._asked_authors |= authors
        for some in _portions(authors):
            self._erased |= erasure.erased_among(self._connection, some)

    def remember(self, signal: PostRedacted, now: datetime) -> None:
        """Remember that the post was deleted, or hidden: what is known to be deleted stays so."""
        post = _name(signal)
        insert_missing(self._connection, redactions, [{"post": post, "at": now, "hidden": signal.hidden}])
        if not signal.hidden:
            final = update(redactions).where(redactions.c.post == post, redactions.c.hidden.is_(True))
            self._connection.execute(final.values(hidden=False))
        self._asked.add(post)
        self._gone.add(post)

    def restore(self, signal: PostShown) -> bool:
        """A hidden post is visible again. Returns False if it was not hidden, or was deleted as well."""
        post = _name(signal)
        mine = delete(redactions).where(redactions.c.post == post, redactions.c.hidden.is_(True))
        if not self._connection.execute(mine).rowcount:
            return False
        self._asked.discard(post)
        self._gone.discard(post)
        return True

    def forget_authors(self) -> None:
        """What is known of authors changed: ask for it again."""
        self._asked_authors.clear()
        self._erased.clear()

    def _is_gone(self, card: PostCard) -> bool:
        author = author_of(card)
        before = None if author is None else self._erased.get(author)
        return _name(card) in self._gone or (before is not None and card.at < before)

    def without(self, event: Event) -> Event | None:
        """Returns the signal without the posts that are gone; `None` if it is about one of them."""
        self.prefetch([event])
        if not any(self._is_gone(card) for card in _cards(event)):
            return event
        if hasattr(event, "post"):
            return None
        changes: dict[str, Any] = {}
        for name in _ONE:
            card = getattr(event, name, None)
            if card is not None and self._is_gone(card):
                changes[name] = None
        for name in _SEVERAL:
            cards = getattr(event, name, ())
            changes |= {name: tuple(card for card in cards if not self._is_gone(card))} if cards else {}
        return event.model_copy(update=changes)


_ONE: Final = ("root", "driver")
_SEVERAL: Final = ("loudest", "exemplars")


def _cards(event: Event) -> list[PostCard]:
    """The posts that a signal shows."""
    single = (getattr(event, name, None) for name in ("post", *_ONE))
    several = (card for name in _SEVERAL for card in getattr(event, name, ()))
    return [*(card for card in single if card is not None), *several]


def _name(post: PostCard | PostRedacted | PostShown) -> str:
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
        transition = model.redact(record, post, now, hidden=signal.hidden)
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
            deliveries.c.incident == incident,
            or_(deliveries.c.type.like("incident.%"), deliveries.c.type == "post.edited"),
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
