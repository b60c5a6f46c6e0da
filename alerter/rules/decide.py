"""Which rule of the configuration a signal fires. Pure; every decision comes with its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.rules.conditions import Facts, Opening, Topics, checks
from alerter.rules.grouping import Group, group_of
from alerter.rules.severity import Grade, grade
from services.config.rule import TOPICS, Rule
from services.contracts.signal import Line, PostNegative

STALE_AFTER: Final = timedelta(hours=24)
"""A post that was fetched late and is older than this opens nothing by itself: a catch-up after a gap is no storm."""


@dataclass(frozen=True, slots=True)
class Decision:
    """This rule opens an incident of this severity, for this reason; or joins one of the same group."""

    rule: Rule
    grade: Grade
    reason: str
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule and one signal: whether it fires; every reason for it, or the first one against it."""

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
    """The first rule, in the file's order, of which every given condition holds; `None` when there is none.

    `complaint` is the worst complaint seen in the story so far. A condition about what is not known does not hold.
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
            words = f"{words}, raised from {graded.severity} by rule {rule.id}"
        graded = replace(graded, severity=min(graded.severity, rule.raises_to), words=words, floor=rule.raises_to)
    # What was seen first, then why that matters here: it is read at night, on a small screen.
    seen = "" if isinstance(signal, PostNegative) else f"{signal.reason.rstrip('.')}. "
    fired = f"rule {rule.id}: {considered.because}. Severity {graded.severity}: {graded.words}."
    return Decision(rule, graded, seen + fired, group_of(rule, signal, topics))


def consider(rule: Rule, signal: Opening, graded: Grade, complaint: int | None, topics: Topics = TOPICS) -> Considered:
    """Whether a rule fires at a signal, and why or why not."""
    found = []
    for answer in checks(rule, Facts(signal, complaint, graded.severity, topics)):
        if not answer.holds:
            return Considered(rule, False, answer.words)
        found.append(answer.words)
    # Which brand it is about stands above already.
    return Considered(rule, True, "; ".join(found[bool(rule.brands) :]))


def stale(signal: Opening, now: datetime) -> bool:
    """Fetched late, and too old to open anything by itself."""
    return isinstance(signal, PostNegative) and signal.backfill and now - signal.post.at > STALE_AFTER


def raised(
    signal: Opening, rules: Sequence[Rule], graded: Grade, complaint: int | None, topics: Topics = TOPICS
) -> Grade:
    """The grade of a signal that joins an incident, raised by the rules that say so: a rule about safety counts for a story
    that another rule found first."""
    floor, because = graded.floor, ""
    for rule in rules:
        if rule.raises_to is None or (floor is not None and rule.raises_to >= floor):
            continue
        if rule.brands and signal.brand not in rule.brands:
            continue
        considered = consider(rule, signal, graded, complaint, topics)
        if considered.fires:
            floor, because = rule.raises_to, f"raised to {rule.raises_to} by rule {rule.id}: {considered.because}"
    if not because or floor is None:
        return graded
    return replace(graded, severity=min(graded.severity, floor), words=f"{graded.words}, {because}", floor=floor)
