"""What a client may claim about a post that we can do without: a claim that cannot be read is dropped and named in the answer,
and the post is taken. A complaint is not lost for its decoration. Pure.

What says which post it is, what it says and where it hangs is no claim, nor is what decides how its time or a snapshot counts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

from ingest.schemas import PostIn
from services.contracts.post import PostKind


class Claim(StrEnum):
    """What may be ignored: the `field` of an answer, and the label of a metric."""

    CREATED_AT = "created_at"
    EDITED_AT = "edited_at"
    LANGUAGE = "language"
    PERMALINK = "permalink"
    REPLY_LINK = "reply_link"
    AUTHOR = "author"
    AUTHOR_HANDLE = "author.handle"
    AUTHOR_FOLLOWERS = "author.followers"
    AUTHOR_VERIFIED = "author.verified"
    AUTHOR_CREATED_AT = "author.created_at"
    COUNTERS = "counters"
    COUNTERS_LIKES = "counters.likes"
    COUNTERS_REPOSTS = "counters.reposts"
    COUNTERS_REPLIES = "counters.replies"
    COUNTERS_QUOTES = "counters.quotes"
    COUNTERS_VIEWS = "counters.views"
    TEXT = "text"


class Ignored(NamedTuple):
    """A claim that was dropped. Never states the value, which may be private."""

    field: Claim
    why: str


class Reduced(NamedTuple):
    """A post that was read without some of its claims."""

    post: PostIn
    ignored: tuple[Ignored, ...]


_BY_PATH: Final[dict[tuple[str, ...], Claim]] = {
    tuple(claim.value.split(".")): claim for claim in Claim if claim is not Claim.TEXT
}


def claim_at(place: tuple[str | int, ...], value: dict[str, Any]) -> Claim | None:
    """The claim that the field at `place` of the item `value` belongs to; `None` if the post cannot do without it.

    The totals of a snapshot are the snapshot; beside any other post they are decoration.
    """
    names = tuple(str(part) for part in place[:2])
    if names[:1] == ("counters",) and value.get("kind") == PostKind.COUNTERS.value:
        return None
    if names[:1] in _BY_PATH and names[0] not in ("author", "counters"):
        return _BY_PATH[names[:1]]
    # Without its id an author is nobody, so all of the author goes.
    return Claim.AUTHOR if names == ("author", "id") else _BY_PATH.get(names)


def without(value: dict[str, Any], claim: Claim) -> None:
    """Take the claim out of the item `value`."""
    first, _, second = claim.value.partition(".")
    if not second:
        value.pop(first, None)
    elif isinstance(part := value.get(first), dict):
        part.pop(second, None)
