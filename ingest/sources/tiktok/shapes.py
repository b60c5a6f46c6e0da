"""The shapes of TikTok's webhooks. `content` is JSON in a JSON string; its ids are numbers of 19 digits, which Python keeps."""

from __future__ import annotations

from typing import Any

import msgspec


class TikTokEvent(msgspec.Struct):
    """The whole body. `user_openid` is our account that it concerns."""

    event: str
    content: str = "{}"
    user_openid: Any = None
    create_time: Any = None


class CommentContent(msgspec.Struct):
    """What happened to a comment. `unique_identifier` is its author, the same in every interface of TikTok."""

    comment_id: str | int
    video_id: str | int
    parent_comment_id: str | int | None = None
    comment_type: str = ""
    comment_action: str = ""
    text: str | None = None
    unique_identifier: Any = None
    timestamp: Any = None


class MentionContent(msgspec.Struct):
    """Where somebody named our account: in a comment, or in a video of theirs. What it holds is not documented in public; each
    field is taken if it is there."""

    comment_id: str | int | None = None
    parent_comment_id: str | int | None = None
    video_id: str | int | None = None
    item_id: str | int | None = None
    text: str | None = None
    caption: str | None = None
    unique_identifier: Any = None
    username: Any = None
    share_url: Any = None
    timestamp: Any = None
    create_time: Any = None
