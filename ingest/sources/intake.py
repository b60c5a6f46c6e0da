"""Turns what sources hear into messages for the log, by the same reading and normalising as `POST /v1/posts`. An item that is
rejected is logged, counted and left out: it never stops its source.

A network's clock that runs ahead of ours rejects a post of the API, whose client is told. Nobody is told here, so such a time
is dropped instead, and the post is heard.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic_core
import structlog
from pydantic import ValidationError

from ingest.authors import normalize_author
from ingest.claims import Reduced
from ingest.normalize import ItemRefused, NormalizedPost, Normalizer
from ingest.parsing import Item, Malformed, Parser, explain
from ingest.publisher import BREATH_ITEMS, Publisher
from ingest.reports import ReportRefused
from ingest.schemas import AuthorChangeIn, ItemError, PostIn, Reason
from services.base.clock import Clock
from services.config.current import Derived
from services.contracts.base import EventId
from services.contracts.post import AuthorChanged
from services.eventlog.base import Message

logger = structlog.get_logger()

PIECE_ITEMS: Final = 500
"""So many items are read and stored in one transaction at most."""
PIECE_BYTES: Final = 4_000_000
LARGE_BYTES: Final = 65_536
"""More is read off the event loop."""
REMEMBERED: Final = 50_000
"""Items of a source that are recognised when they come again in the same life of the process."""
_NOT_JSON: Final = ItemError(Reason.NOT_JSON, None, "not JSON")


@dataclass(slots=True)
class Taken:
    """What became of some items: the messages, how many posts were accepted, and the errors of the others. `names` are what to
    remember once the messages are stored."""

    messages: list[Message] = field(default_factory=list)
    posts: int = 0
    rejected: list[ItemError] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)


class Remembered:
    """The events that a source has brought in this life; the oldest are forgotten first."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._names: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self._names[name] = None
        while len(self._names) > self._most:
            self._names.popitem(last=False)


class Intake:
    """Makes messages of items. One for all sources of a process."""

    def __init__(
        self, parser: Parser, normalizer: Derived[Normalizer], publisher: Publisher, clock: Clock, piece_items: int
    ) -> None:
        self._parser = parser
        self._normalizer = normalizer
        self._publisher = publisher
        self._clock = clock
        self.piece_items = min(PIECE_ITEMS, piece_items)

    async def take(
        self, source: str, network: str, items: Sequence[Mapping[str, Any]], known: Remembered | None = None
    ) -> Taken:
        """What one piece of items becomes (see `pieces`). What is `known` is left out. Raises `Unavailable`."""
        now, normalizer = self._clock.now(), self._normalizer.now
        normal: dict[int, NormalizedPost] = {}
        taken = Taken()
        for index, item in enumerate(await self._parsed(network, items)):
            if isinstance(item, ItemError):
                taken.rejected.append(item)
                continue
            post, unread = item if isinstance(item, Reduced) else (item, ())
            try:
                normal[index] = _normalized(normalizer, post, now, unread)
            except ItemRefused as refused:
                taken.rejected.append(refused.error)
            if index % BREATH_ITEMS == BREATH_ITEMS - 1:
                await asyncio.sleep(0)
        fitting, errors = await self._publisher.prepare({i: (*n.observations, *n.notices) for i, n in normal.items()})
        taken.rejected.extend(errors.values())
        for index, messages in fitting:
            # Of one item all events are new, or none: they were stored in one transaction.
            name = str(normal[index].observations[0].id)
            if known is not None and name in known:
                continue
            if name not in taken.names:
                taken.messages.extend(messages)
                taken.names[name] = None
                taken.posts += 1
        _tell(source, taken)
        return taken

    async def authors(self, source: str, network: str, reports: Sequence[Mapping[str, Any]]) -> Taken:
        """The same for what became of authors, as `POST /v1/authors` takes it."""
        now, taken = self._clock.now(), Taken()
        said: list[tuple[AuthorChanged, EventId]] = []
        for report in reports:
            try:
                one = AuthorChangeIn.model_validate_json(pydantic_core.to_json({"network": network, **report}))
                said.append(normalize_author(one, self._normalizer.now.book, now))
            except ValidationError as wrong:
                taken.rejected.append(explain(wrong))
            except ReportRefused as refused:
                taken.rejected.append(refused.error)
        if said:
            taken.messages.extend(await self._publisher.prepare_for_all(said))
        _tell(source, taken)
        return taken

    async def _parsed(self, network: str, items: Sequence[Mapping[str, Any]]) -> Sequence[Item]:
        written = [_written(network, item) for item in items]
        good = [one for one in written if one is not None]
        body = b"[" + b",".join(good) + b"]"
        if not good:
            read: list[Item] = []
        elif len(body) <= LARGE_BYTES:
            read = self._read(body)
        else:
            read = await asyncio.to_thread(self._read, body)
        return [*read, *([_NOT_JSON] * (len(written) - len(good)))]

    def _read(self, body: bytes) -> list[Item]:
        try:
            return self._parser.items(body, ndjson=False)
        except Malformed as error:  # cannot be: we wrote it
            return [ItemError(Reason.NOT_JSON, None, str(error))]


def pieces(items: Sequence[Mapping[str, Any]], most: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Cuts what was heard in one go into what fits a transaction: by number, and roughly by the length of the texts."""
    begin = size = 0
    for index, item in enumerate(items):
        weight = 500 + 4 * len(str(item.get("text") or ""))
        if index > begin and (index - begin == most or size + weight > PIECE_BYTES):
            yield items[begin:index]
            begin, size = index, 0
        size += weight
    if begin < len(items):
        yield items[begin:]


def _tell(source: str, taken: Taken) -> None:
    for error in taken.rejected:
        logger.warning("source_item_rejected", source=source, code=error.code, field=error.field, why=error.message)


def _written(network: str, item: Mapping[str, Any]) -> bytes | None:
    try:
        return json.dumps({"network": network, **item}, default=str).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _normalized(normalizer: Normalizer, post: PostIn, now: Any, unread: tuple[Any, ...]) -> NormalizedPost:
    try:
        return normalizer.normalize(post, now, unread)
    except ItemRefused as refused:
        if refused.error.code is not Reason.BAD_TIME or post.platform_at is None:
            raise
        return normalizer.normalize(post.model_copy(update={"platform_at": None}), now, unread)
