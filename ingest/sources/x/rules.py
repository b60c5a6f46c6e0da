"""The rules by which X is asked for what names a brand, made of the brands' names, handles and hashtags. Pure.

What makes a name mean something else (`exclude`, `ambiguous`) is no part of a rule: X cannot tell it as well as we can, and a
post that is left out there is never seen. A rule is cut where it would be too long; each one stands for its own, so their order
says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.sources.x.shapes import XRule
from services.config.model import Brand

MOST_RULES: Final = 1_000
MOST_CHARS: Final = 1_024
QUERY_CHARS: Final = 512
"""Of a search, whose queries may be shorter than the rules of the stream."""
LEVELS: Final = (100, 75, 50, 35, 25, 15, 10, 5, 2, 1)
"""Percent of the posts that rules may let through: few steps, so that rules seldom change."""
_SUFFIX_CHARS: Final = len(" -is:retweet sample:100")
_HANDLE: Final = re.compile(r"[A-Za-z0-9_]{1,15}")
_HASHTAG: Final = re.compile(r"(?!\d+$)\w{1,100}")
_UNQUOTABLE: Final = re.compile(r"[\"\\\x00-\x1f]+")


class RuleImpossible(ValueError):
    """A rule cannot be made; the message says of what, and why."""


@dataclass(frozen=True, slots=True)
class WantedRule:
    """A rule as it is to stand at X."""

    value: str
    tag: str


@dataclass(frozen=True, slots=True)
class RuleChange:
    """How to get from the rules that stand there to those that are wanted."""

    add: tuple[WantedRule, ...]
    delete: tuple[str, ...]
    """Ids."""

    @property
    def is_none(self) -> bool:
        return not self.add and not self.delete


def terms_of(brand: Brand, network: str) -> list[str]:
    """What finds a brand, each once. Raises `RuleImpossible`."""
    found = [_phrase(name) for name in (brand.name, *brand.names)]
    for account in brand.accounts:
        if account.network != network:
            continue
        handle = account.handle.removeprefix("@")
        if not _HANDLE.fullmatch(handle):
            raise RuleImpossible(
                f"{brand.id}: {account.handle} cannot be an account on X (letters, digits, _; at most 15)"
            )
        found += [f"@{handle}", f"from:{handle}"]
    for hashtag in brand.hashtags:
        word = hashtag.removeprefix("#")
        found.append(f"#{word}" if _HASHTAG.fullmatch(word) else _phrase(word))
    terms = list(dict.fromkeys(term for term in found if term))
    if not terms:
        raise RuleImpossible(f"{brand.id}: neither a name nor a handle nor a hashtag that X could look for")
    return terms


def values_of(terms: Sequence[str], most_chars: int) -> list[str]:
    """The terms joined by OR, in as many groups as they need. Raises `RuleImpossible`."""
    values: list[str] = []
    group: list[str] = []
    for term in terms:
        if len(term) + 2 > most_chars:
            raise RuleImpossible(f"{term[:60]}... is too long for a rule ({most_chars} characters)")
        if group and len(" OR ".join([*group, term])) + 2 > most_chars:
            values.append(f"({' OR '.join(group)})")
            group = []
        group.append(term)
    return [*values, f"({' OR '.join(group)})"] if group else values


def rules_of(
    brands: Iterable[Brand],
    network: str,
    source: str,
    further: Sequence[str] = (),
    *,
    reposts: bool,
    percent: int = 100,
) -> list[WantedRule]:
    """All rules of a source, of which each brings so many percent of the posts. Raises `RuleImpossible`."""
    suffix = ("" if reposts else " -is:retweet") + (f" sample:{percent}" if percent < 100 else "")
    prefix = prefix_of(source)
    found: dict[str, WantedRule] = {}
    for brand in brands:
        for number, value in enumerate(values_of(terms_of(brand, network), MOST_CHARS - _SUFFIX_CHARS), 1):
            found.setdefault(value, WantedRule(value + suffix, f"{prefix}{brand.id}:{number}"))
    for number, rule in enumerate(further, 1):
        found.setdefault(rule, WantedRule(f"({rule}){suffix}", f"{prefix}:{number}"))
    if len(found) > MOST_RULES:
        raise RuleImpossible(
            f"{len(found)} rules are needed, and X takes {MOST_RULES}: share the brands among two apps"
        )
    return list(found.values())


def queries_of(brands: Iterable[Brand], network: str, further: Sequence[str] = (), *, reposts: bool) -> list[str]:
    """The same as questions to search, whole: a sample cannot be searched for. Raises `RuleImpossible`."""
    suffix = "" if reposts else " -is:retweet"
    terms = dict.fromkeys(term for brand in brands for term in terms_of(brand, network))
    found = [value + suffix for value in values_of(list(terms), QUERY_CHARS - _SUFFIX_CHARS)]
    return [*found, *(f"({rule}){suffix}" for rule in further)]


def change_to(wanted: Sequence[WantedRule], standing: Sequence[XRule], source: str) -> RuleChange:
    """What is to be added and deleted. Rules that are not ours are left alone, also where one of them says the same."""
    prefix = prefix_of(source)
    theirs = {rule.value for rule in standing if not rule.tag.startswith(prefix)}
    ours = {(rule.value, rule.tag): rule.id for rule in standing if rule.tag.startswith(prefix)}
    values = {rule.value for rule in wanted}
    kept = {value for value, _ in ours if value in values}
    add = tuple(rule for rule in wanted if rule.value not in kept | theirs)
    return RuleChange(add, tuple(number for (value, _), number in ours.items() if value not in values))


def prefix_of(source: str) -> str:
    """How the tags of a source's rules begin."""
    return f"firebreak:{source}:"


def level_for(share: float) -> int:
    """How many percent to let through, if this share can be afforded. Never none: what is nothing is decided by the purse."""
    percent = share * 100
    return next((level for level in LEVELS if level <= percent), LEVELS[-1])


def _phrase(name: str) -> str:
    """A name as X looks for it: whole, and with nothing in it that X reads as an operator. Empty if nothing is left."""
    words = _UNQUOTABLE.sub(" ", name).split()
    phrase = " ".join(words)
    return f'"{phrase}"' if any(letter.isalnum() for letter in phrase) else ""
