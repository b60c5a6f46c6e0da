"""Decides what a network's terms let out of the house. Pure.

Webhooks and digests leave the house, and so does what a key that is limited to brands reads in the API and the console.
An `ids_only` post goes out without text and author; an `internal` post does not go out at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from alerter.incidents.cards import Cards
from alerter.incidents.record import IncidentRecord
from services.contracts.incident import Incident
from services.contracts.post import SourcePolicy
from services.contracts.signal import PostCard

SourcePolicies = Callable[[str], SourcePolicy]
"""Returns the source policy that the configuration gives a network."""
_STRICTNESS: Final = {SourcePolicy.TEXT_ALLOWED: 0, SourcePolicy.IDS_ONLY: 1, SourcePolicy.INTERNAL: 2}


def outside(card: PostCard, policies: SourcePolicies) -> PostCard | None:
    """Returns the card as it may leave the house, or `None` if it may not.

    The stricter of the post's own policy and its network's applies.
    """
    policy = max(card.policy, policies(card.network), key=_STRICTNESS.__getitem__)
    if policy is SourcePolicy.INTERNAL:
        return None
    if policy is SourcePolicy.TEXT_ALLOWED:
        return card if card.author_id is None else card.model_copy(update={"author_id": None})
    author = (card.author or "").removeprefix("@").lower()
    # Many networks put the handle into the link. A connector that knows a link by the id alone should send that one.
    named = {
        name: None for name in ("permalink", "reply_link") if author and author in (getattr(card, name) or "").lower()
    }
    return card.model_copy(update={"author": None, "author_id": None, "text": None, "policy": policy, **named})


def several_outside(cards: Iterable[PostCard], policies: SourcePolicies) -> tuple[PostCard, ...]:
    return tuple(shown for card in cards if (shown := outside(card, policies)) is not None)


def incident_outside(incident: Incident, policies: SourcePolicies) -> Incident:
    return incident.model_copy(update=_posts(incident, policies))


def record_outside(record: IncidentRecord, policies: SourcePolicies) -> IncidentRecord:
    cards = record.cards.model_copy(update=_posts(record.cards, policies))
    return record.model_copy(update={"incident": incident_outside(record.incident, policies), "cards": cards})


def _posts(held: Incident | Cards, policies: SourcePolicies) -> dict[str, PostCard | tuple[PostCard, ...] | None]:
    return {
        "root": outside(held.root, policies) if held.root is not None else None,
        "driver": outside(held.driver, policies) if held.driver is not None else None,
        "loudest": several_outside(held.loudest, policies),
        "exemplars": several_outside(held.exemplars, policies),
    }
