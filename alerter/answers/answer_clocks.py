"""Answer clocks as rows: one for each complaint or question about a brand, at any reach, until the brand answers it.

Neither text nor author is kept: a row says where the post is, how many followers its author has, and when an answer is due. By
a hash of the author's id an erasure finds it. Only of a post that the model would not read the text is kept until it is
answered or deleted, because a person has to read it. A post that its network's terms keep in the house has no link here, and no
text. Runs inside a transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update

from alerter.answers import sla
from alerter.answers.fairness import Waited, band_of
from alerter.answers.known_clocks import KnownClocks, WantedClock
from alerter.incidents.authors import author_of
from alerter.incidents.source_policy import SourcePolicies, outside
from alerter.oncall.responders import account_of
from alerter.states import ClockState
from alerter.store import later
from alerter.store.database import insert_missing, insert_missing_later
from alerter.store.tables import answer_clocks as clocks
from services.config.model import Config
from services.config.rule import TOPICS
from services.contracts.base import BrandId, Event, event_id
from services.contracts.changed import PostEdited, Said
from services.contracts.post import SourcePolicy
from services.contracts.signal import (
    PostAnswered,
    PostAsked,
    PostCard,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
)

COMPLAINT_FROM: Final = 0.5
"""A negative post counts as a complaint from this probability on. Without a probability it counts, to be safe."""
DANGERS: Final = frozenset(TOPICS)
"""A post about one of the topics that ship waits for an answer in any mood. One's own topics may be `praise` as well."""
MOST_MEASURED: Final = 100_000
_COUNT_COPY: Final = update(clocks).where(clocks.c.id == bindparam("first")).values(copies=clocks.c.copies + 1)
_UNREAD: Final = {"language": None, "text": None}
"""What only the clock of a post that was not read has; all have the columns, so that they are inserted together."""

Answerable = PostNegative | PostAsked | PostFlagged | PostUnread

WAITING: Final = (ClockState.RUNNING, ClockState.LISTED)
"""The states of posts that nobody has answered."""
_KINDS: Final[dict[type[Answerable], str]] = {
    PostNegative: "complaint",
    PostAsked: "question",
    PostFlagged: "danger",
    PostUnread: "unread",
}
MOST_TEXT: Final = 1_000
"""How much of a text is kept in the queue of what was not read."""


def concerns(signal: Answerable) -> bool:
    """Returns True if the post needs an answer: it is a question, may speak of danger, or may well be a complaint."""
    if isinstance(signal, PostFlagged):
        return not DANGERS.isdisjoint({*signal.topics, *signal.hints})
    if isinstance(signal, PostUnread):
        return True
    return isinstance(signal, PostAsked) or signal.complaint is None or signal.complaint >= COMPLAINT_FROM


def wanted(event: Event) -> WantedClock | None:
    """Returns the clock that a signal may start, or `None` if it starts none."""
    if not isinstance(event, Answerable):
        return None
    return WantedClock(clock_id(event.brand, event.post.network, event.post.post_id), event.brand, event.voice)


def start(connection: Connection, signal: Answerable, config: Config, now: datetime, known: KnownClocks) -> bool:
    """Start the clock of a post, once. Returns True if it was started. A post that was fetched late counts from now.

    A copy of a text that waits already, or was answered within a day, starts none: the clock of the first one counts it.
    """
    brand = config.brand(signal.brand)
    want = wanted(signal)
    if brand is None or want is None or not concerns(signal):
        return False
    if not known.has(want) and (first := known.first(want)) is not None:
        later.do(connection, _COUNT_COPY, [{"first": first}])
        return True
    post = signal.post
    asked_at = post.edited_at if signal.edited and post.edited_at is not None else post.at
    due_at = sla.due(brand.promise, now if signal.backfill else asked_at)
    values = {
        "conversation": signal.conversation,
        "account": account_of(brand, [post]),
        "kind": _KINDS[type(signal)],
        "band": band_of(post.followers),
        "followers": post.followers,
        "asked_at": asked_at,
        "due_at": due_at,
        "voice": signal.voice,
        "author": author_of(post),
        **_links(post, config.source_policy),
    }
    runs = {"state": ClockState.RUNNING, "tell_at": due_at}
    if isinstance(signal, PostUnread):
        values |= _to_read(signal, config.source_policy)
        if not (brand.promise.unread and signal.addressed and not signal.wordless):
            runs = {"state": ClockState.LISTED, "tell_at": None}
    if not known.has(want):
        row = {**_place(signal.brand, post.network, post.post_id), "noted_at": now, **_UNREAD, **values, **runs}
        insert_missing_later(connection, clocks, [row])
        known.started(want, runs["state"] is ClockState.RUNNING)
        return True
    known.forget()
    mine = clocks.c.id == want.clock
    if signal.edited and _again(connection, signal, mine, values | runs):
        return True
    if isinstance(signal, PostUnread):
        # It has a clock already, because it asks something: a person has to read it all the same.
        unread = {"kind": _KINDS[PostUnread], **_to_read(signal, config.source_policy)}
        asked = (clocks.c.kind == _KINDS[PostAsked], clocks.c.state.in_(WAITING))
        connection.execute(update(clocks).where(mine, *asked).values(**unread))
    else:
        # What was only listed as not read turned out to need an answer: its words speak of danger.
        listed = update(clocks).where(mine, clocks.c.state == ClockState.LISTED)
        if connection.execute(listed.values(kind=values["kind"], due_at=due_at, **runs)).rowcount:
            return True
    # The answer came first, because the two were read from the network in the wrong order.
    early = connection.execute(
        update(clocks).where(mine, clocks.c.state == ClockState.EARLY).values(**values, state=ClockState.ANSWERED)
    )
    return bool(early.rowcount)


def _again(connection: Connection, signal: Answerable, mine: ColumnElement[bool], values: dict[str, Any]) -> bool:
    """Start the clock of an edited post again: an earlier edit had taken back what it asked, or it was hidden; or it was
    answered, and speaks of danger since. Returns True if it runs again."""
    anew = values | {"answered_at": None, "answer_id": None}
    back = clocks.c.state == ClockState.WITHDRAWN
    if isinstance(signal, PostFlagged):
        danger = update(clocks).where(mine, clocks.c.state.in_(WAITING)).values(kind=_KINDS[PostFlagged])
        connection.execute(danger)
        answered = and_(clocks.c.state == ClockState.ANSWERED, clocks.c.kind != _KINDS[PostFlagged])
        back = or_(back, and_(answered, clocks.c.answered_at < values["asked_at"]))
    return bool(connection.execute(update(clocks).where(mine, back).values(anew)).rowcount)


def waits(signal: PostEdited) -> bool:
    """Returns True if the post needs an answer in its new words."""
    complains = Said.NEGATIVE in signal.says and (signal.complaint is None or signal.complaint >= COMPLAINT_FROM)
    return complains or not {Said.QUESTION, Said.TOPICS, Said.UNREAD}.isdisjoint(signal.says)


def correct(connection: Connection, signal: PostEdited, config: Config) -> bool:
    """A post has other words. If they need no answer, its clock stops. Returns True if it had one that waited.

    A danger that was reported is looked at although it was taken back, and a clock that counts the copies of a text runs on
    for the others.
    """
    post = signal.post
    mine = (clocks.c.id == clock_id(signal.brand, post.network, post.post_id), clocks.c.state.in_(WAITING))
    if not waits(signal):
        alone = (clocks.c.kind.is_distinct_from(_KINDS[PostFlagged]), clocks.c.copies == 0)
        done = {"state": ClockState.WITHDRAWN, "tell_at": None, "text": None}
        return bool(connection.execute(update(clocks).where(*mine, *alone).values(**done)).rowcount)
    unread = (*mine, clocks.c.kind == _KINDS[PostUnread])
    if Said.UNREAD in signal.says:
        shown = outside(post, config.source_policy)
        text = shown.text if shown is not None else None
        said: dict[str, Any] = {"text": None if text is None else text[:MOST_TEXT]}
    else:
        kind = (
            PostNegative if Said.NEGATIVE in signal.says else PostFlagged if Said.TOPICS in signal.says else PostAsked
        )
        said = {"kind": _KINDS[kind], "language": None, "text": None}
    return bool(connection.execute(update(clocks).where(*unread).values(**said)).rowcount)


def _links(post: PostCard, terms: SourcePolicies) -> dict[str, str | None]:
    """Returns the links to the post, as far as its network's terms let them leave the house."""
    shown = outside(post, terms)
    if shown is None:
        return {"permalink": None, "reply_link": None, "policy": SourcePolicy.INTERNAL.value}
    return {"permalink": shown.permalink, "reply_link": shown.reply_link, "policy": shown.policy.value}


def _to_read(signal: PostUnread, terms: SourcePolicies) -> dict[str, str | None]:
    """Returns what the queue shows of a post that was not read, as far as its network's terms let it out."""
    shown = outside(signal.post, terms)
    text = shown.text if shown is not None else None
    return {"language": signal.language, "text": text[:MOST_TEXT] if text is not None else None}


def stop(connection: Connection, signal: PostAnswered, now: datetime) -> bool:
    """Stop the clock of a post that the brand answered. Returns True if it was running."""
    network = signal.conversation.partition(":")[0]
    place = _place(signal.brand, network, signal.post_id)
    answered = {"answered_at": signal.at, "answer_id": signal.answer_id, "tell_at": None}
    stopped = connection.execute(
        update(clocks)
        .where(clocks.c.id == place["id"], clocks.c.state.in_(WAITING))
        .values(**answered, state=ClockState.ANSWERED, text=None)
    )
    if stopped.rowcount:
        return True
    row = {**place, "conversation": signal.conversation, "state": ClockState.EARLY, "noted_at": now}
    insert_missing(connection, clocks, [row | answered])
    return False


def withdraw(connection: Connection, signal: PostRedacted, config: Config) -> bool:
    """Stop the clocks of a deleted post. Returns True if it had one. Their links and accounts are forgotten."""
    mine = clocks.c.id.in_(clock_ids(signal, config))
    bare = {"permalink": None, "reply_link": None, "account": None, "text": None, "author": None}
    known = connection.execute(update(clocks).where(mine, clocks.c.state != ClockState.EARLY).values(**bare)).rowcount
    gone = update(clocks).where(mine, clocks.c.state.in_(WAITING))
    connection.execute(gone.values(state=ClockState.WITHDRAWN, tell_at=None))
    return bool(known)


def clock_ids(signal: PostRedacted, config: Config) -> list[str]:
    """Returns the clocks that the post may have, with any brand: it is deleted for all of them, whoever is told first."""
    brands = {signal.brand, *(brand.id for brand in config.brands)}
    return [clock_id(brand, signal.network, signal.post_id) for brand in sorted(brands)]


def clock_id(brand: str, network: str, post_id: str) -> str:
    return event_id("answer", brand, network, post_id)


def _place(brand: BrandId, network: str, post_id: str) -> dict[str, str]:
    return {"id": clock_id(brand, network, post_id), "brand": brand, "network": network, "post_id": post_id}


def overdue_at(now: datetime) -> ColumnElement[bool]:
    """Returns a condition for clocks whose answer is overdue."""
    return and_(clocks.c.state == ClockState.RUNNING, clocks.c.due_at <= now)


def overdue_counts(connection: Connection, now: datetime) -> dict[str, int]:
    """Returns the number of overdue answers of each brand that has any."""
    rows = connection.execute(select(clocks.c.brand, func.count()).where(overdue_at(now)).group_by(clocks.c.brand))
    return {brand: count for brand, count in rows}  # noqa: C416 - rows are no pairs to a type checker


def waited(connection: Connection, only: ColumnElement[bool], since: datetime, now: datetime) -> list[Waited]:
    """Returns how long posts since then waited, for statistics: the newest `MOST_MEASURED`, without deleted posts."""
    query = (
        select(clocks.c.network, clocks.c.band, clocks.c.asked_at, clocks.c.answered_at, clocks.c.due_at)
        .where(only, clocks.c.asked_at >= since, clocks.c.state.in_([ClockState.RUNNING, ClockState.ANSWERED]))
        .order_by(clocks.c.asked_at.desc())
        .limit(MOST_MEASURED)
    )
    return [_waited(row, now) for row in connection.execute(query)]


def _waited(row: Any, now: datetime) -> Waited:
    answered = row.answered_at is not None
    seconds = max(0.0, (row.answered_at - row.asked_at).total_seconds()) if answered else None
    return Waited(row.network, row.band, seconds, (row.answered_at if answered else now) >= row.due_at)
