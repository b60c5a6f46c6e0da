"""Chooses the posts that an incident keeps (root, loudest voices, a few exemplars), and forgets deleted ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.contracts.base import Part
from services.contracts.signal import PostCard

MAX_LOUDEST: Final = 5
MAX_EXEMPLARS: Final = 5
"""Enough for a person to judge; a message has to stay below 20 kB."""
ALIKE: Final = 0.8
"""Two posts say the same if so large a part of their words is common to both."""
MOST_CHARACTERS: Final = 1_000
MAX_REDACTED: Final = 500
"""How many deleted posts are remembered by id, so that a late forecast does not bring their text back."""

PostKey = tuple[str, str]
"""Network and post id."""


class Cards(Part):
    root: PostCard | None = None
    driver: PostCard | None = None
    loudest: tuple[PostCard, ...] = ()
    exemplars: tuple[PostCard, ...] = ()
    redacted: tuple[PostKey, ...] = ()

    def every(self) -> tuple[PostCard, ...]:
        single = (card for card in (self.root, self.driver) if card is not None)
        return (*single, *self.loudest, *self.exemplars)


def key(card: PostCard) -> PostKey:
    return card.network, card.post_id


def merge(
    cards: Cards,
    root: PostCard | None,
    loudest: Iterable[PostCard] = (),
    exemplars: Iterable[PostCard] = (),
    driver: PostCard | None = None,
) -> Cards:
    """Returns the cards with new ones added, without those that were deleted.

    The newer card of a post wins. The loudest are those with the most followers, the exemplars the most negative ones
    that say different things.
    """
    gone = set(cards.redacted)
    if root is None or key(root) in gone:
        root = cards.root
    if driver is None or key(driver) in gone:
        driver = cards.driver
    return Cards(
        root=root,
        driver=driver,
        loudest=_best((*cards.loudest, *loudest), gone, MAX_LOUDEST, lambda card: card.followers or 0),
        exemplars=_best(
            (*cards.exemplars, *exemplars), gone, MAX_EXEMPLARS, lambda card: card.negative or 0.0, alike=_says_the_same
        ),
        redacted=cards.redacted,
    )


def _best(
    cards: Iterable[PostCard],
    gone: set[PostKey],
    most: int,
    worth: Callable[[PostCard], float],
    alike: Callable[[PostCard, PostCard], bool] | None = None,
) -> tuple[PostCard, ...]:
    newest = {key(card): card for card in cards if key(card) not in gone}
    best: list[PostCard] = []
    for card in sorted(newest.values(), key=lambda card: (-worth(card), key(card))):
        if len(best) < most and not (alike is not None and any(alike(card, other) for other in best)):
            best.append(card)
    return tuple(best)


def _says_the_same(one: PostCard, other: PostCard) -> bool:
    """Returns True if most words of two posts are the same, handles and addresses apart. Without text nothing is the same."""
    mine, theirs = _words(one), _words(other)
    return bool(mine) and len(mine & theirs) >= ALIKE * len(mine | theirs)


def _words(card: PostCard) -> set[str]:
    words = (card.text or "")[:MOST_CHARACTERS].casefold().split()
    return {word for word in words if not word.startswith(("@", "http://", "https://"))}


def forget(cards: Cards, post: PostKey) -> Cards:
    """Returns the cards without the post's text and author. Its id stays, so that it cannot come back."""
    root = cards.root
    if root is not None and key(root) == post:
        root = stub(root)
    driver = cards.driver
    return Cards(
        root=root,
        driver=None if driver is not None and key(driver) == post else driver,
        loudest=tuple(card for card in cards.loudest if key(card) != post),
        exemplars=tuple(card for card in cards.exemplars if key(card) != post),
        redacted=(*(gone for gone in cards.redacted if gone != post), post)[-MAX_REDACTED:],
    )


def edit(cards: Cards, post: PostCard) -> Cards:
    """Returns the cards with the new words of a post, wherever it is kept; the rest of what is known of it stays."""

    def new(card: PostCard) -> PostCard:
        return _edited(card, post) if key(card) == key(post) else card

    return cards.model_copy(
        update={
            "root": None if cards.root is None else new(cards.root),
            "driver": None if cards.driver is None else new(cards.driver),
            "loudest": tuple(map(new, cards.loudest)),
            "exemplars": tuple(map(new, cards.exemplars)),
        }
    )


def _edited(card: PostCard, post: PostCard) -> PostCard:
    said = {name: getattr(post, name) for name in ("text", "edited_at", "negative", "positive")}
    known = {
        name: getattr(post, name)
        for name in ("language", "author", "author_id", "followers", "permalink", "reply_link")
    }
    return card.model_copy(update=said | {name: value for name, value in known.items() if value is not None})


def stub(card: PostCard) -> PostCard:
    """Returns what may be kept of a deleted post: that there was one, and when."""
    return PostCard(network=card.network, post_id=card.post_id, kind=card.kind, at=card.at, policy=card.policy)
