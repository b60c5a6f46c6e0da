"""Forgets all that we keep of an author who was erased from a network, in the caller's transaction.

Who wrote a post is kept as a hash beside what quotes it and beside its answer clock, so that one signal finds every post. The
author stays remembered by the same hash: what is still under way of them, or comes late, is taken out of every signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, literal, select, union

from alerter.incidents.authors import author_key
from alerter.store.database import insert_missing
from alerter.store.tables import answer_clocks, erased_authors, mentions
from services.contracts.base import BrandId, ConversationId, StoryId
from services.contracts.post import AuthorChanged, AuthorState
from services.contracts.signal import PostRedacted

FOR_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Nothing of an erased author is from later than this."""
_ERASED: Final = select(erased_authors.c.author, erased_authors.c.before).where(
    erased_authors.c.author.in_(bindparam("authors", expanding=True))
)


def note(connection: Connection, event: AuthorChanged, now: datetime) -> bool:
    """Remember what became of the author. Returns False if that is known, or a later change is."""
    key = author_key(event.network, event.author_id)
    before = FOR_EVER if event.state is AuthorState.ERASED else event.at
    mine = erased_authors.c.author == key
    known = connection.execute(select(erased_authors.c.at, erased_authors.c.before).where(mine)).first()
    if known is not None:
        if known.at > event.at or (known.at, known.before) == (event.at, before):
            return False
        connection.execute(delete(erased_authors).where(mine))
    row = {"author": key, "at": event.at, "before": before, "noted_at": now}
    insert_missing(connection, erased_authors, [row])
    return True


def erased_among(connection: Connection, authors: Iterable[str]) -> dict[str, datetime]:
    """Of these authors those who were erased: nothing that is from before then is kept."""
    return {row.author: row.before for row in connection.execute(_ERASED, {"authors": sorted(authors)})}


def posts_of(connection: Connection, event: AuthorChanged) -> list[PostRedacted]:
    """All posts of the author that we know of, each as if it were deleted."""
    key = author_key(event.network, event.author_id)
    nobody = literal("").label("brand")
    quoted = select(mentions.c.network, mentions.c.post_id, nobody).where(mentions.c.author == key)
    timed = select(*answer_clocks.c["network", "post_id", "brand"]).where(answer_clocks.c.author == key)
    return [
        PostRedacted(
            brand=BrandId(row.brand),
            story=StoryId(place := f"{row.network}:{row.post_id}"),
            conversation=ConversationId(place),
            network=row.network,
            post_id=row.post_id,
            at=event.at,
        )
        for row in connection.execute(union(quoted, timed).order_by("network", "post_id", "brand"))
    ]
