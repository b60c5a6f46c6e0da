"""Who wrote a post, as it is kept beside what quotes the post: a hash, by which an erasure finds it. Pure."""

from __future__ import annotations

from services.contracts.base import event_id
from services.contracts.signal import PostCard


def author_key(network: str, author_id: str | None) -> str | None:
    """Returns what is kept of an author, or `None` where nobody says who wrote the post."""
    return None if author_id is None else event_id("author", network, author_id)


def author_of(card: PostCard) -> str | None:
    """Returns the same of the author of a post."""
    return author_key(card.network, card.author_id)
