"""Hears Reddit by its API with the credentials of an app.

New comments and submissions come in lists of a subreddit, at most a thousand posts deep; a search goes through all of Reddit
and finds submissions. In a subreddit that is not about a brand only what names one is heard: its own words, or the title
under which a comment stands. Edits and deletions of older posts are found by looks, which ask for 100 posts in one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import msgspec

from ingest.brands import BrandBook
from ingest.sources.base import Away, Looked, SourceContext
from ingest.sources.polled.calls import Caller, Closed, Params, decoded
from ingest.sources.polled.items import NotAPost, page_of
from ingest.sources.polled.lists import Listed, NewestFirst, Page
from ingest.sources.polled.source import PolledSource
from ingest.sources.polled.tokens import Token, TokenHeaders, basic, granted, secret_of
from ingest.sources.reddit.mapping import RedditMapping, is_removed
from ingest.sources.reddit.shapes import Listing, Post, Thing
from services.base.errors import ConfigError
from services.config.connectors.polled import RedditSection

API: Final = "https://oauth.reddit.com"
LOGIN: Final = "https://www.reddit.com/api/v1/access_token"
SHOWS_AT_MOST: Final = 1000
PER_PAGE: Final = 100
MOST_PAGES: Final = 12
OVERLAP: Final = timedelta(minutes=10)
POSTS_PER_LOOK: Final = 100
THREADS_PER_LOOK: Final = 5
"""For so many stories that have new comments a look fetches these; the others are left for the next one."""


def build(context: SourceContext) -> RedditSource:
    """Raises `ConfigError` if a secret is missing, or nothing is listened to."""
    options = context.options
    if not isinstance(options, RedditSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `reddit`")
    if not (options.own or options.subreddits or options.search):
        raise ConfigError(f"the source {options.name!r} needs `own`, `subreddits` or `search`")
    agent = {"user-agent": secret_of(context, "user_agent")}
    login = {"authorization": basic(secret_of(context, "client_id"), secret_of(context, "client_secret")), **agent}
    ask = partial(_token, context, options.login or LOGIN, login)
    bearer = TokenHeaders(context.clock, ask, agent)
    caller = Caller(context, "Reddit", options.api or API, bearer, dollars=options.dollars_per_call)
    return RedditSource(context, caller, options)


async def _token(context: SourceContext, url: str, headers: Mapping[str, str]) -> Token:
    return await granted(context, "Reddit", url, {"grant_type": "client_credentials"}, headers)


@dataclass(slots=True)
class RedditList:
    """New posts of a subreddit, or of a search. With a `book` only what names a brand of it is heard."""

    caller: Caller
    mapping: RedditMapping
    name: str
    path: str
    params: Params
    book: BrandBook | None = None
    every: timedelta | None = None
    overlap: timedelta = OVERLAP
    most_pages: int = MOST_PAGES
    shows_at_most: int | None = SHOWS_AT_MOST
    reaches_back: timedelta | None = None

    async def page(self, token: str | None) -> Page | None:
        params: Params = {
            **self.params,
            "limit": PER_PAGE,
            "raw_json": 1,
            **({} if token is None else {"after": token}),
        }
        body = await self.caller.get(self.path, params, conditional=token is None)
        if body is None:
            return None
        listing = await decoded(body, Listing, self.caller.name)
        if listing.kind != "Listing":
            raise Away("Reddit answered something else than a list")
        return page_of(listing.data.children, Thing, self._entries, listing.data.after)

    def _entries(self, thing: Thing) -> Sequence[Listed]:
        post = read_post(thing)
        entry = self.mapping.entry(post)
        if self.book is None or self._names_a_brand(post, self.book):
            return (entry,)
        # It stays in the list: where it stands says how far the walk has come.
        return (Listed(entry.id, entry.version, entry.at, ()),)

    def _names_a_brand(self, post: Post, book: BrandBook) -> bool:
        text = "\n".join(part for part in (post.title or post.link_title, post.body or post.selftext) if part)
        return is_removed(post) or bool(book.find(self.mapping.network, text, author=post.author).matches)


class RedditSource(PolledSource):
    """Lists for what is new, looks for what became of it."""

    posts_per_look = POSTS_PER_LOOK

    def __init__(self, context: SourceContext, caller: Caller, options: RedditSection) -> None:
        self._caller = caller
        self._mapping = RedditMapping(context.network)
        self._comments_seen: dict[str, int] = {}
        self.dollars_per_post = options.dollars_per_call / POSTS_PER_LOOK
        super().__init__(context, caller, _lists(context, caller, options), options.every_seconds)

    async def look(self, posts: Sequence[str]) -> Looked:
        """Counters, edits and removals of these posts, and the comments on those that have new ones."""
        names = [post for post in posts if post.startswith(("t1_", "t3_"))][:POSTS_PER_LOOK]
        if not names:
            return Looked(unanswered=tuple(posts))
        now = self._context.clock.now()
        found = await self._things("/api/info", {"id": ",".join(names)})
        items: list[Mapping[str, Any]] = []
        for post in found:
            if is_removed(post):
                items.append(self._mapping.deletion(post.name))
                continue
            told = (self._mapping.edit(post), self._mapping.counters(post, now))
            items += (one for one in told if one is not None)
        for post in self._with_new_comments(found):
            items += await self._comments(post)
        answered = {post.name for post in found}
        return Looked(items, tuple(post for post in posts if post not in answered))

    def _with_new_comments(self, posts: Sequence[Post]) -> list[Post]:
        grown = [post for post in posts if (post.num_comments or 0) > self._comments_seen.get(post.name, 0)]
        return grown[:THREADS_PER_LOOK]

    async def _comments(self, post: Post) -> list[Mapping[str, Any]]:
        try:
            path = f"/comments/{post.name.removeprefix('t3_')}"
            body = await self._caller.get(path, {"sort": "new", "limit": 500, "depth": 10, "raw_json": 1})
        except Closed:
            return []
        parts = await decoded(body or b"[]", list[Listing], self._caller.name)
        self._comments_seen[post.name] = post.num_comments or 0
        if len(self._comments_seen) > 10 * POSTS_PER_LOOK:
            del self._comments_seen[next(iter(self._comments_seen))]
        return [item for part in parts for one in posts_of(part) if one.name[:3] == "t1_" for item in self._told(one)]

    def _told(self, post: Post) -> Sequence[Mapping[str, Any]]:
        try:
            return self._mapping.entry(post).heard
        except NotAPost:
            return ()

    async def _things(self, path: str, params: Params) -> list[Post]:
        body = await self._caller.get(path, {**params, "raw_json": 1})
        return posts_of(await decoded(body or b"", Listing, self._caller.name))


def read_post(thing: Thing) -> Post:
    """Raises `msgspec.DecodeError` if it is neither a comment nor a submission."""
    return _POST.decode(thing.data)


_POST: Final = msgspec.json.Decoder(Post)
_THING: Final = msgspec.json.Decoder(Thing)
_LISTING: Final = msgspec.json.Decoder(Listing)


def posts_of(listing: Listing) -> list[Post]:
    """The posts of a list with the comments below them, level by level. What cannot be read is left out here: the lists of
    new posts count it."""
    found: list[Post] = []
    level = [listing]
    while level:
        below: list[Listing] = []
        for child in (child for one in level for child in one.data.children):
            try:
                post = read_post(_THING.decode(child))
            except msgspec.DecodeError:  # `more` stands for comments that are not shown
                continue
            found.append(post)
            if bytes(post.replies)[:1] == b"{":
                with contextlib.suppress(msgspec.DecodeError):
                    below.append(_LISTING.decode(post.replies))
        level = below
    return found


def _lists(context: SourceContext, caller: Caller, options: RedditSection) -> list[NewestFirst]:
    own = RedditMapping(context.network, tuple(brand.id for brand in context.brands))
    others = RedditMapping(context.network)
    book = BrandBook(context.brands)
    lists: list[NewestFirst] = []
    for mapping, within, names in ((own, None, options.own), (others, book, options.subreddits)):
        for name in names:
            lists += (
                RedditList(caller, mapping, f"r/{name}/{what}", f"/r/{name}/{what}", {}, within)
                for what in ("new", "comments")
            )
    for words in options.search:
        params: Params = {"q": f'"{words}"', "sort": "new", "type": "link", "t": "week"}
        lists.append(RedditList(caller, others, f"search {words}", "/search", params, book))
    return lists
