"""What a status or a notification means to us: which of them concern a brand, and the items that they become. Asks the server
for the conversation of a reply whose parent is not remembered, and for nothing else.

A server brings an edit before the creation, a creation after the deletion, and the same status by three ways. What was passed
on is remembered, so the first of them decides and the others add nothing; an edit of what nobody remembers brings the status,
too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from ingest.brands import BrandBook
from ingest.normalize import clean
from ingest.sources.mastodon.mapping import (
    Item,
    Relations,
    Server,
    answered_handle,
    counters_item,
    deletion_item,
    edit_item,
    handle_of,
    is_public,
    markup_of,
    post_id,
    repost_id,
    repost_item,
    status_item,
)
from ingest.sources.mastodon.memory import KnownStatus, StatusMemory
from ingest.sources.mastodon.shapes import MastodonNotification, MastodonStatus, quoted_in

_TO_US: Final = frozenset({"mention", "quote"})
_ABOUT_A_STATUS: Final = _TO_US | {"status", "update", "quoted_update"}

Ancestors = Callable[[str], Awaitable[list[MastodonStatus]]]
"""The statuses above the one with this id, the root first; none where they cannot be had now."""


class MastodonHearing:
    """`own_brands` are those that a message to our account is about."""

    def __init__(
        self,
        server: Server,
        book: BrandBook,
        memory: StatusMemory,
        ancestors: Ancestors,
        *,
        own_brands: tuple[str, ...] = (),
        private: bool = False,
    ) -> None:
        self.server = server
        self.memory = memory
        self._book = book
        self._ancestors = ancestors
        self._own_brands = own_brands
        self._private = private

    async def status(
        self, status: MastodonStatus, now: datetime, *, asked: bool, brands: tuple[str, ...] = (), surely: bool = False
    ) -> list[Item]:
        """The items of a status; none if it concerns nobody. `surely` says that it concerns us whatever its text says."""
        if self.memory.is_gone(status.local_id) or not (is_public(status) or (self._private and surely)):
            return []
        if status.reblog is not None:
            return await self._shared(status, status.reblog, now, asked=asked)
        if not (surely or brands or self.concerns(status)):
            return []
        edited = status.edited_at or ""
        known = self.memory.of(status.local_id)
        items = []
        if known is None:
            related = await self._related(status)
            post = post_id(status.uri)
            items.append(status_item(self.server, status, related, now, asked=asked, brands=brands))
            known = KnownStatus(post, related.root or related.parent or post)
        if edited > known.edited_at:
            items.append(edit_item(self.server, status, now))
            known = KnownStatus(known.post, known.root, edited)
        self.memory.remember(status.local_id, known)
        return items

    async def notification(self, told: MastodonNotification, now: datetime, *, asked: bool) -> list[Item]:
        status = told.status
        if status is None:
            return []
        if told.type in _ABOUT_A_STATUS:
            brands = self._own_brands if told.type in _TO_US else ()
            return await self.status(status, now, asked=asked, brands=brands, surely=True)
        if told.type == "reblog":
            return await self._shared_ours(status, told, now, asked=asked)
        if told.type == "favourite":
            counted = counters_item(self.server, status, now)
            return [] if counted is None else [counted]
        return []

    def deleted(self, local_id: str) -> list[Item]:
        """Nothing if nobody remembers it: see `memory`."""
        known = self.memory.forget(local_id)
        return [] if known is None else [deletion_item(self.server, known.post)]

    def concerns(self, status: MastodonStatus) -> bool:
        """True if it names a brand, is by one or answers one, or hangs on a status that was passed on."""
        found = self._book.find(
            self.server.network,
            clean(markup_of(status)),
            author=handle_of(status.account, self.server),
            answers=answered_handle(status, self.server),
        )
        if found.matches:
            return True
        if status.in_reply_to_id is not None and self.memory.of(str(status.in_reply_to_id)) is not None:
            return True
        quoted = quoted_in(status)
        return quoted is not None and (self.memory.of(quoted.local_id) is not None)

    async def _shared(
        self, sharing: MastodonStatus, shared: MastodonStatus, now: datetime, *, asked: bool
    ) -> list[Item]:
        """A status of a timeline that shares another one."""
        if self.memory.of(sharing.local_id) is not None or shared.reblog is not None:
            return []
        items = await self.status(shared, now, asked=asked)
        known = self.memory.of(shared.local_id)
        if known is None:
            return []
        items.append(
            repost_item(self.server, shared, sharing.account, known.root, sharing.created_at, now, asked=asked)
        )
        of = repost_id(shared, handle_of(sharing.account, self.server))
        self.memory.remember(sharing.local_id, KnownStatus(of, known.root))
        return items

    async def _shared_ours(
        self, shared: MastodonStatus, told: MastodonNotification, now: datetime, *, asked: bool
    ) -> list[Item]:
        """A notification that somebody shared a status of ours."""
        items = await self.status(shared, now, asked=asked, surely=True)
        known = self.memory.of(shared.local_id)
        if known is not None:
            items.append(repost_item(self.server, shared, told.account, known.root, told.created_at, now, asked=asked))
        return items

    async def _related(self, status: MastodonStatus) -> Relations:
        if status.in_reply_to_id is None:
            return Relations()
        parent = self.memory.of(str(status.in_reply_to_id))
        if parent is not None:
            return Relations(parent.post, parent.root)
        above = await self._ancestors(status.local_id)
        if not above:
            return Relations()
        return Relations(post_id(above[-1].uri), post_id(above[0].uri))
