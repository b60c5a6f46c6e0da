"""Which post an entry is, and whether it was met before. Pure.

**What names a post.** Its link, which stays when all ids of a feed change, and is the same in two feeds of a site. Where a link
is missing or several entries have the same, its id; where that says nothing either, a digest of title and text.

**What was met before** is known by any of three digests: of the name, of the id (a site that moves changes every link), and
of title and host. The last is believed only when most of a document looks new at once: then the site was renumbered, and
nobody wrote so much in five minutes. An id or a title that stands more than once in a document tells nothing.

The digests of the newest entries stand in the cursor, which has room for some 440 of all feeds of a connector together. After
a restart an entry that is not among them counts as met if it is dated before the last reading, and as new otherwise. An
undated one is then passed on as late (`backfill`), under the same name: within the days that a conversation is remembered it
is stored once.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ingest.schemas import MAX_ID_CHARS
from ingest.sources.feeds.reading import FeedEntry
from services.base.clock import epoch, moment

MOST_KNOWN: Final = 5_000
"""Entries of one feed."""
DIGEST_CHARS: Final = 5
"""Thirty bits: one in two million new entries of a feed of 500 is taken for an old one."""
TRIPLE_CHARS: Final = 3 * DIGEST_CHARS
MOST_CHARS: Final = 7_800
SHORT_TITLE: Final = 8
"""Characters: what is shorter, such as `Update`, is the title of many."""
RENUMBERED_SHARE: Final = 0.5
RENUMBERED_LEAST: Final = 3
OVERLAP: Final = timedelta(hours=6)
"""Entries are shown late, with the date at which somebody began to write them."""
_TRACKING: Final = re.compile(r"(?:^|&)(?:utm_[a-z]+|fbclid|gclid|ref|source)=[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identified:
    """An entry, and the post that it is."""

    entry: FeedEntry
    post: str
    digests: tuple[str, str, str]
    """Of the name, of the id and of the title; empty where it tells nothing in this document."""
    version: str


@dataclass(slots=True)
class FeedPast:
    """What is remembered of one feed. `read_at` is when it was last read; None before the first time. `met` are triples of
    digests, the newest last, with the version where it was met in this process."""

    read_at: datetime | None = None
    met: OrderedDict[tuple[str, str, str], str] = field(default_factory=OrderedDict)

    def remember(self, one: Identified) -> None:
        self.met.pop(one.digests, None)
        self.met[one.digests] = one.version
        while len(self.met) > MOST_KNOWN:
            self.met.popitem(last=False)


@dataclass(frozen=True, slots=True)
class FeedNews:
    """What a document brought: entries that are new, and those with another text than before. `renumbered` counts those that
    were known by their titles alone."""

    new: tuple[Identified, ...]
    changed: tuple[Identified, ...] = ()
    renumbered: int = 0


def identify(entries: Sequence[FeedEntry]) -> list[Identified]:
    """Each entry with the post that it is. What stands twice in a document is there once."""
    links = Counter(_plain(entry.link) for entry in entries)
    ids = Counter(entry.id for entry in entries)
    titles = Counter(_title(entry) for entry in entries)
    found: dict[str, Identified] = {}
    for entry in entries:
        link = entry.link if entry.link and links[_plain(entry.link)] == 1 else ""
        own_id = entry.id if entry.id and ids[entry.id] == 1 else ""
        said = f"{entry.link}#{_digest(f'{entry.title}{entry.published or entry.text}', 22)}"
        post = _bounded(link or own_id or said)
        title = _title(entry)
        digests = (
            _digest(_plain(link) or own_id or said),
            _digest(own_id) if own_id else "",
            _digest(title) if titles[title] == 1 and len(title) > SHORT_TITLE else "",
        )
        found.setdefault(post, Identified(entry, post, digests, _digest(f"{entry.title}\0{entry.text}")))
    return list(found.values())


def sort_out(past: FeedPast, found: Sequence[Identified]) -> FeedNews:
    """What of a document is new. Of a feed that is read for the first time nothing is. `past` is as it was."""
    if past.read_at is None:
        return FeedNews(())
    names = {triple[0]: version for triple, version in past.met.items()}
    ids: dict[str | None, str] = {triple[1]: version for triple, version in past.met.items() if triple[1]}
    titles = {triple[2] for triple in past.met if triple[2]}
    since = past.read_at - OVERLAP
    new: list[Identified] = []
    changed: list[Identified] = []
    for one in found:
        version = names.get(one.digests[0], ids.get(one.digests[1] or None))
        if version is None:
            at = one.entry.published or one.entry.updated
            if at is None or at >= since:
                new.append(one)
        elif version and version != one.version and one.digests[0] in names:
            changed.append(one)
    again = [one for one in new if one.digests[2] in titles]
    if len(again) >= RENUMBERED_LEAST and len(again) > RENUMBERED_SHARE * len(found):
        return FeedNews(tuple(one for one in new if one.digests[2] not in titles), tuple(changed), len(again))
    return FeedNews(tuple(new), tuple(changed))


class _Written(msgspec.Struct, array_like=True):
    read_at: float
    met: str


def written(pasts: dict[str, FeedPast]) -> str:
    """The position of a cursor: of each feed the same number of the newest entries, as many as there is room for."""
    read = {url: past for url, past in pasts.items() if past.read_at is not None}
    bare = sum(len(_digest(url)) + 40 for url in read) + 20
    each = max(0, MOST_CHARS - bare) // max(1, len(read)) // TRIPLE_CHARS
    return msgspec.json.encode(
        {
            _digest(url): _Written(epoch(past.read_at) if past.read_at else 0.0, _newest(past, each))
            for url, past in read.items()
        }
    ).decode()


def restored(position: str, urls: Sequence[str]) -> dict[str, FeedPast]:
    """Raises `ValueError` for what was not written here."""
    try:
        found = msgspec.json.decode(position, type=dict[str, _Written])
    except msgspec.DecodeError as error:
        raise ValueError(f"no position of this source: {error}") from None
    pasts: dict[str, FeedPast] = {}
    for url in urls:
        past = pasts[url] = FeedPast()
        saved = found.get(_digest(url))
        if saved is None:
            continue
        past.read_at = moment(saved.read_at)
        for begin in range(0, len(saved.met) - TRIPLE_CHARS + 1, TRIPLE_CHARS):
            one, two, three = (
                saved.met[begin + DIGEST_CHARS * part : begin + DIGEST_CHARS * (part + 1)].strip() for part in range(3)
            )
            past.met[one, two, three] = ""
    return pasts


def _newest(past: FeedPast, count: int) -> str:
    triples = list(past.met)[-count:] if count else []
    return "".join(digest.ljust(DIGEST_CHARS) for triple in triples for digest in triple)


def _digest(text: str, chars: int = DIGEST_CHARS) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode("utf-8", "replace")).digest()).decode()[:chars]


def _bounded(name: str) -> str:
    if len(name) <= MAX_ID_CHARS and name.isprintable():
        return name
    return f"sha256:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"


def _plain(link: str) -> str:
    """A link without what changes when nothing does: the scheme, `www`, what follows its readers, and a last slash."""
    if not link:
        return ""
    try:
        parts = urlsplit(link)
    except ValueError:
        return link
    query = _TRACKING.sub("", parts.query).lstrip("&")
    return f"{parts.netloc.lower().removeprefix('www.')}{parts.path.rstrip('/')}?{query}"


def _title(entry: FeedEntry) -> str:
    return " ".join(entry.title.split()).casefold()
