"""Which stories belong together, by the values that a rule groups by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerter.rules import decide
from alerter.rules.grouping import Group, group_of
from services.base.errors import ConfigError
from services.config.loading import over, parse
from services.config.rule import TOPICS
from services.contracts.base import AccountId, BrandId
from services.contracts.phrases import Topics
from tests.unit.alerter import make

BY = ("account", "topic", "language", "source")
ANY = make.rule(level=None, complaint_severity=0, group_by=BY)


def group(signal: Any, known: Topics = TOPICS, **more: Any) -> Group:
    found = group_of(ANY.model_copy(update=more), signal, known)
    assert found is not None
    return found


def post(story: str = "p1", **more: Any) -> Any:
    return make.negative(story, story=f"bsky:{story}").model_copy(update={"post": make.card(story, **more)})


def test_a_rule_that_does_not_group_has_no_group() -> None:
    assert group_of(make.rule(), make.forecast(), TOPICS) is None
    decision = decide.decide(make.forecast(), [make.rule()], make.LINE, None, make.NOW)
    assert decision is not None
    assert decision.group is None


def test_a_decision_knows_the_group_of_its_rule() -> None:
    decision = decide.decide(make.forecast(), [make.rule(group_by=("account",))], make.LINE, None, make.NOW)
    assert decision is not None
    assert decision.group is not None
    assert (decision.group.words, decision.group.within) == ("account bsky:acme", timedelta(hours=1))


def test_other_posts_with_the_same_values_are_of_the_same_group_and_the_words_say_which() -> None:
    one = group(post("p1", language="en", text="the charger caught fire"))
    two = group(post("p2", language="en-GB", text="FIRE in my kitchen", author="@another.example"))
    assert one.key == two.key
    assert one.words == two.words == "account bsky:acme, language en, source bsky, topic safety"


@pytest.mark.parametrize(
    ("by", "other"),
    [
        ("account", {"account": AccountId("bsky:acme_help")}),
        ("account", {"account": None}),
        ("topic", {"text": "they recall it after a fire"}),
        ("topic", {"text": "it is late"}),
        ("topic", {"text": None}),
        ("language", {"language": "de"}),
        ("language", {"language": None}),
        ("source", {"network": "x"}),
    ],
)
def test_another_value_is_another_group_only_where_the_rule_asks_for_it(by: str, other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"language": "en", "text": "the charger caught fire"}
    one, two = post("p1", **same), post("p2", **(same | other))
    assert group(one, group_by=(by,)).key != group(two, group_by=(by,)).key
    rest = tuple(name for name in BY if name != by)
    assert group(one, group_by=rest).key == group(two, group_by=rest).key


def test_what_is_not_known_is_a_value_of_its_own() -> None:
    one, two = post("p1", account=None, text=None), post("p2", account=None, text=None)
    assert group(one).key == group(two).key
    assert group(one).words == "no account, no language, source bsky, no topic"
    named_none = {"none": ("the text",)}
    assert group(post(), named_none, group_by=("topic",)).key != group(post(), {}, group_by=("topic",)).key


def test_another_brand_or_another_rule_is_another_group() -> None:
    one = post()
    assert group(one).key != group(one.model_copy(update={"brand": BrandId("other")})).key
    assert group(one).key != group(one, id="another").key


def test_a_rule_that_asks_for_topics_groups_by_those_alone() -> None:
    fire, both = post("p1", text="it caught fire"), post("p2", text="it caught fire, and I was hacked")
    assert group(fire).key != group(both).key
    assert group(fire, topics=("safety",)).key == group(both, topics=("safety",)).key
    assert group(both).words.endswith("topic breach and safety")


def test_a_surge_is_grouped_by_what_most_of_it_is() -> None:
    surge = make.surge(networks={"x": 8, "bsky": 2}, languages={"en": 9, "de": 1}, terms=("recall",))
    assert group(surge).words == "no account, language en, source x, topic recall"


@given(st.permutations(BY), st.integers(1, 4))
def test_the_order_in_the_file_does_not_matter(names: list[str], most: int) -> None:
    some = tuple(names[:most])
    assert group(post(), group_by=some).key == group(post(), group_by=tuple(sorted(some))).key


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_by": ["account", "account"]},
        {"group_by": ["brand"]},
        {"group_minutes": 0.5},
        {"group_minutes": 7 * 24 * 60 + 1},
    ],
)
def test_a_rule_groups_by_some_of_the_four_once_each_for_a_week_at_most(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make.rule(**wrong)


def test_a_doubled_name_is_answered_with_its_place() -> None:
    text = """
brands: [{id: acme, name: Acme}]
policies: [{id: default, steps: [{targets: [desk]}]}]
rules:
- id: viral
  level: likely
  policy: default
  group_by: [account, account]
"""
    with pytest.raises(ConfigError, match=r"test.yaml:8: rules\.0\.group_by: .*name each of them once"):
        parse(text, "test.yaml")


def test_the_rule_in_the_documentation_is_one(tmp_path: Path) -> None:
    said = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
    path = tmp_path / "rules.yaml"
    path.write_text(said.partition("```yaml")[2].partition("```")[0].replace("front-desk", "default"))
    (rule,) = over(path, make.config()).rules
    assert (rule.group_by, rule.group_minutes) == (("topic", "account"), 120)
