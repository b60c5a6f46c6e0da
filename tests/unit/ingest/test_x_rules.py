"""The rules for X that brands become, and how those that stand there become them."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.sources.x.rules import (
    LEVELS,
    MOST_CHARS,
    QUERY_CHARS,
    RuleImpossible,
    WantedRule,
    change_to,
    level_for,
    queries_of,
    rules_of,
)
from ingest.sources.x.shapes import XRule
from services.config.model import Brand


def brand(**fields: Any) -> Brand:
    return Brand.model_validate({"id": "acme", "name": "Acme Air", **fields})


def rules(*brands: Brand, **options: Any) -> list[WantedRule]:
    return rules_of(brands, "x", "ears", **{"reposts": True, **options})


def test_a_rule_names_everything_that_finds_the_brand() -> None:
    one = brand(
        names=["Acme", 'Acme "the" Air\\lines', "!!!"],
        accounts=[
            {"network": "x", "handle": "@AcmeAir", "owner": "care"},
            {"network": "bluesky", "handle": "acme.example", "owner": "care"},
        ],
        hashtags=["#acmefail", "acme-air", "2026"],
    )
    (rule,) = rules(one)
    assert rule.value == (
        '("Acme Air" OR "Acme" OR "Acme the Air lines" OR @AcmeAir OR from:AcmeAir OR #acmefail OR "acme-air" OR "2026")'
    )
    assert rule.tag == "firebreak:ears:acme:1"


def test_operators_in_a_name_are_words() -> None:
    (rule,) = rules(brand(name="AND OR from:bob) -is:retweet"))
    assert rule.value == '("AND OR from:bob) -is:retweet")'


def test_many_names_become_several_rules_within_the_length_and_none_is_lost() -> None:
    names = [f"Acme number {number}" for number in range(200)]
    found = rules(brand(names=names), percent=50, reposts=False)
    assert all(len(rule.value) <= MOST_CHARS for rule in found)
    assert len({rule.tag for rule in found}) == len(found) > 1
    whole = " ".join(rule.value for rule in found)
    assert all(f'"{name}"' in whole for name in names)
    assert all(rule.value.endswith(" -is:retweet sample:50") for rule in found)
    queries = queries_of([brand(names=names)], "x", reposts=False)
    assert all(len(query) <= QUERY_CHARS and "sample:" not in query for query in queries)
    assert all(f'"{name}"' in " ".join(queries) for name in names)


def test_two_brands_of_one_name_share_a_rule() -> None:
    assert len(rules(brand(), brand(id="other"))) == 1


@pytest.mark.parametrize("handle", ["acme.air", "a" * 16, "ac-me"])
def test_a_handle_that_x_cannot_have_is_told_to_people(handle: str) -> None:
    with pytest.raises(RuleImpossible, match=r"acme: .*cannot be an account on X"):
        rules(brand(accounts=[{"network": "x", "handle": handle, "owner": "care"}]))


def test_more_rules_than_x_takes_are_told_to_people() -> None:
    with pytest.raises(RuleImpossible, match="1001 rules are needed"):
        rules(*(brand(id=f"b{n}", name=f"Brand {n}") for n in range(1001)))


def test_a_brand_without_anything_to_look_for_is_told_to_people() -> None:
    with pytest.raises(RuleImpossible, match="neither a name"):
        rules(brand(name="!?"))


def test_further_rules_are_sampled_like_the_others() -> None:
    found = rules(brand(), further=["url:acme.example OR acmebus"], percent=10)
    assert found[-1] == WantedRule("(url:acme.example OR acmebus) sample:10", "firebreak:ears::1")


def test_only_our_own_rules_are_touched() -> None:
    standing = [
        XRule("1", '("Acme Air")', "firebreak:ears:acme:1"),
        XRule("2", "(old)", "firebreak:ears:acme:2"),
        XRule("3", "(cats)", "somebody else's"),
        XRule("4", "(dogs)", "firebreak:ears2:acme:1"),
        XRule("5", "(birds)"),
    ]
    wanted = [
        WantedRule('("Acme Air")', "firebreak:ears:acme:1"),
        WantedRule("(new)", "firebreak:ears:acme:2"),
        WantedRule("(birds)", "firebreak:ears:b:1"),
    ]
    change = change_to(wanted, standing, "ears")
    assert [rule.value for rule in change.add] == ["(new)"], "what somebody else asks for comes anyway"
    assert change.delete == ("2",)
    assert change_to(wanted[:1], standing[:1], "ears").is_none


def test_the_share_that_can_be_afforded_is_rounded_down_and_never_to_nothing() -> None:
    assert [level_for(share) for share in (1.0, 0.99, 0.5, 0.499, 0.011, 0.0)] == [100, 75, 50, 35, 1, 1]
    assert all(level_for(level / 100) == level for level in LEVELS)
