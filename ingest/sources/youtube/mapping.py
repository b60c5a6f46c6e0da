"""What videos and comments of YouTube become. Pure.

A video is the root of its conversation, a comment a reply to it, an answer a reply to that comment. A comment on a channel
itself stands alone. A comment has been edited where it was updated after it was published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any, Final

from ingest.sources.polled.items import at_words, author, item
from ingest.sources.polled.lists import Item, Listed
from ingest.sources.youtube.shapes import Comment, FoundVideo, Thread, Video

SITE: Final = "https://www.youtube.com"


@dataclass(frozen=True, slots=True)
class YouTubeMapping:
    """`brands` are stated for what stands on the brands' own channels."""

    network: str
    brands: tuple[str, ...] = ()

    def thread(self, thread: Thread) -> Listed:
        """A thread, with the answers that came with it. Raises `NotAPost`."""
        top = thread.snippet.top_level_comment
        video = thread.snippet.video_id or top.snippet.video_id
        heard = list(self.comment(top, video))
        changed = list(self._edit(top, video, top.snippet.parent_id))
        for answer in (thread.replies.comments if thread.replies else None) or ():
            told = self.comment(answer, video)
            heard += told
            changed += told
        version = f"{top.snippet.updated_at} {thread.snippet.total_reply_count}"
        return Listed(thread.id, version, at_words(top.snippet.published_at), tuple(heard), tuple(changed))

    def comment(self, comment: Comment, video: str | None) -> Sequence[Item]:
        """A comment; and once more as an edit, where it was edited before we met it."""
        said = comment.snippet
        above = said.parent_id or video
        root = video or said.parent_id
        link = f"{SITE}/watch?v={video}&lc={comment.id}" if video else None
        first = item(
            self.network,
            "original" if above is None else "reply",
            comment.id,
            root_id=root,
            parent_id=above,
            author=_author(comment),
            text=_text(comment),
            permalink=link,
            platform_at=at_words(said.published_at).isoformat(),
            brands=list(self.brands) or None,
        )
        return (first, *self._edit(comment, video, said.parent_id))

    def _edit(self, comment: Comment, video: str | None, parent: str | None) -> Sequence[Item]:
        said = comment.snippet
        if not said.updated_at or at_words(said.updated_at) <= at_words(said.published_at):
            return ()
        above = parent or video
        return (
            item(
                self.network,
                "edit",
                comment.id,
                root_id=video or parent,
                parent_id=above,
                text=_text(comment) or "",
                edited_at=at_words(said.updated_at).isoformat(),
                platform_at=at_words(said.updated_at).isoformat(),
            ),
        )

    def video(self, found: FoundVideo) -> Listed | None:
        """A video that a search found; it opens the list of its comments. `None` for a channel or a playlist."""
        if not found.id.video_id:
            return None
        said = found.snippet
        at = at_words(said.published_at)
        first = item(
            self.network,
            "original",
            found.id.video_id,
            author=author(said.channel_id, said.channel_title),
            text=unescape("\n\n".join(part for part in (said.title, said.description) if part)) or None,
            permalink=f"{SITE}/watch?v={found.id.video_id}",
            platform_at=at.isoformat(),
        )
        return Listed(found.id.video_id, "", at, (first,), (), opens=list_of(found.id.video_id))

    def comment_counters(self, comment: Comment, replies: int | None, now: datetime) -> Item | None:
        root = comment.snippet.video_id or comment.snippet.parent_id
        return self._counters(comment.id, root, {"likes": comment.snippet.like_count, "replies": replies}, now)

    def video_counters(self, video: Video, now: datetime) -> Item | None:
        told = video.statistics
        if told is None:
            return None
        totals = {"views": told.view_count, "likes": told.like_count, "replies": told.comment_count}
        return self._counters(video.id, None, {name: _number(total) for name, total in totals.items()}, now)

    def _counters(self, post: str, root: str | None, totals: Mapping[str, int | None], now: datetime) -> Item | None:
        told = {name: total for name, total in totals.items() if total is not None and total >= 0}
        if not told:
            return None
        return item(self.network, "counters", post, root_id=root, counters=told, platform_at=now.isoformat())

    def deletion(self, post: str) -> dict[str, Any]:
        return item(self.network, "deletion", post)


def list_of(video: str) -> str:
    """The name of the list of a video's comments."""
    return f"video {video}"


def _text(comment: Comment) -> str | None:
    return comment.snippet.text_original or comment.snippet.text_display or None


def _author(comment: Comment) -> dict[str, str] | None:
    channel = comment.snippet.author_channel_id
    name = comment.snippet.author_display_name
    # A name is a handle only since YouTube shows handles; an old "Acme Air" would pass for an account of the brand.
    return author(channel.value if channel else None, name if name and name.startswith("@") else None)


def _number(said: str | None) -> int | None:
    return int(said) if said and said.isascii() and said.isdigit() and len(said) < 16 else None
