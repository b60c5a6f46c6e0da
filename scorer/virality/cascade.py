"""A conversation folded into constant memory: counts, reach, rates, growth, mood and the posts a person should see. Pure.

Events may come a little out of order: what an event adds depends on its own place in time, so folding two events in either
order gives the same sums. No list of events is kept. All times are epoch seconds.
"""

from __future__ import annotations

from math import exp
from operator import mul
from typing import Final

import msgspec

from scorer.virality.automation import is_copy, remembering, says_the_same, sketch
from scorer.virality.cards import CARDS, Card, EngagedReply, best
from scorer.virality.excitation import KERNEL_SECONDS, Excitation
from scorer.virality.recalibration import Claim
from scorer.virality.versions import Version

RATE_SECONDS: Final = KERNEL_SECONDS
"""The windows over which rates are averaged: those of the kernel, so that each exponential is computed once for both."""
RESURFACED_SECONDS: Final = 72 * 3_600.0
"""The first engagement after so long begins a story of its own: how old the post is says nothing about where this one goes."""
DEFAULT_REACH: Final = 300.0
"""Followers of an author where the network does not say; close to the median of retweeters in public cascades."""
LOUD_REACH: Final = 50_000.0
"""An engagement by an account with so many followers is remembered by itself, as the loud voice."""
LOUD_SECONDS: Final = 3_600.0
"""After so long, a loud voice counts half against a newer one."""
CURVE_POINTS: Final = 64
VOICES: Final = 8
TIMES: Final = 16
LINKS: Final = 16
"""Bounds of what is kept for each conversation: points of the growth curve, posts of each kind that people should see, replies
that may drive it, questions that wait for an answer, quotes that wait to be linked."""
DRIVER_ENGAGEMENTS: Final = 5
"""A reply with fewer engagements of its own drives no story."""
YOUNG_ACCOUNT_SECONDS: Final = 14 * 86_400.0
"""An account that is younger than this when it engages looks automated."""
STEP_SECONDS: Final = 1.0
STEPS: Final = 8
STEP_RATE: Final = 0.1
STEP_QUIET_SECONDS: Final = 600.0
"""Engagements that come in step look automated: `STEPS` in a row, each at most `STEP_SECONDS` after the one before, in a story
that had fewer than `STEP_RATE` a second lately. In the first `STEP_QUIET_SECONDS` of a story, and as long after a loud voice,
they may be readers who all saw it at once."""


class LastAnnounced(msgspec.Struct, array_like=True):
    """The last forecast that one brand was told."""

    number: int
    level: str
    probability: float
    size: float
    at: float
    crossed_at: float | None = None
    engagements: int = 0
    reach: float = 0.0
    earliest: float | None = None
    """The earliest time at which it said that the line may be crossed."""


class Cascade(msgspec.Struct, omit_defaults=True):
    """All that is known of one conversation. `story` is its own id, or that of the conversation it quotes."""

    story: str
    network: str
    brands: list[str] = msgspec.field(default_factory=list)
    account: str | None = None
    root: Card | None = None
    begins: float = 0.0
    rooted: bool = False
    """True if the root was seen, though its words may be deleted since."""
    written: float = 0.0
    """When a root was written that is far older than its story."""
    newest: float = 0.0
    reposts: int = 0
    quotes: int = 0
    replies: int = 0
    snapshot: int = 0
    known: int = 0
    everyone: Excitation = msgspec.field(default_factory=Excitation)
    people: Excitation | None = None
    """Like `everyone`, without accounts that look automated; `None` as long as there were no such accounts."""
    rates: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(RATE_SECONDS))
    peak_rate: float = 0.0
    doublings: list[int] = msgspec.field(default_factory=list)
    """Seconds from the beginning to the 1st, 2nd, 4th, 8th ... engagement: the shape of the growth, whatever the size."""
    loud: tuple[float, float] = (0.0, 0.0)
    """Followers of the loudest recent engagement, and when it was made."""
    automated: int = 0
    """The number of engagements that look automated."""
    steps: int = 0
    """The number of engagements in a row that came at most `STEP_SECONDS` after the one before."""
    texts: bytes = b""
    """Sketches of the last replies and quotes (`automation`)."""
    late: int = 0
    """The number of engagements that were heard late, and have their places in time by what many claimed (`lateness`)."""
    scored: int = 0
    negative: int = 0
    curve: list[int] = msgspec.field(default_factory=list)
    curve_step: float = 1.0
    loudest: list[Card] = msgspec.field(default_factory=list)
    exemplars: list[Card] = msgspec.field(default_factory=list)
    voices: dict[str, EngagedReply] = msgspec.field(default_factory=dict)
    """By post id, the last replies and those that people engaged with."""
    asked: dict[str, float] = msgspec.field(default_factory=dict)
    links: list[str] = msgspec.field(default_factory=list)
    told: dict[str, LastAnnounced] = msgspec.field(default_factory=dict)
    claims: dict[str, list[Claim]] = msgspec.field(default_factory=dict)
    """By brand, what was forecast while the outcome was open: compared with the outcome when the horizon is over
    (`recalibration`)."""
    crossed: list[str] = msgspec.field(default_factory=list)
    """Those brands with claims whose line was crossed."""
    answered: bool = False
    """True if the brand replied: what the story would have become without that will never be known."""
    looked: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
    """Engagements, reach, time and highest probability at the last forecast."""
    ids: bytes = b""
    """The last events that were counted when version 3 of the state was written: five bytes of each id."""
    versions: dict[str, Version] = msgspec.field(default_factory=dict)
    """By post id, which text of the last posts is known."""
    early: bytes = b""
    """An edit of the root that came before it, as its JSON: it may belong to another conversation."""
    recent: bytes = b""
    sealed: int = 0
    unsealed: int = 0
    """The last events that were counted, how many before them were sealed into chunks, and how many of these were forgotten
    again (`scorer.seen`)."""

    @property
    def engagements(self) -> int:
        """Reposts, quotes and replies: those we saw one by one, or the network's own total where it is higher."""
        seen = self.reposts + self.quotes + self.replies
        return max(seen, self.snapshot)

    @property
    def knows_root(self) -> bool:
        """Returns True if the root was seen. (Version 3 of the state says so by its words alone.)"""
        return self.rooted or self.root is not None

    @property
    def humans(self) -> Excitation:
        """The sums without accounts that look automated."""
        return self.everyone if self.people is None else self.people

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
        """Fold the post that the conversation hangs on. One that is far older than what was made of it begins nothing."""
        self.rooted = True
        if self.begins - at > RESURFACED_SECONDS:
            self.written = at
        else:
            self.begins = min(self.begins, at) if self.begins else at
        self._excite(at, reach_of(followers), 0.0, human=True, velocity=velocity)

    def add_engagement(
        self, kind: str, at: float, followers: int | None, *, human: bool, velocity: bool, placed: bool = False
    ) -> None:
        """Fold a repost, quote or reply that was made at `at`.

        Without `velocity` (a catch-up whose time nobody vouches for) it counts, and so does its reach, but nobody is expected
        to react to it now. `human` is False for an account that looks automated. One that was `placed` by its claims may be
        older than all that was seen before.
        """
        # `engagements` before and after, written out: both are asked of every repost.
        before = self.reposts + self.quotes + self.replies
        if kind == "repost":
            self.reposts += 1
        elif kind == "quote":
            self.quotes += 1
        else:
            self.replies += 1
        if not before and not self.snapshot:
            self._begin(at)
        self.known += followers is not None
        self.automated += not human
        count = max(before + 1, self.snapshot)
        reach = reach_of(followers)
        self._excite(at, reach, count - max(before, self.snapshot), human=human, velocity=velocity)
        if velocity and reach >= LOUD_REACH:
            self._hear(at, reach)
        if placed:
            # Some sources deliver the newest posts first. So many there were when the newest of them was written.
            self.begins = min(self.begins, at)
            at = self.newest
        self._grow(at, count)

    def _begin(self, at: float) -> None:
        """The first engagement: the story begins with its root, or here if that is far older or was not seen."""
        if self.begins and at - self.begins > RESURFACED_SECONDS:
            self.written, self.begins = self.begins, at
        self.begins = self.begins or at

    def _hear(self, at: float, reach: float) -> None:
        """Keep the louder of two voices. The older one counts for less, because its readers have reacted."""
        followers, before = self.loud
        faded = followers * LOUD_SECONDS / (LOUD_SECONDS + abs(at - before))
        if reach > faded:
            self.loud = (reach, at)

    def add_counters(self, at: float, total: int) -> None:
        """Fold a network's own total of engagements: those that are new count as engagements of unknown authors at `at`."""
        before = self.engagements
        self.snapshot = max(self.snapshot, total)
        new = self.engagements - before
        if not before:
            self._begin(at)
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
        """Note when doublings were reached, and add a point to the curve, whose spacing doubles whenever it is full."""
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
        """Count a reply or quote whose text was scored towards the mood of the audience."""
        self.scored += 1
        self.negative += negative

    def is_loud(self, followers: int) -> bool:
        """Returns True if an account with so many followers belongs to the loudest that are kept."""
        return followers > 0 and (len(self.loudest) < CARDS or followers > (self.loudest[-1].followers or 0))

    def show(self, card: Card) -> None:
        """Keep the loudest and the most negative voices, a bounded number of each."""
        if self.is_loud(card.followers or 0):
            self.loudest = best([*self.loudest, card], lambda c: c.followers or 0)
        if card.negative is not None and card.kind != "original":
            full = len(self.exemplars) == CARDS
            if (full and card.negative <= (self.exemplars[-1].negative or 0.0)) or self._has_shown(card):
                return
            self.exemplars = best([*self.exemplars, card], lambda c: c.negative or 0.0)

    def _has_shown(self, card: Card) -> bool:
        """Returns True if an exemplar says the same: people should see what different people say."""
        text = card.text or ""
        return any(says_the_same(text, other.text or "") for other in self.exemplars)

    def listen(self, card: Card) -> EngagedReply:
        """Keep a reply, as it may come to drive the story. The oldest of those that fewest engaged with makes room."""
        voices = self.voices
        if len(voices) >= VOICES and card.post_id not in voices:
            del voices[min(voices, key=lambda name: voices[name].engagements)]
        return voices.setdefault(card.post_id, EngagedReply(card))

    def credit(self, parent: str | None) -> None:
        """Somebody engaged with the post `parent`: count it for that post, if it is a reply that is known."""
        if parent is None:
            return
        voice = self.voices.get(parent)
        if voice is None:
            card = next((card for card in self.exemplars if card.post_id == parent), None)
            if card is None:
                return
            voice = self.listen(card)
        voice.engagements += 1

    @property
    def driver(self) -> EngagedReply | None:
        """The reply that drives the story; `None` if the root does, as most roots do."""
        first = max(self.voices.values(), key=lambda voice: voice.card.weight(voice.engagements), default=None)
        if first is None or first.engagements < DRIVER_ENGAGEMENTS:
            return None
        others = sum(voice.engagements for voice in self.voices.values())
        alone = self.reposts + self.quotes + self.replies - others
        root = alone * 0.5 if self.root is None else self.root.weight(alone)
        return first if first.card.weight(first.engagements) > root else None

    @property
    def shown(self) -> tuple[Card, ...]:
        """The posts that a person would see."""
        voices = (voice.card for voice in self.voices.values())
        return (*((self.root,) if self.root is not None else ()), *self.loudest, *self.exemplars, *voices)

    def remember_question(self, post_id: str, at: float) -> None:
        """Remember when a post was written, so that the time until its answer is known. The oldest one is forgotten."""
        self.asked[post_id] = at
        while len(self.asked) > TIMES:
            del self.asked[next(iter(self.asked))]

    def remember_link(self, home: str) -> None:
        """Remember the conversation of a quote that cannot be linked yet, because the brand is not known."""
        if home not in self.links:
            self.links = [*self.links, home][-LINKS:]

    def be_answered(self) -> None:
        """The brand replied: from now on the story says nothing about what the forecasts were worth."""
        self.answered = True
        self.claims, self.crossed = {}, []

    def card_of(self, post_id: str) -> Card | None:
        """What is shown of a post, if anything is."""
        return next((card for card in self.shown if card.post_id == post_id), None)

    def edit(self, card: Card) -> None:
        """A post has other words: show these wherever it is shown, and among the exemplars if they are negative enough."""
        if self.root is not None and self.root.post_id == card.post_id:
            self.root = card
        self.loudest = [card if one.post_id == card.post_id else one for one in self.loudest]
        self.exemplars = [one for one in self.exemplars if one.post_id != card.post_id]
        voice = self.voices.get(card.post_id)
        if voice is not None:
            voice.card = card
        if card.negative is not None and card.kind != "original":
            self.exemplars = best([*self.exemplars, card], lambda c: c.negative or 0.0)

    def forget_author(self, author_id: str) -> bool:
        """An author was erased: forget what they said. Returns True if there was anything."""
        for post_id in (theirs := {card.post_id for card in self.shown if card.author_id == author_id}):
            self.forget_post(post_id)
        return bool(theirs)

    def forget_post(self, post_id: str) -> None:
        """A post was deleted: forget what it said. If it is ever sent again, and may be shown, it is news."""
        if post_id in self.versions:
            self.versions[post_id] = self.versions[post_id].forgotten()
        if self.root is not None and self.root.post_id == post_id:
            self.root = None
        self.loudest = [card for card in self.loudest if card.post_id != post_id]
        self.exemplars = [card for card in self.exemplars if card.post_id != post_id]
        self.asked.pop(post_id, None)
        self.voices.pop(post_id, None)


def reach_of(followers: int | None) -> float:
    """How many people a post of this author may reach: at least one."""
    return DEFAULT_REACH if followers is None else max(1.0, float(followers))
