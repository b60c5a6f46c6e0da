"""What a notification of Meta says, as items. Pure.

A page's notices are told by `item` and `verb`. A comment hangs on its post, a rating is a post of its own, and whatever is
told about the page's own feed is about the brand whose account the page is, whether the text names it or not. Names of people
are not taken for handles: on Facebook everybody may call themselves like a brand. What the page itself wrote carries the handle
of the brand's account, which is how an answer of the brand is known.

Reactions are nothing to store: Meta tells each press of a button and no totals. Private messages are counted and forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from ingest.sources.hooks.items import Item, LeftOut, Owners, Understood, author, each, identifier, moment, post, words
from ingest.sources.hooks.reading import bounded, read
from ingest.sources.meta.shapes import Change, Entry, Envelope, InstagramValue, PageValue, ThreadsValue, sender
from services.config.connectors.meta import MetaObject
from services.contracts.post import PostKind

ADDS: Final = frozenset({"add"})
EDITS: Final = frozenset({"edit", "edited"})
REMOVES: Final = frozenset({"remove", "delete"})
HIDES: Final = frozenset({"hide", "block"})
SHOWS: Final = frozenset({"unhide", "unblock"})
BUTTONS: Final = frozenset({"like", "reaction"})
POSTS: Final = frozenset({"post", "status", "photo", "video", "share", "link", "note", "album"})
PAGE_FIELDS: Final = frozenset({"feed", "mention", "ratings"})
PRIVATE_FIELDS: Final = frozenset(
    {"messages", "conversations", "leadgen", "message_reactions", "messaging_postbacks", "messaging_seen"}
)
INSTAGRAM_COMMENTS: Final = frozenset({"comments", "live_comments"})
THREADS_POSTS: Final = frozenset({"replies", "mentions", "publish"})
_PLAIN: Final = re.compile(r"[0-9_]{1,100}")


@dataclass(frozen=True, slots=True)
class ChangeNotice:
    """One change, on whose account and when it was told."""

    field: str
    value: msgspec.Raw
    account: str | None
    at: str | None


@dataclass(frozen=True, slots=True)
class MetaMapping:
    """Maps the notifications about one kind of account."""

    object: MetaObject
    network: str
    owners: Owners

    def __call__(self, body: bytes, now: datetime) -> Understood:
        """Raises `ValueError` if the body cannot be read."""
        envelope = read(body, Envelope)
        threads = not envelope.object and bool(envelope.topic)
        told = "threads" if threads else envelope.object
        if told != self.object.value:
            named = repr(told) if told in set(MetaObject) else "nothing that is known"
            raise ValueError(
                f"`object`: this connector hears {self.object.value!r}, and the notification is of {named}"
            )
        private = 0
        if threads:
            parts = [(envelope.target_id, envelope.time, raw) for raw in _one_or_many(envelope.values)]
        else:
            parts = []
            for raw in envelope.entry:
                entry = _entry(raw)
                private += len(entry.messaging) + len(entry.standby)
                parts += [(entry.id, entry.time, change) for change in entry.changes]
        found = each(bounded(parts), lambda part, found: self._change(part, found, now))
        if private:
            found.leave_out(LeftOut.PRIVATE, private)
        return found

    def _change(self, part: tuple[Any, Any, msgspec.Raw], found: Understood, now: datetime) -> None:
        account, time, raw = part
        change = read(raw, Change, "a change")
        notice = ChangeNotice(change.field, change.value, identifier(account), moment(time, now))
        if self.object is MetaObject.PAGE:
            self._page(notice, found, now)
        elif self.object is MetaObject.INSTAGRAM:
            self._instagram(notice, found, now)
        else:
            self._threads(notice, found, now)

    def _page(self, notice: ChangeNotice, found: Understood, now: datetime) -> None:
        if notice.field not in PAGE_FIELDS:
            found.leave_out(LeftOut.PRIVATE if notice.field in PRIVATE_FIELDS else LeftOut.NOT_HEARD)
            return
        value = read(notice.value, PageValue, f"a change of {notice.field}")
        if value.item in BUTTONS:
            found.leave_out(LeftOut.REACTION)
            return
        place = _place(value, notice.field)
        if place is None:
            found.leave_out(LeftOut.NOT_HEARD)
            return
        if place["post_id"] is None:
            found.leave_out(LeftOut.NAMES_NO_POST)
            return
        text = words(value.review_text if value.item == "rating" else value.message)
        if value.verb in ADDS:
            if value.published in (0, False):
                found.leave_out(LeftOut.UNPUBLISHED)
                return
            id_ = next(filter(None, map(identifier, (sender(value.by)[0], value.sender_id, value.reviewer_id))), None)
            kind = PostKind.REPLY if "root_id" in place else PostKind.ORIGINAL
            found.items.append(
                post(
                    self.network,
                    kind,
                    **place,
                    author=author(id_, self.owners.handle(id_)),
                    text=text,
                    permalink=_permalink(value),
                    platform_at=moment(value.created_time, now) or notice.at,
                    brands=list(self.owners.brands(notice.account)),
                )
            )
            if value.is_hidden is True:
                found.items.append(self._visibility(place, notice, visible=False))
        elif value.verb in EDITS:
            self._edited(place, text, notice, found)
        elif value.verb in REMOVES:
            found.items.append(self._deleted(place, notice))
        elif value.verb in HIDES or value.verb in SHOWS:
            found.items.append(self._visibility(place, notice, visible=value.verb in SHOWS))
        else:
            found.leave_out(LeftOut.NOT_HEARD)

    def _instagram(self, notice: ChangeNotice, found: Understood, now: datetime) -> None:
        comments = notice.field in INSTAGRAM_COMMENTS
        if not comments and notice.field != "mentions":
            private, counted = notice.field in PRIVATE_FIELDS, notice.field.endswith("insights")
            why = LeftOut.PRIVATE if private else LeftOut.STATISTICS if counted else LeftOut.NOT_HEARD
            found.leave_out(why)
            return
        value = read(notice.value, InstagramValue, f"a change of {notice.field}")
        media = identifier(value.media_id if value.media is None else value.media.id)
        id_ = identifier(value.id if comments else value.comment_id or value.media_id)
        if id_ is None:
            found.leave_out(LeftOut.NAMES_NO_POST)
            return
        place = _hung(id_, identifier(value.parent_id) or media, media)
        person, name = sender(value.by)
        handle = words(name) or words(value.username)
        person = identifier(person) or identifier(handle)
        found.items.append(
            post(
                self.network,
                PostKind.REPLY if "root_id" in place else PostKind.ORIGINAL,
                **place,
                author=author(person, self.owners.handle(person) or handle),
                text=words(value.text),
                platform_at=moment(value.timestamp, now) or notice.at,
                brands=list(self.owners.brands(notice.account)),
            )
        )
        if value.hidden is True:
            found.items.append(self._visibility(place, notice, visible=False))

    def _threads(self, notice: ChangeNotice, found: Understood, now: datetime) -> None:
        if notice.field not in THREADS_POSTS and notice.field != "delete":
            found.leave_out(LeftOut.NOT_HEARD)
            return
        value = read(notice.value, ThreadsValue, f"a change of {notice.field}")
        id_ = identifier(value.id)
        if id_ is None:
            found.leave_out(LeftOut.NAMES_NO_POST)
            return
        parent = None if value.replied_to is None else identifier(value.replied_to.id)
        root = None if value.root_post is None else identifier(value.root_post.id)
        quoted = None if value.quoted_post is None else identifier(value.quoted_post.id)
        place = _hung(id_, parent or root, root or parent)
        if notice.field == "delete":
            found.items.append(self._deleted(place, notice))
            return
        hangs = "root_id" in place
        quotes = quoted if quoted != id_ else None
        handle = words(value.username)
        found.items.append(
            post(
                self.network,
                PostKind.REPLY if hangs else PostKind.QUOTE if quotes else PostKind.ORIGINAL,
                **place,
                author=author(identifier(handle), handle),
                text=words(value.text),
                permalink=words(value.permalink),
                platform_at=moment(value.timestamp, now) or notice.at,
                quote_of={"post_id": quotes} if quotes else None,
                brands=list(self._addressed(value, notice)),
            )
        )
        if value.hide_status == "HIDDEN":
            found.items.append(self._visibility(place, notice, visible=False))

    def _addressed(self, value: ThreadsValue, notice: ChangeNotice) -> tuple[str, ...]:
        """The brands on whose thread it stands, or whose account it mentions."""
        root = value.root_post
        ids = (notice.account, *((identifier(root.owner_id), identifier(root.username)) if root is not None else ()))
        known = next((id_ for id_ in ids if self.owners.handle(id_) is not None), None)
        return self.owners.brands(known)

    def _edited(self, place: Item, text: str | None, notice: ChangeNotice, found: Understood) -> None:
        if text is None:
            found.leave_out(LeftOut.SAYS_NOTHING)
            return
        found.items.append(post(self.network, PostKind.EDIT, **place, text=text, platform_at=notice.at))

    def _deleted(self, place: Item, notice: ChangeNotice) -> Item:
        return post(self.network, PostKind.DELETION, **place, platform_at=notice.at)

    def _visibility(self, place: Item, notice: ChangeNotice, *, visible: bool) -> Item:
        return post(self.network, PostKind.VISIBILITY, **place, visible=visible, platform_at=notice.at)


def _place(value: PageValue, field: str) -> Item | None:
    """Which post a change of a page is about, and where it hangs; `None` if it is about something else."""
    post_id, comment = identifier(value.post_id), identifier(value.comment_id)
    if value.item == "rating":
        return {"post_id": identifier(value.open_graph_story_id)}
    if value.item in POSTS:
        return {"post_id": post_id}
    if value.item != "comment":
        return None
    if comment is None:
        return {"post_id": None}
    parent = identifier(value.parent_id) or post_id
    if field == "ratings":
        # A rating's own notice names its story alone; a comment on it names reviewer and story.
        story = None if post_id is None else post_id.rpartition("_")[2]
        parent, post_id = story if parent == post_id else parent, story
    return _hung(comment, parent, post_id)


def _hung(id_: str, parent: str | None, root: str | None) -> Item:
    """A post and what it hangs on, where that is another post."""
    place: Item = {"post_id": id_}
    if root is not None and root != id_:
        place |= {"root_id": root, "parent_id": parent if parent != id_ else root}
    return place


def _permalink(value: PageValue) -> str | None:
    """Where people read it: the comment's link if it is told, otherwise the post, which the site finds by its id."""
    link, post_id = words(value.permalink_url), identifier(value.post_id)
    if link is not None or post_id is None or not _PLAIN.fullmatch(post_id):
        return link
    return f"https://www.facebook.com/{post_id}"


def _entry(raw: msgspec.Raw) -> Entry:
    return read(raw, Entry, "an entry")


def _one_or_many(values: msgspec.Raw) -> list[msgspec.Raw]:
    held = bytes(values).lstrip()
    return read(values, list[msgspec.Raw], "`values`") if held.startswith(b"[") else [values]
