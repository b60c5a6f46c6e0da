"""Turns a post into the one or two events that it stands for, each in its conversation and with an id that is the same whenever
the post is sent again. Pure: the time, the brands and the limits are handed in.

A quote belongs to two conversations, so it becomes two events: one in its own conversation, and one in the quoted
conversation, as an engagement that brings the quoter's reach and text. Where both are the same conversation it becomes one
event, because a reply that quotes its own thread would count twice otherwise. The deletion of a quote becomes two events as
well, because both conversations have its text; so does an edit. Beside them go notices: where a reply or quote stands, and to
everybody that a post was deleted or hidden, because its own id is often all that is known of it. An edit that leaves only what
networks show where a text was removed is a deletion.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ingest.brands import BrandBook, Found
from ingest.claims import Claim, Ignored
from ingest.languages import language_tag
from ingest.markup import as_text
from ingest.placeholders import is_placeholder
from ingest.schemas import AuthorIn, ItemError, PostIn, Reason
from services.contracts.base import ConversationId, EventId, event_id
from services.contracts.direction import shown_name
from services.contracts.post import (
    Author,
    Counters,
    PostDeleted,
    PostKind,
    PostObserved,
    PostPlaced,
    PostRef,
    PostVisibility,
    SourcePolicy,
    observation_id,
)
from services.contracts.spelling import few_marks

AHEAD: Final = timedelta(hours=1)
"""How far a time may lie ahead of our clock. Clocks differ, but by more than an hour only if one of them is wrong."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ENGAGES: Final = frozenset({PostKind.REPLY, PostKind.REPOST})
_QUOTES: Final = frozenset({PostKind.REPLY, PostKind.QUOTE, PostKind.DELETION, PostKind.EDIT, PostKind.VISIBILITY})
_TIMES: Final = frozenset({Claim.CREATED_AT, Claim.EDITED_AT, Claim.AUTHOR_CREATED_AT})
_AHEAD_OF_US: Final = "more than an hour ahead of our clock"
_BARE: Final = frozenset({PostKind.COUNTERS, PostKind.DELETION, PostKind.VISIBILITY})
"""The text, brands and quotes that are sent with a snapshot, a deletion or a visibility are dropped."""
_CHANGES: Final = frozenset({PostKind.DELETION, PostKind.EDIT, PostKind.VISIBILITY})
"""What is said of a post that is there already: it stays the same kind in every conversation that holds the post."""


class Observation(NamedTuple):
    """An event and its id."""

    id: EventId
    event: PostObserved


class Notice(NamedTuple):
    """What the partition that a post's own id leads to must know of it, and its id; or all partitions, of a deletion."""

    id: EventId
    event: PostPlaced | PostDeleted | PostVisibility


@dataclass(frozen=True, slots=True)
class NormalizedPost:
    """What a post became. `post` names it (`network:id`), `notices` tell the other partitions of it, `found` says which brands
    it is about and why, and `ignored` what the client claimed and was not believed."""

    post: str
    observations: tuple[Observation, ...]
    notices: tuple[Notice, ...]
    found: Found
    ignored: tuple[Ignored, ...]

    @property
    def dropped_claim(self) -> bool:
        """True if a time that the client claimed was not believed."""
        return any(claim.field in _TIMES for claim in self.ignored)


class ItemRefused(Exception):
    """A post is rejected, for the reason in `error`."""

    def __init__(self, code: Reason, field: str | None, message: str) -> None:
        super().__init__(message)
        self.error = ItemError(code, field, message)


@dataclass(frozen=True, slots=True)
class Normalizer:
    """Normalises posts. `policies` says for each network what its terms allow to be passed on; what is missing allows all."""

    book: BrandBook
    policies: Mapping[str, SourcePolicy]
    max_text_chars: int

    def normalize(self, post: PostIn, now: datetime, unread: tuple[Ignored, ...] = ()) -> NormalizedPost:
        """What `post`, observed `now`, becomes. `unread` are claims that it was read without.

        Raises `ItemRefused` if its fields contradict each other, the configuration or the clock.
        """
        _check_relations(post)
        _check_content(post)
        ignored = list(unread)
        text = self._text(post, ignored)
        kind = PostKind.DELETION if post.kind is PostKind.EDIT and _was_removed(ignored) else post.kind
        bare = kind in _BARE
        handle = _without_at(post.author.handle) if post.author is not None else None
        found = self.book.find(
            post.network,
            None if bare else text,
            declared=() if bare else post.brands,
            author=handle,
            answers=post.reply_to,
        )
        created, edited, account_created = _times(post, now, ignored)
        home = _conversation(
            post, post.root_id or (None if post.kind is PostKind.ORIGINAL else post.parent_id) or post.post_id
        )
        quoted = None
        if post.quote_of is not None and kind in _QUOTES:
            quoted = _conversation(post, post.quote_of.root_id or post.quote_of.post_id)
        ref = None
        if post.quote_of is not None and quoted is not None:
            ref = PostRef(post_id=post.quote_of.post_id, conversation=quoted)
        own = PostObserved(
            network=post.network,
            post_id=post.post_id,
            kind=kind,
            conversation=home,
            home=home,
            parent_id=post.parent_id,
            quotes=None if bare else ref,
            author=_author(post.author, handle, account_created),
            text=None if bare else text,
            language=None if bare else _language(post.language, ignored),
            permalink=post.permalink,
            reply_link=post.reply_link,
            brands=found.brands,
            mentions=found.mentions,
            account=found.account,
            author_brand=found.author_brand,
            counters=None if post.counters is None else Counters(**dict(post.counters)),
            created_at=created,
            platform_at=_utc(post.platform_at),
            edited_at=None if bare else edited,
            observed_at=now,
            visible=post.visible if kind is PostKind.VISIBILITY else None,
            backfill=post.backfill,
            policy=self.policies.get(post.network, SourcePolicy.TEXT_ALLOWED),
        )
        observations = [_observed(own)]
        if ref is not None and quoted is not None and quoted != home:
            away = {"conversation": quoted, "parent_id": ref.post_id, "quotes": None}
            if kind not in _CHANGES:
                away["kind"] = PostKind.QUOTE
            observations.append(_observed(own.model_copy(update=away)))
        notices = _notices(own, quoted)
        name = f"{post.network}:{post.post_id}"
        return NormalizedPost(name, tuple(observations), notices, found, tuple(ignored))

    def _text(self, post: PostIn, ignored: list[Ignored]) -> str | None:
        unknown = [brand for brand in post.brands if brand not in self.book]
        if unknown:
            raise ItemRefused(
                Reason.UNKNOWN_BRAND,
                f"brands.{post.brands.index(unknown[0])}",
                f"there is no brand {unknown[0]!r}; configured are {self.book.listed}",
            )
        if post.text is None:
            return None
        if len(post.text) > self.max_text_chars:
            raise ItemRefused(
                Reason.TOO_LONG, "text", f"{len(post.text)} characters; the limit is {self.max_text_chars}"
            )
        text = clean(post.text)
        if is_placeholder(text):
            ignored.append(Ignored(Claim.TEXT, "what the network shows where a text was removed"))
            return None
        return text or None


def clean(text: str) -> str:
    """What people read of the text: without markup, in NFC, with `\\n` as line breaks, and without controls other than
    these and tabs."""
    text = as_text(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", few_marks(text))
    if text.isprintable():
        return text
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _check_relations(post: PostIn) -> None:
    """Raises `ItemRefused` if the fields do not fit together for this kind of post."""
    kind, own = post.kind, post.post_id
    if kind is PostKind.ORIGINAL:
        if post.root_id not in (None, own):
            raise ItemRefused(Reason.CONTRADICTION, "root_id", "an original post is the root of its own conversation")
        for field in ("parent_id", "reply_to"):
            if getattr(post, field) is not None:
                raise ItemRefused(Reason.CONTRADICTION, field, "an original post has no parent; is this a reply?")
    if kind in _ENGAGES and post.parent_id is None and post.root_id is None:
        raise ItemRefused(Reason.MISSING, "parent_id", f"a {kind} needs parent_id or root_id")
    if kind in _ENGAGES and post.parent_id is None and post.root_id == own:
        raise ItemRefused(Reason.CONTRADICTION, "root_id", f"a {kind} cannot be the root of its conversation")
    if post.parent_id == own:
        raise ItemRefused(Reason.CONTRADICTION, "parent_id", "a post cannot be its own parent")
    if kind is PostKind.QUOTE and post.quote_of is None:
        raise ItemRefused(Reason.MISSING, "quote_of", "a quote needs quote_of")
    if post.quote_of is not None:
        if kind in (PostKind.ORIGINAL, PostKind.REPOST):
            raise ItemRefused(Reason.CONTRADICTION, "quote_of", "a post that quotes another is of kind quote or reply")
        if post.quote_of.post_id == own:
            raise ItemRefused(Reason.CONTRADICTION, "quote_of.post_id", "a post cannot quote itself")


def _check_content(post: PostIn) -> None:
    """Raises `ItemRefused` if what this kind of post is about is missing."""
    kind = post.kind
    if kind is PostKind.COUNTERS and (post.counters is None or all(n is None for _, n in post.counters)):
        raise ItemRefused(Reason.MISSING, "counters", "a counters snapshot needs at least one total")
    if kind is PostKind.EDIT and post.text is None:
        raise ItemRefused(Reason.MISSING, "text", "an edit needs the new text; it is empty where no words are left")
    if kind is PostKind.VISIBILITY and post.visible is None:
        raise ItemRefused(Reason.MISSING, "visible", "a visibility says whether the post is visible")
    if kind is not PostKind.VISIBILITY and post.visible is False:
        raise ItemRefused(Reason.CONTRADICTION, "visible", "a hidden post is of kind visibility")


def _was_removed(ignored: list[Ignored]) -> bool:
    """Returns True if the text was only what networks show instead of one."""
    return any(claim.field is Claim.TEXT for claim in ignored)


def _times(
    post: PostIn, now: datetime, ignored: list[Ignored]
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """The claimed times that can be believed (of the post, its edit, the account); the others are `ignored`.

    Only a time that the network vouches for can get a post rejected (`ItemRefused`): a client with a wrong clock must not keep
    a complaint from being heard.
    """
    latest = now + AHEAD
    if post.platform_at is not None and post.platform_at > latest:
        raise ItemRefused(Reason.BAD_TIME, "platform_at", _AHEAD_OF_US)
    created = _utc(post.created_at)
    edited = _utc(post.edited_at)
    opened = _utc(post.author.created_at) if post.author is not None else None
    if edited is not None and edited > latest:
        edited = None
        ignored.append(Ignored(Claim.EDITED_AT, _AHEAD_OF_US))
    if edited is None and post.kind is PostKind.EDIT:
        edited = _utc(post.platform_at)
    if created is not None and created > latest:
        created = None
        ignored.append(Ignored(Claim.CREATED_AT, _AHEAD_OF_US))
    if opened is not None and opened > latest:
        opened = None
        ignored.append(Ignored(Claim.AUTHOR_CREATED_AT, _AHEAD_OF_US))
    return created, edited, opened


def _observed(event: PostObserved) -> Observation:
    return Observation(observation_id(event), event)


def _notices(own: PostObserved, quoted: ConversationId | None) -> tuple[Notice, ...]:
    """The notices of a post. Replies and quotes stand where their own ids do not lead; reposts have no words to be deleted, and
    are nobody's parent."""
    network, post_id = own.network, own.post_id
    if own.kind is PostKind.DELETION:
        deleted = PostDeleted(network=network, post_id=post_id, at=own.at)
        return (Notice(event_id(deleted.TYPE, network, post_id), deleted),)
    if own.visible is not None:
        seen = PostVisibility(network=network, post_id=post_id, visible=own.visible, at=own.at)
        return (Notice(event_id(seen.TYPE, network, post_id, seen.visible, own.platform_at), seen),)
    if own.kind not in (PostKind.REPLY, PostKind.QUOTE):
        return ()
    placed = PostPlaced(
        network=network, post_id=post_id, home=own.home, quoted=None if quoted == own.home else quoted, at=own.at
    )
    return (Notice(event_id(placed.TYPE, network, post_id, placed.home, placed.quoted or ""), placed),)


def _conversation(post: PostIn, root: str) -> ConversationId:
    return ConversationId(f"{post.network}:{root}")


def _author(author: AuthorIn | None, handle: str | None, created: datetime | None) -> Author | None:
    if author is None:
        return None
    return Author(id=author.id, handle=handle, followers=author.followers, verified=author.verified, created_at=created)


def _without_at(handle: str | None) -> str | None:
    return None if handle is None else shown_name(handle).removeprefix("@") or None


def _language(claimed: str | None, ignored: list[Ignored]) -> str | None:
    if claimed is None:
        return None
    tag = language_tag(claimed)
    if tag is None:
        ignored.append(Ignored(Claim.LANGUAGE, "there is no language with this code"))
    return tag


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
