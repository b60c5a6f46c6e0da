"""What a server with Mastodon's API says, as items of `POST /v1/posts`. Pure.

**What names a post.** A status has another id on every server, but one `uri` everywhere: that is our id of it, so a status
that is heard through two servers is one post. A deletion carries only the server's own id: `memory` knows which `uri` that
was. A reblog is named by who shares what, because a notification of it does not tell the id that the stream tells; that one
account can share a status only once makes it the same thing.

**Who wrote it.** `name@host`, also for accounts of the server itself, which leaves the host out: again the same on all servers.

**When.** The server vouches for the time of its own statuses. That of others is what their server claimed.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from ingest.schemas import MAX_ID_CHARS, MAX_LINK_CHARS, WEB_LINK
from ingest.sources.mastodon.shapes import MastodonAccount, MastodonStatus, quoted_in

MOST_CONTENT: Final = 20_000
"""Characters of markup. Mastodon allows 500 of text by default; others allow more, and no server can make us read a book."""
LATE: Final = timedelta(minutes=15)
"""What was asked for and is older than that was missed when it was said, and is history."""
_WEB_LINK: Final = re.compile(WEB_LINK)
_PUBLIC: Final = frozenset({"public", "unlisted"})

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """Whose ids these are: `base` is where the API is, `domain` what stands behind the @ of its accounts."""

    network: str
    base: str
    domain: str


@dataclass(frozen=True, slots=True)
class Relations:
    """What a status hangs on, as ids of posts. A reply whose parent nobody knows hangs on a name made of the server's id."""

    parent: str | None = None
    root: str | None = None


def is_public(status: MastodonStatus) -> bool:
    return status.visibility in _PUBLIC


def post_id(uri: str) -> str:
    """An address that is too long to be an id is named by its digest."""
    return uri if 0 < len(uri) <= MAX_ID_CHARS else f"sha256:{hashlib.sha256(uri.encode()).hexdigest()}"


def unknown_parent(server: Server, local_id: str) -> str:
    return post_id(f"{server.base}/statuses/{local_id}")


def repost_id(status: MastodonStatus, by: str) -> str:
    return post_id(f"{status.uri}#shared-by-{by}")


def handle_of(account: MastodonAccount, server: Server) -> str:
    acct = account.acct.removeprefix("@").lower()
    return acct if "@" in acct else f"{acct}@{server.domain}"


def markup_of(status: MastodonStatus) -> str:
    """The warning and the text, as HTML. The warning is plain text."""
    content = (status.content or "")[:MOST_CONTENT]
    warning = (status.spoiler_text or "")[:MOST_CONTENT].strip()
    return f"<p>{html.escape(warning, quote=False)}</p>{content}" if warning else content


def answered_handle(status: MastodonStatus, server: Server) -> str | None:
    """The handle of the account that is answered."""
    for mention in status.mentions:
        if status.in_reply_to_account_id is not None and str(mention.id) == str(status.in_reply_to_account_id):
            return handle_of(MastodonAccount(mention.id, mention.acct), server)
    return None


def status_item(
    server: Server,
    status: MastodonStatus,
    related: Relations,
    now: datetime,
    *,
    asked: bool,
    brands: tuple[str, ...] = (),
) -> Item:
    """The status as a post. `asked` says that it did not come by the stream."""
    item: Item = {
        **_about(server, status, now),
        "kind": "original",
        "author": author_item(status.account, server),
        "text": markup_of(status) or None,
        "language": status.language or None,
        "permalink": _link(status.url) or _link(status.uri),
        "reply_link": _link(f"{server.base}/authorize_interaction?uri={quote(status.uri, safe='')}"),
        "backfill": asked and _is_late(status, now),
        "brands": list(brands),
        "edited_at": _moment(status.edited_at),
    }
    quoted = quoted_in(status)
    if quoted is not None and quoted.uri != status.uri:
        item |= {"kind": "quote", "quote_of": {"post_id": post_id(quoted.uri)}}
    if status.in_reply_to_id is not None:
        item |= {
            "kind": "reply",
            "parent_id": related.parent or unknown_parent(server, str(status.in_reply_to_id)),
            "root_id": related.root,
            "reply_to": answered_handle(status, server),
        }
    if counters := counters_of(status):
        item["counters"] = counters
    return _said(item)


def edit_item(server: Server, status: MastodonStatus, now: datetime) -> Item:
    """Another text of a status that is there already."""
    return _said(
        {
            "network": server.network,
            "post_id": post_id(status.uri),
            "kind": "edit",
            "author": author_item(status.account, server),
            "text": markup_of(status) or None,
            "language": status.language or None,
            "edited_at": _moment(status.edited_at) or now.isoformat(),
        }
    )


def repost_item(
    server: Server,
    status: MastodonStatus,
    by: MastodonAccount,
    root: str | None,
    at: str | None,
    now: datetime,
    *,
    asked: bool,
) -> Item:
    """Somebody shared `status`."""
    moment = parsed(at)
    return _said(
        {
            "network": server.network,
            "post_id": repost_id(status, handle_of(by, server)),
            "kind": "repost",
            "parent_id": post_id(status.uri),
            "root_id": root,
            "author": author_item(by, server),
            "created_at": _moment(at),
            "backfill": asked and moment is not None and now - moment > LATE,
        }
    )


def counters_item(server: Server, status: MastodonStatus, now: datetime) -> Item | None:
    """How often the status was shared, answered and liked, as far as *this* server knows; None if it says nothing."""
    counters = counters_of(status)
    if not counters:
        return None
    return {
        "network": server.network,
        "post_id": post_id(status.uri),
        "kind": "counters",
        "counters": counters,
        "platform_at": now.isoformat(),
    }


def deletion_item(server: Server, of: str) -> Item:
    return {"network": server.network, "post_id": of, "kind": "deletion"}


def author_item(account: MastodonAccount, server: Server) -> Item:
    handle = handle_of(account, server)
    followers = account.followers_count
    return _said(
        {
            "id": post_id(handle),
            "handle": handle if len(handle) <= MAX_ID_CHARS else None,
            "followers": followers if followers is not None and followers >= 0 else None,
            "created_at": _moment(account.created_at),
        }
    )


def counters_of(status: MastodonStatus) -> Item:
    told = {
        "likes": status.favourites_count,
        "reposts": status.reblogs_count,
        "replies": status.replies_count,
        "quotes": status.quotes_count,
    }
    return {name: count for name, count in told.items() if count is not None and count >= 0}


def _about(server: Server, status: MastodonStatus, now: datetime) -> Item:
    written = parsed(status.created_at)
    about: Item = {"network": server.network, "post_id": post_id(status.uri), "created_at": _moment(status.created_at)}
    # Two clocks never agree: a time that lies a little ahead is ours, and one that lies far ahead is only a claim.
    if written is not None and "@" not in status.account.acct and written - now <= timedelta(minutes=5):
        about["platform_at"] = min(written, now).isoformat()
    return about


def _is_late(status: MastodonStatus, now: datetime) -> bool:
    written = parsed(status.created_at)
    return written is not None and now - written > LATE


def _link(text: str | None) -> str | None:
    """A link that could not be stored is left out: a post is heard without it."""
    return text if text and len(text) <= MAX_LINK_CHARS and _WEB_LINK.fullmatch(text) else None


def parsed(text: str | None) -> datetime | None:
    """A time as servers write it; None of what is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if found is None or not 1990 <= found.year <= 2100:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _moment(text: str | None) -> str | None:
    found = parsed(text)
    return None if found is None else found.isoformat()


def _said(item: Item) -> Item:
    return {name: value for name, value in item.items() if value not in (None, [], False)}
