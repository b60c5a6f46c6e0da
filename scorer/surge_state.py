"""What is known of one brand's negative posts: the model, the words, the posts to show, and the voices that said the same.

All of it is in the state of the second stage. Nothing here decides.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from scorer.copies import Texts
from scorer.hints import Hints
from scorer.surge_model import BUCKET_SECONDS, WINDOW_BUCKETS, SurgeModel
from scorer.virality.automation import says_the_same
from services.contracts.signal import OVERWHELMING_FACTOR, PostCard

STATE_VERSION: Final = 1
EXEMPLARS: Final = 5
STORIES: Final = 50
TERMS: Final = 8
"""Bounds of what a surge shows: the most negative posts, the stories (also networks and languages) that are counted, and the
words that set its posts apart."""
VOCABULARY: Final = 400
"""Words counted for each brand. When there are more, all counts are halved, and the rarest words are dropped."""
WORD: Final = re.compile(r"[^\W\d_]{4,}")
WINDOW_SECONDS: Final = WINDOW_BUCKETS * BUCKET_SECONDS
"""Within this time all copies of a text count once."""
MANY_POSTS: Final = 50
"""Beyond so many in a bucket a normal distribution does for the posts of history."""
PROOF_FACTOR: Final = OVERWHELMING_FACTOR
"""Without a known baseline a surge is announced again, once, when it reaches so many times the busiest ten minutes so far."""
VOICES: Final = 64
"""Texts that were copied and are remembered, by brand."""


class WordCounts(msgspec.Struct, array_like=True):
    """In how many posts each word occurred; older posts count for less."""

    posts: float = 0.0
    counts: dict[str, float] = msgspec.field(default_factory=dict)

    def add(self, text: str) -> None:
        """Count the words of one post."""
        self.posts += 1
        for word in sorted(set(WORD.findall(text.lower()))):
            self.counts[word] = self.counts.get(word, 0.0) + 1
        if len(self.counts) > VOCABULARY:
            self.posts /= 2
            self.counts = {word: n / 2 for word, n in self.counts.items() if n >= 2}

    def apart_from(self, usual: WordCounts) -> list[str]:
        """The words that set these posts apart from the usual ones: those with the highest product of their share now and the
        ratio by which it rose. At most `TERMS`, the most telling first."""

        def weight(word: str) -> float:
            now = (self.counts[word] + 0.5) / (self.posts + 1)
            before = (usual.counts.get(word, 0.0) + 0.5) / (usual.posts + 1)
            return now * (now / before)

        often = [word for word, n in self.counts.items() if n >= max(2.0, 0.02 * self.posts)]
        return sorted(often, key=lambda word: (-weight(word), word))[:TERMS]


class Voice(msgspec.Struct, array_like=True):
    """One text that came more than once: when its window began, when it came last, and what came in the window."""

    begins: float
    last: float
    counted: float
    """When it last counted as one post more."""
    card: bytes
    """The first of its posts, as JSON of its card."""
    copies: int = 0
    reach: int = 0
    complaint: float = 0.0
    """The sum of the probabilities of a complaint. A copy without one counts as one half."""
    told_at: float = 0.0
    """When people were told of the wave; 0 for never."""
    announced: int = 0
    """How many copies there were when it was last said how many."""
    is_told: bool = False
    """True from then until the wave is over."""


class BrandSurgeState(msgspec.Struct, array_like=True):
    """All that is known of one brand's negative posts."""

    model: SurgeModel
    usual: WordCounts = msgspec.field(default_factory=WordCounts)
    recent: WordCounts = msgspec.field(default_factory=WordCounts)
    exemplars: list[bytes] = msgspec.field(default_factory=list)
    """The most negative posts as JSON of their cards, the most negative first; their scores are in `scores`."""
    scores: list[float] = msgspec.field(default_factory=list)
    stories: dict[str, int] = msgspec.field(default_factory=dict)
    networks: dict[str, int] = msgspec.field(default_factory=dict)
    languages: dict[str, int] = msgspec.field(default_factory=dict)
    posts: float = 0.0
    negative: float = 0.0
    """`posts` and `negative` are those of about the last hour, from volumes: the share is computed from them."""
    volume_at: float = 0.0
    announced_at: float = 0.0
    announced: float = 0.0
    """When the surge was last announced, and with how many posts."""
    proven: bool = False
    """True if the surge was announced as one that the brand's own numbers prove (`PROOF_FACTOR`)."""
    late: int = 0
    """The posts of the window that were heard late, and count in the time in which they were written."""

    since: float = 0.0
    """When the brand was first seen; 0 in states of an older release."""
    history: tuple[float, float] | None = None
    """From when to when its history was learned before that."""
    texts: Texts = msgspec.field(default_factory=Texts)
    """The last long texts that may be copied: lanes name the voices of a text that was changed a little differently."""
    voices: dict[str, Voice] = msgspec.field(default_factory=dict)
    """Those that spoke last, by their name; the one that was silent longest is the first."""
    hints: Hints = msgspec.field(default_factory=Hints)

    def learn_history(self, begins: float, every: float, counts: Sequence[int]) -> None:
        """Learn from counts of a time before the brand was seen. What was learned already, and what was seen, is left out."""
        buckets = in_buckets(begins, every, counts)
        first = self.since or self.model.window[-1][0] - self.model.seen_seconds
        known = self.history
        new = {at: n for at, n in buckets.items() if at + BUCKET_SECONDS <= first}
        if known is not None:
            new = {at: n for at, n in new.items() if not known[0] <= at < known[1]}
        # Before and after what is known already: each part has no gap.
        for part in (
            [at for at in new if known is None or at < known[0]],
            [at for at in new if known and at >= known[1]],
        ):
            if part:
                self.model.learn_history(part[0], [new[at] for at in part])
                span = (part[0], part[-1] + BUCKET_SECONDS)
                self.history = (
                    span if self.history is None else (min(self.history[0], span[0]), max(self.history[1], span[1]))
                )

    def speak(self, name: str, card: PostCard, complaint: float | None, at: float) -> tuple[Voice, bool]:
        """Count a post of a voice. Returns the voice, and True if it has not spoken in this window before."""
        if name not in self.voices:
            name = self.texts.same(name, card.text)
        voice = self.voices.pop(name, None)
        new = voice is None or at - voice.counted >= WINDOW_SECONDS
        if voice is None:
            voice = Voice(at, at, at, card.model_dump_json().encode())
        elif new:
            voice.counted = at
        if new and not voice.is_told:
            voice.begins, voice.copies, voice.reach, voice.complaint = at, 0, 0, 0.0
        voice.last = max(voice.last, at)
        voice.copies += 1
        voice.reach += card.followers or 0
        voice.complaint += 0.5 if complaint is None else complaint
        self.voices[name] = voice
        while len(self.voices) > VOICES:
            del self.voices[next(iter(self.voices))]
        return voice, new

    def copies(self, now: float) -> int:
        """The posts of the window that ends now which repeat what was counted already."""
        return sum(voice.copies - 1 for voice in self.voices.values() if now - voice.last < WINDOW_SECONDS)

    def forget_window(self) -> None:
        """Start a new window: the words of the one before are usual from now on."""
        for word, n in self.recent.counts.items():
            self.usual.counts[word] = self.usual.counts.get(word, 0.0) + n
        self.usual.posts += self.recent.posts
        if len(self.usual.counts) > VOCABULARY:
            self.usual = WordCounts(self.usual.posts / 2, {w: n / 2 for w, n in self.usual.counts.items() if n >= 2})
        self.recent = WordCounts()
        self.late = 0
        self.exemplars, self.scores = [], []
        self.stories, self.networks, self.languages = {}, {}, {}

    def keep(self, card: PostCard) -> None:
        """Keep the post as an exemplar if it belongs to the most negative ones, and none of them says the same."""
        score = card.negative or 0.0
        if len(self.scores) == EXEMPLARS and score <= self.scores[-1]:
            return
        shown = (PostCard.model_validate_json(one).text or "" for one in self.exemplars)
        if any(says_the_same(card.text or "", text) for text in shown):
            return
        pairs = [*zip(self.scores, self.exemplars, strict=True), (score, card.model_dump_json().encode())]
        pairs.sort(key=lambda pair: -pair[0])
        self.scores = [one for one, _ in pairs[:EXEMPLARS]]
        self.exemplars = [exemplar for _, exemplar in pairs[:EXEMPLARS]]

    def forget(self, gone: Callable[[PostCard], bool]) -> None:
        """Posts are `gone`: forget what they said."""
        cards = [PostCard.model_validate_json(one) for one in self.exemplars]
        kept = [n for n, card in enumerate(cards) if not gone(card)]
        self.exemplars = [self.exemplars[n] for n in kept]
        self.scores = [self.scores[n] for n in kept]
        for voice in self.voices.values():
            first = PostCard.model_validate_json(voice.card)
            if gone(first):
                voice.card = (
                    first.model_copy(update={"text": None, "author": None, "author_id": None, "permalink": None})
                    .model_dump_json()
                    .encode()
                )


def in_buckets(begins: float, every: float, counts: Sequence[int]) -> dict[float, float]:
    """Counts of minutes or hours as counts of buckets, by their beginning. The posts of an hour are strewn over it by chance,
    by the same chance each time: spread evenly they would look calmer than any hour is."""
    parts = max(1, round(every / BUCKET_SECONDS))
    found: dict[float, float] = {}
    for number, count in enumerate(counts):
        at = (begins + number * every) // BUCKET_SECONDS * BUCKET_SECONDS
        for part, posts in enumerate(_strewn(count, parts, at) if parts > 1 else (float(count),)):
            bucket = at + part * BUCKET_SECONDS
            found[bucket] = found.get(bucket, 0.0) + posts
    return found


def _strewn(count: int, parts: int, seed: float) -> list[float]:
    rng = random.Random(int(seed))  # noqa: S311 - no secret
    mean = count / parts
    if mean > MANY_POSTS:
        return [max(0.0, rng.gauss(mean, mean**0.5)) for _ in range(parts)]
    found = [0.0] * parts
    for _ in range(count):
        found[rng.randrange(parts)] += 1
    return found


def worth_forgetting(known: BrandSurgeState) -> float:
    """The number of posts from which on the words of a quiet window are counted as usual, and a new window starts."""
    return max(20.0, 2 * sum(expected for _, _, expected in known.model.recent))


def count_one(counts: dict[str, int], key: str) -> None:
    """Count one more of `key`. At most `STORIES` keys are counted."""
    if key in counts or len(counts) < STORIES:
        counts[key] = counts.get(key, 0) + 1


def largest(counts: Mapping[str, int]) -> list[str]:
    """The keys with the highest counts, the highest first."""
    return sorted(counts, key=lambda key: -counts[key])[:STORIES]


def proves_itself(model: SurgeModel) -> bool:
    """Returns True if the brand's own numbers prove the surge, although its baseline is not known."""
    return not model.baseline_known and (model.own_factor or 0.0) >= PROOF_FACTOR


def own_factor(known: BrandSurgeState, *, past: bool) -> float | None:
    """How the surge compares with the brand's own numbers, where the baseline is not known; what was proven stays so."""
    factor = known.model.own_factor
    if known.model.baseline_known or factor is None or past:
        return None
    return round(max(factor, PROOF_FACTOR) if known.proven else factor, 3)
