"""Posts for measurements: written by us, seeded, shaped like real ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from services.contracts.base import BrandId, ConversationId, event_id
from services.contracts.codec import encode
from services.contracts.post import Author, PostKind, PostObserved
from services.contracts.topics import POSTS
from services.eventlog.base import Message

TEXT = (
    "@acme third day without an answer. The parcel was marked as delivered, nobody here has it, and the hotline hangs up"
    " after forty minutes. This is not how you treat people who have been customers for ten years."
)


def engagements(count: int, conversations: int, begin: datetime, per_second: float = 50.0) -> Iterator[Message]:
    """One root a conversation, then reposts whose targets are drawn by a power law, as attention is."""
    rng = random.Random(1)
    for number in range(count):
        at = begin + timedelta(seconds=number / per_second)
        root = number if number < conversations else min(conversations, int(rng.paretovariate(0.6))) - 1
        conversation = ConversationId(f"x:{root}")
        is_root = number < conversations
        post = PostObserved(
            network="x",
            post_id=str(root) if is_root else f"r{number}",
            kind=PostKind.ORIGINAL if is_root else PostKind.REPOST,
            conversation=conversation,
            home=conversation,
            parent_id=None if is_root else str(root),
            author=Author(id=f"a{number}", handle=f"h{number}", followers=rng.randint(1, 3000)),
            brands=(BrandId("acme"),) if is_root else (),
            text=TEXT if is_root else None,
            platform_at=at,
            observed_at=at,
        )
        yield Message(POSTS.name, conversation, encode(post, event_id("x", post.post_id)))


def bodies(count: int, prefix: str) -> list[dict[str, Any]]:
    """Posts as the ingest API takes them, each a complaint of its own."""
    return [
        {
            "network": "x",
            "post_id": f"{prefix}{number}",
            "kind": "original",
            "author": {"id": f"a{number}", "handle": f"h{number}", "followers": 300},
            "text": f"{TEXT} ({number})",
            "language": "en",
            "permalink": f"https://x.com/h{number}/status/{prefix}{number}",
        }
        for number in range(count)
    ]
