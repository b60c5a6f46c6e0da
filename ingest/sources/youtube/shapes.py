"""What the YouTube Data API v3 sends, as far as it is read (names as in its discovery document)."""

from __future__ import annotations

import msgspec


class ListAnswer(msgspec.Struct, rename="camel"):
    """Any list. `items` is missing where there are none, and `nextPageToken` on the last page, or it is null."""

    kind: str
    items: list[msgspec.Raw] | None = None
    next_page_token: str | None = None


class ChannelId(msgspec.Struct):
    value: str | None = None


class CommentSnippet(msgspec.Struct, rename="camel"):
    text_display: str | None = None
    text_original: str | None = None
    author_display_name: str | None = None
    author_channel_id: ChannelId | None = None
    video_id: str | None = None
    parent_id: str | None = None
    like_count: int | None = None
    published_at: str = ""
    updated_at: str | None = None


class Comment(msgspec.Struct):
    id: str
    snippet: CommentSnippet


class Replies(msgspec.Struct):
    comments: list[Comment] | None = None


class ThreadSnippet(msgspec.Struct, rename="camel"):
    top_level_comment: Comment
    video_id: str | None = None
    channel_id: str | None = None
    total_reply_count: int = 0


class Thread(msgspec.Struct):
    """A comment on a video, with some of the answers to it."""

    id: str
    snippet: ThreadSnippet
    replies: Replies | None = None


class VideoId(msgspec.Struct, rename="camel"):
    video_id: str | None = None


class FoundSnippet(msgspec.Struct, rename="camel"):
    published_at: str
    title: str = ""
    description: str = ""
    channel_id: str | None = None
    channel_title: str | None = None


class FoundVideo(msgspec.Struct):
    """One result of a search."""

    id: VideoId
    snippet: FoundSnippet


class VideoStatistics(msgspec.Struct, rename="camel"):
    """Numbers come as texts."""

    view_count: str | None = None
    like_count: str | None = None
    comment_count: str | None = None


class Video(msgspec.Struct):
    id: str
    statistics: VideoStatistics | None = None
