"""Whose complaint a post is, by the places that its event carries, and where a record is too old to carry them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from scorer.mentions import relevances
from scorer.sentiment.relevance import BrandRelevance, Role
from services.config.loading import parse
from services.contracts.base import BrandId, ConversationId
from services.contracts.names import NameFinder, mentions_of
from services.contracts.post import PostKind, PostObserved

BRANDS = {
    brand.id: brand
    for brand in parse(
        """
brands:
  - {id: united, name: United, exclude: ["United Nations"], accounts: [{network: x, handle: united, owner: care}]}
  - {id: delta, name: Delta, hashtags: ["#deltaair"]}
"""
    ).brands
}
FINDER = NameFinder(BRANDS.values())
NAMED = ("united", "delta")


def judged(text: str, named: tuple[str, ...], *, old: bool) -> Mapping[str, BrandRelevance]:
    """The verdicts on a post that names these brands; `old` says that its record is of version 1."""
    post = PostObserved(
        network="x",
        post_id="1",
        kind=PostKind.ORIGINAL,
        conversation=ConversationId("x:1"),
        home=ConversationId("x:1"),
        text=text,
        brands=tuple(map(BrandId, named)),
        mentions=None if old else mentions_of(FINDER.find("x", text)),
        observed_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    return relevances(post, [], BRANDS)


@pytest.fixture(params=[False, True], ids=["places in the event", "record of version 1"])
def old(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_brand_that_beats_another_is_not_the_one_that_is_complained_about(old: bool) -> None:
    found = judged("United beats Delta again", NAMED, old=old)
    assert not found["united"].counts
    assert found["delta"].counts


def test_a_name_inside_an_excluded_phrase_does_not_speak_for_the_brand(old: bool) -> None:
    text = "Even the United Nations is faster, Delta is useless"
    found = judged(text, NAMED, old=old)
    assert found["delta"].role is Role.ONLY
    assert not found["united"].counts


def test_a_name_outside_an_excluded_phrase_still_speaks_for_the_brand(old: bool) -> None:
    found = judged("The United Nations will hear of this, United", ("united",), old=old)
    assert found["united"].counts


def test_handles_and_hashtags_are_found_in_any_case_and_whole_only(old: bool) -> None:
    found = judged("@UNITED lost my bag, reunited with it by #DeltaAir", NAMED, old=old)
    assert found["united"].counts
    assert set(found) == {"united", "delta"}


def test_a_hashtag_that_is_only_a_name_addresses_the_brand_like_the_name(old: bool) -> None:
    assert judged("#Delta you lost my bag, @united too", NAMED, old=old)["delta"].role is Role.ADDRESSED


@pytest.mark.parametrize("wide", ["\uff35\uff2e\uff29\uff34\uff25\uff24", "Uni\u200bted"])
def test_a_name_is_judged_alike_however_it_is_written(wide: str, old: bool) -> None:
    plain = judged("United beats Delta", NAMED, old=old)
    assert judged(f"{wide} beats Delta", NAMED, old=old) == plain


def test_a_brand_that_is_not_configured_any_more_does_not_keep_an_old_record_from_being_judged() -> None:
    found = judged("Delta is useless", ("gone", "delta"), old=True)
    assert found["delta"].role is Role.ONLY


def test_what_the_event_says_about_its_places_is_taken_at_its_word() -> None:
    text = "United beats Delta again"
    post = PostObserved(
        network="x", post_id="1", kind=PostKind.ORIGINAL, conversation=ConversationId("x:1"),
        home=ConversationId("x:1"), text=text, brands=tuple(map(BrandId, NAMED)), observed_at=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    assert {verdict.role for verdict in relevances(post, [], BRANDS).values()} == {Role.CONVERSATION}
