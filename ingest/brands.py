"""Finds the brands that a text is about, in one pass whose time does not depend on how many names there are, and says why.

A name counts where it stands as a word of its own, in any case: `acme` is not in `acmeair`. Scripts that are written
without spaces (Chinese, Japanese, Thai...) and Korean, whose particles cling to the noun, need no boundary. Among names
that overlap the leftmost and then the longest wins, so `United Airlines` is not also `United`. A name within a phrase
that its brand excludes does not count. A handle counts on its own network only; a name inside somebody else's handle or
mail address never does. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick

from services.config.model import Brand
from services.contracts.base import AccountId, BrandId

LISTED: Final = 8
"""So many brands an error names: enough to see a misspelling, short enough to read."""

_IGNORABLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff"))
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_DOTLESS: Final = frozenset({"x", "twitter"})
"""Networks whose handles hold no dot: `@acme.Please` addresses @acme there, and @acme.please elsewhere."""


class Why(StrEnum):
    """Why a brand was found, the surest first."""

    OWN_ACCOUNT = "own_account"
    DECLARED = "declared"
    ANSWERED = "answered"
    HANDLE = "handle"
    HASHTAG = "hashtag"
    NAME = "name"


class Mention(NamedTuple):
    brand: BrandId
    why: Why


class Found(NamedTuple):
    """Each brand once. `account` is the brand's account that wrote the post, is answered by it, or is addressed in it."""

    mentions: tuple[Mention, ...]
    account: AccountId | None = None
    author_brand: BrandId | None = None

    @property
    def brands(self) -> tuple[BrandId, ...]:
        return tuple(mention.brand for mention in self.mentions)


class _Kind(StrEnum):
    NAME = "name"
    HASHTAG = "hashtag"
    HANDLE = "handle"
    EXCLUDED = "excluded"


class _Hit(NamedTuple):
    """Sorts as it should win: leftmost, then longest."""

    start: int
    minus_end: int
    pattern: int
    brands: tuple[BrandId, ...]


class BrandBook:
    """All the names of all the brands, built once for a configuration."""

    def __init__(self, brands: Iterable[Brand]) -> None:
        owners: dict[tuple[_Kind, str], list[BrandId]] = defaultdict(list)
        self._accounts: dict[AccountId, BrandId] = {}
        ids: list[BrandId] = []
        for brand in brands:
            ids.append(brand.key)
            for kind, spelling in _spellings(brand):
                named = owners[kind, spelling]
                if brand.key not in named:
                    named.append(brand.key)
            self._accounts.update((account.id, brand.key) for account in brand.accounts)
        self._ids = frozenset(ids)
        self.listed = ", ".join(sorted(ids)[:LISTED]) + (", ..." if len(ids) > LISTED else "")
        self._kinds = [kind for kind, _ in owners]
        self._spellings = [spelling for _, spelling in owners]
        self._owners = [tuple(named) for named in owners.values()]
        self._automaton = AhoCorasick(self._spellings, store_patterns=False)

    def __contains__(self, brand: str) -> bool:
        return brand in self._ids

    def find(
        self,
        network: str,
        text: str | None,
        *,
        declared: Sequence[str] = (),
        author: str | None = None,
        answers: str | None = None,
    ) -> Found:
        """What `text` is about; `declared` brands are taken at their word, `author` and `answers` are handles."""
        mentions: dict[BrandId, Why] = {}
        own, own_brand = self._account(network, author)
        answered, answered_brand = self._account(network, answers)
        if own_brand is not None:
            mentions[own_brand] = Why.OWN_ACCOUNT
        for brand in declared:
            mentions.setdefault(BrandId(brand), Why.DECLARED)
        if answered_brand is not None:
            mentions.setdefault(answered_brand, Why.ANSWERED)
        addressed: AccountId | None = None
        if text:
            for hit in self._hits(network, fold(text)):
                kind = self._kinds[hit.pattern]
                if kind is _Kind.HANDLE and addressed is None:
                    addressed = AccountId(f"{network}:{self._spellings[hit.pattern][1:]}")
                for named in hit.brands:
                    mentions.setdefault(named, _WHY[kind])
        account = own or answered or addressed
        return Found(tuple(Mention(b, why) for b, why in mentions.items()), account, own_brand)

    def _account(self, network: str, handle: str | None) -> tuple[AccountId | None, BrandId | None]:
        if handle is None:
            return None, None
        account = AccountId(f"{network}:{handle.removeprefix('@').lower()}")
        brand = self._accounts.get(account)
        return (account, brand) if brand is not None else (None, None)

    def _hits(self, network: str, folded: str) -> list[_Hit]:
        """What counts in the text, from left to right, without overlaps."""
        hits: list[_Hit] = []
        excluded: dict[BrandId, list[tuple[int, int]]] = {}
        for index, start, end in self._automaton.find_matches_as_indexes(folded, overlapping=True):
            kind, brands = self._kinds[index], self._owners[index]
            if kind is _Kind.HANDLE:
                brand = self._accounts.get(AccountId(f"{network}:{self._spellings[index][1:]}"))
                if brand is not None and _stands_as_handle(folded, start, end, network):
                    hits.append(_Hit(start, -end, index, (brand,)))
            elif kind is _Kind.HASHTAG:
                if _stands_as_hashtag(folded, start, end):
                    hits.append(_Hit(start, -end, index, brands))
            elif _stands_as_name(folded, start, end):
                if kind is _Kind.NAME:
                    hits.append(_Hit(start, -end, index, brands))
                else:
                    for brand in brands:
                        excluded.setdefault(brand, []).append((start, end))
        if excluded:
            hits = [left for hit in hits if (left := self._without(hit, excluded)).brands]
        if len(hits) < 2:
            return hits
        hits.sort()
        chosen: list[_Hit] = []
        for hit in hits:
            last = chosen[-1] if chosen else None
            if last is None or hit.start >= -last.minus_end or hit[:2] == last[:2]:
                chosen.append(hit)
        return chosen

    def _without(self, hit: _Hit, excluded: dict[BrandId, list[tuple[int, int]]]) -> _Hit:
        if self._kinds[hit.pattern] is _Kind.HANDLE:
            return hit
        end = -hit.minus_end
        kept = tuple(b for b in hit.brands if not any(s <= hit.start and end <= e for s, e in excluded.get(b, ())))
        return hit._replace(brands=kept)


_WHY: Final = {_Kind.NAME: Why.NAME, _Kind.HASHTAG: Why.HASHTAG, _Kind.HANDLE: Why.HANDLE}


def _spellings(brand: Brand) -> Iterable[tuple[_Kind, str]]:
    everything = [
        *((_Kind.NAME, fold(name)) for name in (brand.name, *brand.names)),
        *((_Kind.HASHTAG, "#" + fold(tag).removeprefix("#")) for tag in brand.hashtags),
        # As `Account.id` spells it, so that the id can be told from the match.
        *((_Kind.HANDLE, "@" + account.handle.removeprefix("@").lower()) for account in brand.accounts),
        *((_Kind.EXCLUDED, fold(phrase)) for phrase in brand.exclude),
    ]
    return [(kind, spelling) for kind, spelling in everything if spelling.strip("#@")]


def fold(text: str) -> str:
    """The form in which spellings are compared: compatible characters, case, invisible ones and blanks made equal."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", text.translate(_IGNORABLE)).casefold()
    # Turkish capitals: what is written LİDL or LIDL there is lidl here.
    folded = folded.replace("i\u0307", "i").replace("\u0131", "i")
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_" or (not char.isascii() and unicodedata.category(char)[0] == "M")


def _joined(left: str, right: str) -> bool:
    """Whether two neighbours belong to one word."""
    if not (_is_word(left) and _is_word(right)):
        return False
    if not right.isascii() and unicodedata.category(right)[0] == "M":
        return True  # a mark belongs to the letter before it, in every script
    return not (_UNSPACED.match(left) or _UNSPACED.match(right))


def _stands_as_name(text: str, start: int, end: int) -> bool:
    if start and (text[start - 1] == "@" or _joined(text[start - 1], text[start])):
        return False
    if end == len(text):
        return True
    return not (_joined(text[end - 1], text[end]) or _begins_at(text, end, "@"))


def _stands_as_hashtag(text: str, start: int, end: int) -> bool:
    """Tags go on to the next blank in every script."""
    return not (start and _is_word(text[start - 1])) and not (end < len(text) and _is_word(text[end]))


def _stands_as_handle(text: str, start: int, end: int, network: str) -> bool:
    if start and (text[start - 1] in "@/" or _is_word(text[start - 1])):
        return False
    if end == len(text):
        return True
    return not (_joined(text[end - 1], text[end]) or _begins_at(text, end, "@" if network in _DOTLESS else "@.-"))


def _begins_at(text: str, at: int, marks: str) -> bool:
    """Whether one of `marks` stands at `at`, with a word after it."""
    return text[at] in marks and at + 1 < len(text) and _is_word(text[at + 1])
