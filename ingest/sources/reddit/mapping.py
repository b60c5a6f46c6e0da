"""What a comment or submission of Reddit becomes. Pure.

A submission is the root of its conversation, a comment a reply to it or to another comment. A crosspost is a quote. What was
removed stays in Reddit's lists as `[removed]` or `[deleted]`: it becomes a deletion. An author that is `[deleted]` has closed
the account; the words stand, without a name. Votes are told as what is left of them (`score`), so they count as likes only
where they are not below zero, and not while Reddit hides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingest.sources.polled.items import NotAPost, at_seconds, author, item
from ingest.sources.polled.lists import Listed
from ingest.sources.reddit.shapes import Post

SITE: Final = "https://www.reddit.com"
GONE: Final = "[deleted]"
REMOVED: Final = frozenset({"[removed]", "[deleted]", "[ removed by reddit ]", "[removed by reddit]"})


@dataclass(frozen=True, slots=True)
class RedditMapping:
    """`brands` are stated for what stands in a subreddit about them."""

    network: str
    brands: tuple[str, ...] = ()

    def entry(self, post: Post) -> Listed:
        """Raises `NotAPost`."""
        at = at_seconds(post.created_utc)
        if is_removed(post):
            deletion = (self.deletion(post.name),)
            # Nobody has heard it if it was removed before we came, and a deletion of the unknown costs little.
            return Listed(post.name, "removed", at, deletion, deletion)
        first = self.first(post, at)
        edit = self.edit(post)
        heard = (first,) if edit is None else (first, edit)
        return Listed(post.name, f"{post.edited}", at, heard, () if edit is None else (edit,))

    def first(self, post: Post, at: datetime) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "author": _author(post),
            "text": words(post),
            "permalink": f"{SITE}{post.permalink}" if (post.permalink or "").startswith("/r/") else None,
            "platform_at": at.isoformat(),
            "edited_at": _edited_at(post),
            "brands": list(self.brands) or None,
        }
        if post.name.startswith("t1_"):
            if not post.link_id:
                raise NotAPost("a comment on nothing")
            above = post.parent_id or post.link_id
            return item(self.network, "reply", post.name, root_id=post.link_id, parent_id=above, **fields)
        if not post.name.startswith("t3_"):
            raise NotAPost("neither a comment nor a submission")
        if (post.crosspost_parent or "").startswith("t3_") and post.crosspost_parent != post.name:
            return item(self.network, "quote", post.name, quote_of={"post_id": post.crosspost_parent}, **fields)
        return item(self.network, "original", post.name, **fields)

    def edit(self, post: Post) -> dict[str, Any] | None:
        """`None` where it was not edited, or long ago, when Reddit did not say when."""
        at = _edited_at(post)
        if at is None:
            return None
        fields: dict[str, Any] = {"text": words(post) or "", "edited_at": at, "platform_at": at}
        if post.name.startswith("t1_"):
            fields |= {"root_id": post.link_id, "parent_id": post.parent_id or post.link_id}
        return item(self.network, "edit", post.name, **fields)

    def deletion(self, name: str) -> dict[str, Any]:
        return item(self.network, "deletion", name)

    def counters(self, post: Post, now: datetime) -> dict[str, Any] | None:
        """`None` where Reddit tells no number."""
        hidden = post.score_hidden or post.hide_score or post.score is None or post.score < 0
        totals = {"likes": None if hidden else post.score, "replies": post.num_comments}
        told = {name: total for name, total in totals.items() if total is not None and total >= 0}
        if not told:
            return None
        root = post.link_id if post.name.startswith("t1_") else None
        return item(self.network, "counters", post.name, root_id=root, counters=told, platform_at=now.isoformat())


def words(post: Post) -> str | None:
    """What the author wrote. The address that a submission links to stands in a line of its own."""
    if post.name.startswith("t1_"):
        return post.body
    link = post.url if post.is_self is False and (post.url or "").startswith(("http://", "https://")) else None
    return "\n\n".join(part for part in (post.title, post.selftext, link) if part) or None


def is_removed(post: Post) -> bool:
    """Whether its words are no longer there for the public."""
    own = (post.body if post.name.startswith("t1_") else post.selftext) or ""
    return own.strip().lower() in REMOVED or bool(post.removed_by_category)


def _author(post: Post) -> dict[str, str] | None:
    if post.author in (None, "", GONE):
        return None
    return author(post.author_fullname or post.author, post.author)


def _edited_at(post: Post) -> str | None:
    if isinstance(post.edited, bool) or post.edited is None:
        return None
    return at_seconds(post.edited).isoformat()
