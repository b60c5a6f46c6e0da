"""Builds items as `POST /v1/posts` takes them, and entries from what a list shows. Pure.

What a network leaves out is left out. A text is never added to: stars and titles of a form are no words of the author.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from ingest.schemas import FIRST_YEAR, LAST_YEAR, MAX_ID_CHARS
from ingest.sources.polled.lists import Listed, Page
from services.base.clock import moment

TEXT_CHARS: Final = 20_000
"""A longer text is cut: ingest would refuse the whole post, and what it complains of stands at its beginning."""
_Shape = TypeVar("_Shape")


class NotAPost(ValueError):
    """What a list shows at this place cannot be read as a post."""


def item(network: str, kind: str, post_id: str, **fields: Any) -> dict[str, Any]:
    """Leaves out what is `None`, and cuts the text. Raises `NotAPost` without a usable id."""
    if not post_id or len(post_id) > MAX_ID_CHARS:
        raise NotAPost("no id that can be used")
    said = {name: value for name, value in fields.items() if value is not None}
    if isinstance(text := said.get("text"), str):
        said["text"] = text[:TEXT_CHARS]
    return {"network": network, "post_id": post_id, "kind": kind, **said}


def author(account: str | None, handle: str | None) -> dict[str, str] | None:
    """`None` without an id: two people of one name are two."""
    if not account or len(account) > MAX_ID_CHARS:
        return None
    return {"id": account} if not handle or len(handle) > MAX_ID_CHARS else {"id": account, "handle": handle}


def at_seconds(seconds: float) -> datetime:
    """Raises `NotAPost` if it is no time of our days."""
    try:
        return _of_our_days(moment(seconds))
    except (OverflowError, OSError, ValueError):
        raise NotAPost("no time that can be used") from None


def at_words(said: str) -> datetime:
    """A time in RFC 3339, with any number of digits after the point. Raises `NotAPost`."""
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        raise NotAPost("no time that can be used") from None
    return _of_our_days(time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))


def page_of(
    raw: Iterable[msgspec.Raw],
    shape: type[_Shape],
    entries: Callable[[_Shape], Iterable[Listed]],
    following: str | None,
) -> Page:
    """Each post is read by itself: one that cannot be read is counted, and keeps no other from being heard."""
    found: list[Listed] = []
    unreadable = 0
    decode = msgspec.json.Decoder(shape).decode
    for part in raw:
        try:
            found += entries(decode(part))
        except (msgspec.DecodeError, NotAPost, RecursionError):
            unreadable += 1
    return Page(found, following or None, unreadable)


def _of_our_days(time: datetime) -> datetime:
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise NotAPost("no time of our days")
    return time
