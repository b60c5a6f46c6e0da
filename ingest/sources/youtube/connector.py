"""Hears YouTube by its Data API with the key of a project.

One call lists the newest comment threads of a whole channel (1 unit of 10,000 a day). A search costs 100 units, so it has
an interval of its own; a video that it finds opens the list of its comments for a week. A video whose comments are
turned off has none to miss. New answers below an old comment do not move it up in any list: looks find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import msgspec

from ingest.brands import BrandBook
from ingest.sources.base import Away, Looked, SourceContext
from ingest.sources.polled.calls import Caller, Closed, Params, decoded
from ingest.sources.polled.items import NotAPost, page_of
from ingest.sources.polled.lists import Item, Listed, NewestFirst, Page
from ingest.sources.polled.quota import DailyUnits
from ingest.sources.polled.source import PolledSource
from ingest.sources.polled.tokens import FixedHeaders, secret_of
from ingest.sources.youtube.mapping import YouTubeMapping, list_of
from ingest.sources.youtube.shapes import Comment, FoundVideo, ListAnswer, Thread, Video
from services.base.errors import ConfigError
from services.config.connectors.polled import YouTubeSection

API: Final = "https://www.googleapis.com/youtube/v3"
ZONE: Final = "America/Los_Angeles"
"""At midnight there the quota is new."""
OVERLAP: Final = timedelta(minutes=30)
SEARCH_OVERLAP: Final = timedelta(days=1)
"""Videos appear in searches hours after they were published."""
SEARCH_UNITS: Final = 100
PER_PAGE: Final = 100
SEARCH_PER_PAGE: Final = 50
MOST_PAGES: Final = 20
MOST_SEARCH_PAGES: Final = 2
POSTS_PER_LOOK: Final = 50
ANSWERS_PER_LOOK: Final = 5
VIDEO_ID_CHARS: Final = 11
MISSING_BEFORE_GONE: Final = 2
"""A comment is gone when so many looks in a row did not find it: one answer alone may be incomplete."""
_REMEMBERED: Final = 2_000


def build(context: SourceContext) -> YouTubeSource:
    """Raises `ConfigError` if the secret is missing, or nothing is listened to."""
    options = context.options
    if not isinstance(options, YouTubeSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `youtube`")
    if not (options.channels or options.videos or options.search):
        raise ConfigError(f"the source {options.name!r} needs `channels`, `videos` or `search`")
    quota = DailyUnits("YouTube", options.units_per_day, ZONE, context.clock.now)
    bearer = FixedHeaders({"x-goog-api-key": secret_of(context, "api_key")})
    caller = Caller(context, "YouTube", options.api or API, bearer, quota)
    return YouTubeSource(context, caller, options, quota)


@dataclass(slots=True)
class YouTubeList:
    """Comment threads or found videos, newest first."""

    caller: Caller
    name: str
    path: str
    params: Params
    entries: Callable[[Any], Iterable[Listed]]
    shape: type[Any]
    every: timedelta | None = None
    overlap: timedelta = OVERLAP
    units: float = 1
    most_pages: int = MOST_PAGES
    shows_at_most: int | None = None
    reaches_back: timedelta | None = None

    async def page(self, token: str | None) -> Page | None:
        params: Params = {**self.params, **({} if token is None else {"pageToken": token})}
        try:
            body = await self.caller.get(self.path, params, units=self.units, conditional=token is None)
        except Closed as error:
            if b"commentsDisabled" in error.body[:4000]:
                return Page(())
            raise
        if body is None:
            return None
        answer = await decoded(body, ListAnswer, self.caller.name)
        if not answer.kind.endswith("ListResponse"):
            raise Away("YouTube answered something else than a list")
        return page_of(answer.items or (), self.shape, self.entries, answer.next_page_token)


class YouTubeSource(PolledSource):
    """Lists for what is new, looks for likes, views, answers, edits and deletions."""

    posts_per_look = POSTS_PER_LOOK
    dollars_per_post = 0.0

    def __init__(self, context: SourceContext, caller: Caller, options: YouTubeSection, quota: DailyUnits) -> None:
        self._mapping = YouTubeMapping(context.network)
        self._missing: dict[str, int] = {}
        self._answers_seen: dict[str, int] = {}
        lists = _lists(context, caller, options)
        super().__init__(context, caller, lists, options.every_seconds, make=self._comments_of, quota=quota)

    async def look(self, posts: Sequence[str]) -> Looked:
        """At most 50 ids: comments and videos are told apart by their length, as in YouTube's own addresses."""
        asked = posts[:POSTS_PER_LOOK]
        now = self._context.clock.now()
        videos = [post for post in asked if len(post) == VIDEO_ID_CHARS]
        threads = [post for post in asked if len(post) != VIDEO_ID_CHARS and "." not in post]
        answers = [post for post in asked if len(post) != VIDEO_ID_CHARS and "." in post]
        items: list[Item] = []
        found: set[str] = set()
        for video in await self._read("/videos", "statistics", videos, Video):
            found.add(video.id)
            items += _some(self._mapping.video_counters(video, now))
        grown: list[Thread] = []
        for thread in await self._read("/commentThreads", "snippet,replies", threads, Thread):
            found.add(thread.id)
            items += self._mapping.thread(thread).changed
            replies = thread.snippet.total_reply_count
            items += _some(self._mapping.comment_counters(thread.snippet.top_level_comment, replies, now))
            if replies > max(len(_answers(thread)), self._answers_seen.get(thread.id, 0)):
                grown.append(thread)
        for comment in await self._read("/comments", "snippet", answers, Comment):
            found.add(comment.id)
            items += self._mapping.comment(comment, comment.snippet.video_id)[1:]
            items += _some(self._mapping.comment_counters(comment, None, now))
        for thread in grown[:ANSWERS_PER_LOOK]:
            items += await self._all_answers(thread)
        gone = self._gone([post for post in asked if post not in found], found)
        items += (self._mapping.deletion(post) for post in gone)
        return Looked(items, tuple(post for post in posts if post not in found and post not in gone))

    async def _read(self, path: str, part: str, ids: Sequence[str], shape: type[Any]) -> list[Any]:
        if not ids:
            return []
        params: Params = {"part": part, "id": ",".join(ids), "textFormat": "plainText", "maxResults": PER_PAGE}
        if path == "/videos":
            params = {"part": part, "id": ",".join(ids)}
        body = await self._caller.get(path, params)
        answer = await decoded(body or b"", ListAnswer, self._caller.name)
        read: list[Any] = []
        for raw in answer.items or ():
            try:
                one = msgspec.json.decode(raw, type=shape)
                _times_of(one)
            except (msgspec.DecodeError, NotAPost):
                continue
            read.append(one)
        return read

    async def _all_answers(self, thread: Thread) -> list[Item]:
        params: Params = {"part": "snippet", "parentId": thread.id, "textFormat": "plainText", "maxResults": PER_PAGE}
        try:
            body = await self._caller.get("/comments", params)
        except Closed:
            return []
        answer = await decoded(body or b"", ListAnswer, self._caller.name)
        self._answers_seen[thread.id] = thread.snippet.total_reply_count
        _bound(self._answers_seen)
        video = thread.snippet.video_id

        def entries(comment: Comment) -> Sequence[Listed]:
            told = self._mapping.comment(comment, video)
            return (Listed(comment.id, "", self._context.clock.now(), tuple(told)),)

        page = page_of(answer.items or (), Comment, entries, None)
        return [item for one in page.entries for item in one.heard]

    def _gone(self, missing: Sequence[str], found: set[str]) -> list[str]:
        for post in found:
            self._missing.pop(post, None)
        for post in missing:
            self._missing[post] = self._missing.get(post, 0) + 1
        gone = [post for post in missing if self._missing[post] >= MISSING_BEFORE_GONE]
        for post in gone:
            del self._missing[post]
        _bound(self._missing)
        return gone

    def _comments_of(self, name: str) -> NewestFirst | None:
        video = name.removeprefix(list_of(""))
        if name != list_of(video) or len(video) != VIDEO_ID_CHARS:
            return None
        return _threads(self._caller, self._mapping, name, {"videoId": video})


def _lists(context: SourceContext, caller: Caller, options: YouTubeSection) -> list[NewestFirst]:
    own = YouTubeMapping(context.network, tuple(brand.id for brand in context.brands))
    others = YouTubeMapping(context.network)
    book = BrandBook(context.brands)
    lists: list[NewestFirst] = [
        *(
            _threads(caller, own, f"channel {name}", {"allThreadsRelatedToChannelId": name})
            for name in options.channels
        ),
        *(_threads(caller, others, list_of(video), {"videoId": video}) for video in options.videos),
    ]
    for words in options.search:
        params: Params = {
            "part": "snippet",
            "type": "video",
            "order": "date",
            "q": f'"{words}"',
            "maxResults": SEARCH_PER_PAGE,
        }
        lists.append(
            YouTubeList(
                caller,
                f"search {words}",
                "/search",
                params,
                partial(_named, others, book),
                FoundVideo,
                every=timedelta(seconds=options.search_every_seconds),
                overlap=SEARCH_OVERLAP,
                units=SEARCH_UNITS,
                most_pages=MOST_SEARCH_PAGES,
            )
        )
    return lists


def _threads(caller: Caller, mapping: YouTubeMapping, name: str, of: Mapping[str, str]) -> YouTubeList:
    params: Params = {
        "part": "snippet,replies",
        "order": "time",
        "textFormat": "plainText",
        "maxResults": PER_PAGE,
        **of,
    }
    return YouTubeList(caller, name, "/commentThreads", params, lambda thread: (mapping.thread(thread),), Thread)


def _named(mapping: YouTubeMapping, book: BrandBook, found: FoundVideo) -> Sequence[Listed]:
    """A video whose title or description names a brand: searches find related ones too."""
    entry = mapping.video(found)
    if entry is None:
        return ()
    if book.find(mapping.network, f"{found.snippet.title}\n{found.snippet.description}").matches:
        return (entry,)
    return (Listed(entry.id, entry.version, entry.at, ()),)


def _times_of(one: Any) -> None:
    """Raises `NotAPost` if a comment's times cannot be read."""
    if isinstance(one, Thread):
        YouTubeMapping("youtube").thread(one)
    elif isinstance(one, Comment):
        YouTubeMapping("youtube").comment(one, None)


def _answers(thread: Thread) -> Sequence[Comment]:
    return (thread.replies.comments if thread.replies else None) or ()


def _some(item: Item | None) -> tuple[Item, ...]:
    return () if item is None else (item,)


def _bound(remembered: dict[str, int]) -> None:
    while len(remembered) > _REMEMBERED:
        del remembered[next(iter(remembered))]
