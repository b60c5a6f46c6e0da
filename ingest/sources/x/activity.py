"""The webhooks of X's Activity API (kind `x_activity`): what happens to the brand's own account, as soon as it does, and the
deletions that no stream brings.

X asks every hour whether we know the secret (a *CRC*), and calls no more if we do not. Each call is signed with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from typing import Final

import structlog

from ingest.sources.base import Heard, Received, Refused, Reply, SourceContext
from ingest.sources.x.mapping import Item, around, deletion_item, first_of, is_id, items_of, shared_by
from ingest.sources.x.shapes import Unreadable, XCall, XPost, decode, each
from services.base.clock import Clock

logger = structlog.get_logger()

SIGNATURE: Final = "x-twitter-webhooks-signature"
CREATIONS: Final = frozenset(
    {"post.create", "post.mention.create", "post.reply.create", "post.quote.create", "post.repost.create"}
)
TO_US: Final = CREATIONS - {"post.create", "post.repost.create"}
"""What is said to the brand's account is about the brand, whether it names it or not."""
DELETION: Final = "post.delete"
MOST_TOKEN_CHARS: Final = 1_000
MOST_KINDS: Final = 100


class XActivityReceiver:
    """Satisfies `Receiver`. Raises `Refused` if there is no secret."""

    silence_seconds: float | None = None

    def __init__(self, context: SourceContext) -> None:
        self._secret = context.secrets.get("consumer_secret", "").encode()
        if not self._secret:
            raise Refused("there is no consumer secret: see docs/sources/x.md")
        self._clock: Clock = context.clock
        self._name = context.options.name
        self._brands = [brand.id for brand in context.brands] if len(context.brands) == 1 else []
        self.left_out: Counter[str] = Counter()
        """Events that are nothing to us, by their kind."""

    async def receive(self, request: Received) -> Reply:
        if request.method == "GET":
            return self._challenge(request.query.get("crc_token", ""))
        said = request.headers.get(SIGNATURE, "")
        if not hmac.compare_digest(said.encode(), self._sign(request.body).encode()):
            raise Refused("the signature is not right")
        try:
            call = decode(request.body, XCall)
        except Unreadable as error:
            raise ValueError("this is no event of the Activity API") from error
        return Reply(heard=Heard(self._items(call)))

    async def close(self) -> None:
        """There is nothing to give back."""

    def _challenge(self, token: str) -> Reply:
        if not 0 < len(token) <= MOST_TOKEN_CHARS:
            raise ValueError("a challenge without a token")
        body = f'{{"response_token":"{self._sign(token.encode())}"}}'
        return Reply(body=body.encode(), content_type="application/json")

    def _sign(self, what: bytes) -> str:
        return "sha256=" + base64.b64encode(hmac.digest(self._secret, what, hashlib.sha256)).decode()

    def _items(self, call: XCall) -> list[Item]:
        event, now = call.data, self._clock.now()
        post = next(iter(each([event.payload], XPost)), None)
        if event.event_type not in CREATIONS | {DELETION} or post is None or not is_id(post.id):
            kind = event.event_type if len(self.left_out) < MOST_KINDS else "others"
            self.left_out[kind[:64]] += 1
            logger.info("x_event_left_out", source=self._name, kind=kind[:64])
            return []
        if event.event_type == DELETION:
            return [deletion_item(first_of(post))]
        near = around(event.includes)
        items: list[Item] = []
        shared = shared_by(post, near)
        for one in (shared, post):
            if one is not None:
                items += items_of(one, near, now, asked=one is shared)
        if event.event_type in TO_US and self._brands:
            items = [item if item["kind"] == "edit" else {**item, "brands": self._brands} for item in items]
        return items


def build(context: SourceContext) -> XActivityReceiver:
    return XActivityReceiver(context)
