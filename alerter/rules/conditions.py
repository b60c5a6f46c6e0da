"""Checks the conditions of a rule against a signal, one by one, and says in words why each holds or does not. Pure.

A condition about something unknown does not hold: without a forecast there is no level, without text no topic.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.config.rule import Rule
from services.contracts.signal import BrandSurge, CascadeForecast, Level, PostCard, PostNegative, SurgePhase

Opening = CascadeForecast | PostNegative | BrandSurge
"""The signals that may open an incident."""
Topics = Mapping[str, Sequence[str]]

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
MAX_TEXT_CHARS: Final = 5_000
"""How much of each text is searched for topics."""


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
    def post(self) -> PostNegative | None:
        return self.signal if isinstance(self.signal, PostNegative) else None

    @property
    def surge(self) -> BrandSurge | None:
        going_on = isinstance(self.signal, BrandSurge) and self.signal.phase is not SurgePhase.END
        return self.signal if going_on and isinstance(self.signal, BrandSurge) else None

    @property
    def root(self) -> PostCard | None:
        """The post that the signal is about. A surge is about many, so it has none."""
        if isinstance(self.signal, BrandSurge):
            return None
        return self.signal.post if isinstance(self.signal, PostNegative) else self.signal.root


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a condition holds, and why or why not."""

    holds: bool
    words: str


def checks(rule: Rule, facts: Facts) -> Iterator[Check]:
    """Yield one check for each condition that the rule gives, in the order in which people would ask."""
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
    return _one_of("the language", rule.languages, language_of(facts))


def _source(rule: Rule, facts: Facts) -> Check | None:
    return _one_of("the source", rule.sources, source_of(facts))


def account_of(facts: Facts) -> str | None:
    """The brand's own account that the root post is about."""
    return facts.root.account if facts.root is not None else None


def language_of(facts: Facts) -> str | None:
    """The language of the root post, or of most posts of a surge, without its region: `de` for `de-AT`."""
    language = facts.root.language if facts.root is not None else None
    if isinstance(facts.signal, BrandSurge):
        language = _most(facts.signal.languages)
    return language.partition("-")[0].lower() if language else None


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
    return Check(holds, f"severity {facts.severity} (the rule asks for {rule.severity} or worse)")


def _complaint(rule: Rule, facts: Facts) -> Check | None:
    value = facts.post.complaint if facts.post is not None else None
    return _least("probability of a complaint", rule.complaint, value, percent, "sure that it is a complaint")


def _complaint_severity(rule: Rule, facts: Facts) -> Check | None:
    if rule.complaint_severity is None:
        return None
    own = facts.post.severity if facts.post is not None else None
    worst = max((s for s in (own, facts.complaint) if s is not None), default=None)
    asked = f"(the rule asks for at least {rule.complaint_severity})"
    if worst is None or isinstance(facts.signal, BrandSurge):
        return Check(False, f"there is no complaint whose severity is known {asked}")
    return Check(worst >= rule.complaint_severity, f"a complaint of severity {worst} of 4 {asked}")


def _surge(rule: Rule, facts: Facts) -> Check | None:
    value = facts.surge.factor if facts.surge is not None else None
    return _least("surge factor", rule.surge_factor, value, _factor, "times as many negative posts as usual")


def _topics(rule: Rule, facts: Facts) -> Check | None:
    if not rule.topics:
        return None
    for topic in rule.topics:
        word = spoken_of(facts.topics.get(topic, ()), facts.signal)
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
    *(_complaint, _complaint_severity, _surge, _severity, _topics),
)


def spoken_of(words: Sequence[str], signal: Opening) -> str | None:
    """Returns the first of these words that stands in the signal's posts or a surge's terms, or `None`.

    Only whole words match, in any case; `burn*` matches every word that begins with "burn". The word is returned as the
    configuration writes it, never as the post does, so it needs no redaction.
    """
    if not words:
        return None
    texts = [_plain(text[:MAX_TEXT_CHARS]) for text in _texts(signal)]
    for word in words:
        pattern = _pattern(word)
        if any(pattern.search(text) for text in texts):
            return word
    return None


def _texts(signal: Opening) -> Iterator[str]:
    if isinstance(signal, PostNegative):
        cards: Sequence[PostCard] = (signal.post,)
    elif isinstance(signal, CascadeForecast):
        cards = (*((signal.root,) if signal.root is not None else ()), *signal.loudest, *signal.exemplars)
    else:
        cards = signal.exemplars
        yield from signal.terms
    for card in cards:
        if card.text:
            yield card.text


@lru_cache(maxsize=4096)
def _pattern(word: str) -> re.Pattern[str]:
    plain = _plain(word.removesuffix("*"))
    body = r"\s+".join(re.escape(part) for part in plain.split())
    end = r"(?!\w)" if not word.endswith("*") else ""
    return re.compile(rf"(?<!\w){body}{end}")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def level_words(level: Level) -> str:
    """How a story stands to its line, after "the story" or "it"."""
    return _LEVEL_WORDS[level]


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _factor(number: float) -> str:
    return f"{number:.1f}"
