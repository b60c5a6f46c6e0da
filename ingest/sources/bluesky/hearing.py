"""What of a stream of frames is passed on: posts that concern a brand, what hangs on those, and what becomes of both. No input
or output; what it remembers is in `StoryMemory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ingest.sources.bluesky import mapping
from ingest.sources.bluesky.interest import Concern, Interest, author_of
from ingest.sources.bluesky.mapping import Item
from ingest.sources.bluesky.memory import StoryMemory
from ingest.sources.bluesky.resuming import MOST_GONE
from ingest.sources.bluesky.shapes import (
    LIKE,
    POST,
    REPOST,
    FrameKind,
    Operation,
    PostRecord,
    PostView,
    ProfileView,
    SkyFrame,
    SubjectRecord,
    read,
)

_MOST_ID: Final = 200
_WRITTEN: Final = (Operation.CREATE, Operation.UPDATE)


@dataclass(slots=True)
class Overheard:
    """What some frames brought."""

    items: list[Item] = field(default_factory=list)
    authors: list[Item] = field(default_factory=list)


class Hearing:
    """Takes frames in the order of the stream. `renamed` is told of the new handle of an account."""

    def __init__(
        self, network: str, interest: Interest, memory: StoryMemory, renamed: Callable[[str, str], None]
    ) -> None:
        self._network = network
        self._interest = interest
        self._memory = memory
        self._renamed = renamed

    def take(self, frames: Sequence[SkyFrame], now: datetime) -> Overheard:
        """What these frames bring, `now` by our clock."""
        heard = Overheard()
        latest: datetime | None = None
        for frame in frames:
            if frame.kind is FrameKind.COMMIT:
                self._commit(frame, now, heard)
            elif frame.kind is FrameKind.ACCOUNT:
                self._account(frame, now, heard)
            elif frame.kind is FrameKind.IDENTITY and frame.what:
                self._renamed(frame.did, frame.what)
            latest = frame.at
        if latest is not None:
            for uri, post, likes in self._memory.likes_due(latest):
                totals = {"likes": likes}
                if item := mapping.counters_item(self._network, uri, post.root, totals, min(latest, now)):
                    heard.items.append(item)
        return heard

    def found(self, view: PostView, now: datetime) -> Item | None:
        """A post that was looked up, as history; None if it was passed on already, or cannot be read. It is remembered."""
        did, key = view.author.did, view.uri.rpartition("/")[2]
        post = read(view.record, PostRecord)
        if post is None or author_of(view.uri) != did or self._memory.get(view.uri) is not None:
            return None
        frame = SkyFrame(FrameKind.COMMIT, did, 0, shown_at(view, now), Operation.CREATE, POST, key, view.record)
        item = self._post(frame, post, self._interest.of(did, post) or Concern(), now, born=False)
        if item is not None:
            item.update(author=mapping.author_item(view.author), backfill=True)
        return item

    def _commit(self, frame: SkyFrame, now: datetime, heard: Overheard) -> None:
        """The frame, and then what had come before it and waited for it."""
        waiting = [frame]
        while waiting:
            one = waiting.pop()
            if one.collection == LIKE:
                if one.operation == Operation.CREATE and (like := read(one.record, SubjectRecord)) and like.subject:
                    self._memory.like(like.subject.uri)
            elif one.collection == REPOST:
                self._repost(one, now, heard)
            elif one.collection == POST and self._written(one, now, heard):
                waiting += reversed(self._memory.came(one.uri))

    def _written(self, frame: SkyFrame, now: datetime, heard: Overheard) -> bool:
        """A post was written, edited or deleted. Returns True if it is remembered now."""
        uri = frame.uri
        known = self._memory.get(uri) is not None
        if frame.operation == Operation.DELETE:
            if known or frame.did in self._interest.by_did:
                heard.items.append(mapping.deletion_item(self._network, uri, frame.at, now))
            else:
                self._memory.hold(frame, (uri,))
            return False
        post = read(frame.record, PostRecord) if frame.operation in _WRITTEN else None
        if post is None:
            return False
        concern = self._interest.of(frame.did, post)
        above = _above(post)
        if concern is None and not known and not any(self._memory.get(one) for one in above):
            if above:
                self._memory.hold(frame, above)
            return False
        item = self._post(frame, post, concern or Concern(), now, born=frame.operation == Operation.CREATE)
        if item is None:
            return False
        heard.items.append(item)
        return True

    def _post(self, frame: SkyFrame, post: PostRecord, concern: Concern, now: datetime, *, born: bool) -> Item | None:
        """The item of a post that is passed on, and is remembered from now on."""
        item = mapping.post_item(self._network, frame, post, concern, self._author(frame.did), now)
        if item is None:
            return None
        quote = item.get("quote_of")
        if quote is not None and (quoted := self._memory.get(quote["post_id"])) and quoted.root != quote["post_id"]:
            quote["root_id"] = quoted.root
        self._memory.remember(frame.uri, frame.did, mapping.root_of(frame.uri, post), born=born)
        return item

    def _repost(self, frame: SkyFrame, now: datetime, heard: Overheard) -> None:
        """A repost that is taken back stays counted: people have seen it."""
        record = read(frame.record, SubjectRecord) if frame.operation == Operation.CREATE else None
        if record is None or record.subject is None or len(frame.uri) > _MOST_ID:
            return
        subject = record.subject.uri
        author, post = author_of(subject), self._memory.get(subject)
        if author is None:
            return
        if post is None and author not in self._interest.by_did:
            self._memory.hold(frame, (subject,))
            return
        root = subject if post is None else post.root
        reposter = self._author(frame.did)
        heard.items.append(mapping.repost_item(self._network, frame, subject, root, reposter, record.createdAt, now))

    def _account(self, frame: SkyFrame, now: datetime, heard: Overheard) -> None:
        """An account that nobody was told of is nobody's business."""
        did, gone = frame.did, mapping.is_gone(frame)
        if gone and (self._memory.knows(did) or did in self._memory.gone):
            self._memory.forget_author(did, MOST_GONE)
        elif frame.active and did in self._memory.gone:
            del self._memory.gone[did]
        else:
            return
        heard.authors.append(mapping.author_change(self._network, did, frame.at, now, back=not gone))

    def _author(self, did: str) -> ProfileView:
        own = self._interest.by_did.get(did)
        return ProfileView(did, None if own is None else own.handle)


def _above(post: PostRecord) -> tuple[str, ...]:
    """The posts that it hangs on."""
    quoted = post.embed.quoted if post.embed is not None else None
    hung: Iterable[str | None] = (
        (quoted,) if post.reply is None else (post.reply.root.uri, post.reply.parent.uri, quoted)
    )
    return tuple(dict.fromkeys(uri for uri in hung if uri is not None and author_of(uri) is not None))


def shown_at(view: PostView, now: datetime) -> datetime:
    """When the server heard of a post; now if it does not say."""
    try:
        at = datetime.fromisoformat(view.indexedAt or "")
    except ValueError:
        return now
    return at if at.tzinfo is not None else now
