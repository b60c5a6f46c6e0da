"""Checks the conditions of a rule against a signal, one by one, and says in words why each holds or does not. Pure.

A condition about something unknown does not hold: without a forecast there is no level, without text no topic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.config.rule import CONDITIONS, Rule
from services.contracts.language_tags import is_language, language
from services.contracts.phrases import TopicFinder, Topics, bare
from services.contracts.questions import asks
from services.contracts.scales import COMPLAINTS, a_complaint, sev
from services.contracts.signal import (
    BrandSurge,
    CascadeForecast,
    FlaggedBy,
    Level,
    PostAsked,
    PostCard,
    PostFlagged,
    PostNegative,
    PostUnread,
    SurgePhase,
)

SinglePost = PostNegative | PostAsked | PostFlagged | PostUnread
"""The signals about one post."""
Opening = CascadeForecast | SinglePost | BrandSurge
"""The signals that may open an incident."""

_LEVEL_WORDS: Final = {
    Level.EASING: "is easing",
    Level.WATCH: "may cross the line",
    Level.LIKELY: "is likely to cross the line",
    Level.IMMINENT: "is about to cross the line",
    Level.CROSSED: "has crossed the line",
}
LEVEL_RANK: Final = {Level.EASING: -1, Level.WATCH: 0, Level.LIKELY: 1, Level.IMMINENT: 2, Level.CROSSED: 3}
MOST_SHARE: Final = 0.5
"""A surge counts as being in a language, or on a network, when at least this share of its posts is."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions are checked against: a signal, its severity, and the worst complaint of its story so far."""

    signal: Opening
    complaint: int | None
    severity: int
    topics: Topics

    @property
    def forecast(self) -> CascadeForecast | None:
        return self.signal if isinstance(self.signal, CascadeForecast) else None

    @property
    def rising(self) -> CascadeForecast | None:
        """The forecast, unless the story is easing."""
        forecast = self.forecast
        return None if forecast is None or forecast.level is Level.EASING else forecast

    @property
    def post(self) -> SinglePost | None:
        return self.signal if isinstance(self.signal, SinglePost) else None

    @property
    def read(self) -> PostNegative | PostFlagged | None:
        """The single post, if it may have been read."""
        return self.signal if isinstance(self.signal, (PostNegative, PostFlagged)) else None

    @property
    def surge(self) -> BrandSurge | None:
        going_on = isinstance(self.signal, BrandSurge) and self.signal.phase is not SurgePhase.END
        return self.signal if going_on and isinstance(self.signal, BrandSurge) else None

    @property
    def root(self) -> PostCard | None:
        """The post that the signal is about. A surge is about many, so it has none."""
        if isinstance(self.signal, BrandSurge):
            return None
        return self.signal.post if isinstance(self.signal, SinglePost) else self.signal.root


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a condition holds, and why or why not."""

    holds: bool
    words: str


def checks(rule: Rule, facts: Facts) -> Iterator[Check]:
    """Yield one check for each condition that the rule gives, in the order in which people would ask."""
    if isinstance(facts.signal, PostFlagged) and not rule.topics:
        yield Check(False, "the post is known by its words alone, and the rule asks for no topic")
        return
    if isinstance(facts.signal, PostAsked) and not rule.asked:
        yield Check(False, "the post only asks something, and the rule does not ask for questions")
        return
    for condition in _CONDITIONS:
        check = condition(rule, facts)
        if check is not None:
            yield check


def _brand(rule: Rule, facts: Facts) -> Check | None:
    return _one_of("the brand", rule.brands, facts.signal.brand)


def _account(rule: Rule, facts: Facts) -> Check | None:
    wanted = tuple(account.lower().replace(":@", ":") for account in rule.accounts)
    return _one_of("the account", wanted, account_of(facts))


def _language(rule: Rule, facts: Facts) -> Check | None:
    if not rule.languages:
        return None
    found = language_of(facts)
    return Check(any(is_language(found, wanted) for wanted in rule.languages), f"the language is {found or 'unknown'}")


def _source(rule: Rule, facts: Facts) -> Check | None:
    return _one_of("the source", rule.sources, source_of(facts))


def account_of(facts: Facts) -> str | None:
    """The brand's own account that the root post is about."""
    return facts.root.account if facts.root is not None else None


def language_of(facts: Facts) -> str | None:
    """The language of the root post, or of most posts of a surge, without its region: `de` for `de-AT`. Of a post that was
    not read, what it was found to be counts."""
    if isinstance(facts.signal, PostUnread) and facts.signal.language is not None:
        return facts.signal.language
    if not isinstance(facts.signal, BrandSurge):
        return language(facts.root.language) if facts.root is not None else None
    counts: Counter[str] = Counter()
    for tag, count in facts.signal.languages.items():
        counts[language(tag) or ""] += count
    return _most(counts) or None


def source_of(facts: Facts) -> str | None:
    """The network of the root post, or of most posts of a surge."""
    if isinstance(facts.signal, BrandSurge):
        return _most(facts.signal.networks)
    return facts.root.network if facts.root is not None else None


def _one_of(what: str, wanted: Sequence[str], found: str | None) -> Check | None:
    if not wanted:
        return None
    return Check(found in wanted, f"{what} is {found or 'unknown'}")


def _most(shares: Mapping[str, int]) -> str | None:
    top = max(shares, key=lambda name: shares[name], default=None)
    return top if top is not None and shares[top] >= MOST_SHARE * sum(shares.values()) else None


def _level(rule: Rule, facts: Facts) -> Check | None:
    if rule.level is None:
        return None
    asked = f"(the rule asks for at least {rule.level.value})"
    if facts.forecast is None:
        return Check(False, f"there is no forecast {asked}")
    level = facts.forecast.level
    holds = level is not Level.EASING and LEVEL_RANK[level] >= LEVEL_RANK[rule.level]
    return Check(holds, f"the level is {level.value} {asked}")


def _probability(rule: Rule, facts: Facts) -> Check | None:
    value = facts.rising.probability if facts.rising is not None else None
    return _least("probability", rule.probability, value, percent, "likely to cross the line")


def _size(rule: Rule, facts: Facts) -> Check | None:
    value = facts.rising.final_size.median if facts.rising is not None else None
    return _least("predicted size", rule.predicted_size, value, _count, "engagements are forecast")


def _audience(rule: Rule, facts: Facts) -> Check | None:
    value: int | None = None
    if facts.rising is not None:
        value = facts.rising.evidence.reach
    elif facts.post is not None:
        value = facts.post.post.followers
    return _least("audience", rule.audience, value, _count, "followers reached")


def _mood(rule: Rule, facts: Facts) -> Check | None:
    mood = facts.rising.mood if facts.rising is not None else None
    value = mood.negative_share if mood is not None and mood.scored else None
    return _least("mood", rule.mood, value, percent, "of replies and quotes are negative")


def _severity(rule: Rule, facts: Facts) -> Check | None:
    if rule.severity is None:
        return None
    holds = facts.severity <= rule.severity
    return Check(holds, f"it is {sev(facts.severity)} (the rule asks for {sev(rule.severity)} or worse)")


def _complaint(rule: Rule, facts: Facts) -> Check | None:
    value = facts.read.complaint if facts.read is not None else None
    return _least("probability of a complaint", rule.complaint, value, percent, "sure that it is a complaint")


def _complaint_severity(rule: Rule, facts: Facts) -> Check | None:
    if rule.complaint_severity is None:
        return None
    own = facts.read.severity if facts.read is not None else None
    worst = max((s for s in (own, facts.complaint) if s is not None), default=None)
    asked = f"(the rule asks for at least {COMPLAINTS[rule.complaint_severity]})"
    if worst is None or isinstance(facts.signal, BrandSurge):
        return Check(False, f"there is no complaint whose severity is known {asked}")
    return Check(worst >= rule.complaint_severity, f"{a_complaint(worst)} {asked}")


def _surge(rule: Rule, facts: Facts) -> Check | None:
    value = facts.surge.factor if facts.surge is not None else None
    what = "unread" if facts.surge is not None and facts.surge.unread else "negative"
    return _least("surge factor", rule.surge_factor, value, _factor, f"times as many {what} posts as usual")


def _asked(rule: Rule, facts: Facts) -> Check | None:
    if rule.asked is None:
        return None
    post = facts.post
    if post is None:
        return Check(False, "it is no single post, so it asks nothing")
    asking = isinstance(post, PostAsked) or asks(post.post.text)
    return Check(asking, "it asks something" if asking else "it asks nothing")


def _verified(rule: Rule, facts: Facts) -> Check | None:
    if rule.verified is None:
        return None
    voices = [facts.root] if facts.root is not None else []
    if isinstance(facts.signal, CascadeForecast):
        voices += facts.signal.loudest
    vouched = any(card.verified for card in voices)
    return Check(vouched, "its network vouches for the author" if vouched else "no network vouches for the author")


def _topics(rule: Rule, facts: Facts) -> Check | None:
    if not rule.topics:
        return None
    # A rule that asks for more than words does not need two of them.
    hints = any(getattr(rule, name) is not None for name in CONDITIONS)
    for topic in rule.topics:
        word = spoken_of(topic, facts, hints=hints)
        if word is not None:
            return Check(True, f"it mentions {topic} ({word})")
    return Check(False, f"it does not mention {' or '.join(rule.topics)}")


def _least(
    name: str, asked: float | None, found: float | None, say: Callable[[float], str], words: str
) -> Check | None:
    """Check that `found` is at least `asked`. `name` says what is unknown; `words` follow the number that was found."""
    if asked is None:
        return None
    if found is None:
        return Check(False, f"the {name} is unknown (the rule asks for at least {say(asked)})")
    return Check(found >= asked, f"{say(found)} {words} (the rule asks for at least {say(asked)})")


_CONDITIONS: Final = (
    *(_brand, _account, _language, _source, _level, _probability, _size, _audience, _mood),
    *(_complaint, _complaint_severity, _surge, _severity, _asked, _verified, _topics),
)


def spoken_of(topic: str, facts: Facts, *, hints: bool = False) -> str | None:
    """Returns the first word of the topic that stands in the signal's posts or a surge's terms, or `None`. With `hints` a word
    that only may mean it is enough; in a surge, where many say it, it always is.

    `services.contracts.phrases` says what counts. The word is returned as the configuration writes it, never as the post
    does, so it needs no redaction. A post that was flagged brings its topics along.
    """
    signal = facts.signal
    flagged = signal.topics | (signal.hints if hints else {}) if isinstance(signal, PostFlagged) else {}
    if isinstance(signal, PostFlagged) and topic in flagged:
        found = flagged[topic]
        if signal.by is FlaggedBy.MODEL:
            return "as the model reads it"
        word = next(iter(found), None)
        return f"{word}, said by several people within an hour" if word and signal.by is FlaggedBy.MANY else word
    words = facts.topics.get(topic)
    if not words:
        return None
    finder = _finder(tuple(words))
    hits: set[str] = set()
    for text, network in _texts(signal):
        spoken = finder.look(text, network)
        hits.update(spoken.topics.get("", ()))
        if hints or isinstance(signal, BrandSurge):
            hits.update(spoken.hints.get("", ()))
    return next((word for word in map(bare, words) if word in hits), None)


@lru_cache(maxsize=256)
def _finder(words: tuple[str, ...]) -> TopicFinder:
    return TopicFinder({"": words})


def _texts(signal: Opening) -> Iterator[tuple[str, str]]:
    """Yields each text that the signal shows, with its network."""
    if isinstance(signal, SinglePost):
        cards: Sequence[PostCard] = (signal.post,)
    elif isinstance(signal, CascadeForecast):
        single = (card for card in (signal.root, signal.driver) if card is not None)
        cards = (*single, *signal.loudest, *signal.exemplars)
    else:
        cards = signal.exemplars
        yield from ((term, "") for term in signal.terms)
    for card in cards:
        if card.text:
            yield card.text, card.network


def level_words(level: Level) -> str:
    """How a story stands to its line, after "the story" or "it"."""
    return _LEVEL_WORDS[level]


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _factor(number: float) -> str:
    return f"{number:.1f}"
