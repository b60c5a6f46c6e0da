"""What counts as the name of a brand in a text: the one definition, and a finder that keeps it. Pure.

A name counts where it stands as a word of its own, in any case: `acme` is not in `acmeair`. Scripts that are written
without spaces (Chinese, Japanese, Thai...) and Korean, whose particles cling to the noun, need no boundary. Among names
that overlap the leftmost and then the longest wins, so `United Airlines` is not also `United`. A name within a phrase
that its brand excludes does not count. A handle counts on its own network only, and where servers have users there
(`acme@planes.social`) by its local part too, as people see it; a name or hashtag that is part of somebody else's handle
or of a mail address never does, and nothing within a link. A name that is spelled with an apostrophe counts without it.

A name that its brand calls ambiguous, because it is a word as well, counts only with a cue (`cues`).

Whoever has thousands of names brings a search that takes one pass for all of them; without one each spelling is looked
for by itself. Which of the places found so are names is decided here, in time that grows with the text and the places.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from services.contracts.base import AccountId, BrandId
from services.contracts.boundaries import addresses, links, stands_as_handle, stands_as_hashtag, stands_as_name
from services.contracts.cues import Cue, CuePlaces, capitals_say_something, company_words, is_capital_within
from services.contracts.post import Mention, MentionKind
from services.contracts.spelling import Origin, fold, origins

MOST_MENTIONS: Final = 64
"""An event carries at most so many places, about 5 kB. The first few of each brand show whose complaint it is."""

Search = Callable[[str], Iterable[tuple[int, int, int]]]
"""Finds every place of every spelling in a folded text, overlapping ones too, as (number of the spelling, start, end)."""


_CUES: Final = {MentionKind.NAME: Cue.NAME, MentionKind.HASHTAG: Cue.HASHTAG, MentionKind.HANDLE: Cue.HANDLE}


class OwnAccount(Protocol):
    """A brand's own account on one network."""

    @property
    def handle(self) -> str: ...

    @property
    def id(self) -> AccountId: ...


class NamedBrand(Protocol):
    """A brand, as far as its names go; the configuration's brands are such."""

    @property
    def key(self) -> BrandId: ...

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def ambiguous_names(self) -> Sequence[str]: ...

    @property
    def products(self) -> Sequence[str]: ...

    @property
    def hashtags(self) -> Sequence[str]: ...

    @property
    def exclude(self) -> Sequence[str]: ...

    @property
    def accounts(self) -> Sequence[OwnAccount]: ...


class FoundName(NamedTuple):
    """The characters `start` to `end` of a text name all these `brands`; folded, they are `spelling`. Where the name is
    ambiguous for one of them, `cues` says what shows that the brand is meant."""

    start: int
    end: int
    kind: MentionKind
    spelling: str
    brands: tuple[BrandId, ...]
    cues: tuple[tuple[BrandId, Cue], ...] = ()


_BETWEEN: Final = re.compile(r"[ -]")
_AND: Final = re.compile(r" ?& ?")
_LEAST_JOINED: Final = 6
"""Letters that a name has at least, to be recognised when its words are written as one."""
_LEAST_BARE: Final = 3


class _Spelled(NamedTuple):
    """A folded spelling; without a kind it is a phrase that its brands exclude."""

    kind: MentionKind | None
    text: str


class _Hit(NamedTuple):
    """A place in the folded text. Sorts as it should win: leftmost, then longest."""

    start: int
    minus_end: int
    number: int
    brands: tuple[BrandId, ...]
    cues: tuple[tuple[BrandId, Cue], ...] = ()


class NameFinder:
    """All the names of all the brands, built once for a configuration."""

    def __init__(
        self, brands: Iterable[NamedBrand], make_search: Callable[[Sequence[str]], Search] | None = None
    ) -> None:
        """`make_search` gets all spellings and returns what finds them; without it they are looked for one by one."""
        owners: dict[_Spelled, list[BrandId]] = defaultdict(list)
        self._accounts: dict[AccountId, BrandId] = {}
        self._local: dict[AccountId, AccountId] = {}
        ambiguous: dict[str, set[BrandId]] = defaultdict(set)
        self._products: dict[BrandId, list[str]] = {}
        for brand in brands:
            for spelled in _spellings(brand):
                if brand.key not in owners[spelled]:
                    owners[spelled].append(brand.key)
            self._accounts.update((account.id, brand.key) for account in brand.accounts)
            for name in brand.ambiguous_names:
                for way in _with_and_without(name):
                    ambiguous[way].add(brand.key)
                self._products[brand.key] = [fold(product) for product in brand.products]
            for account in brand.accounts:
                self._local.setdefault(_local_part(account.id), account.id)
        self._spellings = list(owners)
        self._owners = [tuple(named) for named in owners.values()]
        self._ambiguous = [
            frozenset(ambiguous.get(text, ())) if kind is MentionKind.NAME else frozenset[BrandId]()
            for kind, text in self._spellings
        ]
        self._search = (make_search or search_one_by_one)([spelled.text for spelled in self._spellings])

    def owner(self, account: AccountId) -> BrandId | None:
        """The brand whose own account this is."""
        return self._accounts.get(account)

    def account(self, network: str, handle: str) -> AccountId | None:
        """The account that a text or an answer on `network` means by this handle, where it is a brand's own. (By its local
        part nobody is recognised as the brand itself: on another server it is anybody's.)"""
        account = AccountId(f"{network}:{handle.removeprefix('@').lower()}")
        return account if account in self._accounts else self._local.get(account)

    def find(self, network: str, text: str, about: Collection[BrandId] = ()) -> list[FoundName]:
        """The names in a text that was published on `network`, from left to right, without overlaps. `about` are the brands
        that the post is about for another reason than its text."""
        folded = fold(text)
        hits = self._hits(network, folded)
        if any(self._ambiguous[hit.number] for hit in hits):
            hits = self._meant(hits, folded, about, text)
        if not hits:
            return []
        if len(folded) == len(text) and text.isascii():
            return [self._found(hit, hit.start, -hit.minus_end) for hit in _chosen(hits)]
        places = origins(text)
        whole = [hit for hit in hits if _is_whole(hit, places)]
        return [self._found(hit, places[hit.start][0], places[-hit.minus_end - 1][1]) for hit in _chosen(whole)]

    def _found(self, hit: _Hit, start: int, end: int) -> FoundName:
        """The hit at its place in the text."""
        kind, spelling = self._spellings[hit.number]
        assert kind is not None
        return FoundName(start, end, kind, spelling, hit.brands, hit.cues)

    def _meant(self, hits: list[_Hit], folded: str, about: Collection[BrandId], text: str) -> list[_Hit]:
        """The hits without those brands that a word may name and nothing shows that it does."""
        sure: dict[BrandId, Cue] = dict.fromkeys(about, Cue.CONVERSATION)
        for hit in hits:
            for brand in hit.brands:
                if brand not in self._ambiguous[hit.number]:
                    kind = self._spellings[hit.number].kind
                    assert kind is not None
                    sure.setdefault(brand, _CUES[kind])
        company = company_words(folded)
        places = origins(text) if capitals_say_something(text) else None
        products: dict[BrandId, CuePlaces] = {}
        meant: list[_Hit] = []
        for hit in hits:
            start, end = hit.start, -hit.minus_end
            cues: dict[BrandId, Cue] = {}
            for brand in self._ambiguous[hit.number].intersection(hit.brands):
                if brand not in products:
                    products[brand] = _places(self._products[brand], folded)
                if brand in sure:
                    cues[brand] = sure[brand]
                elif products[brand].near(start, end):
                    cues[brand] = Cue.PRODUCT
                elif company.near(start, end):
                    cues[brand] = Cue.COMPANY
                elif places and is_capital_within(text, places[start][0], places[end - 1][1]):
                    cues[brand] = Cue.CAPITAL
            brands = tuple(b for b in hit.brands if b in cues or b not in self._ambiguous[hit.number])
            if brands:
                meant.append(hit._replace(brands=brands, cues=tuple(cues.items())))
        return meant

    def _hits(self, network: str, folded: str) -> list[_Hit]:
        """Every place that may be a name, overlapping ones too."""
        hits: list[_Hit] = []
        excluded: dict[BrandId, list[tuple[int, int]]] = defaultdict(list)
        for number, start, end in self._search(folded):
            kind, brands = self._spellings[number].kind, self._owners[number]
            if kind is MentionKind.HANDLE:
                account = self.account(network, self._spellings[number].text)
                if account is not None and stands_as_handle(folded, start, end, network):
                    hits.append(_Hit(start, -end, number, (self._accounts[account],)))
            elif kind is MentionKind.HASHTAG:
                if stands_as_hashtag(folded, start, end):
                    hits.append(_Hit(start, -end, number, brands))
            elif stands_as_name(folded, start, end):
                if kind is MentionKind.NAME:
                    hits.append(_Hit(start, -end, number, brands))
                else:
                    for brand in brands:
                        excluded[brand].append((start, end))
        if hits and excluded:
            spans = {brand: _Spans(spans) for brand, spans in excluded.items()}
            hits = [left for hit in hits if (left := self._without(hit, spans)).brands]
        if hits and "@" in folded:
            foreign = _Spans(addresses(folded, network))
            hits = [hit for hit in hits if self._is_handle(hit) or not foreign.stick_out(hit.start, -hit.minus_end)]
        if hits:
            linked = _Spans(links(folded))
            hits = [hit for hit in hits if not linked.stick_out(hit.start, -hit.minus_end)]
        return hits

    def _is_handle(self, hit: _Hit) -> bool:
        return self._spellings[hit.number].kind is MentionKind.HANDLE

    def _without(self, hit: _Hit, excluded: dict[BrandId, _Spans]) -> _Hit:
        """The hit for those of its brands that do not exclude the phrase it stands in. A handle means what it says."""
        if self._is_handle(hit):
            return hit
        kept = tuple(
            brand
            for brand in hit.brands
            if brand not in excluded or not excluded[brand].cover(hit.start, -hit.minus_end)
        )
        return hit._replace(brands=kept)


def mentions_of(found: Sequence[FoundName]) -> tuple[Mention, ...]:
    """What an event carries of the names that were found: at most `MOST_MENTIONS`, in the order of the text.

    Where there are more, the first of each brand go before the second of any.
    """
    seen: Counter[BrandId] = Counter()
    ranked: list[tuple[int, int, Mention]] = []
    for name in found:
        for brand in name.brands:
            mention = Mention(brand=brand, kind=name.kind, start=name.start, end=name.end)
            ranked.append((seen[brand], len(ranked), mention))
            seen[brand] += 1
    if len(ranked) > MOST_MENTIONS:
        ranked = sorted(sorted(ranked, key=lambda one: one[:2])[:MOST_MENTIONS], key=lambda one: one[1])
    return tuple(mention for _, _, mention in ranked)


def search_one_by_one(spellings: Sequence[str]) -> Search:
    """A search that needs no index: right for a handful of spellings."""

    def search(text: str) -> Iterator[tuple[int, int, int]]:
        for number, spelling in enumerate(spellings):
            at = text.find(spelling)
            while at >= 0:
                yield number, at, at + len(spelling)
                at = text.find(spelling, at + 1)

    return search


class _Spans:
    """Stretches of a text, to be asked about many places."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._reach = list(accumulate((end for _, end in ordered), max))

    def cover(self, start: int, end: int) -> bool:
        """Returns True if one of them holds all of `start` to `end`."""
        place = bisect_right(self._starts, start)
        return place > 0 and self._reach[place - 1] >= end

    def stick_out(self, start: int, end: int) -> bool:
        """Returns True if one of them holds some of `start` to `end`, and something beside it. (A name that is spelled with
        an @ is not part of an address, but all of it.)"""
        before, until = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return (before > 0 and self._reach[before - 1] > start) or (until > 0 and self._reach[until - 1] > end)


def _is_whole(hit: _Hit, places: Sequence[Origin]) -> bool:
    """Returns True if the hit begins and ends with whole characters of the text: `fi` is not in the ligature of `ffi`."""
    start, end = hit.start, -hit.minus_end
    return (start == 0 or places[start - 1] != places[start]) and (end == len(places) or places[end - 1] != places[end])


def _chosen(hits: list[_Hit]) -> list[_Hit]:
    """Those that are left when the leftmost and then the longest has hidden what it overlaps."""
    chosen: list[_Hit] = []
    for hit in sorted(hits):
        last = chosen[-1] if chosen else None
        if last is None or hit.start >= -last.minus_end or hit[:2] == last[:2]:
            chosen.append(hit)
    return chosen


def _places(words: Sequence[str], folded: str) -> CuePlaces:
    """Where these words stand as words of their own."""
    places = search_one_by_one(words)(folded)
    return CuePlaces([(start, end) for _, start, end in places if stands_as_name(folded, start, end)])


def _local_part(account: AccountId) -> AccountId:
    """The account without its server: `mastodon:acme` for `mastodon:acme@planes.social`."""
    return AccountId(account.partition("@")[0])


def _with_and_without(name: str) -> Iterator[str]:
    """The folded name, and how it is typed in a hurry: its words with blanks, hyphens or nothing between them, without an
    apostrophe and without a mark at its end."""
    folded = fold(name)
    ways = [folded]
    if "'" in folded.strip("'"):
        ways.append(folded.replace("'", ""))
    parts = _BETWEEN.split(folded)
    if len(parts) > 1 and all(parts):
        ways += [between.join(parts) for between in (" ", "-")]
        if len(joined := "".join(parts)) >= _LEAST_JOINED:
            ways.append(joined)
    if "&" in folded:
        ways += [_AND.sub(between, folded) for between in ("&", " & ")]
    bare = folded.rstrip("!?.")
    if len(bare) >= _LEAST_BARE:
        ways.append(bare)
    yield from dict.fromkeys(ways)


def _spellings(brand: NamedBrand) -> Iterable[_Spelled]:
    handles = [account.handle.removeprefix("@").lower() for account in brand.accounts]
    everything = [
        *(_Spelled(MentionKind.NAME, way) for name in (brand.name, *brand.names) for way in _with_and_without(name)),
        *(_Spelled(MentionKind.HASHTAG, "#" + fold(tag).removeprefix("#")) for tag in brand.hashtags),
        # As `Account.id` spells it, so that the id can be told from the match.
        *(_Spelled(MentionKind.HANDLE, "@" + way) for handle in handles for way in (handle, handle.partition("@")[0])),
        *(_Spelled(None, way) for phrase in brand.exclude for way in _with_and_without(phrase)),
    ]
    return [spelled for spelled in everything if spelled.text.strip("#@")]
