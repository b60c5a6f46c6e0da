"""Where brands stand in a text, as the scorer finds them again, and where a name means something else."""

from __future__ import annotations

from scorer.mentions import Mentions
from scorer.sentiment.relevance import Role
from services.config.loading import parse

BRANDS = parse(
    """
brands:
  - {id: united, name: United, exclude: ["United Nations"], accounts: [{network: x, handle: united, owner: care}]}
  - {id: delta, name: Delta, hashtags: ["#deltaair"]}
"""
).brands
NAMED = ["united", "delta"]


def test_the_brand_that_beats_another_is_not_the_one_that_is_complained_about() -> None:
    verdicts = Mentions(BRANDS).judge("United beats Delta again", NAMED, [], None)
    assert not verdicts["united"].counts


def test_a_name_inside_an_excluded_phrase_does_not_speak_for_the_brand() -> None:
    text = "Even the United Nations is faster, Delta is useless"
    verdicts = Mentions(BRANDS).judge(text, NAMED, [], None)
    assert verdicts["delta"].role is Role.ONLY
    assert not verdicts["united"].counts


def test_a_name_outside_an_excluded_phrase_still_speaks_for_the_brand() -> None:
    verdicts = Mentions(BRANDS).judge("The United Nations will hear of this, United", ["united"], [], None)
    assert verdicts["united"].counts


def test_handles_and_hashtags_are_found_in_any_case_and_whole_only() -> None:
    verdicts = Mentions(BRANDS).judge("@UNITED lost my bag, reunited with it by #DeltaAir", NAMED, [], None)
    assert verdicts["united"].counts
    assert set(verdicts) == {"united", "delta"}
