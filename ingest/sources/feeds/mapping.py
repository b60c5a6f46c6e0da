"""An entry of a feed as an item of `POST /v1/posts`. Pure.

Who wrote it is the author that the entry names, or the site. When it was written is only a claim of the site: entries have no
date, or one in the future, and a news site that moves dates everything anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from ingest.schemas import LANGUAGE, MAX_LINK_CHARS, WEB_LINK
from ingest.sources.feeds.identity import Identified
from ingest.sources.feeds.reading import FeedDocument

MOST_TEXT: Final = 20_000
"""Characters of markup: what a page is about is said in its first pages."""
LATE: Final = timedelta(hours=6)
"""An entry that is older when it is first met is history: feeds are read within the hour, but sites show entries late."""
MOST_NAME: Final = 150
_LINK: Final = re.compile(WEB_LINK)
_LANGUAGE: Final = re.compile(LANGUAGE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

Item = dict[str, Any]


def entry_item(
    network: str,
    one: Identified,
    document: FeedDocument,
    url: str,
    about: Sequence[str],
    now: datetime,
    *,
    unsure: bool,
) -> Item:
    """`unsure` says that an undated entry may have been met in an earlier life of this process."""
    entry = one.entry
    written = entry.published or entry.updated
    late = unsure if written is None else now - written > LATE
    language = (entry.language or document.language).strip()
    item = {
        "network": network,
        "post_id": one.post,
        "kind": "original",
        "author": author_of(one, url),
        "text": markup_of(one) or None,
        "language": language if _LANGUAGE.fullmatch(language) else None,
        "permalink": entry.link if len(entry.link) <= MAX_LINK_CHARS and _LINK.fullmatch(entry.link) else None,
        "created_at": None if written is None else written.isoformat(),
        "backfill": late,
        "brands": list(about),
    }
    return {name: value for name, value in item.items() if value not in (None, [], False)}


def edit_item(network: str, one: Identified, now: datetime) -> Item:
    """Another text of an entry that was passed on. Its own date of change is not believed: few sites move it."""
    return {
        "network": network,
        "post_id": one.post,
        "kind": "edit",
        "text": markup_of(one),
        "edited_at": now.isoformat(),
    }


def markup_of(one: Identified) -> str:
    """The title and the text, as HTML; once where a site says the same twice."""
    title, text = one.entry.title.strip()[:MOST_TEXT], one.entry.text.strip()[:MOST_TEXT]
    if not title or text.startswith(title):
        return text or title
    return f"<p>{title}</p>{text}" if text else title


def author_of(one: Identified, url: str) -> Item:
    site = urlsplit(one.entry.link or url).netloc.lower().removeprefix("www.")[:MOST_NAME]
    name = _CONTROL.sub(" ", one.entry.author).strip()[:MOST_NAME]
    if not name:
        return {"id": site, "handle": site}
    digest = hashlib.sha256(f"{site}\0{name}".encode("utf-8", "replace")).hexdigest()[:16]
    return {"id": f"{site}/{digest}", "handle": name}
