"""What X says, as items of `POST /v1/posts`. Pure.

**What names a post.** Every edit has an id of its own, and lists the ids of all versions. Our id is that of the *first* one,
whichever is spoken of: a later version is an `edit` of it. Where the first one was never heard (the edit brought the brand's
name) the post is told with the later text, and then the edit: whoever knows the post already takes it for a repeat.

**When.** `created_at` is the network's: of the post that of its first version, read from its id, in which X writes the time;
of an edit that of the version.

**What it hangs on.** A post that replies and quotes is a reply that quotes. The root is `conversation_id`, except of a repost,
whose own conversation is empty: there it is that of the post that is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ingest.schemas import MAX_COUNT
from ingest.sources.x.shapes import MAX_ID_DIGITS, XIncludes, XPost, XProblem, XUser, each

LATE: Final = timedelta(minutes=15)
"""What was asked for and is older than that was missed when it was said, and is history."""
EPOCH_MILLISECONDS: Final = 1_288_834_974_657
FIRST_SNOWFLAKE: Final = 2**35
"""Smaller ids were counted, and tell no time (before November 2010)."""
NO_LANGUAGE: Final = frozenset({"und", "zxx", "art", "qam", "qct", "qht", "qme", "qst", "qpx", "qzx"})
"""What X says where there is no language: undetermined, only links, only hashtags, only media, too short."""
OLD_LANGUAGE: Final[Mapping[str, str]] = {"in": "id", "iw": "he"}
_COUNTERS: Final[Mapping[str, str]] = {
    "likes": "like_count",
    "reposts": "retweet_count",
    "replies": "reply_count",
    "quotes": "quote_count",
    "views": "impression_count",
}
_HIDDEN: Final = frozenset({"not-authorized-for-resource", "resource-unavailable", "disallowed-resource"})
_GONE: Final = "resource-not-found"

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """What came along with posts: their authors, and the posts that they refer to."""

    users: Mapping[str, XUser] = field(default_factory=dict)
    posts: Mapping[str, XPost] = field(default_factory=dict)

    def first(self, post_id: str) -> str:
        """The id of the first version of a post, as far as it is known here."""
        known = self.posts.get(post_id)
        return post_id if known is None else first_of(known)


def around(includes: XIncludes | None) -> Around:
    if includes is None:
        return Around()
    posts = [*each(includes.tweets, XPost), *each(includes.posts, XPost)]
    return Around({user.id: user for user in each(includes.users, XUser)}, {post.id: post for post in posts})


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS


def first_of(post: XPost) -> str:
    """Our id of a post. What lists no versions, or nonsense, is its own first one."""
    first = post.history[0]
    return first if is_id(first) else post.id


def written_at(post_id: str) -> datetime | None:
    """When a post was written, by its id."""
    if not is_id(post_id) or int(post_id) < FIRST_SNOWFLAKE:
        return None
    return datetime.fromtimestamp(((int(post_id) >> 22) + EPOCH_MILLISECONDS) / 1000, UTC)


def parsed(text: str | None) -> datetime | None:
    """A time that can be meant; without a zone it is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and 1990 <= found.year <= 2100 else None


def text_of(post: XPost) -> str:
    """The whole text: of a long post X cuts `text` and puts the rest beside it. X escapes `&`, `<` and `>`, nothing else."""
    note = post.note_tweet or post.note_post
    long = note.get("text") if isinstance(note, dict) else None
    text = long if isinstance(long, str) and long else post.text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def items_of(post: XPost, near: Around, now: datetime, *, asked: bool, known: bool = False) -> list[Item]:
    """The post, and the edit where this is a later version; of one whose first version is `known` the edit alone. `asked` says
    that it did not come by the stream."""
    first = first_of(post)
    edited = post.id != first
    items: list[Item] = []
    if not (edited and known):
        items.append(_post_item(post, near, now, asked=asked))
    kind = "" if not items else items[0]["kind"]
    if edited and kind != "repost":
        items.append(
            _without_nothing(
                {
                    "post_id": first,
                    "kind": "edit",
                    "text": text_of(post),
                    "language": language_of(post),
                    "platform_at": _when(post.created_at) or _stamp(written_at(post.id)),
                }
            )
        )
    return items


def counters_item(post: XPost, near: Around) -> Item | None:
    """The totals of a post; None where X tells none."""
    counters = _counters(post)
    author = _author(post, near)
    if not counters:
        return None
    return _without_nothing({"post_id": first_of(post), "kind": "counters", "author": author, "counters": counters})


def deletion_item(post_id: str) -> Item:
    return {"post_id": post_id, "kind": "deletion"}


def visibility_item(post_id: str, *, visible: bool) -> Item:
    return {"post_id": post_id, "kind": "visibility", "visible": visible}


def absent_item(problem: XProblem) -> Item | None:
    """What it means that a post which was asked for is not among the answers: deleted, or hidden (its author is suspended or
    protected). None where X says something else."""
    if problem.resource_id is None or problem.resource_type not in {None, "tweet", "post"}:
        return None
    if problem.kind == _GONE:
        return deletion_item(problem.resource_id)
    return visibility_item(problem.resource_id, visible=False) if problem.kind in _HIDDEN else None


def shared_by(post: XPost, near: Around) -> XPost | None:
    """The post that this one reposts, where it came along."""
    return next((near.posts.get(ref.id) for ref in post.references if ref.type == "retweeted"), None)


def language_of(post: XPost) -> str | None:
    language = (post.lang or "").lower()
    return None if language in NO_LANGUAGE or not language else OLD_LANGUAGE.get(language, language)


def _post_item(post: XPost, near: Around, now: datetime, *, asked: bool) -> Item:
    first = first_of(post)
    at = written_at(first) if first != post.id else parsed(post.created_at) or written_at(post.id)
    author = _author(post, near)
    handle = author.get("handle") if author else None
    item: Item = {
        "post_id": first,
        "kind": "original",
        "author": author,
        "text": text_of(post),
        "language": language_of(post),
        "permalink": f"https://x.com/{handle or 'i/web'}/status/{first}",
        "reply_link": f"https://x.com/intent/tweet?in_reply_to={first}",
        "platform_at": _stamp(at),
        "edited_at": _when(post.created_at) if first != post.id else None,
        "counters": _counters(post) or None,
        "backfill": asked and at is not None and now - at > LATE,
    }
    return _without_nothing(item | _relations(post, near, first))


def _relations(post: XPost, near: Around, own: str) -> Item:
    hangs_on = {ref.type: near.first(ref.id) for ref in post.references if ref.id and near.first(ref.id) != own}
    found: Item = {}
    shared, quoted, parent = (hangs_on.get(kind) for kind in ("retweeted", "quoted", "replied_to"))
    if shared is not None:
        original = shared_by(post, near)
        root = None if original is None else original.conversation_id
        # A repost has no words: "RT @jane: ..." is how it is written down.
        return {"kind": "repost", "parent_id": shared, "root_id": near.first(root) if root else None, "text": None}
    if quoted is not None:
        found = {"kind": "quote", "quote_of": {"post_id": quoted}}
    root = near.first(post.conversation_id) if post.conversation_id else None
    if parent is None and root not in {None, own, post.id} and post.in_reply_to_user_id:
        parent = root  # the post in between is not told, but that it is a reply
    if parent is not None:
        found |= {
            "kind": "reply",
            "parent_id": parent,
            "root_id": root if root != own else None,
            "reply_to": _answered(post, near),
        }
    return found


def _answered(post: XPost, near: Around) -> str | None:
    """The handle of the account that is answered."""
    user = near.users.get(post.in_reply_to_user_id or "")
    if user is not None and user.username:
        return user.username
    mentions = post.entities.get("mentions") if isinstance(post.entities, dict) else None
    for mention in mentions if isinstance(mentions, list) else ():
        if isinstance(mention, dict) and post.in_reply_to_user_id == str(mention.get("id", "")):
            return str(mention.get("username") or "") or None
    return None


def _author(post: XPost, near: Around) -> Item | None:
    if not post.author_id:
        return None
    user = near.users.get(post.author_id)
    if user is None:
        return {"id": post.author_id}
    metrics = user.public_metrics if isinstance(user.public_metrics, dict) else {}
    return _without_nothing(
        {
            "id": user.id,
            "handle": user.username,
            "followers": _count(metrics.get("followers_count")),
            "verified": user.verified,
            "created_at": _when(user.created_at),
        }
    )


def _counters(post: XPost) -> Item:
    metrics = post.public_metrics if isinstance(post.public_metrics, dict) else {}
    counted = {ours: _count(metrics.get(theirs)) for ours, theirs in _COUNTERS.items()}
    if counted["reposts"] is None:
        counted["reposts"] = _count(metrics.get("repost_count"))
    if any(ref.type == "retweeted" for ref in post.references):
        return {}  # X writes the totals of the shared post on every repost
    return _without_nothing(counted)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _when(text: str | None) -> str | None:
    return _stamp(parsed(text))


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _without_nothing(item: Item) -> Item:
    return {key: value for key, value in item.items() if value is not None}


def ids_of(posts: Sequence[XPost], near: Around) -> tuple[set[str], set[str]]:
    """The ids of the posts and of the users that came: what X may bill."""
    return {post.id for post in posts} | set(near.posts), set(near.users)
