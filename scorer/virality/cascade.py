"""A conversation folded into constant memory: counts, reach, rates, growth, mood and the posts a person should see.

Events may come in any order within reason: what an event adds depends on its own place in time, so folding two events in
either order gives the same sums. No list of events is kept. Pure: the clock comes in as a number (epoch seconds).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from operator import mul
from typing import Final

import msgspec

from scorer.virality.automation import is_copy, remembering, sketch
from scorer.virality.recalibration import Claim

KERNEL_SECONDS: Final = (600.0, 3_600.0, 20_000.0, 120_000.0, 1_000_000.0)
KERNEL_WEIGHTS: Final = (0.436, 0.152, 0.172, 0.042, 0.198)
"""A sum of exponentials within 0.02 of the reaction-time kernel of SEISMIC (Zhao et al., KDD 2015; power law with exponent
1.242 after 300 s), because a sum of exponentials can be updated event by event and a power law cannot."""
RATE_SECONDS: Final = KERNEL_SECONDS
"""Decayed counts share the kernel's scales, so that one exponential a scale serves both."""
DEFAULT_REACH: Final = 300.0
"""Followers of an author whose network does not tell; near the median of the retweeters in public cascades."""
LOUD_REACH: Final = 50_000.0
LOUD_SECONDS: Final = 3_600.0
"""An engagement by so large an account is remembered by itself; its weight halves in an hour."""
DEDUP_IDS: Final = 64
"""Event ids remembered a conversation, against networks and clients that send twice."""
ID_BYTES: Final = 5
"""Of each: two of sixty-four are alike once in 250 million conversations."""
CURVE_POINTS: Final = 64
CARDS: Final = 3
TIMES: Final = 16
LINKS: Final = 16
YOUNG_ACCOUNT_SECONDS: Final = 14 * 86_400.0
STEP_SECONDS: Final = 1.0
STEPS: Final = 8
STEP_RATE: Final = 0.1
"""So many engagements, each within a second of the one before, where fewer than one in ten seconds is the rate of late, come in
step; `STEP_QUIET_SECONDS` after the beginning or a loud voice they may also be readers who saw it at once."""
STEP_QUIET_SECONDS: Final = 600.0


class Card(msgspec.Struct, omit_defaults=True):
    """What a person needs of one post."""

    network: str
    post_id: str
    kind: str
    at: float
    author: str | None = None
    followers: int | None = None
    text: str | None = None
    language: str | None = None
    permalink: str | None = None
    reply_link: str | None = None
    account: str | None = None
    negative: float | None = None
    policy: str = "text_allowed"


class Excitation(msgspec.Struct, array_like=True):
    """The sums that a self-exciting estimate needs, as of the newest event: `waiting[j]` is the reach still to react along
    kernel j, `reach` all of it, `events` the engagements."""

    reach: float = 0.0
    events: float = 0.0
    waiting: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(KERNEL_SECONDS))

    def add(self, reach: float, events: float, late: float, velocity: bool) -> None:
        """One more voice, `late` seconds before the newest event."""
        self.reach += reach
        self.events += events
        if not velocity:
            return
        if late:
            self.waiting = [w + reach * exp(-late / tau) for w, tau in zip(self.waiting, KERNEL_SECONDS, strict=True)]
        else:
            self.waiting = [w + reach for w in self.waiting]


class LastAnnounced(msgspec.Struct, array_like=True):
    """The last forecast that went out for one brand."""

    number: int
    level: str
    probability: float
    size: float
    at: float
    crossed_at: float | None = None


class Cascade(msgspec.Struct, omit_defaults=True):
    """All that is known of one conversation. `story` is its own id, or that of the story it quotes."""

    story: str
    network: str
    brands: list[str] = msgspec.field(default_factory=list)
    account: str | None = None
    root: Card | None = None
    begins: float = 0.0
    newest: float = 0.0
    reposts: int = 0
    quotes: int = 0
    replies: int = 0
    snapshot: int = 0
    known: int = 0
    everyone: Excitation = msgspec.field(default_factory=Excitation)
    people: Excitation | None = None
    """Like `everyone` without accounts that look automated; `None` as long as there were none."""
    rates: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(RATE_SECONDS))
    peak_rate: float = 0.0
    doublings: list[int] = msgspec.field(default_factory=list)
    """Seconds since the beginning at which 1, 2, 4, 8 ... engagements were there: how growth went, whatever the size."""
    loud: tuple[float, float] = (0.0, 0.0)
    """Followers of the loudest engagement that is still being read, and when (epoch seconds) it was made."""
    automated: int = 0
    """Engagements that look automated."""
    steps: int = 0
    """Engagements in a row, each within `STEP_SECONDS` of the one before."""
    texts: bytes = b""
    """Sketches of the last replies and quotes (`automation`)."""
    scored: int = 0
    negative: int = 0
    curve: list[int] = msgspec.field(default_factory=list)
    curve_step: float = 1.0
    loudest: list[Card] = msgspec.field(default_factory=list)
    exemplars: list[Card] = msgspec.field(default_factory=list)
    asked: dict[str, float] = msgspec.field(default_factory=dict)
    links: list[str] = msgspec.field(default_factory=list)
    told: dict[str, LastAnnounced] = msgspec.field(default_factory=dict)
    claims: dict[str, list[Claim]] = msgspec.field(default_factory=dict)
    """By brand, what was said of it before anybody knew: it teaches when its time is over (`recalibration`)."""
    crossed: list[str] = msgspec.field(default_factory=list)
    """Those of the brands with claims whose line it crossed."""
    answered: bool = False
    """Whether the brand replied: nobody will know what the story would have become."""
    looked: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
    """Engagements, reach, time (epoch seconds) and the highest probability when it was last forecast."""
    ids: bytes = b""

    @property
    def engagements(self) -> int:
        """Reposts, quotes and replies: those we saw one by one, or the network's own total where it is higher."""
        seen = self.reposts + self.quotes + self.replies
        return max(seen, self.snapshot)

    @property
    def humans(self) -> Excitation:
        return self.everyone if self.people is None else self.people

    @property
    def is_full(self) -> bool:
        """Returns True if the next event id drives the oldest one out of the window."""
        return len(self.ids) >= ID_BYTES * DEDUP_IDS

    def remember_id(self, digest: bytes) -> bool:
        """Put an event id (a hash of it) into the window. Returns False if it is there already."""
        digest = digest[-ID_BYTES:]
        if digest in self.ids:
            return False
        self.ids = (self.ids + digest)[-ID_BYTES * DEDUP_IDS :]
        return True

    def note_step(self, at: float) -> bool:
        """Compare an engagement that is about to be folded with the one before it, by the network's own time `at`.

        Returns True if it is one of many that came in step, out of nothing.
        """
        gap = at - self.newest
        if gap > STEP_SECONDS:
            self.steps = 0
            return False
        if gap < 0:
            return False
        self.steps += 1
        return (
            self.steps >= STEPS
            and self.rates[0] < STEP_RATE * RATE_SECONDS[0]
            and at - self.begins > STEP_QUIET_SECONDS
            and at - self.loud[1] > STEP_QUIET_SECONDS
        )

    def remember_text(self, text: str) -> bool:
        """Keep a sketch of what a reply or quote said. Returns True if one of the last ones said nearly the same."""
        one = sketch(text)
        if one is None:
            return False
        copied = is_copy(one, self.texts)
        self.texts = remembering(one, self.texts)
        return copied

    def add_root(self, at: float, followers: int | None, velocity: bool) -> None:
        self.begins = min(self.begins, at) if self.begins else at
        self._excite(at, reach_of(followers), 0.0, human=True, velocity=velocity)

    def add_engagement(self, kind: str, at: float, followers: int | None, *, human: bool, velocity: bool) -> None:
        """One repost, quote or reply at `at`. Without `velocity` (a catch-up whose time nobody vouches for) it counts and
        reaches, but nobody is expected to react to it now."""
        # `engagements` before and after, written out: both are asked of every repost.
        before = self.reposts + self.quotes + self.replies
        if kind == "repost":
            self.reposts += 1
        elif kind == "quote":
            self.quotes += 1
        else:
            self.replies += 1
        if not self.begins:
            self.begins = at
        self.known += followers is not None
        self.automated += not human
        count = max(before + 1, self.snapshot)
        reach = reach_of(followers)
        self._excite(at, reach, count - max(before, self.snapshot), human=human, velocity=velocity)
        if velocity and reach >= LOUD_REACH:
            self._hear(at, reach)
        self._grow(at, count)

    def _hear(self, at: float, reach: float) -> None:
        """The louder of two voices is kept; an older one counts for less, because its readers have reacted."""
        followers, before = self.loud
        faded = followers * LOUD_SECONDS / (LOUD_SECONDS + abs(at - before))
        if reach > faded:
            self.loud = (reach, at)

    def add_counters(self, at: float, total: int) -> None:
        """A snapshot of totals: what is new in it counts as that many engagements of unknown authors at `at`."""
        before = self.engagements
        self.snapshot = max(self.snapshot, total)
        new = self.engagements - before
        if not self.begins:
            self.begins = at
        if new:
            self._excite(at, new * DEFAULT_REACH, new, human=True, velocity=True)
            self._grow(at, self.snapshot)

    def _excite(self, at: float, reach: float, events: float, *, human: bool, velocity: bool) -> None:
        if at > self.newest:
            if self.newest:
                self._fade(at - self.newest)
            self.newest = at
        late = self.newest - at
        if not human and self.people is None:
            self.people = Excitation(self.everyone.reach, self.everyone.events, list(self.everyone.waiting))
        self.everyone.add(reach, events, late, velocity)
        if human and self.people is not None:
            self.people.add(reach, events, late, velocity)
        if velocity and events:
            if late:
                self.rates = [
                    rate + events * exp(-late / tau) for rate, tau in zip(self.rates, RATE_SECONDS, strict=True)
                ]
            else:
                self.rates = [rate + events for rate in self.rates]
            self.peak_rate = max(self.peak_rate, self.rates[0] / RATE_SECONDS[0])

    def _fade(self, seconds: float) -> None:
        factors = [exp(-seconds / tau) for tau in KERNEL_SECONDS]
        self.everyone.waiting = list(map(mul, self.everyone.waiting, factors))
        if self.people is not None:
            self.people.waiting = list(map(mul, self.people.waiting, factors))
        self.rates = list(map(mul, self.rates, factors))

    def rate(self, window: int, now: float) -> float:
        """Engagements a second, averaged with an exponential window of `RATE_SECONDS[window]`."""
        tau = RATE_SECONDS[window]
        return self.rates[window] / tau * exp(-max(0.0, now - self.newest) / tau)

    def _grow(self, at: float, count: int) -> None:
        """Keep (seconds, count) pairs at a spacing that doubles whenever there is no room left."""
        offset = int(at - self.begins) if at > self.begins else 0
        while count >> len(self.doublings):
            self.doublings.append(offset)
        curve = self.curve
        if curve and offset - curve[-2] < self.curve_step:
            curve[-1] = max(curve[-1], count)
            return
        curve += (offset, count)
        if len(curve) > 2 * CURVE_POINTS:
            self.curve = [x for i in range(0, len(curve), 4) for x in curve[i : i + 2]]
            self.curve_step = max(self.curve_step * 2, (offset - curve[0]) / CURVE_POINTS)

    def read_reply(self, negative: bool) -> None:
        """The audience's mood: one more reply or quote was scored."""
        self.scored += 1
        self.negative += negative

    def is_loud(self, followers: int) -> bool:
        """Whether a voice of so many followers is among the loudest."""
        return followers > 0 and (len(self.loudest) < CARDS or followers > (self.loudest[-1].followers or 0))

    def show(self, card: Card) -> None:
        """Keep the loudest and the most negative voices, a bounded number of each."""
        if self.is_loud(card.followers or 0):
            self.loudest = _best([*self.loudest, card], lambda c: c.followers or 0)
        if card.negative is not None and card.kind != "original":
            self.exemplars = _best([*self.exemplars, card], lambda c: c.negative or 0.0)

    def remember_question(self, post_id: str, at: float) -> None:
        self.asked[post_id] = at
        while len(self.asked) > TIMES:
            del self.asked[next(iter(self.asked))]

    def remember_link(self, home: str) -> None:
        """A quote that cannot be linked yet, because the brand is not known."""
        if home not in self.links:
            self.links = [*self.links, home][-LINKS:]

    def be_answered(self) -> None:
        """The brand replied."""
        self.answered = True
        self.claims, self.crossed = {}, []

    def forget_post(self, post_id: str) -> None:
        """A deletion: nothing of what it said stays."""
        if self.root is not None and self.root.post_id == post_id:
            self.root = None
        self.loudest = [card for card in self.loudest if card.post_id != post_id]
        self.exemplars = [card for card in self.exemplars if card.post_id != post_id]


def reach_of(followers: int | None) -> float:
    """How many people a post of this author may reach; nobody reaches none."""
    return DEFAULT_REACH if followers is None else max(1.0, float(followers))


def _best(cards: list[Card], worth: Callable[[Card], float]) -> list[Card]:
    cards.sort(key=worth, reverse=True)
    return cards[:CARDS]
