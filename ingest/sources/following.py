"""Which followed posts to ask about next. Pure: the clock and the purse are handed in, and equal histories decide equally.

A look is worth what the forecast does not know yet. Engagements of a post come ever more slowly, about as `1 / age`, so between
two looks at the ages `a` and `b` a post is expected to gain `pull * log(b / a)`; `pull` is learned from what the looks
found, the latest counting most. What is unknown is that gain as a share of what is known: ten more tell much of a story of
twenty, and nothing of one of two thousand. A request to watch does not say how far the line is, but
it comes only for stories that may cross one.

What it promises:

1. No call is made sooner than the rate allows, asks about more posts than the connector takes, or costs more than the purse
   gives. When the purse runs low only what is more uncertain is asked about.
2. A post is asked about as soon as the rate allows, and then within `RECHECK_SECONDS` of its last look however quiet it is:
   edits and deletions are found so. Half of all looks are kept for those who are due, the longest waiting first. So the
   promise holds as long as half the rate suffices for it; beyond that they wait longer, in turn, and nobody starves.
3. No post is asked about more often than its request says, nor after its `until`.
4. At most `MOST_FOLLOWED` posts are followed. One more displaces the one that ends first, and is counted.

The state is in memory alone. After a takeover it is built anew from the topic of the requests, whose times tell the ages; only
the pulls are learned again.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.sources.base import Spend

RECHECK_SECONDS: Final = 3_600.0
"""Every followed post is asked about so often at least."""
WORTH: Final = 0.02
"""A gain of a fiftieth of what is known is worth a look."""
MOST_FOLLOWED: Final = 5_000
YOUNG_SECONDS: Final = 300.0
"""Added to every age: of the first minutes nobody knows how they decay."""
SMALL: Final = 10.0
"""Added to what is known: a first few engagements are no trend."""
FADING: Final = 0.5
"""What a look taught counts so much after the next."""
USUAL_PULL: Final = 10.0
"""Of a post that nobody has looked at, with the weight of `USUAL_WEIGHT`."""
USUAL_WEIGHT: Final = 0.2
LEAST_SHARE: Final = 0.05


@dataclass(slots=True)
class Followed:
    """A post that is followed. Times are in epoch seconds."""

    post: str
    asked_at: float
    until: float
    every_seconds: float
    looked_at: float | None = None
    known: int | None = None
    """Its engagements, as the last look found them."""
    gained: float = USUAL_PULL * USUAL_WEIGHT
    weight: float = USUAL_WEIGHT

    @property
    def due_at(self) -> float:
        """When it has to be asked about at the latest."""
        return self.asked_at if self.looked_at is None else self.looked_at + RECHECK_SECONDS

    def unknown(self, now: float) -> float:
        """Returns its expected gain since the last look, as a share of what is known."""
        if self.looked_at is None:
            return math.inf
        gain = self.gained / self.weight * self._logs(self.looked_at, now)
        return gain / ((self.known or 0) + SMALL)

    def learn(self, total: int | None, now: float) -> None:
        """A look found so many engagements; `None` if it did not say."""
        if total is not None:
            if self.known is not None and self.looked_at is not None:
                self.gained = FADING * self.gained + max(0, total - self.known)
                self.weight = FADING * self.weight + self._logs(self.looked_at, now)
            self.known = total
        self.looked_at = now

    def _logs(self, begin: float, end: float) -> float:
        begin, end = (max(0.0, at - self.asked_at) + YOUNG_SECONDS for at in (begin, end))
        return math.log(max(begin, end) / begin)


class Following:
    """The followed posts of one source, and when to ask about which."""

    def __init__(
        self, posts_per_look: int, looks_a_minute: float, dollars_per_post: float, most: int = MOST_FOLLOWED
    ) -> None:
        self._posts_per_look = posts_per_look
        self.tick_seconds = 60.0 / looks_a_minute
        self._price = dollars_per_post
        self._most = most
        self._posts: dict[str, Followed] = {}
        self._free_at = -math.inf
        self._extra = 1
        """Of an odd number of places in a call the odd one goes to those that are due, and to the most unknown, in turn."""
        self.displaced = 0

    def __len__(self) -> int:
        return len(self._posts)

    def __contains__(self, post: object) -> bool:
        return post in self._posts

    def follow(self, post: str, asked_at: float, until: float, every_seconds: float, now: float) -> None:
        """A request to follow it. One more for the same post lengthens the time and narrows the spacing."""
        if until <= now:
            return
        known = self._posts.get(post)
        if known is not None:
            known.until = max(known.until, until)
            known.every_seconds = min(known.every_seconds, every_seconds)
            return
        self._posts[post] = Followed(post, asked_at, until, every_seconds)
        if len(self._posts) > self._most:
            first = min(self._posts.values(), key=lambda one: (one.until, one.post))
            del self._posts[first.post]
            self.displaced += 1

    def forget(self, post: str) -> None:
        """It was deleted, or nobody wants it any more."""
        self._posts.pop(post, None)

    def next_look(self, now: float, spend: Spend) -> Sequence[str]:
        """The posts to ask about now, in one call; empty if none is worth it or the rate or the purse forbids it."""
        for post in [post for post, one in self._posts.items() if one.until <= now]:
            del self._posts[post]
        if now < self._free_at or not self._posts:
            return ()
        due = heapq.nsmallest(
            self._posts_per_look,
            (one for one in self._posts.values() if one.due_at <= now),
            key=lambda one: (one.due_at, one.post),
        )
        half = (self._posts_per_look + self._extra) // 2
        chosen = [one.post for one in due[:half]]
        chosen += self._most_unknown(now, self._posts_per_look - len(chosen), chosen, spend)
        chosen += [one.post for one in due if one.post not in chosen][: self._posts_per_look - len(chosen)]
        chosen = chosen[: self._affordable(len(chosen), spend)]
        if chosen:
            self._free_at = now + self.tick_seconds
            self._extra = 1 - self._extra
        return chosen

    def looked(self, asked: Sequence[str], totals: Mapping[str, int], gone: Collection[str], now: float) -> None:
        """What the look found. A post that it does not tell of waits as if it were known: the network was asked."""
        for post in asked:
            if post in gone:
                self.forget(post)
            elif (one := self._posts.get(post)) is not None:
                one.learn(totals.get(post), now)

    def _most_unknown(self, now: float, most: int, without: Collection[str], spend: Spend) -> list[str]:
        ready = [
            (one.unknown(now), one.post)
            for one in self._posts.values()
            if (one.looked_at is None or now - one.looked_at >= one.every_seconds) and one.post not in without
        ]
        found = heapq.nsmallest(most, ready, key=lambda each: (-each[0], each[1]))
        worth = WORTH / max(LEAST_SHARE, spend.share())
        # A call that is made anyway takes others along, where that costs nothing.
        if self._price == 0 and (without or (found and found[0][0] >= worth)):
            return [post for _, post in found]
        return [post for unknown, post in found if unknown >= worth]

    def _affordable(self, posts: int, spend: Spend) -> int:
        """How many of so many the purse gives. It is asked last for what it gives, so that it is not taken for empty."""
        if self._price == 0:
            return posts
        while posts > 1 and not spend.may(posts * self._price):
            posts -= 1
        return posts if posts and spend.may(posts * self._price) else 0
