"""Turns the bytes of a feed into entries: RSS (0.9 to 2.0, also as RDF), Atom 1.0 and JSON Feed 1.1. Pure, bounded, and for a
thread.

XML is read by Python's own parser, one element after the other, and never as a tree: of a document that is cut, or flawed
somewhere, the entries before that place are there. Nothing outside of the document is ever opened. A document type is read
over, and one that declares entities is refused: no feed needs its own, and they are how a kilobyte becomes a gigabyte.
Entities of HTML (`&nbsp;`), which XML does not know, become their characters, and a bare `&` is itself.

Many feeds are written in another charset than they say. The first of these is believed in which the bytes can be read at all:
the byte order mark, what the document says, what the server said, UTF-8, and Windows' Western one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.entities import html5
from typing import Final
from urllib.parse import urljoin
from xml.parsers import expat

import msgspec

MOST_ENTRIES: Final = 1_000
"""Of a document: more are history."""
MOST_CHARS: Final = 100_000
"""Of one element."""
DEEPEST: Final = 200
_ATOM: Final = "http://www.w3.org/2005/Atom"
_DUBLIN_CORE: Final = "http://purl.org/dc/elements/1.1/"
_CONTENT: Final = "http://purl.org/rss/1.0/modules/content/"
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_RSS: Final = frozenset(
    {
        "",
        "http://purl.org/rss/1.0/",
        "http://my.netscape.com/rdf/simple/0.9/",
        "http://backend.userland.com/rss2",
    }
)
_DECLARED: Final = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]{0,500}\?>")
_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AMPERSAND: Final = re.compile(
    r"&(?:(amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});|([A-Za-z][A-Za-z0-9]{1,31});)?"
)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_AS_BROWSERS_READ_IT: Final = dict.fromkeys(
    ("iso-8859-1", "iso8859-1", "latin-1", "latin1", "us-ascii", "ascii"), "cp1252"
)


class NoFeed(ValueError):
    """What was fetched is no feed. The message says what it is."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry, as it stands there. `title` and `text` may be HTML, `link` is absolute."""

    id: str = ""
    link: str = ""
    title: str = ""
    text: str = ""
    author: str = ""
    language: str = ""
    published: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class FeedDocument:
    """`hub` and `topic` are where WebSub is subscribed to, and to what. `flaw` says why it ends early; None if it does not."""

    title: str
    language: str
    entries: tuple[FeedEntry, ...]
    hub: str = ""
    topic: str = ""
    flaw: str | None = None


def read_feed(body: bytes, url: str, charset: str | None = None) -> FeedDocument:
    """The feed that was fetched from `url`; `charset` is what the server said. Raises `NoFeed`."""
    start = body.lstrip(codecs.BOM_UTF8).lstrip()[:1]
    if start == b"{":
        return _json_feed(body.removeprefix(codecs.BOM_UTF8), url)
    text = _decoded(body, charset)
    text = _NO_XML.sub("", _DECLARATION.sub("", text.lstrip("\ufeff \t\r\n"), count=1)).lstrip()
    if not text.startswith("<"):
        raise NoFeed("neither XML nor JSON")
    return _FeedReader(url).read(_AMPERSAND.sub(_entity, text))


def _decoded(body: bytes, charset: str | None) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body.decode(name, "replace")
    declared = _DECLARED.match(body[:1000])
    said = declared[1].decode() if declared else None
    for name in filter(None, (said, charset, "utf-8")):
        try:
            # Not a plain decode: the end may be cut within a character.
            return str(codecs.getincrementaldecoder(_AS_BROWSERS_READ_IT.get(name.lower(), name))().decode(body))
        except (LookupError, UnicodeDecodeError):
            continue
    return body.decode("cp1252", "replace")


def _entity(match: re.Match[str]) -> str:
    """What XML knows stays; names of HTML become characters; whatever else is text."""
    if match[1] is not None:
        return match[0]
    character = html5.get(f"{match[2]};") if match[2] is not None else None
    return character if character is not None and character not in "<>&" else f"&amp;{match[0][1:]}"


class _FeedReader:
    """Follows the elements of a document. Text is collected for the elements that are read, with the markup of XHTML within."""

    def __init__(self, url: str) -> None:
        self._base = url
        self._path: list[tuple[str, str]] = []
        self._entry: dict[str, str] | None = None
        self._feed: dict[str, str] = {}
        self._entries: list[FeedEntry] = []
        self._field: str | None = None
        self._depth_of_field = 0
        self._written: list[str] = []
        self._chars = 0
        self._root = ""

    def read(self, text: str) -> FeedDocument:
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._declares
        parser.buffer_text = True
        flaw = None
        try:
            parser.Parse(text.encode("utf-8", "ignore"), True)
        except expat.ExpatError as error:
            flaw = f"not well-formed at line {error.lineno}"
        except _Enough:
            flaw = f"more than {MOST_ENTRIES} entries"
        if self._root not in ("rss", "RDF", "feed"):
            raise NoFeed(f"a document of another kind ({self._root[:40]})" if self._root else "no document")
        return FeedDocument(
            title=self._feed.get("title", ""),
            language=self._feed.get("language", ""),
            entries=tuple(self._entries),
            hub=_web(self._feed.get("hub", "")),
            topic=_web(self._feed.get("self", "")),
            flaw=flaw,
        )

    def _declares(self, *_: object) -> None:
        raise NoFeed("a document that declares entities")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._path:
            self._root = local
        if len(self._path) >= DEEPEST:
            raise NoFeed("nested too deeply")
        self._path.append((namespace, local))
        if self._field is not None:
            if namespace == _XHTML:
                self._write(f"<{local}>")
            return
        if local in ("item", "entry") and namespace in (*_RSS, _ATOM):
            self._entry = {"language": _language(attributes)}
            return
        if self._root == "feed" and len(self._path) == 1:
            self._feed["language"] = _language(attributes)
        if local == "link" and namespace == _ATOM:
            self._link(attributes)
            return
        field = self._meaning(namespace, local)
        if field is not None:
            self._field, self._depth_of_field, self._written, self._chars = field, len(self._path), [], 0
            if field == "id" and self._entry is not None and attributes.get("isPermaLink", "true") != "false":
                self._entry["permalink"] = "yes"

    def _meaning(self, namespace: str, local: str) -> str | None:
        """Which of our fields this element is; None if it is none of them, or stands in another part of the document."""
        above = self._path[-2][1] if len(self._path) > 1 else ""
        within = above in (("item", "entry") if self._entry is not None else ("channel", "feed"))
        if namespace == _ATOM and above == "author" and self._entry is not None:
            return "author" if local == "name" else None
        if not within:
            return None
        if namespace == _ATOM:
            return _ATOM_FIELDS.get(local)
        if namespace == _DUBLIN_CORE:
            return _DUBLIN_CORE_FIELDS.get(local)
        if namespace == _CONTENT:
            return "content" if local == "encoded" else None
        return _RSS_FIELDS.get(local) if namespace in _RSS else None

    def _link(self, attributes: Mapping[str, str]) -> None:
        relation, address = attributes.get("rel", "alternate"), attributes.get("href", "")
        if self._entry is not None and relation == "alternate":
            self._entry.setdefault("link", address)
        elif self._entry is None and relation in ("hub", "self"):
            self._feed.setdefault(relation, urljoin(self._base, address.strip()))

    def _text(self, text: str) -> None:
        if self._field is not None:
            self._write(text)

    def _write(self, text: str) -> None:
        if self._chars < MOST_CHARS:
            self._written.append(text[: MOST_CHARS - self._chars])
            self._chars += len(text)

    def _end(self, _: str) -> None:
        namespace, local = self._path.pop()
        if self._field is not None:
            if len(self._path) + 1 > self._depth_of_field:
                if namespace == _XHTML:
                    self._write(f"</{local}>")
                return
            target = self._entry if self._entry is not None else self._feed
            if (value := "".join(self._written).strip()) and not target.get(self._field):
                target[self._field] = value
            self._field = None
        elif self._entry is not None and local in ("item", "entry"):
            self._entries.append(_entry_of(self._entry, self._base))
            self._entry = None
            if len(self._entries) >= MOST_ENTRIES:
                raise _Enough


class _Enough(Exception):
    """So many entries are read, and no more."""


_ATOM_FIELDS: Final = {
    "id": "id",
    "title": "title",
    "summary": "summary",
    "content": "content",
    "published": "published",
    "updated": "updated",
}
_DUBLIN_CORE_FIELDS: Final = {"creator": "author", "date": "published", "language": "language"}
_RSS_FIELDS: Final = {
    "guid": "id",
    "title": "title",
    "link": "link",
    "description": "summary",
    "author": "author",
    "pubDate": "published",
    "language": "language",
}


def _entry_of(found: Mapping[str, str], base: str) -> FeedEntry:
    link = found.get("link", "")
    if not link and found.get("permalink") and found.get("id", "").startswith(("http://", "https://")):
        link = found["id"]
    return FeedEntry(
        id=found.get("id", ""),
        link=_web(urljoin(base, link.strip())) if link else "",
        title=found.get("title", ""),
        text=found.get("content") or found.get("summary", ""),
        author=found.get("author", "")[:200],
        language=found.get("language", ""),
        published=moment_of(found.get("published", "")),
        updated=moment_of(found.get("updated", "")),
    )


class _JsonAuthor(msgspec.Struct):
    name: str | None = None


class _JsonItem(msgspec.Struct):
    id: str | int | float = ""
    url: str | None = None
    external_url: str | None = None
    title: str | None = None
    content_html: str | None = None
    content_text: str | None = None
    summary: str | None = None
    date_published: str | None = None
    date_modified: str | None = None
    language: str | None = None
    author: _JsonAuthor | None = None
    authors: list[_JsonAuthor] | None = None


class _JsonHub(msgspec.Struct):
    type: str = ""
    url: str = ""


class _JsonFeed(msgspec.Struct):
    version: str
    items: list[msgspec.Raw]
    title: str | None = None
    feed_url: str | None = None
    language: str | None = None
    hubs: list[_JsonHub] | None = None


def _json_feed(body: bytes, url: str) -> FeedDocument:
    try:
        feed = msgspec.json.decode(body, type=_JsonFeed)
    except msgspec.DecodeError as error:
        raise NoFeed(f"JSON that is no feed: {error}") from None
    if "jsonfeed.org" not in feed.version:
        raise NoFeed("JSON that is no feed")
    entries, bad = [], 0
    for raw in feed.items[:MOST_ENTRIES]:
        try:
            entries.append(_json_entry(msgspec.json.decode(raw, type=_JsonItem), url))
        except msgspec.DecodeError:
            bad += 1
    hub = next((hub.url for hub in feed.hubs or () if hub.type.lower() == "websub"), "")
    return FeedDocument(
        title=feed.title or "",
        language=feed.language or "",
        entries=tuple(entries),
        hub=_web(hub),
        topic=_web(feed.feed_url or ""),
        flaw=f"{bad} entries that could not be read" if bad else None,
    )


def _json_entry(item: _JsonItem, url: str) -> FeedEntry:
    link = item.url or item.external_url or ""
    by = next((author.name for author in [*(item.authors or ()), item.author] if author and author.name), "")
    return FeedEntry(
        id=str(item.id),
        link=_web(urljoin(url, link)) if link else "",
        title=(item.title or "")[:MOST_CHARS],
        text=(item.content_html or item.content_text or item.summary or "")[:MOST_CHARS],
        author=(by or "")[:200],
        language=item.language or "",
        published=moment_of(item.date_published or ""),
        updated=moment_of(item.date_modified or ""),
    )


def moment_of(text: str) -> datetime | None:
    """A time as RSS (RFC 822) or Atom (RFC 3339) write it; None of what is none. Without a zone it is UTC."""
    text = text.strip()[:60]
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if not 1990 <= found.year <= 2100:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _language(attributes: Mapping[str, str]) -> str:
    return attributes.get("http://www.w3.org/XML/1998/namespace lang", "")


def _web(address: str) -> str:
    """Feeds link to whatever they like; only what can be a link of a post is one."""
    return address if address.lower().startswith(("http://", "https://")) else ""
