"""Decides which stories share one incident, if a rule has `group_by`: those of one brand with the same values. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from alerter.rules.conditions import Facts, Opening, account_of, language_of, source_of, spoken_of
from services.config.rule import GroupBy, Rule
from services.contracts.base import event_id
from services.contracts.phrases import Topics


@dataclass(frozen=True, slots=True)
class Group:
    """The stories with the same `key` belong together; `words` name the values that they share. An incident takes in
    further stories of its group until `within` has passed since it opened."""

    key: str
    words: str
    within: timedelta


def group_of(rule: Rule, signal: Opening, topics: Topics) -> Group | None:
    """Returns the group of the incident that this rule opens, or `None` if the rule has no `group_by`.

    A missing value is a value too: complaints that name no account belong together.
    """
    if not rule.group_by:
        return None
    facts = Facts(signal, None, 0, topics)
    values = {by: _VALUES[by](rule, facts) for by in sorted(rule.group_by)}
    # As JSON, so that a missing topic differs from a topic that somebody named `none`.
    key = event_id("group", signal.brand, rule.id, json.dumps(values))
    words = ", ".join(_say(by, found) for by, found in values.items())
    return Group(key, words, timedelta(minutes=rule.group_minutes))


def _say(by: GroupBy, found: list[str]) -> str:
    return f"{by} {' and '.join(found)}" if found else f"no {by}"


def _one(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _topics(rule: Rule, facts: Facts) -> list[str]:
    """The topics that the signal mentions: of the rule's own `topics`, or of all topics if the rule has none."""
    asked = rule.topics or tuple(facts.topics)
    return sorted(topic for topic in set(asked) if spoken_of(topic, facts) is not None)


_VALUES: Final[Mapping[GroupBy, Callable[[Rule, Facts], list[str]]]] = {
    "account": lambda _, facts: _one(account_of(facts)),
    "language": lambda _, facts: _one(language_of(facts)),
    "source": lambda _, facts: _one(source_of(facts)),
    "topic": _topics,
}
