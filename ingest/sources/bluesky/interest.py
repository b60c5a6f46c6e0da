"""Whether a post concerns a brand: by who wrote it, whom it answers or quotes, whom it addresses, and by its words. Pure.

What its text says is judged by ingest like that of any post, so it is not decided here which brand that is, only that there is
one. What else shows it (an account or tag that the text does not spell out, the title of a linked page) is lost behind this
point, so those brands are declared with the post.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ingest.brands import BrandBook
from ingest.sources.bluesky.shapes import Embed, PostRecord
from services.config.model import Brand

MOST_WORDS: Final = 20_000
"""Characters beside its text that are looked through: several times what a post can hold."""
HOSTED: Final = ".bsky.social"
"""Handles under it are names at Bluesky; all others are hosts of their owners too."""
_ADDRESS: Final = re.compile(
    r"at://(did:[a-z]{1,20}:[A-Za-z0-9._:%-]{1,100})/app\.bsky\.feed\.post/[A-Za-z0-9._:~-]{1,64}"
)


def author_of(uri: str | None) -> str | None:
    """The did of who wrote the post with this at-uri; None if it names no post, or in a way that cannot be stored."""
    match = _ADDRESS.fullmatch(uri) if uri is not None else None
    return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Concern:
    """Why a post concerns a brand: `brands` are declared with it, `answers` is the handle of a brand's account that it
    answers. Both may be empty: then its text or its author says it."""

    brands: tuple[str, ...] = ()
    answers: str | None = None


@dataclass(frozen=True, slots=True)
class OwnHandle:
    """A brand's own account."""

    brand: str
    handle: str


class Interest:
    """The brands of a source, with the permanent ids of their accounts as far as they are known."""

    def __init__(self, network: str, brands: Sequence[Brand]) -> None:
        self._network = network
        self._book = BrandBook(brands)
        self._own = {
            account.handle.removeprefix("@").lower(): brand.id
            for brand in brands
            for account in brand.accounts
            if account.network == network
        }
        self.by_did: dict[str, OwnHandle] = {}
        self.names: tuple[str, ...] = tuple(dict.fromkeys(name for brand in brands for name in _searched(brand)))
        """What is searched for where a server has to be asked."""

    @property
    def unknown_handles(self) -> list[str]:
        """Own accounts whose permanent id is not known yet."""
        known = {own.handle for own in self.by_did.values()}
        return [handle for handle in self._own if handle not in known]

    def learn(self, dids: Mapping[str, str]) -> None:
        """Take note of the permanent ids (by handle) of own accounts; others are ignored."""
        for written, did in dids.items():
            handle = written.removeprefix("@").lower()
            if handle in self._own:
                self.by_did[did] = OwnHandle(self._own[handle], handle)

    def of(self, did: str, post: PostRecord) -> Concern | None:
        """Why this post by `did` concerns a brand; None if it does not."""
        answers, brands = None, set[str]()
        concerned = did in self.by_did
        if post.reply is not None:
            parent, root = author_of(post.reply.parent.uri), author_of(post.reply.root.uri)
            if parent in self.by_did:
                answers = self.by_did[parent].handle
            concerned = concerned or parent in self.by_did or root in self.by_did
        if self.by_did and post.embed is not None and (quoted := author_of(post.embed.quoted)) in self.by_did:
            brands.add(self.by_did[quoted].brand)
        for facet in post.facets:
            for feature in facet.features:
                if feature.did is not None and feature.did in self.by_did:
                    brands.add(self.by_did[feature.did].brand)
                if feature.uri is not None:
                    brands.update(self._linked(feature.uri))
        words = "\n".join(_beside(post))[:MOST_WORDS]
        if words:
            brands.update(self._book.find(self._network, words).brands)
        if post.embed is not None and post.embed.external is not None:
            brands.update(self._linked(post.embed.external.uri))
        concerned = concerned or answers is not None or bool(brands)
        if not concerned and not (post.text and self._book.find(self._network, post.text).brands):
            return None
        return Concern(tuple(sorted(brands)), answers)

    def _linked(self, link: str) -> Iterator[str]:
        """The brands whose account or own host a link leads to."""
        try:
            parts = urlsplit(link[:2000])
            host = (parts.hostname or "").removeprefix("www.")
        except ValueError:
            return
        if host == "bsky.app" and parts.path.startswith("/profile/"):
            who = parts.path.split("/")[2]
            if (brand := self._own.get(who.lower())) is not None:
                yield brand
            elif who in self.by_did:
                yield self.by_did[who].brand
        elif (brand := self._own.get(host)) is not None and not host.endswith(HOSTED):
            yield brand


def _beside(post: PostRecord) -> Iterator[str]:
    """The words of a post beside its text."""
    for tag in post.tags:
        yield "#" + tag.removeprefix("#")
    for facet in post.facets:
        for feature in facet.features:
            if feature.tag is not None:
                yield "#" + feature.tag.removeprefix("#")
    if post.embed is not None:
        yield from _under(post.embed)


def _under(embed: Embed) -> Iterator[str]:
    """The words of what hangs on a post; media beside a quote lie one level deeper, and no deeper."""
    for one in (embed, embed.media):
        if one is not None:
            yield one.alt
            if one.external is not None:
                yield one.external.title
                yield one.external.description
            for picture in one.images:
                yield picture.alt


def _searched(brand: Brand) -> Iterator[str]:
    """Names by which posts about a brand are found. Ambiguous ones would bring everything but the brand."""
    for name in (brand.name, *brand.names):
        if name not in brand.ambiguous_names:
            yield name
    yield from ("#" + tag.removeprefix("#") for tag in brand.hashtags)
