"""Where a text names which brand: what relevance is judged from. Pure; one pattern over all brands, built once.

Ingest has said which brands a post names; here only their places in the text are found again, so that "United beats Delta"
can be told from "Delta beats United".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from scorer.sentiment.relevance import Mention, Verdict, judge
from services.config import Brand


class Mentions:
    """Finds names, handles and hashtags of the configured brands."""

    def __init__(self, brands: Iterable[Brand]) -> None:
        self._names: dict[str, list[str]] = {}
        for brand in brands:
            handles = [account.handle.removeprefix("@") for account in brand.accounts]
            tags = [tag.removeprefix("#") for tag in brand.hashtags]
            self._names[brand.id] = [brand.name, *brand.names, *handles, *tags]
        self._patterns: dict[str, re.Pattern[str]] = {}

    def judge(
        self, text: str, named: Sequence[str], concerned: Sequence[str], author: str | None
    ) -> Mapping[str, Verdict]:
        """How far `text` is about each brand: those it was found to name, and those its conversation is about."""
        mentions = [
            Mention(brand, match.start(), match.end())
            for brand in named
            for match in self._pattern(brand).finditer(text)
        ]
        return judge(text, mentions, author=author, inherited=[*concerned, *(b for b in named if b not in concerned)])

    def _pattern(self, brand: str) -> re.Pattern[str]:
        pattern = self._patterns.get(brand)
        if pattern is None:
            names = sorted(set(self._names.get(brand, [brand])), key=len, reverse=True)
            pattern = re.compile(rf"(?<!\w)[@#]?(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
            self._patterns[brand] = pattern
        return pattern
