"""Flags posts that speak of a topic: danger has to reach a person in any mood and any language, read or unread. Pure.

Words find it first. Where the reading is very sure of a danger of which no word of the brand's topics speaks, it counts too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from scorer.sentiment.model import DangerKind, Reading
from services.config.rule import TOPICS
from services.contracts.base import BrandId
from services.contracts.phrases import Spoken, TopicFinder, Topics, finder_of
from services.contracts.post import PostKind, PostObserved

TopicsAbout = Callable[[BrandId], Topics]
"""Returns the topics as they are meant in posts about a brand (`Config.topics_about`)."""


TOPIC_OF: Final[Mapping[DangerKind, str]] = {
    DangerKind.FIRE: "safety",
    DangerKind.INJURY: "safety",
    DangerKind.CONTAMINATION: "safety",
    DangerKind.FAILURE: "safety",
    DangerKind.LIFE: "safety",
    DangerKind.VIOLENCE: "safety",
    DangerKind.FRAUD: "breach",
    DangerKind.LEGAL: "legal",
}
"""The shipped topic that a danger belongs to. Only words tell whether somebody may harm themselves."""


def shipped_topics(_: BrandId) -> Topics:
    """The topics of an installation that defines none."""
    return TOPICS


class Flags:
    """Looks for the topics of each brand in posts about it. Brands with the same topics share one finder."""

    def __init__(self, topics_about: TopicsAbout = shipped_topics) -> None:
        self._topics_about = topics_about
        self._finders: dict[int, tuple[Topics, TopicFinder]] = {}

    def find(self, post: PostObserved, brands: Iterable[str]) -> dict[str, Spoken]:
        """For each of these brands what the post speaks of; brands of whose topics it says and hints nothing are left out."""
        text = post.text
        if text is None:
            return {}
        said: dict[int, Spoken] = {}
        found: dict[str, Spoken] = {}
        for brand in brands:
            finder = self._finder(BrandId(brand))
            if id(finder) not in said:
                said[id(finder)] = finder.look(text, post.network)
            if any(said[id(finder)]):
                found[brand] = said[id(finder)]
        return found

    def read(self, reading: Reading | None, brands: Iterable[str], found: Mapping[str, Spoken]) -> dict[str, Spoken]:
        """For each of these brands the topic of the danger that the reading is sure of, with its kind in place of words. Left
        out are brands without that topic, and those in whose topics words said it already (`found`)."""
        danger = None if reading is None or reading.abstain is not None else reading.danger
        if danger is None or not danger.sure:
            return {}
        topic = TOPIC_OF[danger.kind]
        spoken = Spoken({topic: (danger.kind.value,)}, {})
        return {
            brand: spoken
            for brand in brands
            if topic in self._topics_about(BrandId(brand)) and (brand not in found or topic not in found[brand].topics)
        }

    def prepare(self, brands: Iterable[BrandId]) -> None:
        """Build the finders of these brands, so that no step has to."""
        for brand in brands:
            self._finder(brand)

    def _finder(self, brand: BrandId) -> TopicFinder:
        topics = self._topics_about(brand)
        known = self._finders.get(id(topics))
        if known is None:
            # The topics are kept beside their finder, so that no others can come to have the same id.
            known = self._finders[id(topics)] = (topics, finder_of(topics))
        return known[1]


def speaks_here(post: PostObserved, brand: str) -> bool:
    """Returns True if what the post says to the brand is to be told from this one of its observations.

    A quote is observed twice. It speaks of the brands that it names in its own conversation, where it lives, and of those
    that it does not name in the one that it quotes: nowhere else is it known whom it is about.
    """
    if post.home != post.conversation:
        return brand not in post.brands
    return post.kind is not PostKind.QUOTE or not post.is_root or brand in post.brands
