"""Decides which rule of the configuration fires on a signal. Pure; every decision comes with its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.rules.conditions import Facts, Opening, SinglePost, checks
from alerter.rules.grouping import Group, group_of
from alerter.rules.severity import Grade, grade
from services.config.rule import TOPICS, Rule
from services.contracts.phrases import Topics
from services.contracts.scales import sev
from services.contracts.signal import Line

STALE_AFTER: Final = timedelta(hours=24)
"""A post that was fetched late and is older than this opens no incident: a catch-up after a gap is no storm."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule that fires, the severity and reason of its incident, and the group that the story may join instead."""

    rule: Rule
    grade: Grade
    reason: str
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """Whether one rule fires on one signal. `because` has every condition if it fires, or else the first to fail."""

    rule: Rule
    fires: bool
    because: str


def decide(
    signal: Opening,
    rules: Sequence[Rule],
    line: Line,
    complaint: int | None,
    now: datetime,
    topics: Topics = TOPICS,
) -> Decision | None:
    """Returns the decision of the first rule in the file whose conditions all hold, or `None` if no rule fires.

    `complaint` is the severity of the worst complaint in the story so far, or `None`.
    """
    if stale(signal, now):
        return None
    graded: Grade | None = None
    for rule in rules:
        if rule.brands and signal.brand not in rule.brands:
            continue
        graded = graded or grade(signal, line, complaint)
        considered = consider(rule, signal, graded, complaint, topics)
        if considered.fires:
            return _decision(rule, signal, graded, considered, topics)
    return None


def _decision(rule: Rule, signal: Opening, graded: Grade, considered: Considered, topics: Topics) -> Decision:
    if rule.raises_to is not None:
        words = graded.words
        if rule.raises_to < graded.severity:
            words = f"{words}, raised from {sev(graded.severity)} by rule {rule.id}"
        graded = replace(graded, severity=min(graded.severity, rule.raises_to), words=words, floor=rule.raises_to)
    # First what was seen, then why it matters here: people read this at night, on a small screen.
    seen = "" if isinstance(signal, SinglePost) else f"{signal.reason.rstrip('.')}. "
    fired = f"rule {rule.id}: {considered.because}. {sev(graded.severity)}: {graded.words}."
    return Decision(rule, graded, seen + fired, group_of(rule, signal, topics))


def consider(rule: Rule, signal: Opening, graded: Grade, complaint: int | None, topics: Topics = TOPICS) -> Considered:
    """Check a rule's conditions against a signal."""
    found = []
    for check in checks(rule, Facts(signal, complaint, graded.severity, topics)):
        if not check.holds:
            return Considered(rule, False, check.words)
        found.append(check.words)
    # The brand is left out: every message names it already.
    return Considered(rule, True, "; ".join(found[bool(rule.brands) :]))


def stale(signal: Opening, now: datetime) -> bool:
    """Returns True if the post was fetched so late that it opens no incident by itself."""
    return isinstance(signal, SinglePost) and signal.backfill and now - signal.post.at > STALE_AFTER


def raised(
    signal: Opening, rules: Sequence[Rule], graded: Grade, complaint: int | None, topics: Topics = TOPICS
) -> Grade:
    """Returns the grade of a signal that joins an incident, raised by every rule with `raises_to` that fires on it.

    So a rule about safety also counts for a story that another rule found first.
    """
    floor, because = graded.floor, ""
    for rule in rules:
        if rule.raises_to is None or (floor is not None and rule.raises_to >= floor):
            continue
        if rule.brands and signal.brand not in rule.brands:
            continue
        considered = consider(rule, signal, graded, complaint, topics)
        if considered.fires:
            floor, because = rule.raises_to, f"raised to {sev(rule.raises_to)} by rule {rule.id}: {considered.because}"
    if not because or floor is None:
        return graded
    return replace(graded, severity=min(graded.severity, floor), words=f"{graded.words}, {because}", floor=floor)
