"""Which brands a post is about, and why: by who wrote it, by what was declared, by whom it answers, by what its text names.

What counts as a name in a text is defined in `services.contracts.names`; here one automaton looks for the names of all
brands in one pass, whose time does not depend on how many there are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick

from services.config.model import Brand
from services.contracts.base import AccountId, BrandId
from services.contracts.cues import Cue
from services.contracts.names import FoundName, NameFinder, Search, mentions_of
from services.contracts.post import Mention, MentionKind

LISTED: Final = 8
"""How many brands an error names: enough to see a misspelling, and short enough to read."""


class Why(StrEnum):
    """Why a brand was found, the surest first."""

    OWN_ACCOUNT = "own_account"
    DECLARED = "declared"
    ANSWERED = "answered"
    HANDLE = "handle"
    HASHTAG = "hashtag"
    NAME = "name"
    NAME_NEAR_PRODUCT = "name_near_product"
    NAME_NEAR_COMPANY_WORD = "name_near_company_word"
    NAME_WITH_CAPITAL = "name_with_capital"


_BY_CUE: Final = {
    Cue.HANDLE: Why.HANDLE,
    Cue.HASHTAG: Why.HASHTAG,
    Cue.PRODUCT: Why.NAME_NEAR_PRODUCT,
    Cue.COMPANY: Why.NAME_NEAR_COMPANY_WORD,
    Cue.CAPITAL: Why.NAME_WITH_CAPITAL,
}
"""Why a brand was found whose name is a word as well; a cue that is no reason of its own leaves the name as the reason."""
_WHY: Final = {MentionKind.NAME: Why.NAME, MentionKind.HASHTAG: Why.HASHTAG, MentionKind.HANDLE: Why.HANDLE}


class BrandMatch(NamedTuple):
    """A brand that a post is about, and the surest reason for it."""

    brand: BrandId
    why: Why


class Found(NamedTuple):
    """Each brand once in `matches`; in `mentions`, where the text names them. `account` is the brand's account that wrote
    the post, is answered by it, or is addressed in it."""

    matches: tuple[BrandMatch, ...]
    account: AccountId | None = None
    author_brand: BrandId | None = None
    mentions: tuple[Mention, ...] = ()

    @property
    def brands(self) -> tuple[BrandId, ...]:
        return tuple(match.brand for match in self.matches)


class BrandBook:
    """All the names and accounts of all the brands, built once for a configuration."""

    def __init__(self, brands: Sequence[Brand]) -> None:
        self._finder = NameFinder(brands, search_at_once)
        self._ids = frozenset(brand.id for brand in brands)
        self.listed = ", ".join(sorted(self._ids)[:LISTED]) + (", ..." if len(self._ids) > LISTED else "")

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
        """What a post with this text is about. `declared` are brands that the client states; `author` and `answers` are the
        handles of who wrote the post and of whom it answers."""
        whys: dict[BrandId, Why] = {}
        own, own_brand = self._account(network, author)
        answered, answered_brand = self._meant(network, answers)
        if own_brand is not None:
            whys[own_brand] = Why.OWN_ACCOUNT
        for brand in declared:
            whys.setdefault(BrandId(brand), Why.DECLARED)
        if answered_brand is not None:
            whys.setdefault(answered_brand, Why.ANSWERED)
        names = self._finder.find(network, text, whys.keys()) if text else []
        for name in names:
            cues = dict(name.cues)
            for named in name.brands:
                cue = cues.get(named)
                whys.setdefault(named, _WHY[name.kind] if cue is None else _BY_CUE.get(cue, _WHY[name.kind]))
        account = own or answered or self._addressed(network, names)
        matches = tuple(BrandMatch(brand, why) for brand, why in whys.items())
        return Found(matches, account, own_brand, mentions_of(names))

    def _account(self, network: str, handle: str | None) -> tuple[AccountId | None, BrandId | None]:
        """The account with this handle and its brand, where it is a brand's own."""
        if handle is None:
            return None, None
        account = AccountId(f"{network}:{handle.removeprefix('@').lower()}")
        brand = self._finder.owner(account)
        return (account, brand) if brand is not None else (None, None)

    def _meant(self, network: str, handle: str | None) -> tuple[AccountId | None, BrandId | None]:
        """The account that people mean by this handle and its brand, where it is a brand's own."""
        account = None if handle is None else self._finder.account(network, handle)
        return (None, None) if account is None else (account, self._finder.owner(account))

    def _addressed(self, network: str, names: Iterable[FoundName]) -> AccountId | None:
        """The first account that the text names by its handle."""
        handle = next((name.spelling for name in names if name.kind is MentionKind.HANDLE), None)
        return None if handle is None else self._finder.account(network, handle)


def search_at_once(spellings: Sequence[str]) -> Search:
    """One automaton for all spellings (Aho and Corasick, 1975)."""
    return partial(AhoCorasick(spellings, store_patterns=False).find_matches_as_indexes, overlapping=True)
