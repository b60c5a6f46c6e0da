"""Whose complaint it is, on texts of our own with two or more brands and on public ones where they are at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scorer.sentiment.evaluate import read_labelled
from scorer.sentiment.relevance import Role, judge
from services.config.model import Brand
from services.contracts.base import BrandId
from services.contracts.names import NameFinder, mentions_of
from services.contracts.post import Mention, MentionKind

SIGNS = {"@": MentionKind.HANDLE, "#": MentionKind.HASHTAG}
BRANDS = {"acme": r"@?acme\b(?:air)?", "bolt": r"[@#]?bolt(?:air)?\b", "cobalt": r"[@#]?cobalt\b"}
AIRLINE = Path(__file__).parents[4] / "shared/data/airline/train.csv.gz"


def mentions_in(text: str, patterns: dict[str, str]) -> list[Mention]:
    return [
        Mention(
            brand=BrandId(brand),
            kind=SIGNS.get(found[0][0], MentionKind.NAME),
            start=found.start(),
            end=found.end(),
        )
        for brand, pattern in patterns.items()
        for found in re.finditer(rf"(?<![\w@#]){pattern}", text, re.IGNORECASE)
    ]


def roles(text: str) -> dict[str, Role]:
    return {brand: verdict.role for brand, verdict in judge(text, mentions_in(text, BRANDS)).items()}


# (text, brands that it counts for)
TEXTS = [
    ("@acme you lost my bag", {"acme"}),
    ("@acme you lost my bag, @bolt never did that", {"acme"}),
    ("@acme learn from @bolt", {"acme"}),
    ("@acme that is how @bolt would handle it", {"acme"}),
    ("@acme two hours late. Hello @bolt!", {"acme"}),
    ("@acme never again, next time @bolt", {"acme"}),
    ("@acme so bad that I switched to Bolt", {"acme"}),
    ("@acme worst app ever. cc @bolt", {"acme"}),
    ("@acme is down again, thanks @bolt for working", {"acme"}),
    ("@acme thanks for nothing", {"acme"}),
    ("@acme @bolt one of you has my parcel!", {"acme", "bolt"}),
    ("Acme beats Bolt again", {"bolt"}),
    ("Acme is way better than Bolt", {"bolt"}),
    ("@acme is great, @bolt is the worst", {"acme", "bolt"}),
    ("Both Acme and Bolt lost my luggage this year", {"acme", "bolt"}),
    ("@acme why can't you be like @bolt and answer like @cobalt", {"acme"}),
    ("Unlike Bolt, Acme broke my phone", {"acme"}),
    ("I should have flown Bolt. Acme has been delayed for hours", {"acme"}),
    ("leaving Acme, going with Bolt", {"acme"}),
    ("Stuck with @acme support for hours via @cobalt", {"acme"}),
]


@pytest.mark.parametrize(("text", "counts"), TEXTS)
def test_a_complaint_counts_for_those_it_is_about(text: str, counts: set[str]) -> None:
    found = judge(text, mentions_in(text, BRANDS))
    assert {brand for brand, verdict in found.items() if verdict.counts} == counts, found


def test_a_brands_own_account_complains_about_nobody_in_its_own_name() -> None:
    text = "@acme We are sorry, @bolt let us down"
    found = judge(text, mentions_in(text, BRANDS), author="acme", inherited=["acme"])
    assert found["acme"].role is Role.OWN_ACCOUNT
    assert not found["acme"].counts
    assert found["bolt"].counts


def test_a_name_inside_an_exclusion_is_no_mention() -> None:
    text = "a bolt of lightning hit the acme office"
    brands = [Brand(id="bolt", name="Bolt", exclude=("bolt of lightning",)), Brand(id="acme", name="Acme")]
    found = judge(text, mentions_of(NameFinder(brands).find("x", text)))
    assert "bolt" not in found
    assert found["acme"].role is Role.ONLY


def test_an_answer_in_a_brands_conversation_is_about_it_unless_it_names_another() -> None:
    assert judge("this is a disgrace", [], inherited=["acme"])["acme"].role is Role.CONVERSATION
    text = "@bolt you are no better"
    assert judge(text, mentions_in(text, BRANDS), inherited=["acme"])["acme"].role is Role.ELSEWHERE


def test_a_complaint_is_never_left_without_a_target() -> None:
    text = "as bad as Acme, no better than Bolt, like Cobalt"
    assert any(verdict.counts for verdict in judge(text, mentions_in(text, BRANDS)).values())


def test_every_verdict_gives_its_reason() -> None:
    assert all(verdict.reason for verdict in judge("Acme or Bolt", mentions_in("Acme or Bolt", BRANDS)).values())
    assert roles("@acme hi") == {"acme": Role.ONLY}
    assert judge("nothing here", []) == {}


AIRLINES = {
    "Virgin America": r"(?:[@#]virginamerica|virgin america|@virgin)\b",
    "United": r"[@#]?united\b",
    "Southwest": r"(?:[@#]southwestair|southwest)\b",
    "US Airways": r"(?:[@#]usairways|us airways)\b",
    "American": r"(?:[@#]americanair|american airlines)\b",
    "Delta": r"(?:[@#]?jetblue)\b",
}
"""The set calls JetBlue's posts Delta's."""


@pytest.mark.skipif(not AIRLINE.is_file(), reason="the public sets are not here")
def test_on_public_posts_with_two_airlines_the_one_complained_about_is_found() -> None:
    import gzip
    from csv import DictReader

    kept = total = company = counted = 0
    with gzip.open(AIRLINE, "rt", encoding="utf-8", newline="") as file:
        for row in DictReader(file):
            target = json.loads(row["extra"])["airline"]
            mentions = mentions_in(row["text"], AIRLINES)
            named = {mention.brand for mention in mentions}
            if row["label"] != "negative" or len(named) < 2 or target not in named:
                continue
            found = judge(row["text"], mentions)
            total += 1
            kept += found[target].counts
            company += len(named) - 1
            counted += sum(found[brand].counts for brand in named - {target})
    assert total > 100
    assert kept / total > 0.97
    assert counted / company < 0.6
    assert next(iter(read_labelled(AIRLINE))).text
