"""Where a text names which brand: what relevance is judged from. Pure; one pattern over all brands, built once.

Ingest has said which brands a post names; here only their places in the text are found again, so that "United beats Delta"
can be told from "Delta beats United".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from scorer.sentiment.relevance import BrandRelevance, Mention, judge
from services.config.model import Brand


class Mentions:
    """Finds names, handles and hashtags of the configured brands."""

    def __init__(self, brands: Iterable[Brand]) -> None:
        self._names: dict[str, list[str]] = {}
        self._exclusions: dict[str, re.Pattern[str]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        for brand in brands:
            handles = [account.handle.removeprefix("@") for account in brand.accounts]
            tags = [tag.removeprefix("#") for tag in brand.hashtags]
            self._names[brand.id] = [brand.name, *brand.names, *handles, *tags]
            if brand.exclude:
                self._exclusions[brand.id] = _whole(brand.exclude)

    def judge(
        self, text: str, named: Sequence[str], concerned: Sequence[str], author: str | None
    ) -> Mapping[str, BrandRelevance]:
        """How far `text` is about each brand: those it was found to name, and those its conversation is about."""
        mentions = [
            Mention(brand, match.start(), match.end())
            for brand in named
            for match in self._pattern(brand).finditer(text)
        ]
        excluded = [
            match.span()
            for brand in named
            if brand in self._exclusions
            for match in self._exclusions[brand].finditer(text)
        ]
        inherited = [*concerned, *(brand for brand in named if brand not in concerned)]
        return judge(text, mentions, author=author, inherited=inherited, excluded=excluded)

    def _pattern(self, brand: str) -> re.Pattern[str]:
        pattern = self._patterns.get(brand)
        if pattern is None:
            pattern = self._patterns[brand] = _whole(self._names.get(brand, [brand]))
        return pattern


def _whole(phrases: Iterable[str]) -> re.Pattern[str]:
    """Any of the phrases as whole words, the longest first."""
    alternatives = "|".join(map(re.escape, sorted(set(phrases), key=len, reverse=True)))
    return re.compile(rf"(?<!\w)[@#]?(?:{alternatives})(?!\w)", re.IGNORECASE)
