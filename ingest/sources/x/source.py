"""X as a source: the filtered stream, and search for what was said while it was not open.

X resumes nothing. After every connection search is asked from the place that was left: at once if that is long ago, and in any
case once search knows what was written while the stream was opened (it is 30 seconds behind). It is asked again when the stream
was quiet for long: keep-alives show that X is there, not that posts come. If search finds what the stream did not bring, the
stream is opened anew.

A first start begins with now. X bills each post that it delivers, so the rules let through what the budget affords to the end
of the day, by X's own sampling, and every sampled time is stated as a gap. When nothing is left the stream is closed until
there is a new budget; what was said meanwhile is not fetched with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, cast

import structlog

from ingest.sources.base import Away, Cursor, Heard, Looked, Missed, Probe, Refused, SourceContext
from ingest.sources.x import mapping
from ingest.sources.x.api import LOOK_FIELDS, POSTS_PATH, RULES_PATH, XApi
from ingest.sources.x.mapping import Around, Item, around, first_of, ids_of, is_id, items_of, parsed, shared_by
from ingest.sources.x.place import XPlace
from ingest.sources.x.prices import PRICES, Bill
from ingest.sources.x.rules import MOST_RULES, RuleImpossible, change_to, level_for, prefix_of, queries_of, rules_of
from ingest.sources.x.search import BLIND, search
from ingest.sources.x.shapes import Unreadable, XLine, XPage, XPost, XProblem, XRule, XRules, decode, each
from ingest.sources.x.stream import ALIVE_SECONDS, OpenStream
from services.config.connectors.x import XSection

logger = structlog.get_logger()

REWIND: Final = timedelta(seconds=60)
"""Posts come to the stream so late at most (its slowest hundredth takes 7 seconds)."""
CLOSING: Final = BLIND + timedelta(seconds=15)
"""After so long search knows everything that was written before the stream was open."""
LONG: Final = timedelta(seconds=90)
"""Who was away for longer is not left waiting for that."""
LEVEL: Final = timedelta(minutes=5)
"""How often the sampling is decided anew."""
STATED: Final = timedelta(hours=1)
"""A sampled time is stated so often."""
BROKE_SECONDS: Final = 60.0


class XSource:
    """See the module. Satisfies `Source` and `Follower`."""

    posts_per_look = 100
    dollars_per_post: float = PRICES["post"]

    def __init__(self, context: SourceContext) -> None:
        self._options = cast("XSection", context.options)
        self.silence_seconds: float | None = 2 * ALIVE_SECONDS
        self._context = context
        self._clock = context.clock
        self._api = XApi(context.http, self._options.api, context.secrets.get("token", ""), context.clock)
        self._bill = Bill(context.spend, context.clock, authors=self._options.count_authors)
        self._place = XPlace(self._api.base, context.clock.now())
        self._percent = 100
        self._sampled_since: datetime | None = None
        self._is_closed = True
        """Whether nothing is missing between the place and now: what search does not know yet, it is asked for later."""
        self._quiet = timedelta(seconds=self._options.quiet_seconds)
        self._alive_at: datetime | None = None
        """When anything came by the stream, a keep-alive included."""
        self._post_at = context.clock.now()
        self._hidden: set[str] = set()
        try:
            self._queries = queries_of(
                context.brands, context.network, self._options.rules, reposts=self._options.reposts
            )
        except RuleImpossible as error:
            raise Refused(str(error)) from None
        if not self._queries:
            raise Refused("there is neither a brand nor a rule to listen for")

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        now = self._clock.now()
        since: datetime | None = None
        self._place = XPlace(self._api.base, now)
        if cursor is not None:
            if cursor.origin == self._api.base:
                self._place = XPlace.restored(cursor)
            self._place.at = since = cursor.at
        while True:
            if not self._bill.may(self._bill.at_most(1)):
                async for heard in self._wait_for_money():
                    yield heard
                since = None
            try:
                async with aclosing(
                    self._hear(since)
                ) as hearing:  # X takes a stream that is left open for a second one
                    async for heard in hearing:
                        yield heard
            finally:
                self._alive_at = None
            since = None  # it ended because nothing is left

    async def probe(self) -> Probe:
        """Whether X is there, and takes our token: a question that costs nothing. Without keep-alives the stream is dead."""
        standing = await self._standing()
        now = self._clock.now()
        if self._alive_at is not None and (now - self._alive_at).total_seconds() > ALIVE_SECONDS:
            raise Away("the stream is open, but X sends no keep-alive")
        prefix = prefix_of(self._options.name)
        ours = sum(rule.tag.startswith(prefix) for rule in standing)
        return Probe(note=f"{ours} rules stand, and {len(standing) - ours} of others; a post costs ${PRICES['post']}")

    async def close(self) -> None:
        """The client belongs to the runner, and the stream to `listen`."""

    async def look(self, posts: Sequence[str]) -> Looked:
        ids = [post for post in posts if is_id(post)]
        strange = tuple(post for post in posts if not is_id(post))
        if not ids:
            return Looked(unanswered=strange)
        if not self._bill.affords(self._bill.price(ids)):
            return Looked(unanswered=tuple(posts))
        page = await self._api.get(POSTS_PATH, XPage, {**LOOK_FIELDS, "ids": ",".join(ids)})
        found, near = each(page.data, XPost), around(page.includes)
        self._bill.pay(*ids_of(found, near))
        items = [item for post in found for item in self._looked_at(post, near)]
        answered = {post.id for post in found}
        for problem in each(page.errors, XProblem):
            absent = mapping.absent_item(problem)
            if absent is not None and absent["post_id"] in ids:
                items.append(absent)
                answered.add(absent["post_id"])
                if absent["kind"] == "visibility":
                    self._hidden.add(absent["post_id"])
        return Looked(items, (*strange, *(post for post in ids if post not in answered)))

    async def _hear(self, since: datetime | None) -> AsyncGenerator[Heard]:
        """Hear the stream until the money is spent. Raises `SourceTrouble`."""
        sampled = self._sampled_until(self._clock.now())
        self._percent = level_for(self._bill.share())
        await self._set_rules()
        async with OpenStream(self._api) as stream:
            opened = self._alive_at = self._post_at = self._clock.now()
            self._sampled_since = opened if self._percent < 100 else None
            self._is_closed = since is None
            if since is None:
                self._place.advance(opened, opened)
            elif opened - since > LONG:
                async for heard in self._catch_up(since):
                    yield heard
                since = opened - CLOSING
            yield Heard((), self._place.cursor(), sampled)
            check_at = opened + (CLOSING if since is not None else self._quiet)
            level_at = opened + LEVEL
            while True:
                wait = (min(check_at, level_at) - self._clock.now()).total_seconds()
                lines = await stream.next(self._clock.real_seconds(max(wait, 0.0)))
                if lines:
                    before = self._bill.paid
                    yield self._from_lines(lines)
                    if not self._bill.may(max(self._bill.paid - before, self._bill.at_most(1))):
                        await stream.stop()
                        yield self._from_lines(stream.waiting())
                        return
                now = self._clock.now()
                if now >= check_at:
                    async for heard in self._check(since, now):
                        yield heard
                    since, check_at = None, max(self._post_at, now) + self._quiet
                if now >= level_at:
                    level_at = now + LEVEL
                    if missed := await self._resample(now):
                        yield Heard(missed=missed)

    async def _check(self, since: datetime | None, now: datetime) -> AsyncIterator[Heard]:
        """Ask for what was written while the stream was opened (`since`), or for what it did not bring in a quiet time. Raises
        `Away` if it brings nothing though there was something."""
        if since is not None:
            async for heard in self._catch_up(since):
                yield heard
            self._is_closed = True
        elif self._percent == 100 and now - self._post_at >= self._quiet:
            brought = False
            async for heard in self._catch_up(self._place.at):
                brought = brought or bool(heard.items)
                yield heard
            if brought:
                raise Away("the stream is open and brings nothing, though there is something")

    async def _catch_up(self, since: datetime) -> AsyncIterator[Heard]:
        """What search finds from a little before then. Raises `SourceTrouble`."""
        now = self._clock.now()
        if self._percent < 100:
            yield Heard(
                missed=(Missed(since, max(since, now - BLIND), "not fetched: too little is left of the budget"),)
            )
            return
        async for found in search(self._api, self._bill, self._queries, since - REWIND, now):
            items = [item for post in found.posts for item in self._told(post, found.near, now, asked=True)]
            if items or found.missed:
                yield Heard(items, self._place.cursor(), found.missed)
        self._place.advance(now - BLIND, now)
        yield Heard((), self._place.cursor())

    def _from_lines(self, lines: Sequence[bytes]) -> Heard:
        """What lines of the stream say. Raises `Away` if one of them says that it ends and nothing came before it."""
        now, bad = self._clock.now(), 0
        self._alive_at = now
        items: list[Item] = []
        for line in lines:
            if not line:
                continue
            try:
                said = decode(line, XLine)
            except Unreadable:
                bad += 1
                continue
            if said.data is None:
                if said.errors and not items:
                    why = next((problem.words for problem in each(said.errors, XProblem)), "without a reason")
                    raise Away(f"X ends the stream: {why}")
                bad += not said.errors
                continue
            near = around(said.includes)
            self._bill.pay(*ids_of([said.data], near))
            self._post_at = now
            items += self._told(said.data, near, now, asked=False)
            if self._is_closed:
                self._place.advance(parsed(said.data.created_at), now)
        missed = (Missed(now, now, "lines that could not be read", bad),) if bad else ()
        return Heard(items, self._place.cursor() if items else None, missed)

    def _told(self, post: XPost, near: Around, now: datetime, *, asked: bool) -> list[Item]:
        """The items of a post, with the post that it shares before it; none of what was told already."""
        found: list[Item] = []
        shared = shared_by(post, near)
        for one in (shared, post):
            if one is None or not is_id(one.id) or not self._place.is_new(one.id):
                continue
            first = first_of(one)
            # What is shared is as old as it is, whoever brings it.
            found += items_of(one, near, now, asked=asked or one is shared, known=self._place.knows(first))
            self._place.see((one.id, first))
        return found

    def _looked_at(self, post: XPost, near: Around) -> list[Item]:
        """The totals of a post, and its newest text where it was edited since."""
        items = []
        counted = mapping.counters_item(post, Around())
        newest = near.posts.get(post.history[-1], post)
        first = first_of(newest)
        if newest.id != first and self._place.is_new(newest.id):
            items += items_of(newest, near, self._clock.now(), asked=True, known=True)
            self._place.see((newest.id, first))
        if post.id in self._hidden:
            self._hidden.discard(post.id)
            items.append(mapping.visibility_item(post.id, visible=True))
        return [*items, counted] if counted is not None else items

    async def _resample(self, now: datetime) -> tuple[Missed, ...]:
        """Let through what can be afforded; says which time was sampled until now. Raises `SourceTrouble`."""
        percent = level_for(self._bill.share())
        if percent == self._percent:
            since = self._sampled_since
            return self._sampled_until(now) if since is not None and now - since >= STATED else ()
        missed = self._sampled_until(now)
        self._percent = percent
        logger.info("x_sampling", source=self._options.name, percent=percent)
        await self._set_rules()
        self._sampled_since = now if percent < 100 else None
        return missed

    def _sampled_until(self, now: datetime) -> tuple[Missed, ...]:
        """The time that was sampled and not stated yet."""
        since = self._sampled_since
        if since is None:
            return ()
        self._sampled_since = now
        return (Missed(since, now, f"sampled: {self._percent} percent of the posts were heard, for the budget"),)

    async def _wait_for_money(self) -> AsyncIterator[Heard]:
        """Nothing is heard until the budget begins anew; the runner says so for as long as it is empty."""
        while not self._bill.may(self._bill.at_most(1)):
            yield Heard()
            await self._clock.sleep(BROKE_SECONDS)

    async def _set_rules(self) -> None:
        """Make the rules of this source those that are wanted. Nobody else's are touched. Raises `SourceTrouble`."""
        try:
            wanted = rules_of(
                self._context.brands,
                self._context.network,
                self._options.name,
                self._options.rules,
                reposts=self._options.reposts,
                percent=self._percent,
            )
        except RuleImpossible as error:
            raise Refused(str(error)) from None
        standing = await self._standing()
        change = change_to(wanted, standing, self._options.name)
        add = {"add": [{"value": rule.value, "tag": rule.tag} for rule in change.add]}
        delete = {"delete": {"ids": list(change.delete)}}
        if change.add:
            await self._change(add, dry_run=True)
        # What is new stands before the old one goes, where there is room for both: so nothing is missed in between.
        steps: list[tuple[Sequence[object], object]] = [(change.add, add), (change.delete, delete)]
        if len(standing) + len(change.add) > MOST_RULES:
            steps.reverse()
        for rules, step in steps:
            if rules:
                await self._change(step)

    async def _standing(self) -> list[XRule]:
        """The rules that stand at X."""
        found: list[XRule] = []
        asked: dict[str, str | int] = {}
        while True:
            answer = await self._api.get(RULES_PATH, XRules, asked)
            found += answer.data or []
            token = answer.meta.next_token if answer.meta is not None else None
            if token is None or not answer.data:
                return found
            asked["pagination_token"] = token

    async def _change(self, what: object, *, dry_run: bool = False) -> None:
        parameters = {"dry_run": "true"} if dry_run else {}
        answer = await self._api.post(RULES_PATH, XRules, parameters, what)
        for problem in answer.errors or []:
            if problem.kind != "duplicate-rules":
                raise Refused(f"X does not take the rule {(problem.value or '?')[:200]}: {problem.words}")


def build(context: SourceContext) -> XSource:
    return XSource(context)
