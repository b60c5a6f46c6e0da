"""Says to each brand of a conversation what a post means for it: it complains, asks, speaks of danger, or could not be read."""

from __future__ import annotations

from collections.abc import Mapping

from scorer.flags import speaks_here
from scorer.folded import FoldedPost
from scorer.lane_state import LaneState
from scorer.mentions import relevances
from scorer.metrics import ScorerMetrics
from scorer.sentiment.model import Reading
from scorer.sentiment.relevance import BrandRelevance
from scorer.step import Step
from scorer.unread import is_wordless, language_of
from scorer.virality.cascade import Cascade
from services.base.clock import epoch
from services.config.model import Brand
from services.contracts.changed import Said
from services.contracts.questions import asks
from services.contracts.signal import FlaggedBy

Voices = dict[str, str | None]
"""By brand, the voice that speaks in a text; of an edit no voice is told, because it spoke already."""


class Concluding:
    """Concludes for one lane, whose number is `lane`; `model` is the name of what read the texts."""

    def __init__(self, lane: int, state: LaneState, metrics: ScorerMetrics, *, model: str) -> None:
        self._lane = lane
        self._state = state
        self._metrics = metrics
        self._model = model

    def conclude(self, cascade: Cascade, folded: FoldedPost, step: Step) -> dict[str, list[Said]]:
        """Say to each brand of the conversation what the post means for it, and count the post in the brand's minute; an edit
        was counted when it was new. Returns what was said."""
        post, reading = folded.post, folded.reading
        about = _complained_about(cascade, folded, step.watched.brands)
        # A question is one to whom it names; in a thread about a brand people ask each other.
        asked = post.brands if post.author_brand is None and post.home == post.conversation and asks(post.text) else ()
        abstains = reading is not None and reading.abstain is not None
        voices: Voices = {}
        said: dict[str, list[Said]] = {brand: [] for brand in cascade.brands}
        for brand in cascade.brands:
            if not folded.edited:
                self._count(brand, brand in about, folded, step)
            # The copy of a quote in the quoted conversation is an engagement; the quote speaks in its own.
            if brand in about and post.home == post.conversation:
                voice = self._voice(brand, folded, voices)
                step.signals.negative(cascade, folded, brand, about[brand], model=self._model, voice=voice)
                said[brand].append(Said.NEGATIVE)
            elif brand in asked:
                step.signals.asked(cascade, folded, brand, self._voice(brand, folded, voices))
                said[brand].append(Said.QUESTION)
        if abstains:
            self._metrics.abstained.inc()
            self._say_unread(cascade, folded, voices, said, step)
        self._flag(cascade, folded, voices, said, step)
        return said

    def _count(self, brand: str, negative: bool, folded: FoldedPost, step: Step) -> None:
        reading = folded.reading
        over = self._state.volumes.count(
            brand,
            epoch(folded.post.at),
            folded.record.offset,
            scored=reading is not None,
            negative=negative,
            abstained=reading is not None and reading.abstain is not None,
        )
        if over is not None:
            step.signals.volume(brand, self._lane, over)

    def _voice(self, brand: str, folded: FoldedPost, voices: Voices) -> str | None:
        if brand not in voices:
            voices[brand] = None if folded.edited else self._state.copies.voice(brand, folded.post.text)
        return voices[brand]

    def _say_unread(
        self, cascade: Cascade, folded: FoldedPost, voices: Voices, said: dict[str, list[Said]], step: Step
    ) -> None:
        """Say to each brand that a post about it was not read. Smileys and pictures among people are no message to it."""
        post, reading = folded.post, folded.reading
        assert reading is not None
        language = language_of(reading, post)
        for brand in cascade.brands:
            addressed = brand in post.brands
            if brand in step.watched.brands and speaks_here(post, brand) and (addressed or not is_wordless(reading)):
                voice = self._voice(brand, folded, voices)
                step.signals.unread(cascade, folded, brand, language, addressed=addressed, voice=voice)
                said[brand].append(Said.UNREAD)
                self._metrics.count_unread(brand, language)

    def _flag(
        self, cascade: Cascade, folded: FoldedPost, voices: Voices, said: dict[str, list[Said]], step: Step
    ) -> None:
        """Say to each brand which topics the post speaks of: after what else it means, so that the first signal about a
        post is the one that says most. What a brand writes itself is no news to it."""
        post = folded.post
        concerned = [
            b for b in cascade.brands if b in step.watched.brands and b != post.author_brand and speaks_here(post, b)
        ]
        found = step.watched.flags.find(post, concerned) if concerned else {}
        read = step.watched.flags.read(folded.reading, concerned, found) if concerned else {}
        if not found and not read:
            return
        about = relevances(post, cascade.brands, step.watched.brands)
        for brand in concerned:
            for by, spoken in ((FlaggedBy.WORDS, found.get(brand)), (FlaggedBy.MODEL, read.get(brand))):
                if spoken is not None and about[brand].counts:
                    step.signals.flagged(cascade, folded, brand, spoken, self._voice(brand, folded, voices), by)
                    said[brand].append(Said.TOPICS)


def _complained_about(
    cascade: Cascade, folded: FoldedPost, brands: Mapping[str, Brand]
) -> Mapping[str, BrandRelevance]:
    """The brands of the conversation that the post is negative about: those that it is meant for, and that ask for no
    surer reading.

    A text that is negative about one brand is not negative about each that it names. A brand that is no longer
    configured may still stand in the state of its conversations; nothing is said about it.
    """
    post, reading = folded.post, folded.reading
    if reading is None or not is_negative(reading):
        return {}
    found = relevances(post, cascade.brands, brands)
    watched = ((name, brands.get(name), found.get(name)) for name in cascade.brands)
    return {
        name: relevance
        for name, brand, relevance in watched
        if brand is not None and relevance is not None and relevance.counts and reading.negative >= brand.negative_from
    }


def is_negative(reading: Reading) -> bool:
    """Returns True if negative is the likeliest sentiment. What the model would rather not judge is not negative."""
    return reading.abstain is None and reading.negative > max(reading.neutral, reading.positive)
