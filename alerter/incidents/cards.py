"""Chooses the posts that an incident keeps (root, loudest voices, a few exemplars), and forgets deleted ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.contracts.base import Part
from services.contracts.signal import PostCard

MAX_LOUDEST: Final = 5
MAX_EXEMPLARS: Final = 5
"""Enough for a person to judge; a message has to stay below 20 kB."""
MAX_REDACTED: Final = 500
"""How many deleted posts are remembered by id, so that a late forecast does not bring their text back."""

PostKey = tuple[str, str]
"""Network and post id."""


class Cards(Part):
    root: PostCard | None = None
    loudest: tuple[PostCard, ...] = ()
    exemplars: tuple[PostCard, ...] = ()
    redacted: tuple[PostKey, ...] = ()

    def every(self) -> tuple[PostCard, ...]:
        return (*((self.root,) if self.root else ()), *self.loudest, *self.exemplars)


def key(card: PostCard) -> PostKey:
    return card.network, card.post_id


def merge(
    cards: Cards, root: PostCard | None, loudest: Iterable[PostCard] = (), exemplars: Iterable[PostCard] = ()
) -> Cards:
    """Returns the cards with new ones added, without those that were deleted.

    The newer card of a post wins. The loudest are those with the most followers, the exemplars the most negative ones.
    """
    gone = set(cards.redacted)
    if root is None or key(root) in gone:
        root = cards.root
    return Cards(
        root=root,
        loudest=_best((*cards.loudest, *loudest), gone, MAX_LOUDEST, lambda card: card.followers or 0),
        exemplars=_best((*cards.exemplars, *exemplars), gone, MAX_EXEMPLARS, lambda card: card.negative or 0.0),
        redacted=cards.redacted,
    )


def _best(
    cards: Iterable[PostCard], gone: set[PostKey], most: int, worth: Callable[[PostCard], float]
) -> tuple[PostCard, ...]:
    newest = {key(card): card for card in cards if key(card) not in gone}
    ranked = sorted(newest.values(), key=lambda card: (-worth(card), key(card)))
    return tuple(ranked[:most])


def forget(cards: Cards, post: PostKey) -> Cards:
    """Returns the cards without the post's text and author. Its id stays, so that it cannot come back."""
    root = cards.root
    if root is not None and key(root) == post:
        root = stub(root)
    return Cards(
        root=root,
        loudest=tuple(card for card in cards.loudest if key(card) != post),
        exemplars=tuple(card for card in cards.exemplars if key(card) != post),
        redacted=(*(gone for gone in cards.redacted if gone != post), post)[-MAX_REDACTED:],
    )


def stub(card: PostCard) -> PostCard:
    """Returns what may be kept of a deleted post: that there was one, and when."""
    return PostCard(network=card.network, post_id=card.post_id, kind=card.kind, at=card.at, policy=card.policy)
