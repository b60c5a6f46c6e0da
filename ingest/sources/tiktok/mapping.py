"""What a webhook of TikTok says, as items. Pure.

`comment.update` tells of a comment in words, and of each change of who may see it. What only the author's friends see is not
public, and counts as hidden. TikTok tells no edits, because a comment cannot be edited there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ingest.sources.hooks.items import LeftOut, Owners, Understood, author, identifier, moment, post, words
from ingest.sources.hooks.reading import read
from ingest.sources.tiktok.shapes import CommentContent, MentionContent, TikTokEvent
from services.contracts.post import PostKind

COMMENT: Final = "comment.update"
HIDES: Final = frozenset({"set_to_hidden", "set_to_friends_only"})
SHOWS: Final = frozenset({"set_to_public"})


@dataclass(frozen=True, slots=True)
class TikTokMapping:
    network: str
    owners: Owners

    def __call__(self, body: bytes, now: datetime) -> Understood:
        """Raises `ValueError` if the body, or what it holds, cannot be read."""
        event = read(body, TikTokEvent)
        found = Understood()
        if event.event == COMMENT:
            self._comment(event, found, now)
        elif "mention" in event.event.lower():
            self._mention(event, found, now)
        else:
            private = event.event.startswith("im_") or "message" in event.event
            found.leave_out(LeftOut.PRIVATE if private else LeftOut.NOT_HEARD)
        return found

    def _comment(self, event: TikTokEvent, found: Understood, now: datetime) -> None:
        said = read(event.content, CommentContent, "`content`")
        place = {
            "post_id": identifier(said.comment_id),
            "root_id": identifier(said.video_id),
            "parent_id": _parent(said.parent_comment_id) or identifier(said.video_id),
        }
        at = moment(said.timestamp, now) or moment(event.create_time, now)
        action = said.comment_action
        if action == "insert":
            who = identifier(said.unique_identifier)
            found.items.append(
                post(
                    self.network,
                    PostKind.REPLY,
                    **place,
                    author=author(who, self.owners.handle(who)),
                    text=words(said.text),
                    platform_at=at,
                    brands=list(self._brands(event)),
                )
            )
        elif action == "delete":
            found.items.append(post(self.network, PostKind.DELETION, **place, platform_at=at))
        elif action in HIDES or action in SHOWS:
            found.items.append(
                post(self.network, PostKind.VISIBILITY, **place, visible=action in SHOWS, platform_at=at)
            )
        else:
            found.leave_out(LeftOut.NOT_HEARD)

    def _mention(self, event: TikTokEvent, found: Understood, now: datetime) -> None:
        said = read(event.content, MentionContent, "`content`")
        video = identifier(said.video_id) or identifier(said.item_id)
        comment = _parent(said.comment_id)
        if video is None and comment is None:
            found.leave_out(LeftOut.NAMES_NO_POST)
            return
        place = {"post_id": comment or video}
        if comment is not None and video is not None and comment != video:
            place |= {"root_id": video, "parent_id": _parent(said.parent_comment_id) or video}
        who = identifier(said.unique_identifier) or identifier(said.username)
        found.items.append(
            post(
                self.network,
                PostKind.REPLY if "root_id" in place else PostKind.ORIGINAL,
                **place,
                author=author(who, self.owners.handle(who) or words(said.username)),
                text=words(said.text) or words(said.caption),
                permalink=words(said.share_url),
                platform_at=moment(said.timestamp, now)
                or moment(said.create_time, now)
                or moment(event.create_time, now),
                brands=list(self._brands(event)),
            )
        )

    def _brands(self, event: TikTokEvent) -> tuple[str, ...]:
        return self.owners.brands(identifier(event.user_openid))


def _parent(value: str | int | None) -> str | None:
    """The id of a comment; 0 stands for none."""
    return None if value in (0, "0") else identifier(value)
